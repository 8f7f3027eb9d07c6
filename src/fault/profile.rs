//! Named links: a table of what they carry, and the faults that each stands for.
//!
//! Round trips and jitter are split in half between the directions, unless the source gives each.
//! A profile with a round trip also delays the dial by one, so that the handshake is paid for.

use super::attr::Value;
use super::{Direction, Kind, Place, Spec};
use crate::units::{Rate, Ratio, Span};

/// A named link. Its pairs are (downstream, upstream).
#[derive(Debug)]
pub struct Profile {
    /// The words for it; the first is the usual one.
    pub names: &'static [&'static str],
    /// What it carries in kbit/s of 1000 bits; 0: it is not bounded.
    pub kbit: (u64, u64),
    /// The delay in ms.
    pub delay_ms: (u64, u64),
    /// How much the delay varies in ms, both directions together.
    pub jitter_ms: u64,
    /// Of a thousand segments, how many are lost.
    pub lost_of_1000: (u64, u64),
    /// Nothing passes at all, and nothing is refused.
    pub offline: bool,
    /// Where its figures are from.
    pub source: &'static str,
}

/// A link that does nothing; rows are written as what differs.
const CLEAN: Profile = Profile {
    names: &[],
    kbit: (0, 0),
    delay_ms: (0, 0),
    jitter_ms: 0,
    lost_of_1000: (0, 0),
    offline: false,
    source: "",
};

/// A row that most of them are: what it carries down and up, and the round trip.
const fn link(
    names: &'static [&'static str],
    kbit: (u64, u64),
    rtt_ms: u64,
    source: &'static str,
) -> Profile {
    let delay_ms = (rtt_ms / 2, rtt_ms - rtt_ms / 2);
    Profile { names, kbit, delay_ms, source, ..CLEAN }
}

/// A link to a region: so long each way, from the one to the other.
const fn region(
    names: &'static [&'static str],
    (low_ms, high_ms): (u64, u64),
    source: &'static str,
) -> Profile {
    let middle = (low_ms + high_ms) / 2;
    let jitter_ms = high_ms - low_ms;
    Profile { names, delay_ms: (middle, middle), jitter_ms, source, ..CLEAN }
}

/// Every profile, from none to the fastest, then the odd ones and the regions.
pub static PROFILES: &[Profile] = &[
    Profile {
        names: &["offline"],
        offline: true,
        source: "DevTools, Network Link Conditioner: 100 % loss",
        ..CLEAN
    },
    link(&["dialup"], (49, 30), 120, "WebPageTest connectivity.ini"),
    link(&["gprs"], (50, 20), 500, "Firefox devtools"),
    link(&["2g"], (280, 256), 800, "WebPageTest"),
    Profile {
        lost_of_1000: (20, 20),
        ..link(&["2g-rural"], (20, 18), 1300, "ATC 2G-DevelopingRural")
    },
    Profile {
        delay_ms: (400, 440),
        ..link(&["edge"], (240, 200), 840, "WebPageTest, ATC Edge-Average")
    },
    Profile {
        delay_ms: (400, 440),
        lost_of_1000: (10, 10),
        ..link(&["edge-lossy"], (240, 200), 840, "ATC Edge-Lossy")
    },
    link(&["3g-slow"], (400, 400), 400, "WebPageTest 3GSlow"),
    link(&["3g"], (1600, 768), 300, "WebPageTest 3G"),
    Profile {
        lost_of_1000: (10, 0),
        ..link(&["3g-lossy"], (780, 330), 200, "Network Link Conditioner 3G, Lossy")
    },
    link(&["slow-4g", "3g-fast"], (1600, 750), 150, "DevTools Slow 4G, Lighthouse default"),
    link(&["4g"], (9000, 9000), 170, "WebPageTest 4G"),
    link(&["fast-4g"], (9000, 1500), 60, "DevTools Fast 4G"),
    link(&["lte"], (12_000, 12_000), 70, "WebPageTest LTE"),
    link(&["dsl"], (1500, 384), 50, "WebPageTest"),
    link(&["cable"], (5000, 1000), 28, "WebPageTest"),
    link(&["fiber"], (20_000, 5000), 4, "WebPageTest FIOS"),
    link(&["wifi"], (30_000, 15_000), 2, "Firefox devtools"),
    Profile { lost_of_1000: (2, 2), ..link(&["wifi-poor"], (30_000, 30_000), 80, "comcast WIFI") },
    Profile {
        jitter_ms: 10,
        lost_of_1000: (50, 50),
        ..link(&["flaky-wifi"], (16_000, 16_000), 50, "MockForge flaky_wifi, without its errors")
    },
    link(&["satellite-geo"], (1000, 256), 600, "Loadero"),
    Profile { lost_of_1000: (25, 25), ..link(&["satellite-leo"], (0, 0), 40, "comcast Starlink") },
    Profile { jitter_ms: 50, ..link(&["high-latency"], (0, 0), 500, "Loadero") },
    Profile { jitter_ms: 100, ..link(&["high-jitter"], (0, 0), 200, "Loadero") },
    region(&["region-us-east-1"], (10, 50), "10..50 ms each way"),
    region(&["region-us-west-1"], (40, 80), "40..80 ms each way"),
    region(&["region-eu-west-1"], (80, 120), "80..120 ms each way"),
    region(&["region-ap-northeast-1"], (180, 250), "180..250 ms each way"),
    region(&["region-ap-southeast-2"], (200, 300), "200..300 ms each way"),
    region(&["region-sa-east-1"], (150, 220), "150..220 ms each way"),
];

