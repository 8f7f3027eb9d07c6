//! A number for each of many keys, with a bound: the one that was asked for least lately goes.

use std::collections::HashMap;

/// Keys in a table at most. A key takes about 50 bytes.
pub const KEYS_MAX: usize = 65_536;

/// Numbers by key; a key that is new, or was forgotten, has zero.
#[derive(Debug, Default)]
pub struct Table {
    /// Where each key stands in `slots`.
    places: HashMap<u64, u32>,
    slots: Vec<Slot>,
    /// The slot that was asked for last; slots form a ring in the order of their use.
    newest: u32,
}

#[derive(Debug)]
struct Slot {
    key: u64,
    value: u64,
    /// The slot used just before this one; before the oldest comes the newest.
    older: u32,
    newer: u32,
}

impl Table {
    /// The number of a key, which is then the one asked for last.
    pub fn slot(&mut self, key: u64) -> &mut u64 {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => self.admit(key),
        };
        self.unlink(place);
        self.link(place);
        &mut self.slots[place as usize].value
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when it was never asked.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// A slot for a new key: one more, or that of the oldest.
    fn admit(&mut self, key: u64) -> u32 {
        let place = if self.slots.len() < KEYS_MAX {
            let place = self.slots.len() as u32;
            self.slots.push(Slot { key, value: 0, older: place, newer: place });
            place
        } else {
            let oldest = self.slots[self.newest as usize].newer;
            let slot = &mut self.slots[oldest as usize];
            self.places.remove(&slot.key);
            (slot.key, slot.value) = (key, 0);
            oldest
        };
        self.places.insert(key, place);
        place
    }

    /// Takes a slot out of the ring.
    fn unlink(&mut self, place: u32) {
        let (older, newer) = (self.slots[place as usize].older, self.slots[place as usize].newer);
        self.slots[older as usize].newer = newer;
        self.slots[newer as usize].older = older;
        if self.newest == place {
            self.newest = older;
        }
    }

    /// Puts a slot that is in no ring behind the newest.
    fn link(&mut self, place: u32) {
        let last = if self.newest == place { place } else { self.newest };
        let first = if last == place { place } else { self.slots[last as usize].newer };
        self.slots[place as usize].older = last;
        self.slots[place as usize].newer = first;
        self.slots[last as usize].newer = place;
        self.slots[first as usize].older = place;
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_number() {
        let mut table = Table::default();
        for key in [7, 9, 7, 7, 9, 8] {
            *table.slot(key) += 1;
        }
        assert_eq!([7, 8, 9, 10].map(|key| *table.slot(key)), [3, 1, 2, 0]);
    }

    #[test]
    fn one_past_the_bound_the_oldest_goes() {
        let mut table = Table::default();
        for key in 0..KEYS_MAX as u64 {
            *table.slot(key) = key + 1;
        }
        assert_eq!(*table.slot(0), 1, "0 is the newest now, and 1 the oldest");
        *table.slot(u64::MAX) = 5;
        assert_eq!(table.len(), KEYS_MAX);
        assert_eq!(*table.slot(1), 0, "it was forgotten, and 2 is now, to make room for it");
        assert_eq!([0, u64::MAX, 3, 4].map(|key| *table.slot(key)), [1, 5, 4, 5]);
        assert_eq!(*table.slot(2), 0);
        assert_eq!(table.len(), KEYS_MAX);
    }

    #[test]
    fn the_ring_agrees_with_a_list() {
        let mut table = Table::default();
        for key in 0..KEYS_MAX as u64 {
            table.slot(key);
        }
        let mut order: Vec<u64> = (0..KEYS_MAX as u64).collect();
        let mut key = 1u64;
        for _ in 0..300 {
            key = key.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            let asked = key >> 44; // a million keys: some are there
            if let Some(at) = order.iter().position(|own| *own == asked) {
                order.remove(at);
            } else {
                order.remove(0);
            }
            order.push(asked);
            table.slot(asked);
        }
        let (mut place, mut walked) = (table.newest, Vec::new());
        for _ in 0..table.len() {
            walked.push(table.slots[place as usize].key);
            place = table.slots[place as usize].older;
        }
        walked.reverse();
        assert_eq!(walked, order);
        assert_eq!(table.places.len(), KEYS_MAX);
    }
}
