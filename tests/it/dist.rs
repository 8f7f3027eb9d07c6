//! The completions and the man page under `dist/`: made here from the tables that the parser reads,
//! so that the binary need not hold them. `make dist` writes them; these tests say when to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use chaos_proxy::cli::client::{self, CLIENT_COMMANDS};
use chaos_proxy::cli::{COMMANDS, OPTIONS, Takes, Verb, help};

/// A command, whichever table it is in.
struct Row {
    /// Its word, or two words.
    name: String,
    usages: Vec<String>,
    about: &'static str,
    /// True when a file may follow it.
    takes_file: bool,
    flags: Vec<Flag>,
}

/// An option of a command.
#[derive(Clone)]
struct Flag {
    /// With their dashes, the long one first.
    forms: Vec<String>,
    value: Option<Choice>,
    repeatable: bool,
    about: &'static str,
    /// Its default and its variable.
    notes: Vec<String>,
}

/// The value of an option: how it is called, and what it may be, where that is known.
#[derive(Clone)]
struct Choice {
    placeholder: &'static str,
    words: &'static [&'static str],
    is_file: bool,
}

fn own_flags(verb: Verb) -> Vec<Flag> {
    let own = OPTIONS.iter().filter(|opt| opt.verbs.contains(&verb));
    let flag = own.map(|opt| {
        let short = opt.short.iter().map(|short| (*short).to_owned());
        let value = opt.takes.placeholder().map(|placeholder| {
            let words = match opt.takes {
                Takes::Word { words, .. } => words,
                Takes::Nothing | Takes::File | Takes::Whole { .. } | Takes::Text { .. } => &[],
            };
            Choice { placeholder, words, is_file: matches!(opt.takes, Takes::File) }
        });
        let default = opt.default.map(|default| format!("default {default}"));
        let env = opt.env.map(|env| format!("environment {env}"));
        Flag {
            forms: [opt.name.to_owned()].into_iter().chain(short).collect(),
            value,
            repeatable: opt.repeatable,
            about: opt.about,
            notes: [default, env].into_iter().flatten().collect(),
        }
    });
    flag.collect()
}

fn client_flags(verb: client::ClientVerb) -> Vec<Flag> {
    let own = client::FLAGS.iter().filter(|f| f.verbs.is_empty() || f.verbs.contains(&verb));
    let flag = own.map(|flag| {
        let dashes = |name: &&str| if name.len() == 1 { "-" } else { "--" };
        let forms = flag.names.iter().map(|name| format!("{}{name}", dashes(name)));
        let value = |placeholder| Choice { placeholder, words: &[], is_file: false };
        let notes = match flag.names[0] {
            "host" => {
                vec!["default http://localhost:8474".into(), "environment TOXIPROXY_URL".into()]
            }
            _ => Vec::new(),
        };
        Flag {
            forms: forms.collect(),
            value: flag.value.map(value),
            repeatable: flag.repeatable,
            about: flag.about,
            notes,
        }
    });
    flag.collect()
}

/// Every command, those of the client behind the proxy's own.
fn rows() -> Vec<Row> {
    let own = COMMANDS.iter().map(|row| Row {
        name: row.name.to_owned(),
        usages: row.usage.iter().map(|usage| (*usage).to_owned()).collect(),
        about: row.about,
        takes_file: row
            .usage
            .iter()
            .any(|usage| ["CONFIG", "EVENTS"].iter().any(|file| usage.contains(file))),
        flags: own_flags(row.verb),
    });
    let client = CLIENT_COMMANDS.iter().map(|row| Row {
        name: row.name(),
        usages: vec![format!("{}{}", row.name(), row.usage)],
        about: row.about,
        takes_file: false,
        flags: client_flags(row.verb),
    });
    own.chain(client).collect()
}

/// The first words of all commands, each once, with what is said of the first with it.
fn first_words(rows: &[Row]) -> Vec<(&str, &str)> {
    let mut words = Vec::new();
    for row in rows {
        let (word, about) = match row.name.split_once(' ') {
            Some((group, _)) => (group, "add, update or remove a toxic"),
            None => (row.name.as_str(), row.about),
        };
        if !words.iter().any(|(own, _): &(&str, &str)| *own == word) {
            words.push((word, about));
        }
    }
    words.push((
        "toxiproxy-server",
        "serve the API of Toxiproxy in its place; has options of its own",
    ));
    words
}

