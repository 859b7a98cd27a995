//! How often somebody may be wrong.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};

use crate::ical::Instant;

/// Whose failures are counted together: one IPv4 address, or the /64 that one IPv6 subscriber has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Block(IpAddr);

impl Block {
    pub fn of(address: IpAddr) -> Block {
        Block(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !0 << 64)),
            v4 => v4,
        })
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts by key: `limit` in `period` seconds from the first on, then no more until the period is over.
pub struct Throttle<K> {
    limit: u32,
    period: i64,
    counts: Mutex<HashMap<K, Count>>,
}

#[derive(Clone, Copy)]
struct Count {
    since: Instant,
    tries: u32,
}

/// Keys remembered at most. When a flood of addresses fills the table, the oldest half is forgotten.
const KEYS: usize = 20_000;

impl<K: Clone + Eq + Hash> Throttle<K> {
    pub fn new(limit: u32, period: i64) -> Throttle<K> {
        Throttle { limit, period, counts: Mutex::new(HashMap::new()) }
    }

    /// Counts a try. The error is the number of seconds after which there may be another; the try is then not counted.
    pub fn take(&self, key: K, now: Instant) -> Result<(), i64> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= KEYS && !counts.contains_key(&key) {
            self.forget(&mut counts, now);
        }
        let count = counts.entry(key).or_insert(Count { since: now, tries: 0 });
        if !self.counts_at(count, now) {
            *count = Count { since: now, tries: 0 };
        }
        if count.tries >= self.limit {
            return Err((count.since.0 + self.period - now.0).max(1));
        }
        count.tries += 1;
        Ok(())
    }

    /// Takes a counted try back: it was right after all.
    pub fn give_back(&self, key: &K) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(key) {
            count.tries = count.tries.saturating_sub(1);
        }
    }

    /// Whether the period of a count is still running. A clock that was set back ends it.
    fn counts_at(&self, count: &Count, now: Instant) -> bool {
        (0..self.period).contains(&now.0.saturating_sub(count.since.0))
    }

    fn forget(&self, counts: &mut HashMap<K, Count>, now: Instant) {
        counts.retain(|_, count| self.counts_at(count, now));
        if counts.len() >= KEYS {
            let mut ages: Vec<i64> = counts.values().map(|c| c.since.0).collect();
            let (_, middle, _) = ages.select_nth_unstable(KEYS / 2);
            let middle = *middle;
            counts.retain(|_, count| count.since.0 > middle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_block_is_one_subscriber() {
        let check = |a: &str, b: &str, same: bool| {
            let block = |text: &str| Block::of(text.parse().unwrap());
            assert_eq!(block(a) == block(b), same, "{a} {b}");
        };
        check("192.0.2.1", "192.0.2.1", true);
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true);
        check("2001:db8:1:2::1", "2001:db8:1:3::1", false);
    }

    #[test]
    fn after_the_limit_there_is_a_wait_until_the_period_is_over() {
        let throttle = Throttle::new(3, 60);
        let at = |s: i64| Instant(1_000 + s);
        assert_eq!([0, 10, 20].map(|s| throttle.take("a", at(s))), [Ok(()); 3]);
        assert_eq!(throttle.take("a", at(30)), Err(30));
        assert_eq!(throttle.take("b", at(30)), Ok(()));
        assert_eq!(throttle.take("a", at(59)), Err(1));
        assert_eq!(throttle.take("a", at(60)), Ok(()));
        // A clock set back does not lock anybody out for long.
        assert_eq!([0, 0, 0].map(|_| throttle.take("c", at(9_000))), [Ok(()); 3]);
        assert_eq!(throttle.take("c", at(0)), Ok(()));
    }

    #[test]
    fn a_right_try_is_not_counted() {
        let throttle = Throttle::new(2, 60);
        for _ in 0..10 {
            assert_eq!(throttle.take("a", Instant(0)), Ok(()));
            throttle.give_back(&"a");
        }
    }

    #[test]
    fn a_flood_of_keys_does_not_grow_the_table() {
        let throttle = Throttle::new(2, 60);
        for key in 0..3 * KEYS {
            // All in one period, and all at the same second at that: the worst case.
            assert_eq!(throttle.take(key, Instant(0)), Ok(()));
            assert!(throttle.counts.lock().unwrap().len() <= KEYS);
        }
    }
}
