//! The listing of `chaos-proxy faults`, made from the rows of the faults.

use std::fmt::Write as _;

use serde::Serialize;

use crate::fault::attr::Attr;
use crate::fault::when::TRIGGERS;
use crate::fault::{ALL, Kind};

/// Every fault with its attributes, and the triggers, for people.
pub fn faults_text() -> String {
    let faults: String = ALL.iter().map(|kind| fault_text(kind) + "\n").collect();
    let about =
        "  when a fault acts; all that are given must hold, an attribute of the same name wins";
    let row = |row: &Attr| {
        format!("    {:10}  {}\n    {:10}  {}\n", row.name, row.about, "", row.unit.allowed())
    };
    faults + "triggers\n" + about + "\n" + &TRIGGERS.iter().map(row).collect::<String>()
}

/// Every fault with its attributes, for programs: a JSON array.
pub fn faults_json() -> String {
    let rows: Vec<FaultRow<'_>> = ALL.iter().map(|kind| FaultRow::new(kind)).collect();
    let json = serde_json::to_string_pretty(&rows);
    json.expect("texts and lists always have a JSON form") + "\n"
}

fn fault_text(kind: &Kind) -> String {
    let mut text = format!("{} ({})\n  {}\n", kind.name, kind.level.as_str(), kind.about);
    let width = kind.attrs.iter().map(|attr| attr.name.len()).max().unwrap_or(0);
    for attr in kind.attrs {
        let (name, allowed) = (attr.name, attr.unit.allowed());
        let line = write!(
            text,
            "    {name:width$}  {}\n    {:width$}  {allowed}; default {}\n",
            attr.about, "", attr.default
        );
        line.expect("writing to a string does not fail");
    }
    text
}

#[derive(Serialize)]
struct FaultRow<'a> {
    name: &'a str,
    about: &'a str,
    level: &'a str,
    attributes: Vec<AttrRow<'a>>,
}

#[derive(Serialize)]
struct AttrRow<'a> {
    name: &'a str,
    about: &'a str,
    /// The unit of a bare integer; empty for words.
    unit: &'a str,
    allowed: String,
    default: String,
}

impl<'a> FaultRow<'a> {
    fn new(kind: &'a Kind) -> FaultRow<'a> {
        FaultRow {
            name: kind.name,
            about: kind.about,
            level: kind.level.as_str(),
            attributes: kind.attrs.iter().map(AttrRow::new).collect(),
        }
    }
}

impl<'a> AttrRow<'a> {
    fn new(attr: &'a Attr) -> AttrRow<'a> {
        AttrRow {
            name: attr.name,
            about: attr.about,
            unit: attr.unit.symbol(),
            allowed: attr.unit.allowed(),
            default: attr.default.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fault_as_text() {
        let drop = Kind::find("drop").expect("it is in the table");
        assert_eq!(
            fault_text(drop),
            "\
drop (connection)
  the connection is dropped at accept, before the upstream is dialled
    mode  how it ends: RST, FIN, or silence until the client gives up
          reset, close, hang; default reset
"
        );
    }

    #[test]
    fn the_listing_holds_every_row() {
        let text = faults_text();
        for kind in ALL {
            assert!(text.contains(&fault_text(kind)), "{}", kind.name);
        }
        assert!(text.contains("    afterBytes  from this byte of the direction on\n"), "{text}");
    }

    #[test]
    fn json_says_the_same() {
        let json: serde_json::Value = serde_json::from_str(&faults_json()).expect("valid JSON");
        let rows = json.as_array().expect("an array");
        assert_eq!(rows.len(), ALL.len());
        let drop = rows.iter().find(|row| row["name"] == "drop").expect("it is in the table");
        let expected = serde_json::json!({
            "name": "drop",
            "about": "the connection is dropped at accept, before the upstream is dialled",
            "level": "connection",
            "attributes": [{
                "name": "mode",
                "about": "how it ends: RST, FIN, or silence until the client gives up",
                "unit": "",
                "allowed": "reset, close, hang",
                "default": "reset"
            }]
        });
        assert_eq!(*drop, expected);
    }
}
