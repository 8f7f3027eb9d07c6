//! The house rules that no compiler holds: who may import whom, sizes, words that may not stay.
//!
//! Each rule is a function from text to what is wrong with it. It is tried on made-up text that
//! breaks it, and then on the tree.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules in the order of `src/lib.rs`: each may use those before it and itself.
const ORDER: [&str; 14] = [
    "units", "dice", "problem", "http", "limit", "fault", "exchange", "config", "journal",
    "control", "admin", "shell", "embed", "cli",
];

/// The files that may do what the compiler cannot check: the calls to the system, and the entry
/// that the C runtime calls.
const UNSAFE_FILES: [&str; 2] = ["src/shell/sys.rs", "src/main.rs"];

/// A file of the project.
struct File {
    /// Its path from the root, with slashes.
    path: String,
    text: String,
}

/// All Rust files under these folders, in order.
fn files(folders: &[&str]) -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), &mut paths));
    paths.sort();
    let file = |path: &PathBuf| File {
        path: path.strip_prefix(root).unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
    };
    paths.iter().map(file).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
}

/// Fails with everything that a rule found in the files of these folders.
#[track_caller]
fn holds(folders: &[&str], rule: impl Fn(&File) -> Vec<String>) {
    let files = files(folders);
    assert!(files.len() > 10, "the tree was not found");
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| rule(file).into_iter().map(|what| format!("{}: {what}", file.path)))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// What a rule says of a made-up file.
fn said(path: &str, text: &str, rule: impl Fn(&File) -> Vec<String>) -> Vec<String> {
    rule(&File { path: path.into(), text: text.into() })
}

/// The text without comments and without what stands in literals; lines stay where they are.
fn code(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let skipped = literal(rest);
        let taken = if skipped > 0 { skipped } else { word(rest).max(first.len_utf8()) };
        match skipped {
            0 => out.push_str(&rest[..taken]),
            _ => out.extend(rest[..taken].chars().filter(|c| *c == '\n')),
        }
        rest = &rest[taken..];
    }
    out
}

/// The length of the identifier at the start of `text`; a literal's prefix is none.
fn word(text: &str) -> usize {
    text.find(|c: char| !is_word(c)).unwrap_or(text.len())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The length of the comment or literal at the start of `text`, or 0.
fn literal(text: &str) -> usize {
    let until = |from: usize, end: &str| match text[from..].find(end) {
        Some(at) => from + at + end.len(),
        None => text.len(),
    };
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until(2, "*/");
    }
    let bare = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - bare.len();
    if let Some(raw) = bare.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return until(prefix + 1 + hashes + 1, &end);
        }
    }
    match bare.chars().next() {
        Some('"') => prefix + quoted(bare),
        Some('\'') if is_char(bare) => prefix + quoted(bare),
        _ => 0,
    }
}

/// True for a character, false for a lifetime.
fn is_char(text: &str) -> bool {
    let mut next = text.chars().skip(1);
    next.next() == Some('\\') || next.next() == Some('\'')
}

/// The length of a literal between two of its first character.
fn quoted(text: &str) -> usize {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, quote)| quote);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return at + c.len_utf8();
        }
    }
    text.len()
}

/// The paths of this crate that a text names: `shell::sys::poll`, with braces taken apart.
fn paths(text: &str) -> Vec<String> {
    let (text, mut found) = (code(text), Vec::new());
    for (at, start) in text.match_indices("crate::") {
        if !text[..at].ends_with(is_word) {
            tree(&text[at + start.len()..], "", &mut found);
        }
    }
    found
}

/// Reads one tree of paths; how much of the text it was.
fn tree(text: &str, before: &str, found: &mut Vec<String>) -> usize {
    let name = word(text);
    let path = format!("{before}{}", &text[..name]);
    let Some(rest) = text[name..].strip_prefix("::").filter(|_| name > 0) else {
        if !text.starts_with('{') {
            found.push(path);
            return name;
        }
        let mut at = 1;
        while at < text.len() && !text[at..].starts_with('}') {
            let blank = text[at..].starts_with(|c: char| c == ',' || c.is_whitespace());
            at += if blank { 1 } else { tree(&text[at..], before, found).max(1) };
        }
        return at + 1;
    };
    name + 2 + tree(rest, &format!("{path}::"), found)
}

/// The module of a file: `shell` and `sys` for src/shell/sys.rs.
fn place(path: &str) -> (&str, &str) {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split_once('/').unwrap_or((path, ""))
}

/// Names what a file uses and may not; `shell` are the modules of the shell in their order.
fn import_order(file: &File, shell: &[String]) -> Vec<String> {
    let (own, part) = place(&file.path);
    let Some(rank) = ORDER.iter().position(|name| *name == own) else { return Vec::new() };
    let shell_rank = |name: &str| shell.iter().position(|own| own == name);
    let mut found = Vec::new();
    for path in paths(&file.text) {
        let mut names = path.split("::");
        let (module, inner) = (names.next().unwrap_or(""), names.next().unwrap_or(""));
        match ORDER.iter().position(|name| *name == module) {
            Some(other) if other > rank => found.push(format!("{own} may not use {path}")),
            Some(_) if (own, module) == ("shell", "shell") => {
                let (own, other) = (shell_rank(part), shell_rank(inner));
                if own.is_some() && other > own {
                    found.push(format!("shell/{part} may not use {path}"));
                }
            }
            Some(_) => {}
            None => found.push(format!("{path} has no place in the order")),
        }
    }
    found.dedup();
    found
}

