//! A head as it was written: one text, and where in it the fields stand. It is read, checked and
//! passed on without memory of its own for each field.

use std::ops::Range;

use super::line::{CRLF, Lines, trim};

/// Fields whose meaning matters to whoever passes a message on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the field of its name")]
pub enum Known {
    Connection,
    ContentLength,
    Expect,
    Host,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    TransferEncoding,
    Upgrade,
    Other,
}

impl Known {
    /// What a field with this name means.
    pub fn of(name: &[u8]) -> Known {
        // No two of them have both length and first letter.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let (known, lower): (Known, &[u8]) = match (name.len(), first) {
            (2, b't') => (Known::Te, b"te"),
            (4, b'h') => (Known::Host, b"host"),
            (6, b'e') => (Known::Expect, b"expect"),
            (7, b't') => (Known::Trailer, b"trailer"),
            (7, b'u') => (Known::Upgrade, b"upgrade"),
            (10, b'c') => (Known::Connection, b"connection"),
            (10, b'k') => (Known::KeepAlive, b"keep-alive"),
            (14, b'c') => (Known::ContentLength, b"content-length"),
            (16, b'p') => (Known::ProxyConnection, b"proxy-connection"),
            (17, b't') => (Known::TransferEncoding, b"transfer-encoding"),
            _ => return Known::Other,
        };
        let mut pairs = name.iter().zip(lower);
        let is_same = pairs.all(|(byte, lower)| byte.to_ascii_lowercase() == *lower);
        if is_same { known } else { Known::Other }
    }

    /// True for a field that says where a message ends, or is for one hop: never passed on as it
    /// came, and never written by anybody else.
    pub fn is_of_hop(self) -> bool {
        !matches!(self, Known::Other | Known::Host | Known::Expect)
    }

    /// Its place in a set of them.
    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// Where a field stands.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) known: Known,
    /// Of a field `Connection`.
    pub(super) words: Words,
    /// It is written as `name: value`.
    pub(super) is_plain: bool,
}

/// What the words of a field `Connection` are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Words(u8);

const CLOSE: u8 = 1;
const KEEP_ALIVE: u8 = 2;
const UPGRADE: u8 = 4;
const NAME: u8 = 8;

impl Words {
    /// Those of a list.
    pub(super) fn of(list: &[u8]) -> Words {
        let word = |word: &[u8]| match word.len() {
            5 if word.eq_ignore_ascii_case(b"close") => CLOSE,
            10 if word.eq_ignore_ascii_case(b"keep-alive") => KEEP_ALIVE,
            7 if word.eq_ignore_ascii_case(b"upgrade") => UPGRADE,
            2 if word.eq_ignore_ascii_case(b"te") => 0, // it is for one hop anyway
            _ => NAME,
        };
        match word(list) {
            NAME => {
                Words(list.split(|byte| *byte == b',').fold(0, |all, one| all | word(trim(one))))
            }
            alone => Words(alone),
        }
    }

    pub(super) fn add(&mut self, more: Words) {
        self.0 |= more.0;
    }

    /// The connection ends behind the message.
    pub fn closes(self) -> bool {
        self.0 & CLOSE != 0
    }

    /// It stays open, as is to be said on HTTP/1.0.
    pub fn keeps_alive(self) -> bool {
        self.0 & KEEP_ALIVE != 0
    }

    /// Another protocol is to be spoken.
    pub fn upgrades(self) -> bool {
        self.0 & UPGRADE != 0
    }

    /// There are others, which are names of fields.
    pub fn name_fields(self) -> bool {
        self.0 & NAME != 0
    }
}

/// A field as it was written.
#[derive(Clone, Copy, Debug)]
pub struct RawField<'a> {
    /// A token.
    pub name: &'a [u8],
    /// Without the white space around it. Not always UTF-8.
    pub value: &'a [u8],
    /// What it means.
    pub known: Known,
}

impl RawField<'_> {
    /// Writes it in a line of its own.
    pub fn write(&self, out: &mut Vec<u8>) {
        for part in [self.name, b": ", self.value, CRLF] {
            out.extend_from_slice(part);
        }
    }
}

impl Mark {
    pub(super) fn of<'a>(&self, text: &'a [u8]) -> RawField<'a> {
        let (name, value) = (&text[self.name.clone()], &text[self.value.clone()]);
        RawField { name, value, known: self.known }
    }
}

/// Where a field stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    text: &'a [u8],
    mark: &'a Mark,
}

impl<'a> Place<'a> {
    /// What it means.
    pub fn known(&self) -> Known {
        self.mark.known
    }

    /// The field itself.
    pub fn field(&self) -> RawField<'a> {
        self.mark.of(self.text)
    }
}

