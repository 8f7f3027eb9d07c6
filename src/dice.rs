//! Chance that can be repeated.
//!
//! A decision is a function of (seed, route, connection number, direction, fault name) and of how
//! many draws that fault made before on that connection. No state is shared, so the timing of
//! threads cannot change what is drawn. The golden vectors below freeze the algorithm: changing
//! it changes what every seed of every user means, which is a breaking change.

use oorandom::Rand64;

use crate::units::Ratio;

/// What a decision is keyed by, apart from the process seed.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a> {
    /// The route's name.
    pub route: &'a str,
    /// The connection's number on its route, from 1.
    pub connection: u64,
    /// `"connection"`, `"upstream"` or `"downstream"`.
    pub direction: &'a str,
    /// The fault's name on its route.
    pub fault: &'a str,
}

/// The chance of one fault, in one direction of one connection.
#[derive(Clone, Debug)]
pub struct Dice {
    random: Rand64,
}

impl Dice {
    /// The dice for this key under this seed: always the same ones.
    pub fn new(seed: u64, key: &Key<'_>) -> Dice {
        let mut state = mix(seed);
        for text in [key.route, key.direction, key.fault] {
            state = mix(state ^ fnv1a(text.as_bytes()));
        }
        state = mix(state ^ key.connection);
        let high = u128::from(mix(state ^ 0x6368_616f_7300_0001));
        let low = u128::from(mix(state ^ 0x6368_616f_7300_0002));
        Dice { random: Rand64::new(high << 64 | low) }
    }

    /// True with probability `share`; exactly never at 0, exactly always at 1.
    pub fn roll(&mut self, share: Ratio) -> bool {
        self.share() < share.get()
    }

    /// A number in 0..1, one excluded: what is below a share of 0.3 is 30 % of all draws.
    pub fn share(&mut self) -> f64 {
        self.random.rand_float()
    }

    /// A whole number from `low` to `high`, both included; `low` when they are crossed.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        match high.checked_sub(low).map(|width| width.checked_add(1)) {
            None | Some(Some(1)) => low,
            Some(None) => self.random.rand_u64(),
            Some(Some(width)) => low + self.random.rand_range(0..width),
        }
    }
}

/// A number for a list of texts, the same in every process. Two lists have the same one as good
/// as never, unless somebody takes pains.
pub fn fingerprint<'a>(texts: impl IntoIterator<Item = &'a str>) -> u64 {
    texts.into_iter().fold(mix(0), |state, text| mix(state ^ fnv1a(text.as_bytes())))
}

/// The output function of SplitMix64 (Steele, Lea, Flood 2014): neighbouring inputs come out
/// unrelated, which raw neighbouring seeds of a PCG are not.
fn mix(input: u64) -> u64 {
    let mut z = input.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// FNV-1a, 64 bits (RFC 9923 section 4), with the length mixed in by the zero byte at the end.
fn fnv1a(bytes: &[u8]) -> u64 {
    let offset = 0xcbf2_9ce4_8422_2325;
    bytes.iter().chain(&[0]).fold(offset, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dice(seed: u64, connection: u64) -> Dice {
        let key = Key { route: "redis", connection, direction: "connection", fault: "drop" };
        Dice::new(seed, &key)
    }

    #[test]
    fn golden_vectors_freeze_the_generator() {
        let draws = |seed, connection| {
            let mut dice = dice(seed, connection);
            [0; 3].map(|_| dice.between(0, u64::MAX))
        };
        assert_eq!(draws(0, 1), GOLDEN[0]);
        assert_eq!(draws(42, 1), GOLDEN[1]);
        assert_eq!(draws(42, 2), GOLDEN[2]);
        assert_eq!(draws(u64::MAX, u64::MAX), GOLDEN[3]);
        let share = Ratio::new(0.3).expect("a share");
        let rolls = |connection| if dice(42, connection).roll(share) { 'x' } else { '.' };
        assert_eq!((1..=40).map(rolls).collect::<String>(), GOLDEN_ROLLS);
    }

    const GOLDEN: [[u64; 3]; 4] = [
        [7605432782536585000, 10220059670087597419, 14133751990951050243],
        [3985481718022550089, 5694034898920181820, 16773776228971582429],
        [2133148502632285337, 17077200042638021045, 5934409568933587823],
        [9127305656685458816, 17914766396575974173, 3164743730491409769],
    ];
    const GOLDEN_ROLLS: &str = "xx..x.........x...x...x...x..xxx...xx..x";

    #[test]
    fn every_part_of_the_key_counts() {
        let key = Key { route: "a", connection: 1, direction: "upstream", fault: "f" };
        let keys = [
            key,
            Key { route: "b", ..key },
            Key { connection: 2, ..key },
            Key { direction: "downstream", ..key },
            Key { fault: "g", ..key },
            Key { route: "af", fault: "", ..key },
        ];
        let mut first: Vec<u64> =
            keys.iter().map(|key| Dice::new(7, key).between(0, u64::MAX)).collect();
        first.push(Dice::new(8, &key).between(0, u64::MAX));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), keys.len() + 1);
    }

    #[test]
    fn shares_hold_over_many_connections() {
        let share = Ratio::new(0.3).expect("a share");
        let hits = (1..=20_000).filter(|n| dice(1, *n).roll(share)).count() as f64;
        let sigma = (20_000.0 * 0.3 * 0.7_f64).sqrt();
        assert!((hits - 6_000.0).abs() < 4.0 * sigma, "{hits} of 20000 at 0.3");
    }

    #[test]
    fn never_and_always_are_exact() {
        assert!((1..=20_000).all(|n| !dice(3, n).roll(Ratio::ZERO)));
        assert!((1..=20_000).all(|n| dice(3, n).roll(Ratio::ONE)));
    }

    #[test]
    fn ranges_are_closed() {
        let mut dice = dice(5, 1);
        let mut seen = [0u32; 3];
        for _ in 0..300 {
            seen[dice.between(7, 9) as usize - 7] += 1;
        }
        assert!(seen.iter().all(|count| *count > 50), "{seen:?}");
        assert_eq!(dice.between(9, 9), 9);
        assert_eq!(dice.between(9, 7), 9);
    }
}
