//! Leases: faults that remove themselves, so that they do not outlive who asked for them.

use crate::fault::Spec;
use crate::units::{Span, Time};

/// When the faults of one route remove themselves, by name. At most one for each fault.
#[derive(Debug, Default)]
pub struct Leases(Vec<(String, Time)>);

impl Leases {
    /// Takes note of the leases that these faults have from `now` on, in the place of all that
    /// were there; the faults themselves tell nothing of it any more.
    pub fn take(&mut self, faults: &mut [Spec], now: Time) {
        let leased = |spec: &mut Spec| Some((spec.name.clone(), now + spec.ttl.take()?));
        self.0 = faults.iter_mut().filter_map(leased).collect();
    }

    /// The faults, with what is left of their leases at `now`: taken at the same moment, nothing
    /// has changed.
    pub fn show(&self, faults: &[Spec], now: Time) -> Vec<Spec> {
        let left = |spec: &Spec| self.until(&spec.name).map(|until| until - now);
        faults.iter().map(|spec| Spec { ttl: left(spec), ..spec.clone() }).collect()
    }

    /// How long until the next one is over; none: there is no lease.
    pub fn next(&self, now: Time) -> Option<Span> {
        self.0.iter().map(|(_, until)| *until).min().map(|until| until - now)
    }

    /// True when the lease of this fault is over.
    pub fn is_over(&self, fault: &str, now: Time) -> bool {
        self.until(fault).is_some_and(|until| until <= now)
    }

    fn until(&self, fault: &str) -> Option<Time> {
        self.0.iter().find(|(name, _)| name == fault).map(|(_, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::pipeline::transcript::parse;

    fn at(ms: u64) -> Time {
        Time::ZERO + Span::from_ms(ms)
    }

    fn leased(faults: &str, ttls: &[Option<u64>]) -> Vec<Spec> {
        let mut specs = parse(faults);
        for (spec, ttl) in specs.iter_mut().zip(ttls) {
            spec.ttl = ttl.map(Span::from_ms);
        }
        specs
    }

    #[test]
    fn what_is_shown_and_put_back_keeps_its_time() {
        let (mut leases, mut faults) =
            (Leases::default(), leased("noop | drop", &[Some(500), None]));
        leases.take(&mut faults, at(100));
        assert!(faults.iter().all(|spec| spec.ttl.is_none()));
        let shown = leases.show(&faults, at(250));
        assert_eq!(
            shown.iter().map(|spec| spec.ttl).collect::<Vec<_>>(),
            [Some(Span::from_ms(350)), None]
        );
        let mut back = shown;
        leases.take(&mut back, at(250));
        assert_eq!((leases.next(at(250)), &back), (Some(Span::from_ms(350)), &faults));
        assert!(!leases.is_over("f0", at(599)));
        assert!(leases.is_over("f0", at(600)));
        assert!(!leases.is_over("f1", at(9_999)), "it has none");
    }

    #[test]
    fn a_fault_that_goes_takes_its_lease_along_and_an_edit_renews_it() {
        let (mut leases, mut faults) =
            (Leases::default(), leased("noop | noop", &[Some(10), Some(20)]));
        leases.take(&mut faults, at(0));
        assert_eq!(leases.next(at(0)), Some(Span::from_ms(10)));
        let mut shown = leases.show(&faults, at(5));
        shown.remove(0);
        leases.take(&mut shown, at(5));
        assert_eq!(leases.next(at(5)), Some(Span::from_ms(15)));
        leases.take(&mut leased("noop | noop", &[None, Some(90)])[1..], at(5));
        assert_eq!(leases.next(at(15)), Some(Span::from_ms(80)));
        leases.take(&mut [], at(15));
        assert_eq!(leases.next(at(15)), None);
    }
}
