//! Tests of the tree: what a text becomes, and the bounds on it.

use super::*;

/// The tree in one line, each node with its place, or the problems.
fn shown(text: &str) -> String {
    let mut found = Found::default();
    let root = tree(text, &mut found);
    if found.list.is_empty() {
        return root.map(|node| show(&node)).unwrap_or_default();
    }
    let place = |p: Problem| match p.pos {
        Some(pos) => format!("{}:{} {}: {}", pos.line, pos.column, p.path, p.message),
        None => p.message,
    };
    found.list.into_iter().map(place).collect::<Vec<_>>().join("; ")
}

fn show(node: &Node) -> String {
    let pos = node.pos.unwrap_or_default();
    let value = match &node.value {
        Value::List(list) => {
            format!("[{}]", list.iter().map(|node| show(node)).collect::<Vec<_>>().join(" "))
        }
        Value::Object(entries) => {
            let entry = |e: &Entry| format!("{}={}", e.key, show(&e.node));
            format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => node.value.what(),
    };
    format!("{}:{} {value}", pos.line, pos.column)
}

fn check(text: &str, expected: &str) {
    assert_eq!(shown(text), expected, "{text}");
}

#[test]
fn yaml_and_json_are_one() {
    check("a: 1\nb:\n  - no\n  - 'x'", "1:1 {a=1:4 1 b=3:3 [3:5 \"no\" 4:5 \"x\"]}");
    check(r#"{"a": 1, "b": ["no", "x"]}"#, r#"1:1 {a=1:7 1 b=1:15 [1:16 "no" 1:22 "x"]}"#);
    check("{\n\t\"a\":\ttrue}", "1:1 {a=2:7 true}");
    check("{\"a\"\n:1}", "1:1 {a=2:2 1}");
    check("{\"a\":\"\\/\\u00e4\\ud83d\\ude00\",\"b\":2}", "1:1 {a=1:6 \"/ä😀\" b=1:33 2}");
    check("22:22", "1:1 \"22:22\"");
    check("!!str 5", "1:1 \"5\"");
    check("# nothing\n", "an empty file (an object with \"routes\", or a list of routes)");
    check("", "an empty file (an object with \"routes\", or a list of routes)");
    check("--- {}\n...\n", "1:5 {}");
    check("a: {<<: 1}", "1:1 {a=1:4 {<<=1:9 1}}");
}

#[test]
fn anchors_and_aliases() {
    check("a: &x {b: 1}\nc: *x", "1:1 {a=1:4 {b=1:11 1} c=1:4 {b=1:11 1}}");
    let inside = "an alias inside of what it stands for (an alias of something before it)";
    check("&x [*x]", &format!("1:5 routes[0]: {inside}"));
    check("a: &x [{b: *x}]", &format!("1:12 a[0].b: {inside}"));
}

#[test]
fn keys() {
    check("a: 1\na: 2", "2:1 a: duplicate key \"a\" (once, it is at 1:1)");
    check(
        "[{b: {a: 1, \"a\": 2}}]",
        "1:13 routes[0].b.a: duplicate key \"a\" (once, it is at 1:7)",
    );
    check("1: x", "1:1 : 1 as a key (a text, put it in quotes)");
    check(
        "a: {true: x, ~: y}",
        "1:5 a: true as a key (a text, put it in quotes); \
        1:14 a: null as a key (a text, put it in quotes)",
    );
    check(
        "a: {[b]: c, {d: 1}: e}",
        "1:5 a: a list as a key (a text); 1:13 a: an object as a key (a text)",
    );
    check(
        "a b: {c: [!x 1, !!int 2]}",
        "1:11 [\"a b\"].c[0]: the tag \"!x\" (no tag, or !!str); \
        1:17 [\"a b\"].c[1]: the tag \"!!int\" (no tag, or !!str)",
    );
    check("!x [1]", "1:1 : the tag \"!x\" (no tag, or !!str)");
}

#[test]
fn a_second_document() {
    check("a: 1\n---\nb: 1", "2:1 : a second document (one document)");
}

#[test]
fn depth() {
    let nested =
        |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let deep = "nested too deeply (at most 32 levels)";
    let ends_deep = |text: &str| assert!(shown(text).ends_with(deep), "{}", &text[..60]);
    assert!(shown(&nested("[", "]", DEPTH_MAX)).ends_with(']'));
    ends_deep(&nested("[", "]", DEPTH_MAX + 1));
    assert!(shown(&format!("{}1", "- ".repeat(DEPTH_MAX))).ends_with(']'));
    ends_deep(&format!("{}1", "- ".repeat(DEPTH_MAX + 1)));
    for open in ["[", "- ", "{\"a\":", "? ", "[{a: ", "- - {a: "] {
        ends_deep(&open.repeat(100_000));
    }
    let lines: String = (0..1000).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
    ends_deep(&lines);
    let deeper: String = (0..12).map(|n| format!("- &x{n} [[[*x{}]]]\n", n.max(1) - 1)).collect();
    ends_deep(&deeper.replace("[[[*x0]]]\n- &x1", "[1]\n- &x1"));
}

#[test]
fn nodes() {
    let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    assert!(shown(&list(NODES_MAX - 1)).ends_with(']'));
    let many = "too many values (at most 100000, aliases counted as what they stand for)";
    assert!(shown(&list(NODES_MAX)).ends_with(many));
    assert!(shown(&"- 1\n".repeat(NODES_MAX)).ends_with(many));
    assert!(shown(&"[,".repeat(10)).contains("a value is missing"));
}

#[test]
fn a_billion_laughs() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let before = format!("*a{}", n - 1);
        text.push_str(&format!("a{n}: &a{n} [{}]\n", vec![before; 9].join(",")));
    }
    let many = "too many values (at most 100000, aliases counted as what they stand for)";
    assert!(shown(&text).ends_with(many), "{}", shown(&text));
}

