//! A head as it was written: one text, and where in it the fields stand. It is read, checked and
//! passed on without memory of its own for each field.

use std::ops::Range;

use super::line::{Lines, trim};

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

const KNOWN: [(&[u8], Known); 10] = [
    (b"connection", Known::Connection),
    (b"content-length", Known::ContentLength),
    (b"expect", Known::Expect),
    (b"host", Known::Host),
    (b"keep-alive", Known::KeepAlive),
    (b"proxy-connection", Known::ProxyConnection),
    (b"te", Known::Te),
    (b"trailer", Known::Trailer),
    (b"transfer-encoding", Known::TransferEncoding),
    (b"upgrade", Known::Upgrade),
];

impl Known {
    /// What a field with this name means.
    pub fn of(name: &[u8]) -> Known {
        let mut all = KNOWN.iter();
        let same = all.find(|(known, _)| known.len() == name.len() && same(known, name));
        same.map_or(Known::Other, |(_, known)| *known)
    }
}

fn same(known: &[u8], name: &[u8]) -> bool {
    known.eq_ignore_ascii_case(name)
}

/// Where a field stands.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) name: Range<usize>,
    pub(super) value: Range<usize>,
    pub(super) known: Known,
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

impl Mark {
    pub(super) fn of<'a>(&self, text: &'a [u8]) -> RawField<'a> {
        let (name, value) = (&text[self.name.clone()], &text[self.value.clone()]);
        RawField { name, value, known: self.known }
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

    /// The values of those with this meaning.
    pub fn all(self, known: Known) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |field| field.known == known).map(|field| field.value)
    }

    /// The words of those with this meaning, which are lists.
    pub fn words(self, known: Known) -> impl Iterator<Item = &'a [u8]> {
        self.all(known).flat_map(|value| value.split(|byte| *byte == b',')).map(trim)
    }

    /// True when a field with this meaning lists this word.
    pub fn lists(self, known: Known, word: &str) -> bool {
        self.words(known).any(|other| other.eq_ignore_ascii_case(word.as_bytes()))
    }
}
