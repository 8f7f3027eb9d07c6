//! Bytes to text: what is told before a single character is looked at.

use super::SIZE_MAX;
use crate::problem::{Pos, Problem};

/// The text in `bytes`, without its byte order mark.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    if bytes.len() > SIZE_MAX {
        return Err(whole(format!("{} bytes (at most {SIZE_MAX})", bytes.len())));
    }
    if is_utf16(bytes) {
        return Err(whole("UTF-16 text (save it as UTF-8)".into()));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(placed(bytes, at, "a NUL byte (text)".into()));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        placed(bytes, at, format!("byte 0x{:02x} is not UTF-8 (save it as UTF-8)", bytes[at]))
    })
}

/// A byte order mark of UTF-16, or text in which every second byte is NUL.
fn is_utf16(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
    let sample = &bytes[..bytes.len().min(64)];
    let nul_at = |parity: usize| {
        sample.iter().enumerate().all(|(index, byte)| (*byte == 0) == (index % 2 == parity))
    };
    marked || sample.len() >= 4 && (nul_at(0) || nul_at(1))
}

/// A problem of the text as a whole.
pub(super) fn whole(message: String) -> Problem {
    Problem { pos: None, path: String::new(), message }
}

fn placed(bytes: &[u8], at: usize, message: String) -> Problem {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Problem { pos: Some(Pos { line, column }), path: String::new(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problems;

    fn line(bytes: &[u8]) -> String {
        let mut problems = Problems::default();
        problems.add(text(bytes).unwrap_err());
        problems.lines("c").remove(0)
    }

    #[test]
    fn what_is_no_text() {
        assert_eq!(line(b"\xff\xfe{\0"), "chaos-proxy: c: UTF-16 text (save it as UTF-8)");
        assert_eq!(line(b"\0[\0]"), "chaos-proxy: c: UTF-16 text (save it as UTF-8)");
        assert_eq!(line(b"[\0]\0"), "chaos-proxy: c: UTF-16 text (save it as UTF-8)");
        assert_eq!(line("ä\nö\0".as_bytes()), "chaos-proxy: c:2:2: a NUL byte (text)");
        let latin1 = "chaos-proxy: c:1:2: byte 0xe4 is not UTF-8 (save it as UTF-8)";
        assert_eq!(line(b"[\xe4]"), latin1);
    }

    #[test]
    fn one_byte_too_many() {
        assert!(text(&vec![b' '; SIZE_MAX]).is_ok());
        let expected = "chaos-proxy: c: 4194305 bytes (at most 4194304)";
        assert_eq!(line(&vec![b' '; SIZE_MAX + 1]), expected);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        assert_eq!(text("\u{feff}[]".as_bytes()), Ok("[]"));
    }
}
