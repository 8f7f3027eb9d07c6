//! What may be written for attributes, and what is said of the rest.

use super::*;

fn said(unit: Unit, raw: Raw<'_>) -> String {
    unit.parse(raw).map_or_else(|line| line, |value| value.to_string())
}

#[test]
fn a_bare_integer_takes_its_unit_from_the_row() {
    assert_eq!(said(Unit::Ms(SPAN_MAX), Raw::Integer(150)), "150ms");
    assert_eq!(said(Unit::Us(PAUSE_MAX), Raw::Integer(250)), "250us");
    assert_eq!(said(Unit::Bytes(BYTES_MAX), Raw::Integer(1500)), "1500B");
    assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Integer(200)), "200kB/s");
    assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Integer(0)), "0B/s");
    assert_eq!(said(Unit::Count(1, 9), Raw::Integer(9)), "9");
    assert_eq!(said(Unit::Share, Raw::Integer(1)), "1");
    assert_eq!(said(Unit::Ms(SPAN_MAX), Raw::Decimal(1e2, "1e2".into())), "100ms");
    assert_eq!(said(Unit::Share, Raw::Decimal(0.05, "0.05".into())), "0.05");
}

#[test]
fn a_text_carries_its_unit() {
    assert_eq!(said(Unit::Bytes(BYTES_MAX), Raw::Text("64kB")), "64kB");
    assert_eq!(said(Unit::Rate(RATE_MAX), Raw::Text("1600kbit")), "200kB/s");
    assert_eq!(said(Unit::Us(PAUSE_MAX), Raw::Text("1ms")), "1ms");
    assert_eq!(said(Unit::Share, Raw::Text("5%")), "0.05");
    assert_eq!(said(Unit::Choice(TRUTH), Raw::Other("true".into())), "true");
    assert_eq!(said(Unit::Choice(TRUTH), Raw::Text("false")), "false");
    assert_eq!(said(Unit::Choice(TRUTH), Raw::Other("null".into())), "null (true, false)");
    assert_eq!(said(Unit::Choice(&["on"]), Raw::Other("true".into())), "true (on)");
}

#[test]
fn one_past_the_range_is_refused_with_the_range() {
    let from = Unit::MsFrom(Span::from_ms(10), Span::from_ms(1_000));
    assert_eq!(said(from, Raw::Integer(10)), "10ms");
    assert_eq!(said(from, Raw::Text("1s")), "1s");
    assert_eq!(said(from, Raw::Integer(9)), "9 (10..1000 ms, or a text such as \"30s\")");
    assert!(said(from, Raw::Text("9ms")).starts_with("9ms (10..1000 ms"));
    assert!(said(from, Raw::Text("2s")).starts_with("2s (10..1000 ms"));
    let bytes = Unit::Bytes(ByteCount(10));
    assert_eq!(said(bytes, Raw::Integer(10)), "10B");
    let expected = "11 (0..10 bytes, or a text such as \"64kB\")";
    assert_eq!(said(bytes, Raw::Integer(11)), expected);
    assert_eq!(said(bytes, Raw::Integer(-1)), expected.replace("11", "-1"));
    assert_eq!(said(bytes, Raw::Text("11B")), expected.replace("11 ", "11B "));
    assert_eq!(said(Unit::Count(1, 9), Raw::Integer(0)), "0 (a whole number 1..9)");
    assert_eq!(said(Unit::Count(1, 9), Raw::Text("3")), "\"3\" (a whole number 1..9)");
    let rate = said(Unit::Rate(RATE_MAX), Raw::Integer(-1));
    let expected = "-1 (0..1000000000 KB/s, or a text such as \"200kB/s\" or \"1600kbit\")";
    assert_eq!(rate, expected);
    assert!(said(Unit::Rate(RATE_MAX), Raw::Integer(i128::MAX)).contains("0..1000000000"));
    let share = said(Unit::Share, Raw::Integer(5));
    assert_eq!(share, "5 is not a share (0..1, did you mean 0.05 or \"5%\"?)");
    let share = said(Unit::Share, Raw::Text("101%"));
    assert_eq!(share, "\"101%\" (a number 0..1, or a text such as \"5%\")");
    assert!(
        said(Unit::Ms(SPAN_MAX), Raw::Decimal(1.5, "1.5".into())).starts_with("1.5 (0..3600000")
    );
}

