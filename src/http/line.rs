//! Lines of a head or of trailers: CRLF ends them, and nothing else does. They are kept in one
//! text, with the places of their fields.

use super::raw::{Known, Mark, RawField, Words};
use super::{Limits, Reject};

/// Collects the lines of one section, and counts what it takes.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// All lines so far, as they came; the one under way without its end.
    pub(super) text: Vec<u8>,
    /// Where the fields stand in it.
    pub(super) marks: Vec<Mark>,
    /// The bit of each meaning that a field has.
    known: u16,
    /// The words of all fields `Connection`.
    pub(super) words: Words,
    /// Where the line under way begins.
    line: usize,
    after_cr: bool,
    /// Bytes of the section so far, ends of lines included.
    bytes: usize,
    limits: Limits,
}

/// The end of a line.
pub(super) const CRLF: &[u8] = b"\r\n";

const TOO_LONG: Reject = Reject { status: 431, reason: "fields are too long" };

impl Lines {
    pub(super) fn new(limits: &Limits) -> Lines {
        Lines {
            text: Vec::new(),
            marks: Vec::new(),
            known: 0,
            words: Words::default(),
            line: 0,
            after_cr: false,
            bytes: 0,
            limits: *limits,
        }
    }

    /// Begins another section in the same memory.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.marks.clear();
        (self.known, self.words) = (0, Words::default());
        (self.line, self.after_cr, self.bytes) = (0, false, 0);
    }

    /// True when not one byte has come.
    pub(super) fn is_untouched(&self) -> bool {
        self.bytes == 0
    }

    /// The line under way, or the one that has just ended.
    pub(super) fn line(&self) -> &[u8] {
        &self.text[self.line..]
    }

    /// Goes on behind the line that has ended.
    pub(super) fn next_line(&mut self) {
        self.text.extend_from_slice(CRLF);
        self.line = self.text.len();
    }

    /// Takes bytes of one line in one go, at most `room` of them: as many as one by one would be
    /// taken without a word.
    pub(super) fn take_run(&mut self, bytes: &[u8], room: usize) -> usize {
        if self.after_cr {
            return 0;
        }
        let room = room.min(self.limits.head_bytes - self.bytes).min(bytes.len());
        let run = plain_run(&bytes[..room]);
        self.text.extend_from_slice(&bytes[..run]);
        self.bytes += run;
        run
    }

    /// Takes the end of a line in one go, if that is what comes.
    pub(super) fn take_end(&mut self, bytes: &[u8]) -> bool {
        let has_room = self.limits.head_bytes - self.bytes >= CRLF.len();
        let ends = is_end(bytes) && has_room && !self.after_cr;
        self.bytes += if ends { CRLF.len() } else { 0 };
        ends
    }

    /// Takes fields that are there as a whole, and the empty line behind them, in one go: how many
    /// bytes, and whether that line was among them. Lines with bytes that have to be refused, or
    /// beyond the limit, are left for `feed`.
    pub(super) fn take_fields(&mut self, bytes: &[u8]) -> Result<(usize, bool), Reject> {
        if self.after_cr || self.line < self.text.len() {
            return Ok((0, false)); // within a line
        }
        let mut rest = &bytes[..bytes.len().min(self.limits.head_bytes - self.bytes)];
        let (mut taken, mut ended) = (0, false);
        while !ended && let Some((line, after)) = whole_line(rest) {
            ended = line.is_empty();
            if !ended {
                self.add(field(line, self.line + taken)?)?;
            }
            taken += line.len() + CRLF.len();
            rest = after;
        }
        self.text.extend_from_slice(&bytes[..taken]);
        (self.line, self.bytes) = (self.text.len(), self.bytes + taken);
        Ok((taken, ended))
    }

    /// Takes one byte; true when it is the last of a line.
    pub(super) fn feed(&mut self, byte: u8) -> Result<bool, Reject> {
        if self.bytes == self.limits.head_bytes {
            return Err(TOO_LONG);
        }
        self.bytes += 1;
        match (self.after_cr, byte) {
            (true, b'\n') => {
                self.after_cr = false;
                return Ok(true);
            }
            (true, _) => return Err(Reject::bad("a CR without LF")),
            (false, b'\r') => self.after_cr = true,
            (false, b'\n') => return Err(Reject::bad("a LF without CR")),
            (false, byte) if is_control(byte) => return Err(Reject::bad("a control character")),
            (false, byte) => self.text.push(byte),
        }
        Ok(false)
    }

    /// The line that has ended is a field.
    pub(super) fn take_field(&mut self) -> Result<(), Reject> {
        let mark = field(self.line(), self.line)?;
        self.add(mark)?;
        self.next_line();
        Ok(())
    }

    fn add(&mut self, mark: Mark) -> Result<(), Reject> {
        self.known |= mark.known.bit();
        self.words.add(mark.words);
        self.marks.push(mark);
        match self.marks.len() > self.limits.fields {
            true => Err(Reject { status: 431, reason: "there are too many fields" }),
            false => Ok(()),
        }
    }

    /// The fields so far.
    pub(super) fn fields(&self) -> impl Iterator<Item = RawField<'_>> {
        self.marks.iter().map(|mark| mark.of(&self.text))
    }

    /// The fields so far with this meaning: mostly there are none, which is known at once.
    pub(super) fn fields_of(&self, known: Known) -> impl Iterator<Item = RawField<'_>> {
        let all = if self.known & known.bit() == 0 { &[][..] } else { &self.marks };
        all.iter().filter(move |mark| mark.known == known).map(|mark| mark.of(&self.text))
    }
}

