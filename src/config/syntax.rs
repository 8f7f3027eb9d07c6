//! What the YAML parser says, in the words of someone who wrote a configuration.

use super::node::{quoted, shortened};
use super::outline::{self, Outline};
use crate::problem::{Pos, Problem};

/// The problem behind `info`, the parser's own text, at `pos` of `text`.
pub(super) fn problem(info: &str, pos: Pos, text: &str, outline: &Outline) -> Problem {
    let at_end = info.contains("unexpected end of stream") || pos >= outline.end;
    let (pos, message) = match outline.open.last() {
        Some(open) if at_end => {
            let Pos { line, column } = open.pos;
            let what = open.what();
            let because = format!("the {what} that begins at {line}:{column} is not closed");
            (outline.end, format!("unexpected end of file ({because})"))
        }
        _ => (pos.min(outline.end), message(info, pos, text)),
    };
    Problem { pos: Some(pos), path: String::new(), message }
}

fn message(info: &str, pos: Pos, text: &str) -> String {
    let found = found(text, pos);
    if info.contains("expected ',' or") || info.contains("invalid trailing content") {
        return unexpected_in_brackets(&found, pos, text);
    }
    if info.contains("expected key") && before(text, pos).ends_with(']') {
        return format!("unexpected {found} (an address in brackets goes in quotes: \"[::1]:80\")");
    }
    if info.contains("misplaced bracket") {
        return format!("unexpected {found} (nothing is open here)");
    }
    match KNOWN.iter().find(|(needle, _)| info.contains(needle)) {
        Some((_, clear)) => (*clear).to_owned(),
        None => format!("unexpected {found} (JSON or YAML)"),
    }
}

fn unexpected_in_brackets(found: &str, pos: Pos, text: &str) -> String {
    match outline::of(text, Some(pos)).open.last() {
        Some(open) if open.by == '{' || open.by == '[' => {
            let Pos { line, column } = open.pos;
            let close = if open.by == '{' { '}' } else { ']' };
            let what = open.what();
            let comma = if found == "\":\"" { "a comma before its key" } else { "a comma" };
            let end = format!("the {close:?} of the {what} that begins at {line}:{column}");
            format!("unexpected {found} ({comma}, or {end})")
        }
        _ => format!("unexpected {found} (a text in quotes is alone on its line)"),
    }
}

/// The word at `pos`, in quotes.
fn found(text: &str, pos: Pos) -> String {
    let rest = after(text, pos);
    let Some(first) = rest.chars().next() else { return "end of file".into() };
    if first == '"' || first == '\'' {
        let end = rest[1..].find(first).map_or(rest.len(), |at| at + 2);
        let word = rest[..end].lines().next().unwrap_or_default();
        return shortened(
            &word.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'"),
        );
    }
    let ends = |c: char| c.is_whitespace() || ",[]{}:\"".contains(c);
    let end = rest.find(ends).unwrap_or(rest.len()).max(first.len_utf8());
    quoted(&rest[..end])
}

/// The text before `pos`.
fn before(text: &str, pos: Pos) -> &str {
    &text[..text.len() - after(text, pos).len()]
}

/// The text from `pos` on.
fn after(text: &str, pos: Pos) -> &str {
    let mut place = Pos { line: 1, column: 1 };
    for (at, c) in text.char_indices() {
        if place >= pos {
            return &text[at..];
        }
        if c == '\n' || c == '\r' && !text[at + 1..].starts_with('\n') {
            place = Pos { line: place.line + 1, column: 1 };
        } else {
            place.column += 1;
        }
    }
    ""
}