/// Random JSON in odd spellings: the tree is what serde_json reads.
#[test]
fn json_is_what_serde_json_reads() {
    let mut random = oorandom::Rand32::new(7);
    for _ in 0..3_000 {
        let mut text = String::new();
        write(&mut random, 4, &mut text);
        let expected: serde_json::Value = serde_json::from_str(&text).expect(&text);
        let mut found = Found::default();
        let node = tree(&text, &mut found);
        assert!(found.list.is_empty(), "{text}\n{found:?}");
        assert_eq!(node.map(|node| json(&node)), Some(expected), "{text}");
        assert_eq!(crate::config::outline::of(&text, None).open, [], "{text}");
    }
}

fn write(random: &mut oorandom::Rand32, depth: u32, out: &mut String) {
    const BLANKS: [&str; 9] = ["", "", "", " ", "\n", "\t", "\r\n", " \t\n ", "\n\t\t"];
    let blank = |random: &mut oorandom::Rand32| BLANKS[random.rand_range(0..9) as usize];
    out.push_str(blank(random));
    let kind = if depth == 0 { 2 } else { random.rand_range(0..5) };
    let (open, close) = if kind == 0 { ('[', ']') } else { ('{', '}') };
    match kind {
        0 | 1 => {
            out.push(open);
            for n in 0..random.rand_range(0..4) {
                out.push_str(if n > 0 { "," } else { blank(random) });
                if open == '{' {
                    out.push_str(&format!("{}\"{n}", blank(random)));
                    text(random, out);
                    out.push_str(&format!("\"{}:", blank(random)));
                }
                write(random, depth - 1, out);
            }
            out.push_str(blank(random));
            out.push(close);
        }
        2 => {
            const LEAVES: [&str; 8] =
                ["null", "true", "false", "0", "-1", "18446744073709551615", "1.5", "-2e-3"];
            out.push_str(LEAVES[random.rand_range(0..8) as usize]);
        }
        _ => {
            out.push('"');
            text(random, out);
            out.push('"');
        }
    }
    out.push_str(blank(random));
}

fn text(random: &mut oorandom::Rand32, out: &mut String) {
    const PARTS: [&str; 30] = [
        "a",
        "ä",
        "😀",
        " ",
        "  ",
        ":",
        ": ",
        " #",
        ",",
        "[",
        "]",
        "{",
        "}",
        "'",
        "''",
        "- ",
        "? ",
        "&x",
        "*x",
        "!y",
        "---",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b\\f\\n\\r\\t",
        "\\u00e4",
        "\\ud83d\\ude00",
        "\\uD834\\udd1E",
        "\\\\ud83d\\\\ude00",
        "%@`|>",
    ];
    for _ in 0..random.rand_range(0..5) {
        out.push_str(PARTS[random.rand_range(0..30) as usize]);
    }
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(written) => serde_json::from_str(written).expect("a number of JSON"),
        Value::Text(text) => (**text).into(),
        Value::List(list) => list.iter().map(|node| json(node)).collect(),
        Value::Object(entries) => {
            let entry = |entry: &Entry| (entry.key.to_string(), json(&entry.node));
            serde_json::Value::Object(entries.iter().map(entry).collect())
        }
    }
}
