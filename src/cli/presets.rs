//! The listing of `chaos-proxy presets`, made from the table of profiles.

use std::fmt::Write as _;

use serde::Serialize;

use crate::fault::profile::{PROFILES, Profile};

/// Every profile, for people.
pub fn presets_text() -> String {
    let mut text = "\
Links for `profile` of a route. kbit/s are 1000 bits, times are in ms, loss is per direction.

name                    kbit/s down      up  delay down    up  jitter  loss down    up  source
"
    .to_owned();
    for profile in PROFILES {
        let kbit = |kbit: u64| match (kbit, profile.offline) {
            (0, false) => "-".to_owned(),
            (kbit, _) => kbit.to_string(),
        };
        let loss = |of_1000: u64| match profile.offline {
            true => "100%".to_owned(),
            false => format!("{}%", of_1000 as f64 / 10.0),
        };
        let ((down, up), (delay_down, delay_up)) = (profile.kbit, profile.delay_ms);
        let (lost_down, lost_up) = profile.lost_of_1000;
        let line = writeln!(
            text,
            "{:24}{:>11}{:>8}{:>12}{:>6}{:>8}{:>11}{:>6}  {}",
            profile.names.join(", "),
            kbit(down),
            kbit(up),
            delay_down,
            delay_up,
            profile.jitter_ms,
            loss(lost_down),
            loss(lost_up),
            profile.source
        );
        line.expect("writing to a string does not fail");
    }
    text
}

/// Every profile, for programs: a JSON array.
pub fn presets_json() -> String {
    let rows: Vec<Row<'_>> = PROFILES.iter().map(Row::new).collect();
    let json = serde_json::to_string_pretty(&rows);
    json.expect("texts and numbers always have a JSON form") + "\n"
}

/// A profile; what is not bounded is null.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    name: &'a str,
    aliases: &'a [&'a str],
    down_kbit: Option<u64>,
    up_kbit: Option<u64>,
    rtt_ms: u64,
    delay_down_ms: u64,
    delay_up_ms: u64,
    jitter_ms: u64,
    loss_down: f64,
    loss_up: f64,
    source: &'a str,
}

impl<'a> Row<'a> {
    fn new(profile: &'a Profile) -> Row<'a> {
        let kbit = |kbit: u64| Some(kbit).filter(|kbit| profile.offline || *kbit > 0);
        let lost = |of_1000: u64| if profile.offline { 1.0 } else { of_1000 as f64 / 1000.0 };
        Row {
            name: profile.name(),
            aliases: &profile.names[1..],
            down_kbit: kbit(profile.kbit.0),
            up_kbit: kbit(profile.kbit.1),
            rtt_ms: profile.rtt_ms(),
            delay_down_ms: profile.delay_ms.0,
            delay_up_ms: profile.delay_ms.1,
            jitter_ms: profile.jitter_ms,
            loss_down: lost(profile.lost_of_1000.0),
            loss_up: lost(profile.lost_of_1000.1),
            source: profile.source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_listings_hold_every_profile_with_its_source() {
        let (text, json) = (presets_text(), presets_json());
        let json: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
        let rows = json.as_array().expect("an array");
        assert_eq!(rows.len(), PROFILES.len());
        for (profile, row) in PROFILES.iter().zip(rows) {
            let first = format!("{:24}", profile.names.join(", "));
            let line = text.lines().find(|line| line.starts_with(&first));
            let line = line.expect("a line for each");
            assert!(line.ends_with(profile.source) && line.len() <= 140, "{line}");
            assert_eq!(row["source"], profile.source);
        }
        let line = text.lines().find(|line| line.starts_with("3g-lossy ")).expect("it is there");
        let words: Vec<&str> = line.split_whitespace().take(8).collect();
        assert_eq!(words, ["3g-lossy", "780", "330", "100", "100", "0", "1%", "0%"]);
        let expected = serde_json::json!({
            "name": "slow-4g", "aliases": ["3g-fast"], "downKbit": 1600, "upKbit": 750,
            "rttMs": 150, "delayDownMs": 75, "delayUpMs": 75, "jitterMs": 0,
            "lossDown": 0.0, "lossUp": 0.0, "source": "DevTools Slow 4G, Lighthouse default"
        });
        assert!(rows.contains(&expected), "{json}");
        assert_eq!(rows[0]["downKbit"], 0);
        assert!(rows.iter().any(|row| row["downKbit"].is_null()));
    }
}