/// The fields of a section that was read.
#[derive(Clone, Copy, Debug)]
pub struct RawFields<'a>(&'a Lines);

impl<'a> RawFields<'a> {
    pub(super) fn new(lines: &'a Lines) -> RawFields<'a> {
        RawFields(lines)
    }

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = RawField<'a>> {
        self.0.fields()
    }

    /// Writes those that pass, each in a line of its own. What stands together goes together.
    pub fn copy(self, out: &mut Vec<u8>, mut passes: impl FnMut(&Place<'a>) -> bool) {
        let (text, mut run) = (&*self.0.text, 0..0);
        for mark in &self.0.marks {
            let place = Place { text, mark };
            if !passes(&place) {
                continue;
            }
            let line = mark.name.start..mark.value.end + CRLF.len();
            if mark.is_plain && run.end == line.start {
                run.end = line.end;
                continue;
            }
            out.extend_from_slice(&text[run]);
            run = if mark.is_plain { line } else { 0..0 };
            if !mark.is_plain {
                place.field().write(out);
            }
        }
        out.extend_from_slice(&text[run]);
    }

    /// The words of those that say how the connection goes on.
    pub fn connection(self) -> Words {
        self.0.words
    }

    /// The values of those with this meaning.
    pub fn all(self, known: Known) -> impl Iterator<Item = &'a [u8]> {
        self.0.fields_of(known).map(|field| field.value)
    }

    /// True when a field with this meaning lists this word.
    pub fn lists(self, known: Known, word: &[u8]) -> bool {
        let is_word = |other: &[u8]| trim(other).eq_ignore_ascii_case(word);
        self.all(known).any(|value| value.split(|byte| *byte == b',').any(is_word))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeadReader, Limits};
    use super::*;

    #[test]
    fn known_names() {
        for (name, known) in [
            ("Connection", Known::Connection),
            ("CONTENT-LENGTH", Known::ContentLength),
            ("expect", Known::Expect),
            ("hOST", Known::Host),
            ("Keep-Alive", Known::KeepAlive),
            ("Proxy-Connection", Known::ProxyConnection),
            ("TE", Known::Te),
            ("Trailer", Known::Trailer),
            ("Transfer-Encoding", Known::TransferEncoding),
            ("Upgrade", Known::Upgrade),
        ] {
            assert_eq!(Known::of(name.as_bytes()), known, "{name}");
            for at in 0..name.len() {
                let mut other = name.as_bytes().to_vec();
                other[at] ^= 0x10;
                assert_eq!(Known::of(&other), Known::Other, "{name} with another byte at {at}");
            }
            assert_eq!(Known::of(&name.as_bytes()[1..]), Known::Other, "{name} cut");
            assert_eq!(Known::of(format!("{name}s").as_bytes()), Known::Other, "{name} and more");
        }
        assert_eq!(Known::of(b""), Known::Other);
    }

    #[test]
    fn words_of_connection() {
        for (list, words) in [
            ("close", CLOSE),
            ("Keep-Alive", KEEP_ALIVE),
            ("TE", 0),
            ("te,Upgrade", UPGRADE),
            ("\tupgrade , CLOSE\t", UPGRADE | CLOSE),
            ("keep-alive, X-Mine", KEEP_ALIVE | NAME),
            ("closes", NAME),
            ("clos", NAME),
            ("close upgrade", NAME),
            ("close,", CLOSE | NAME), // an empty word: no field has that name
        ] {
            assert_eq!(Words::of(list.as_bytes()), Words(words), "{list:?}");
        }
        let mut all = Words::of(b"close");
        all.add(Words::of(b"te, a"));
        assert_eq!(all, Words(CLOSE | NAME));
    }

    #[test]
    fn fields_are_copied_as_they_are_or_put_in_order() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nOdd:1\r\nB: 2 \r\nDrop: x\r\nC:\t3\r\nD: 4\r\n\
                    E:\r\nDrop: y\r\nF: \r\nG: 5\r\n\r\n";
        for cut in 0..head.len() {
            let mut reader = HeadReader::new(&Limits::default());
            let (early, late) = head.as_bytes().split_at(cut);
            assert_eq!(reader.take(early), Ok((cut, None)));
            assert!(matches!(reader.take(late), Ok((_, Some(_)))), "cut at {cut}");
            let mut out = Vec::new();
            reader.fields().copy(&mut out, |place| place.field().name != b"Drop");
            let copied = "Host: a\r\nOdd: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: \r\nF: \r\nG: 5\r\n";
            assert_eq!(String::from_utf8_lossy(&out), copied, "cut at {cut}");
        }
    }
}
