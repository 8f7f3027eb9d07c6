//! A first walk over the text, before the YAML parser: what is open where, and what JSON allows
//! and the parser does not.
//!
//! The parser reads a whole bracketed text before it tells of its first token, so the bounds on
//! brackets stand here. It also refuses two things that JSON allows: a tab between a colon and a
//! value, and characters written as a pair of surrogates. Both are rewritten; a tab becomes one
//! blank, a pair becomes the character it stands for, and the places behind it are mapped back.

use super::{DEPTH_MAX, NODES_MAX};
use crate::problem::Pos;

/// Punctuation within brackets, at most 4 for each node: two quotes, a colon and a comma.
const MARKS_MAX: usize = 4 * NODES_MAX;

/// What the walk found.
#[derive(Debug, Default)]
pub(super) struct Outline {
    /// The text for the parser, if it differs.
    pub(super) rewritten: Option<String>,
    /// What was open at the end of the walk, innermost last.
    pub(super) open: Vec<Open>,
    /// The first bracket of more than `DEPTH_MAX` levels; the walk ended there.
    pub(super) too_deep: Option<Pos>,
    /// Where punctuation was more than any text within the bounds has; the walk ended there.
    pub(super) too_many: Option<Pos>,
    /// Just behind the last character that is not blank.
    pub(super) end: Pos,
    /// Where columns of the rewritten text fall behind: a place in it, and by how much from there
    /// to the end of the line.
    shifts: Vec<(Pos, usize)>,
}

/// A bracket or a quote without its counterpart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Open {
    /// The character.
    pub(super) by: char,
    /// Where it stands.
    pub(super) pos: Pos,
}

impl Open {
    /// The word for what it begins.
    pub(super) fn what(self) -> &'static str {
        match self.by {
            '{' => "object",
            '[' => "list",
            _ => "text",
        }
    }
}

impl Outline {
    /// The place in the user's text of a place in the rewritten one.
    pub(super) fn original(&self, pos: Pos) -> Pos {
        let before = self.shifts.partition_point(|(from, _)| *from <= pos);
        match before.checked_sub(1).map(|last| self.shifts[last]) {
            Some((from, by)) if from.line == pos.line => {
                Pos { line: pos.line, column: pos.column + by }
            }
            _ => pos,
        }
    }
}

/// Walks over `text` up to the place `until`, or to its end.
pub(super) fn of(text: &str, until: Option<Pos>) -> Outline {
    let mut walk = Walk::new(text);
    while walk.outline.too_deep.is_none() && walk.outline.too_many.is_none() {
        if until.is_some_and(|until| until <= walk.pos) || !walk.step() {
            break;
        }
    }
    let mut outline = walk.outline;
    outline.rewritten = walk.copy.filter(|_| until.is_none()).map(|mut copy| {
        copy.push_str(&text[walk.copied..]);
        copy
    });
    outline
}

struct Walk<'a> {
    text: &'a str,
    /// The byte that is next.
    at: usize,
    pos: Pos,
    /// A value or a key may begin here.
    fresh: bool,
    after_blank: bool,
    marks: usize,
    /// The rewritten text, and how much of `text` it covers.
    copy: Option<String>,
    copied: usize,
    outline: Outline,
}