#[test]
fn a_value_is_whole_in_its_unit_or_a_text_that_parses_back() {
    let unit = Unit::Ms(Span::from_ms(1000));
    for (ns, expected) in [(0, "0"), (100_000_000, "100"), (1_000_000_000, "1000")] {
        assert_eq!(Value::Span(Span(ns)).bare(unit), Bare::Number(expected.into()));
    }
    let fine = Value::Span(Span(250_000));
    let Bare::Text(text) = fine.bare(unit) else { panic!("250us is no whole number of ms") };
    assert_eq!((&*text, unit.parse(Raw::Text(&text))), ("250us", Ok(fine)));
    let words = Unit::Choice(&["reset"]);
    assert_eq!(Value::Choice("reset").bare(words), Bare::Text("reset".into()));
    let bare = Value::Choice("true").bare(Unit::Choice(TRUTH));
    assert_eq!(bare, Bare::Number("true".into()));
}

#[test]
fn lists_and_fields_are_written_as_such() {
    let text = |text: &'static str| Raw::Text(text);
    let list = |all: &[i128]| Raw::List(all.iter().copied().map(Raw::Integer).collect());
    assert_eq!(said(Unit::Statuses, Raw::Integer(503)), "503");
    assert_eq!(said(Unit::Statuses, list(&[200, 599])), "200, 599");
    assert_eq!(said(Unit::Statuses, list(&[500; LIST_MAX])), ["500"; LIST_MAX].join(", "));
    let allowed = "(a status 200..599, or a list of 1..16 of them)";
    for bad in [list(&[]), list(&[199]), list(&[600]), list(&[500; LIST_MAX + 1])] {
        assert_eq!(said(Unit::Statuses, bad), format!("a list {allowed}"));
    }
    let names = |all: &[&'static str]| Raw::List(all.iter().copied().map(text).collect());
    assert_eq!(said(Unit::Names, text("Cookie")), "Cookie");
    assert_eq!(said(Unit::Names, names(&["A", "B"])), "A, B");
    assert_eq!(said(Unit::Names, names(&[])), "none");
    assert!(said(Unit::Names, names(&["A"; LIST_MAX + 1])).starts_with("a list (a name"));
    assert!(said(Unit::Names, text("content-length")).starts_with("\"content-length\" (a name"));
    let fields = |all: &[(&'static str, &'static str)]| {
        Raw::Object(all.iter().map(|(name, value)| (*name, text(value))).collect())
    };
    assert_eq!(said(Unit::Fields, fields(&[("A", "1"), ("B", "")])), "A, B");
    assert!(said(Unit::Fields, fields(&[("A", "1"); LIST_MAX + 1])).starts_with("an object (an"));
    for bad in ["a\r\nB: c", " a", "a\t", "\0"] {
        let said = said(Unit::Fields, fields(&[("A", bad)]));
        assert!(said.ends_with("(a text without control characters for \"A\")"), "{said}");
    }
    for bad in ["", "A B", "Transfer-Encoding", "A:"] {
        assert!(said(Unit::Fields, fields(&[(bad, "")])).starts_with(&format!("{bad:?} (an")));
    }
}

#[test]
fn long_texts_are_told_by_their_length() {
    let (most, over) = ("x".repeat(300), "x".repeat(301));
    assert_eq!(said(Unit::Text(300), Raw::Text(&most)), most);
    let expected = "a text of 301 bytes (a text of at most 300 bytes)";
    assert_eq!(said(Unit::Text(300), Raw::Text(&over)), expected);
    assert!(said(Unit::Share, Raw::Text(&over)).starts_with("a text of 301 bytes ("));
    let value = "x".repeat(FIELD_VALUE_MAX + 1);
    let object = |value| Raw::Object(vec![("A", Raw::Text(value))]);
    assert_eq!(said(Unit::Fields, object(&value[1..])), "A");
    assert!(said(Unit::Fields, object(&value)).starts_with("a text of 1025 bytes ("));
}