/// The modules that a text declares, in order.
fn declared(text: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim_start_matches("pub ").strip_prefix("mod ")?;
        line.strip_suffix(';').map(str::to_owned)
    };
    code(text).lines().filter_map(name).collect()
}

#[test]
fn imports_form_one_order() {
    let shell: Vec<String> = ["clock", "sys", "relay"].map(String::from).into();
    let check = |path: &str, text: &str| said(path, text, |file| import_order(file, &shell));
    assert!(check("src/dice.rs", "use crate::units::{Time, Span};").is_empty());
    assert!(check("src/dice.rs", "// crate::cli\n\"crate::cli\" r#\"crate::cli\"#").is_empty());
    assert_eq!(check("src/dice.rs", "use crate::dice::Key; crate::embed::x()").len(), 1);
    assert_eq!(
        check("src/units.rs", "use crate::{units::A, shell::{clock, sys::{self, B}}};"),
        [
            "units may not use shell::clock",
            "units may not use shell::sys::self",
            "units may not use shell::sys::B"
        ]
    );
    assert!(check("src/shell/relay.rs", "use crate::shell::{clock, sys};").is_empty());
    assert_eq!(check("src/shell/sys.rs", "use crate::shell::relay::copy;").len(), 1);
    assert_eq!(check("src/config/a/b.rs", "crate::nowhere::X").len(), 1);

    let root = files(&["src"]);
    let text = |path: &str| &root.iter().find(|file| file.path == path).unwrap().text;
    assert_eq!(declared(text("src/lib.rs")), ORDER, "ORDER is that of src/lib.rs");
    let shell = declared(text("src/shell/mod.rs"));
    assert!(shell.len() > 5, "{shell:?}");
    holds(&["src"], |file| import_order(file, &shell));
}

/// What is wrong between the files that define a fault and the table in `mod_rs`.
fn fault_table(mod_rs: &str, defined: &[&str]) -> Vec<String> {
    let text = code(mod_rs);
    let lines: Vec<String> =
        declared(mod_rs).into_iter().filter(|name| defined.contains(&name.as_str())).collect();
    let ends = text.match_indices("::KIND").map(|(at, _)| at);
    let rows: Vec<&str> =
        ends.map(|at| text[..at].rsplit(|c| !is_word(c)).next().unwrap()).collect();
    let mut found = Vec::new();
    for name in defined {
        if !lines.iter().any(|line| line == name) {
            found.push(format!("{name} has no mod line"));
        }
        if !rows.contains(name) {
            found.push(format!("{name} has no row in ALL"));
        }
    }
    if !lines.is_sorted() {
        found.push(format!("mod lines are not alphabetical: {lines:?}"));
    }
    if !rows.is_sorted() {
        found.push(format!("rows are not alphabetical: {rows:?}"));
    }
    found
}

#[test]
fn every_fault_is_in_the_table() {
    let good = "pub mod attr;\nmod a;\nmod b;\nstatic ALL: &[&Kind] = &[&a::KIND, &b::KIND];";
    assert!(fault_table(good, &["a", "b"]).is_empty());
    assert_eq!(fault_table(good, &["a", "b", "c"]).len(), 2);
    let mixed = "mod b;\nmod a;\nstatic ALL: &[&Kind] = &[&b::KIND, &a::KIND];";
    assert_eq!(fault_table(mixed, &["a", "b"]).len(), 2);

    let faults = files(&["src/fault"]);
    let defines = |file: &&File| code(&file.text).contains("static KIND: Kind");
    let defined: Vec<&str> =
        faults.iter().filter(defines).map(|file| place(&file.path).1).collect();
    assert!(defined.contains(&"latency"), "{defined:?}");
    let table = faults.iter().find(|file| file.path == "src/fault/mod.rs").unwrap();
    assert_eq!(fault_table(&table.text, &defined), Vec::<String>::new());
}

fn header(file: &File) -> Vec<String> {
    let missing = !file.text.starts_with("//! ");
    missing.then(|| "does not begin with //! and what it is for".to_owned()).into_iter().collect()
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_eq!(said("a.rs", "use std::fs;\n//! late", header).len(), 1);
    assert_eq!(said("a.rs", "", header).len(), 1);
    holds(&["src", "tests", "fuzz", "bench"], header);
}

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 100;