/// Where the parts of a field stand, whose line begins at `at` of a text.
fn field(line: &[u8], at: usize) -> Result<Mark, Reject> {
    let mut name = 0;
    while name < line.len() && is_token(line[name]) {
        name += 1;
    }
    if name == 0 || name == line.len() || line[name] != b':' {
        return Err(no_field(line));
    }
    let (mut start, mut end) = (name + 1, line.len());
    while start < end && is_blank(line[start]) {
        start += 1;
    }
    while start < end && is_blank(line[end - 1]) {
        end -= 1;
    }
    let known = Known::of(&line[..name]);
    Ok(Mark {
        name: at..at + name,
        value: at + start..at + end,
        known,
        words: match known {
            Known::Connection => Words::of(&line[start..end]),
            _ => Words::default(),
        },
        is_plain: (start, end) == (name + 2, line.len()) && line[name + 1] == b' ',
    })
}

/// What is wrong with a line that is no field.
#[cold]
fn no_field(line: &[u8]) -> Reject {
    Reject::bad(match line {
        [b' ' | b'\t', ..] => "a folded field",
        _ if line.contains(&b':') => "a field's name is no token",
        _ => "a field without a colon",
    })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// What a byte may be part of, so that a look at one is a look into a table.
static CLASSES: [u8; 256] = classes();
const TOKEN: u8 = 1;
const CONTROL: u8 = 2;
const NAME: u8 = 4;

const fn classes() -> [u8; 256] {
    let (mut classes, mut byte) = ([0; 256], 0);
    while byte < 256 {
        if (byte as u8).is_ascii_alphanumeric() {
            classes[byte] = TOKEN | NAME;
        } else if (byte as u8).is_ascii_control() && byte as u8 != b'\t' {
            classes[byte] = CONTROL;
        }
        byte += 1;
    }
    let classes = mark(classes, b"!#$%&'*+-.^_`|~", TOKEN);
    mark(classes, b"-._~!$&'()*+,;=", NAME)
}

const fn mark(mut classes: [u8; 256], bytes: &[u8], class: u8) -> [u8; 256] {
    let mut index = 0;
    while index < bytes.len() {
        classes[bytes[index] as usize] |= class;
        index += 1;
    }
    classes
}

/// True when the end of a line comes first.
fn is_end(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\r', b'\n', ..])
}

/// The first line and what follows its end, if that is there and nothing in it has to be refused.
fn whole_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at(plain_run(bytes));
    match rest {
        [b'\r', b'\n', after @ ..] => Some((line, after)),
        _ => None,
    }
}

/// How many bytes there are before the first control character.
fn plain_run(bytes: &[u8]) -> usize {
    let mut run = 0;
    for word in bytes.as_chunks::<8>().0 {
        match unusual(u64::from_le_bytes(*word)) {
            0 => run += 8,
            bits => {
                run += bits.trailing_zeros() as usize / 8;
                break; // or else a tab
            }
        }
    }
    while run < bytes.len() && !is_control(bytes[run]) {
        run += 1;
    }
    run
}

/// The high bit of the first of eight bytes that is below a blank, or DEL; maybe those of later
/// ones. It comes up where something is taken from less than that.
fn unusual(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    let del = word ^ (ONES * 0x7f);
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let equal = del.wrapping_sub(ONES) & !del;
    (below | equal) & (ONES * 0x80)
}

/// True for what may stand nowhere in a line.
pub(crate) fn is_control(byte: u8) -> bool {
    CLASSES[byte as usize] & CONTROL != 0
}

/// True for the characters of methods and field names (RFC 9110, 5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    CLASSES[byte as usize] & TOKEN != 0
}

/// True for the characters of registered names, but for escapes (RFC 3986, 3.2.2).
pub(super) fn is_of_name(byte: u8) -> bool {
    CLASSES[byte as usize] & NAME != 0
}

/// True for a whole token.
pub(crate) fn is_whole_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| is_token(*byte))
}

/// Without the spaces and tabs around it.
pub(super) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_before_the_first_control_character() {
        for byte in 0..=u8::MAX {
            for neighbour in [b'a', b' ', b'\t', 0x80, 0xff] {
                for at in 0..20 {
                    let mut text = [neighbour; 20];
                    text[at] = byte;
                    let end = if is_control(byte) { at } else { text.len() };
                    assert_eq!(plain_run(&text), end, "{byte:#x} at {at} in {neighbour:#x}");
                    text[19] = b'\n';
                    let end = if is_control(byte) { at } else { 19 };
                    assert_eq!(plain_run(&text), end, "{byte:#x} at {at} before LF");
                }
            }
        }
    }

    #[test]
    fn classes_of_bytes() {
        for byte in 0..=u8::MAX {
            let letter = byte.is_ascii_alphanumeric();
            let control = byte < b' ' && byte != b'\t' || byte == 0x7f;
            assert_eq!(is_token(byte), letter || b"!#$%&'*+-.^_`|~".contains(&byte), "{byte:#x}");
            assert_eq!(is_of_name(byte), letter || b"-._~!$&'()*+,;=".contains(&byte), "{byte:#x}");
            assert_eq!(is_control(byte), control, "{byte:#x}");
        }
    }
}