/// A part of what the parser says, and what it comes to.
const KNOWN: &[(&str, &str)] = &[
    (
        "unknown escape",
        "an unknown escape in this text (\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX)",
    ),
    ("hexadecimal number", "an unknown escape in this text (\\uXXXX with four hexadecimal digits)"),
    ("invalid Unicode", "an escape in this text is half a character (\\uXXXX, or a pair of them)"),
    ("found unexpected document indicator", "\"---\" or \"...\" in a text (the closing quote)"),
    ("found unexpected end of stream", "unexpected end of file (the text here is not closed)"),
    ("invalid indentation in", "text that is not indented enough (more than what it belongs to)"),
    ("unknown anchor", "an alias without an anchor (&name before *name)"),
    ("handle wasn't declared", "an unknown tag (no tag, or !!str)"),
    ("anchor", "a misplaced anchor or alias (&name before a value, *name for it)"),
    (" tag", "a misplaced tag (no tag, or !!str)"),
    ("directive", "an unknown line that begins with \"%\" (none is needed)"),
    (" tab", "a tab for indentation (blanks)"),
    ("tabs ", "a tab for indentation (blanks)"),
    ("YAML whitespace", "a tab here (a blank)"),
    ("byte order mark", "a byte order mark inside the text (only at its beginning)"),
    ("<document start>", "text after the end (one object or list, nothing after it)"),
    ("document end marker", "text after the end (one object or list, nothing after it)"),
    (
        "mapping values are not allowed",
        "a \":\" after a value (one key on a line, a text with \": \" in quotes)",
    ),
    ("':' may not precede", "a \":\" without a blank behind it (key: value)"),
    ("illegal placement of ':'", "a \":\" on another line than its key (key: value)"),
    ("simple key", "a line without a key (key: value)"),
    ("expected key", "wrong indentation, or text after a value (keys of one object in one column)"),
    ("expected '-'", "wrong indentation (\"- \" before each element of the list)"),
    ("invalid indentation", "wrong indentation (keys of one object in one column)"),
    ("block sequence entries", "a list begun on the line of its key (on the next line)"),
    ("only valid inside a block", "\"- \" within brackets (commas between the elements)"),
    ("cannot start with '-'", "a lone \"-\" within brackets (commas between the elements)"),
    ("block scalar", "a wrong text block (\"|\" or \">\", then indented lines)"),
    ("comment intercepting", "a comment in the middle of a text (after it, or the text in quotes)"),
    ("unprintable", "a character that cannot be printed (text)"),
    ("unexpected character", "a text that begins with \"%\", \"@\" or \"`\" (put it in quotes)"),
    ("expected node content", "a value is missing (a value, or no comma)"),
];

#[cfg(test)]
mod tests {
    use crate::config::read;

    /// What is said of a text, without the name of the program.
    fn check(text: &str, expected: &str) {
        let lines = read(text.as_bytes()).expect_err(text).lines("c");
        let lines: Vec<&str> =
            lines.iter().map(|line| line.trim_start_matches("chaos-proxy: c")).collect();
        assert_eq!(lines.join("\n"), expected, "{text}");
    }

    #[test]
    fn truncated() {
        let object = "unexpected end of file (the object that begins at 2:3 is not closed)";
        check("[\n  {\"a\": 1", &format!(":2:10: {object}"));
        check("[\n  {\"a\": 1\n", &format!(":2:10: {object}"));
        check("[\n  {\"a\": 1,", &format!(":2:11: {object}"));
        check("[\n  {\"a\":", &format!(":2:8: {object}"));
        check("[\n  {\"a\"", &format!(":2:7: {object}"));
        check("[\n  {", &format!(":2:4: {object}"));
        let list = "unexpected end of file (the list that begins at 1:1 is not closed)";
        check("[{}", &format!(":1:4: {list}"));
        check("[", &format!(":1:2: {list}"));
        let text = "unexpected end of file (the text that begins at 1:3 is not closed)";
        check("[{\"a", &format!(":1:5: {}", text));
        check("a: \"b", ":1:6: unexpected end of file (the text that begins at 1:4 is not closed)");
        check("a: [b", ":1:6: unexpected end of file (the list that begins at 1:4 is not closed)");
    }

    #[test]
    fn brackets() {
        let comma = "(a comma, or the '}' of the object that begins at 1:2)";
        let before = comma.replace("comma", "comma before its key");
        check("[{\"a\": 1 \"b\": 2}]", &format!(":1:13: unexpected \":\" {before}"));
        check("[{\"a\": \"1\" \"b\": 2}]", &format!(":1:12: unexpected \"b\" {comma}"));
        check("[{\"a\": 1]", &format!(":1:9: unexpected \"]\" {comma}"));
        check("[{}]]", ":1:5: unexpected \"]\" (nothing is open here)");
        check("[{}] x", ":1:6: text after the end (one object or list, nothing after it)");
        check("[,]", ":1:2: a value is missing (a value, or no comma)");
    }

    #[test]
    fn yaml() {
        check("a:\n\tb: 1", ":2:2: a tab for indentation (blanks)");
        check("a: *x", ":1:4: an alias without an anchor (&name before *name)");
        let columns = "(keys of one object in one column)";
        check(
            "a:\n  b: 1\n c: 2",
            &format!(":3:2: wrong indentation, or text after a value {columns}"),
        );
        check("a: 1\nfoo\n", ":2:4: a line without a key (key: value)");
        check("a: @x", ":1:4: a text that begins with \"%\", \"@\" or \"`\" (put it in quotes)");
    }
}