fn sizes(file: &File) -> Vec<String> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    if lines.len() > FILE_LINES_MAX {
        found.push(format!("{} lines, at most {FILE_LINES_MAX}", lines.len()));
    }
    for (index, line) in lines.iter().enumerate() {
        let (number, chars) = (index + 1, line.chars().count());
        // A literal cannot be broken by rustfmt; one that is shown as it is may be long.
        if chars > LINE_CHARS_MAX && !line.contains("r#\"") {
            found.push(format!("line {number} has {chars} characters, at most {LINE_CHARS_MAX}"));
        }
        let length = function_lines(&lines[index..]);
        if length > FUNCTION_LINES_MAX {
            found.push(format!("line {number}: {length} lines in a function"));
        }
    }
    found
}

/// Lines of the function that begins on the first one, as rustfmt lays it out; 0 when none does.
fn function_lines(lines: &[&str]) -> usize {
    let first = lines[0].trim_start();
    let signature = first.split('(').next().unwrap_or("");
    let is_function = signature.split(' ').any(|word| word == "fn") && !first.starts_with("//");
    if !is_function || first.ends_with('}') || first.ends_with(';') {
        return 0;
    }
    let indent = &lines[0][..lines[0].len() - first.len()];
    let is_end = |line: &&str| {
        let own = line.strip_prefix(indent);
        own.is_some_and(|own| own == "}" || own.starts_with(')') && own.ends_with(';'))
    };
    lines.iter().position(is_end).map_or(0, |end| end + 1)
}

#[test]
fn nothing_is_too_long() {
    let function =
        |lines: usize| format!("    pub fn f(\n    ) {{\n{}    }}\n", "x;\n".repeat(lines));
    assert!(said("a.rs", &function(67), sizes).is_empty());
    assert_eq!(said("a.rs", &function(68), sizes), ["line 1: 71 lines in a function"]);
    assert!(said("a.rs", "fn f(\n) -> u8;\nfn g() {}\n", sizes).is_empty());
    assert_eq!(said("a.rs", &"x\n".repeat(601), sizes).len(), 1);
    assert_eq!(said("a.rs", &"ä".repeat(101), sizes).len(), 1);
    assert!(said("a.rs", &"ä".repeat(100), sizes).is_empty());
    holds(&["src", "tests", "fuzz"], sizes);
}

/// True when the code of `text` has this word by itself.
fn has_word(text: &str, wanted: &str) -> bool {
    text.match_indices(wanted).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + wanted.len()..]);
        let longer = wanted.ends_with(is_word) && after.starts_with(is_word);
        !(longer || before.ends_with(is_word))
    })
}

fn keywords(file: &File) -> Vec<String> {
    let may = UNSAFE_FILES.contains(&file.path.as_str());
    let elsewhere = !may && has_word(&code(&file.text), "unsafe");
    elsewhere.then(|| format!("unsafe outside {UNSAFE_FILES:?}")).into_iter().collect()
}

#[test]
fn two_files_may_be_unsafe() {
    assert_eq!(said("src/embed.rs", "let x = unsafe { y() };", keywords).len(), 1);
    assert!(said(UNSAFE_FILES[0], "let x = unsafe { y() };", keywords).is_empty());
    assert!(said("src/a.rs", "// unsafe\n#![deny(unsafe_code)] \"unsafe\"", keywords).is_empty());
    holds(&["src", "tests"], keywords);
}

fn leftovers(file: &File) -> Vec<String> {
    let code = code(&file.text);
    let mut found = Vec::new();
    let mut ban = |word: &str, present: bool| {
        if present {
            found.push(format!("{word} may not stay"));
        }
    };
    for word in ["todo!", "unimplemented!", "dbg!"] {
        ban(word, has_word(&code, word));
    }
    let reminder = concat!("FIX", "ME"); // also in comments
    ban(reminder, file.text.contains(reminder));
    if file.path.starts_with("src/") {
        for word in ["print!", "println!", "eprint!", "eprintln!"] {
            ban(word, has_word(&code, word));
        }
    }
    found
}

#[test]
fn nothing_is_left_over() {
    let text = format!("todo!(); dbg!(x); unimplemented!() // {}{}", "FIX", "ME: soon");
    assert_eq!(said("tests/a.rs", &text, leftovers).len(), 4);
    assert_eq!(said("src/a.rs", "println!(); eprint!(\"x\")", leftovers).len(), 2);
    assert!(said("tests/a.rs", "println!()", leftovers).is_empty());
    assert!(said("src/a.rs", "\"todo!\" 'a' '\"' // dbg!\nwriteln!(out)", leftovers).is_empty());
    holds(&["src", "tests", "fuzz"], leftovers);
}

#[test]
fn code_is_told_from_text() {
    assert_eq!(code("a // b\nc /* d\n */ e"), "a \nc \n e");
    assert_eq!(code(r#"x("a \" b", 'c', '\'', b"d", b'e') 'f"#), "x(, , , , ) 'f");
    assert_eq!(code("bar r\"x\\\" r#\"y\"z\"# brr\"s\""), "bar   brr");
    assert_eq!(code("fn a<'a>(b: &'a str)"), "fn a<'a>(b: &'a str)");
}