const DIRECTIONS: [Direction; 2] = [Direction::Downstream, Direction::Upstream];

/// A fault of this kind in one direction, or for a connection, under the name of a shorthand.
fn named(shorthand: &str, kind: &str, direction: Option<Direction>) -> Spec {
    let kind = Kind::find(kind).expect("shorthands stand for faults that every build has");
    match direction {
        Some(direction) => {
            let name = format!("{shorthand}_{}_{}", kind.name, direction.as_str());
            Spec::new(name, kind, Place::One(direction))
        }
        None => Spec::new(format!("{shorthand}_{}", kind.name), kind, Place::Connection),
    }
}

/// The faults that a round trip of this length stands for: half of it each way.
pub fn round_trip(rtt: Span) -> Vec<Spec> {
    let halves = [Span(rtt.0 / 2), Span(rtt.0 - rtt.0 / 2)];
    let delay = |(direction, half)| {
        let mut spec = named("rtt", "latency", Some(direction));
        spec.attrs.set("latency", Value::Span(half));
        spec
    };
    if rtt == Span::ZERO {
        Vec::new()
    } else {
        DIRECTIONS.into_iter().zip(halves).map(delay).collect()
    }
}

impl Profile {
    /// The profile of this name.
    pub fn find(name: &str) -> Option<&'static Profile> {
        PROFILES.iter().find(|profile| profile.names.contains(&name))
    }

    /// Its usual name.
    pub fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }

    /// Its round trip in ms.
    pub fn rtt_ms(&self) -> u64 {
        self.delay_ms.0 + self.delay_ms.1
    }

    /// The faults that it stands for, in the order in which they act.
    pub fn faults(&self) -> Vec<Spec> {
        let ms = |ms| Value::Span(Span::from_ms(ms));
        let mut specs = Vec::new();
        let mut add = |kind: &str, direction: Option<Direction>, set: &[(&str, Value)]| {
            let mut spec = named(self.name(), kind, direction);
            set.iter().for_each(|(attr, value)| spec.attrs.set(attr, value.clone()));
            specs.push(spec);
        };
        if self.offline {
            add("drop", None, &[("mode", Value::Choice("hang"))]);
            DIRECTIONS.into_iter().for_each(|direction| add("hang", Some(direction), &[]));
            return specs;
        }
        add("connect_delay", None, &[("value", ms(self.rtt_ms()))]);
        let of = |pair: (u64, u64)| [pair.0, pair.1];
        for (direction, kbit) in DIRECTIONS.into_iter().zip(of(self.kbit)).filter(|of| of.1 > 0) {
            let rate = Value::Rate(Rate(kbit * 1000 / 8));
            add("bandwidth", Some(direction), &[("rate", rate)]);
        }
        let lost = DIRECTIONS.into_iter().zip(of(self.lost_of_1000));
        for (direction, lost) in lost.filter(|of| of.1 > 0) {
            let share = Ratio::new(lost as f64 / 1000.0).expect("a share in its row");
            let set = [("loss", Value::Share(share)), ("rtt", ms(self.rtt_ms()))];
            add("loss", Some(direction), &set);
        }
        for (direction, delay) in DIRECTIONS.into_iter().zip(of(self.delay_ms)) {
            let jitter = Value::Span(Span(Span::from_ms(self.jitter_ms).0 / 2));
            add("latency", Some(direction), &[("latency", ms(delay)), ("jitter", jitter)]);
        }
        specs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The faults in short: each with its name and what is not as by default.
    fn told(specs: &[Spec]) -> Vec<String> {
        let attrs = |spec: &Spec| -> String {
            let row = spec.kind.attrs.iter().map(|attr| &attr.default);
            let set = spec.attrs.iter().zip(row).filter(|((_, value), usual)| value != usual);
            set.map(|((name, value), _)| format!(" {name}={value}")).collect()
        };
        specs.iter().map(|spec| format!("{}{}", spec.name, attrs(spec))).collect()
    }

    fn profile(name: &str) -> Vec<String> {
        told(&Profile::find(name).expect(name).faults())
    }

    #[test]
    fn what_a_profile_stands_for() {
        let expected = [
            "3g_connect_delay value=300ms",
            "3g_bandwidth_downstream rate=200kB/s",
            "3g_bandwidth_upstream rate=96kB/s",
            "3g_latency_downstream latency=150ms",
            "3g_latency_upstream latency=150ms",
        ];
        assert_eq!(profile("3g"), expected);
        let lossy = &profile("3g-lossy")[3..];
        assert_eq!(lossy[0], "3g-lossy_loss_downstream loss=0.01 rtt=200ms");
        assert_eq!(lossy.len(), 3, "{lossy:?}");
        let edge = &profile("edge")[3..];
        assert_eq!(edge[0], "edge_latency_downstream latency=400ms");
        assert_eq!(edge[1], "edge_latency_upstream latency=440ms");
        let region = profile("region-us-east-1");
        assert_eq!(region[0], "region-us-east-1_connect_delay value=60ms");
        assert_eq!(region[1], "region-us-east-1_latency_downstream latency=30ms jitter=20ms");
        assert_eq!(region.len(), 3, "{region:?}");
        let offline =
            ["offline_drop mode=hang", "offline_hang_downstream", "offline_hang_upstream"];
        assert_eq!(profile("offline"), offline);
        assert_eq!(profile("3g-fast"), profile("slow-4g"));
    }

    #[test]
    fn half_of_a_round_trip_each_way() {
        let odd = told(&round_trip(Span(101)));
        assert_eq!(
            odd,
            ["rtt_latency_downstream latency=50ns", "rtt_latency_upstream latency=51ns"]
        );
        assert_eq!(round_trip(Span::ZERO), []);
    }

    #[test]
    fn the_table_is_complete() {
        let names: Vec<&str> = PROFILES.iter().flat_map(|profile| profile.names).copied().collect();
        assert_eq!(names.len(), 24 + 1 + 6, "with the one that has two, and the regions");
        for profile in PROFILES {
            assert!(!profile.source.is_empty());
            for name in profile.names {
                assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
            }
            let specs = profile.faults();
            assert!(specs.iter().all(|spec| spec.name.len() <= 64), "{:?}", told(&specs));
        }
    }
}