/// The second words behind `group`.
fn second_words<'a>(rows: &'a [Row], group: &str) -> Vec<(&'a str, &'a str)> {
    let behind = |row: &'a Row| Some((row.name.split_once(' ')?, row.about));
    let own = rows.iter().filter_map(behind).filter(|((own, _), _)| *own == group);
    own.map(|((_, word), about)| (word, about)).collect()
}

fn all_forms(row: &Row) -> String {
    let forms: Vec<&str> =
        row.flags.iter().flat_map(|flag| flag.forms.iter().map(String::as_str)).collect();
    forms.join(" ")
}

const MADE: &str = "made by `make dist` from the table of options; do not edit";

fn bash(rows: &[Row]) -> String {
    let words: Vec<&str> = first_words(rows).into_iter().map(|(word, _)| word).collect();
    let words = words.join(" ");
    let mut out = format!("# bash completion of chaos-proxy, {MADE}\n\n");
    out += "_chaos_proxy() {\n    local word verb= words= files=\n    COMPREPLY=()\n";
    out += "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n";
    out += "    case $before in\n";
    let mut told: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for flag in rows.iter().flat_map(|row| &row.flags) {
        let Some(value) = &flag.value else { continue };
        // -u stands alone after `toxic add` and takes a value after `create`.
        let then = match value {
            Choice { is_file: true, .. } => r#"COMPREPLY=($(compgen -f -- "$current"))"#.to_owned(),
            Choice { words: [], .. } => ":".to_owned(),
            Choice { words, .. } => {
                format!(r#"COMPREPLY=($(compgen -W "{}" -- "$current"))"#, words.join(" "))
            }
        };
        for form in flag.forms.iter().filter(|form| *form != "-u" && *form != "--upstream") {
            told.entry(then.clone()).or_default().insert(form);
        }
    }
    for (then, forms) in told {
        let forms = forms.into_iter().collect::<Vec<_>>().join(" | ");
        let _ = writeln!(out, "        {forms}) {then}; return 0 ;;");
    }
    out += "    esac\n    for word in \"${COMP_WORDS[@]:1:COMP_CWORD - 1}\"; do\n";
    out += "        case $verb:$word in\n";
    let _ = writeln!(out, "            :{}) verb=$word ;;", words.replace(' ', " | :"));
    for (group, _) in first_words(rows) {
        for (word, _) in second_words(rows, group) {
            let _ = writeln!(out, "            {group}:{word}) verb='{group} {word}' ;;");
        }
    }
    out += "        esac\n    done\n    case $verb in\n";
    for row in rows {
        let files = if row.takes_file { " files=1" } else { "" };
        let _ = writeln!(out, "        '{}') words='{}'{files} ;;", row.name, all_forms(row));
    }
    for (group, _) in first_words(rows) {
        let seconds: Vec<&str> = second_words(rows, group).iter().map(|(word, _)| *word).collect();
        if !seconds.is_empty() {
            let _ = writeln!(out, "        '{group}') words='{}' ;;", seconds.join(" "));
        }
    }
    let run = all_forms(&rows[0]);
    let _ = writeln!(out, "        '') words='{words} {run}' files=1 ;;");
    out += "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n";
    out += "    [[ -z $files || $current = -* ]] || COMPREPLY+=($(compgen -f -- \"$current\"))\n";
    out + "}\ncomplete -o filenames -F _chaos_proxy chaos-proxy\n"
}

/// For zsh: no quote, and no bracket or colon that it would take for its own.
fn zsh_text(text: &str) -> String {
    text.replace('\'', "").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

fn zsh_flags(row: &Row) -> String {
    let mut out = String::new();
    for flag in &row.flags {
        let value = match &flag.value {
            None => String::new(),
            Some(Choice { placeholder, is_file: true, .. }) => format!(":{placeholder}:_files"),
            Some(Choice { placeholder, words, .. }) => {
                format!(":{placeholder}:({})", words.join(" "))
            }
        };
        let often = if flag.repeatable { "*" } else { "" };
        for form in &flag.forms {
            let _ =
                write!(out, " \\\n            '{often}{form}[{}]{value}'", zsh_text(flag.about));
        }
    }
    let files = if row.takes_file { "'*:file:_files'" } else { "'*: :'" };
    let _ = write!(out, " \\\n            {files}");
    out
}

fn zsh_words(words: &[(&str, &str)]) -> String {
    let item = |(word, about): &(&str, &str)| format!("'{word}:{}'", zsh_text(about));
    words.iter().map(item).collect::<Vec<_>>().join(" ")
}

fn zsh(rows: &[Row]) -> String {
    let mut out = format!("#compdef chaos-proxy\n# zsh completion of chaos-proxy, {MADE}\n\n");
    let _ = writeln!(out, "local -a commands=({})", zsh_words(&first_words(rows)));
    out += "if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n";
    out += "    _describe command commands\n    _files\n    return\nfi\n";
    for (group, _) in first_words(rows) {
        let seconds = second_words(rows, group);
        if !seconds.is_empty() {
            let _ = writeln!(out, "if [[ $words[2] = {group} ]] && ((CURRENT == 3)); then");
            let _ = writeln!(out, "    local -a actions=({})", zsh_words(&seconds));
            out += "    _describe action actions\n    return\nfi\n";
        }
    }
    out += "case \"$words[2] $words[3] \" in\n";
    for row in rows {
        let _ = writeln!(out, "    '{} '*)\n        _arguments{} ;;", row.name, zsh_flags(row));
    }
    let _ = writeln!(out, "    *)\n        _arguments{} ;;\nesac", zsh_flags(&rows[0]));
    out
}

fn fish(rows: &[Row]) -> String {
    let mut out = format!("# fish completion of chaos-proxy, {MADE}\n\n");
    let quoted = |text: &str| text.replace('\'', "\\'");
    let firsts = first_words(rows);
    let all: Vec<&str> = firsts.iter().map(|(word, _)| *word).collect();
    let none = format!("not __fish_seen_subcommand_from {}", all.join(" "));
    for (word, about) in &firsts {
        let _ =
            writeln!(out, "complete -c chaos-proxy -n '{none}' -a {word} -d '{}'", quoted(about));
        let seconds = second_words(rows, word);
        let words: Vec<&str> = seconds.iter().map(|(word, _)| *word).collect();
        let seen = "__fish_seen_subcommand_from";
        for (second, about) in &seconds {
            let when = format!("{seen} {word}; and not {seen} {}", words.join(" "));
            let _ = writeln!(
                out,
                "complete -c chaos-proxy -f -n '{when}' -a {second} -d '{}'",
                quoted(about)
            );
        }
    }
    for row in rows {
        let seen: Vec<String> =
            row.name.split(' ').map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
        let mut when = seen.join("; and ");
        if row.name == "run" {
            when = format!("{when}; or {none}");
        }
        if !row.takes_file {
            let _ = writeln!(out, "complete -c chaos-proxy -f -n '{when}'");
        }
        for flag in &row.flags {
            let _ = write!(out, "complete -c chaos-proxy -n '{when}'");
            for form in &flag.forms {
                let bare = form.trim_start_matches('-');
                let kind = if bare.len() == 1 { "-s" } else { "-l" };
                let _ = write!(out, " {kind} {bare}");
            }
            match &flag.value {
                None => {}
                Some(Choice { is_file: true, .. }) => out += " -r -F",
                Some(Choice { words, .. }) => {
                    let _ = write!(out, " -x -a '{}'", words.join(" "));
                }
            }
            let _ = writeln!(out, " -d '{}'", quoted(flag.about));
        }
    }
    out
}

/// Text for roff: hyphens that can be copied, no line that begins as a request does.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    text.lines()
        .map(|line| line.replacen('.', "\\&.", usize::from(line.starts_with('.'))))
        .collect()
}

fn man_flags(out: &mut String, flags: &[Flag]) {
    for flag in flags {
        let mut forms = flag.forms.clone();
        forms.reverse(); // the short one first, as --help has it
        let forms: Vec<String> =
            forms.iter().map(|form| format!("\\fB{}\\fR", roff(form))).collect();
        let value = flag.value.as_ref().map_or("", |value| value.placeholder);
        let _ = write!(out, ".TP\n{}", forms.join(", "));
        let _ = writeln!(out, " \\fI{}\\fR\n{}", roff(value), roff(flag.about));
        if !flag.notes.is_empty() {
            let _ = writeln!(out, "({})", roff(&flag.notes.join("; ")));
        }
    }
}

const DESCRIPTION: &str = "\
A TCP proxy that makes a link misbehave on purpose: slow, dropping, timing out.
The same seed gives the same faults, and the log says what was done.
Routes come from a JSON or YAML file, or from
.BR \\-\\-route ;
faults change while it runs by the admin API.
";

fn man(rows: &[Row]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(".\\\" {MADE}\n.TH CHAOS\\-PROXY 1 \"\" \"chaos\\-proxy {version}\"\n");
    out += ".SH NAME\nchaos\\-proxy \\- makes a TCP link misbehave on purpose\n.SH SYNOPSIS\n.nf\n";
    for usage in rows.iter().flat_map(|row| &row.usages) {
        let _ = writeln!(out, "\\fBchaos\\-proxy\\fR {}", roff(usage));
    }
    out += "\\fBchaos\\-proxy\\fR toxiproxy\\-server [\\-h]\n";
    let _ = write!(out, ".fi\n.SH DESCRIPTION\n{DESCRIPTION}.SH COMMANDS\n");
    for row in rows {
        let _ = writeln!(out, ".TP\n.B {}\n{}", roff(&row.name), roff(row.about));
    }
    out += ".SH OPTIONS\nA flag goes over its environment variable, and that over the file.\n";
    let mut own: Vec<Flag> = Vec::new();
    for opt in OPTIONS {
        own.extend(own_flags(opt.verbs[0]).into_iter().filter(|flag| flag.forms[0] == opt.name));
    }
    man_flags(&mut out, &own);
    for row in rows.iter().skip(COMMANDS.len()) {
        let _ = writeln!(out, ".SS {}", roff(&row.name));
        man_flags(&mut out, &row.flags);
    }
    let text = help(None);
    let end = text.split_once("\nExamples:\n").expect("the help ends with examples").1;
    let (examples, codes) = end.split_once("\nExit codes:\n").expect("and with exit codes");
    for (title, text) in [("EXAMPLES", examples), ("EXIT STATUS", codes)] {
        let lines: Vec<String> = text.lines().map(roff).collect();
        let _ = write!(out, ".SH {title}\n.nf\n{}\n.fi\n", lines.join("\n"));
    }
    out += ".SH SIGNALS\nOn the first SIGTERM, SIGINT or SIGHUP it drains:\n";
    out += "new connections are refused";
    out += " after\n.IR shutdown.delayMs ,\nthose in flight have\n.IR shutdown.graceMs .\n";
    out + "A second signal ends it at once.\n"
}

#[test]
fn dist_is_what_the_tables_say() {
    let rows = rows();
    let made = [
        ("completions/chaos-proxy.bash", bash(&rows)),
        ("completions/_chaos-proxy", zsh(&rows)),
        ("completions/chaos-proxy.fish", fish(&rows)),
        ("chaos-proxy.1", man(&rows)),
    ];
    for (name, text) in made {
        let path = format!("{}/dist/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_DIST").is_some() {
            fs::write(&path, &text).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        let there = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "dist/{name} is not what the table of options says: run `make dist`"
        );
    }
}

#[test]
fn the_image_has_the_version_of_the_program() {
    let label = concat!(r#"image.version=""#, env!("CARGO_PKG_VERSION"), r#"""#);
    assert!(include_str!("../../Dockerfile").contains(label), "the Dockerfile has no {label}");
}

/// What bash offers at the end of a line.
fn offered(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let script = format!(
        "source dist/completions/chaos-proxy.bash\nCOMP_WORDS=({})\n_chaos_proxy\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
    );
    let script = format!("COMP_CWORD={}\n{script}", words.len() - 1);
    let mut command = Command::new("bash");
    command.args(["--norc", "-uc", &script]).stdin(Stdio::null());
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.stderr.is_empty(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_completes() {
    let check = |line: &str, expected: &[&str]| assert_eq!(offered(line), expected, "{line}");
    check("chaos-proxy che", &["check"]);
    check("chaos-proxy --log-f", &["--log-format"]);
    check("chaos-proxy run --log-format j", &["json"]);
    check("chaos-proxy check Cargo.t", &["Cargo.toml"]);
    check("chaos-proxy -c Cargo.t", &["Cargo.toml"]);
    check("chaos-proxy health --l", &["--live"]);
    check("chaos-proxy faults --l", &[]);
    check("chaos-proxy toxi", &["toxic", "toxiproxy-server"]);
    check("chaos-proxy toxic r", &["remove"]);
    check("chaos-proxy toxic add --toxicN", &["--toxicName"]);
    check("chaos-proxy --seed 1 run --see", &["--seed"]);
    check("chaos-proxy --seed ", &[]);
}