impl<'a> Walk<'a> {
    fn new(text: &'a str) -> Walk<'a> {
        let pos = Pos { line: 1, column: 1 };
        let outline = Outline { end: pos, ..Outline::default() };
        let (at, marks, copied) = (0, 0, 0);
        Walk { text, at, pos, fresh: true, after_blank: true, marks, copy: None, copied, outline }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Takes the next character.
    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        if c == '\n' || c == '\r' && !self.rest().starts_with('\n') {
            self.pos = Pos { line: self.pos.line + 1, column: 1 };
        } else {
            self.pos.column += 1;
        }
        if !c.is_ascii_whitespace() {
            self.outline.end = self.pos;
        }
        Some(c)
    }

    /// One step: a character, a comment, a quoted text. False at the end.
    fn step(&mut self) -> bool {
        let begin = Open { by: ' ', pos: self.pos };
        let Some(c) = self.next() else { return false };
        let in_flow = !self.outline.open.is_empty();
        let blank_follows = self.rest().chars().next().is_none_or(|c| c.is_ascii_whitespace());
        let after_blank = std::mem::replace(&mut self.after_blank, c.is_ascii_whitespace());
        match c {
            '\t' if in_flow => self.replace(1, " "),
            ' ' | '\t' => {}
            '\n' | '\r' => self.fresh |= !in_flow,
            '#' if after_blank => self.skip_comment(),
            '"' | '\'' if self.fresh => self.skip_quoted(Open { by: c, ..begin }),
            '[' | '{' if in_flow || self.fresh => self.open(Open { by: c, ..begin }),
            ']' | '}' if in_flow => self.close(),
            ',' if in_flow => self.mark(true),
            ':' | '?' if in_flow => self.mark(true),
            '-' | '?' | ':' if blank_follows => self.fresh = true,
            '&' | '!' | '*' if self.fresh => self.skip_property(),
            _ => self.fresh = false,
        }
        true
    }

    fn mark(&mut self, fresh: bool) {
        self.fresh = fresh;
        self.marks += 1;
        if self.marks > MARKS_MAX {
            self.outline.too_many = Some(self.pos);
        }
    }

    fn open(&mut self, open: Open) {
        self.mark(true);
        self.outline.open.push(open);
        if self.outline.open.len() > DEPTH_MAX {
            self.outline.too_deep = Some(open.pos);
        }
    }

    fn close(&mut self) {
        self.mark(false);
        self.outline.open.pop();
    }

    fn skip_comment(&mut self) {
        while self.rest().chars().next().is_some_and(|c| c != '\n' && c != '\r') {
            self.next();
        }
    }

    /// An anchor or a tag: the value is still to come. An alias goes the same way.
    fn skip_property(&mut self) {
        self.mark(true);
        let ends = |c: char| c.is_ascii_whitespace() || ",[]{}".contains(c);
        while self.rest().chars().next().is_some_and(|c| !ends(c)) {
            self.next();
        }
    }

    fn skip_quoted(&mut self, open: Open) {
        self.mark(false);
        self.outline.open.push(open);
        while let Some(c) = self.next() {
            if c == '\\' && open.by == '"' {
                self.skip_escape();
            } else if c == '\'' && open.by == c && self.rest().starts_with('\'') {
                self.next(); // two of them stand for one
            } else if c == open.by {
                self.outline.open.pop();
                return;
            }
        }
    }

    /// What follows a backslash, of which only pairs of surrogates matter.
    fn skip_escape(&mut self) {
        match surrogates(&self.text[self.at - 1..]) {
            Some(c) => {
                for _ in 1..PAIR_LENGTH {
                    self.next();
                }
                self.replace(PAIR_LENGTH, c.encode_utf8(&mut [0; 4]));
            }
            None => {
                self.next();
            }
        }
    }

    /// Puts one character in the place of the last `length` ASCII characters.
    fn replace(&mut self, length: usize, with: &str) {
        let copy = self.copy.get_or_insert_default();
        copy.push_str(&self.text[self.copied..self.at - length]);
        copy.push_str(with);
        self.copied = self.at;
        if length > 1 {
            let last = self.outline.shifts.last().filter(|(from, _)| from.line == self.pos.line);
            let by = last.map_or(0, |(_, by)| *by);
            let from = Pos { line: self.pos.line, column: self.pos.column - by - (length - 1) };
            self.outline.shifts.push((from, by + length - 1));
        }
    }
}

/// The length of `\ud83d\ude00`.
const PAIR_LENGTH: usize = 12;

/// The character that `\ud83d\ude00` at the beginning of `text` stands for.
fn surrogates(text: &str) -> Option<char> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        let plain = digits.bytes().all(|b| b.is_ascii_hexdigit());
        u16::from_str_radix(digits, 16).ok().filter(|_| plain)
    };
    let pair = [unit(0)?, unit(6)?];
    let mut decoded = char::decode_utf16(pair);
    let first = decoded.next()?.ok()?;
    decoded.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> String {
        let open = of(text, None).open;
        let shown: Vec<String> =
            open.iter().map(|o| format!("{}{}:{}", o.by, o.pos.line, o.pos.column)).collect();
        shown.join(" ")
    }

    #[test]
    fn what_is_open_at_the_end() {
        assert_eq!(open("{}"), "");
        assert_eq!(open(r#"{"a": [1, "]", 2"#), "{1:1 [1:7");
        assert_eq!(open("[\n  {\"a\\\"\": \"b"), "[1:1 {2:3 \"2:11");
        assert_eq!(open("[1, # ]\n"), "[1:1");
        assert_eq!(open("[http://it's#x, 'it''s]'"), "[1:1");
        assert_eq!(open("a: x[1\nb: it's\nc: - [\n"), "[3:6");
        assert_eq!(open("- &x {a: b"), "{1:6");
        assert_eq!(open("a: b: \"c"), "\"1:7");
        assert_eq!(open("a]: b}"), "");
    }

    #[test]
    fn the_bounds() {
        assert_eq!(of(&"[".repeat(DEPTH_MAX), None).too_deep, None);
        let deep = Some(Pos { line: 1, column: DEPTH_MAX + 1 });
        assert_eq!(of(&"[".repeat(100_000), None).too_deep, deep);
        assert_eq!(of(&"a: \"[".repeat(100_000), None).too_deep, None);
        assert_eq!(of(&format!("[{}", ",".repeat(MARKS_MAX - 1)), None).too_many, None);
        assert!(of(&format!("[{}", ",".repeat(MARKS_MAX)), None).too_many.is_some());
    }

    #[test]
    fn rewriting_keeps_places() {
        let text = "{\t\"\\ud83d\\ude00\\uD83D\\uDE00\\\\ud83d\\ud83d\":\t\"\t\"}";
        let outline = of(text, None);
        let rewritten = outline.rewritten.as_deref().expect("rewritten");
        assert_eq!(rewritten, "{ \"😀😀\\\\ud83d\\ud83d\": \"\t\"}");
        let place =
            |text: &str, c: &str| text[..text.find(c).expect("it is there")].chars().count();
        let column = |text: &str, c: &str| Pos { line: 1, column: place(text, c) + 1 };
        for mark in ["\"", "\\\\", ":", "}"] {
            assert_eq!(outline.original(column(rewritten, mark)), column(text, mark), "{mark}");
        }
        assert_eq!(of("a:\tb", None).rewritten, None);
        assert_eq!(outline.original(Pos { line: 2, column: 1 }), Pos { line: 2, column: 1 });
    }
}
