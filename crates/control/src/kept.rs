//! What was read a moment ago, for those who come right after.
//!
//! It suggests, as an index does that is a moment behind: whoever acts on it reads strongly and proves by its write,
//! and nobody is told that there is nothing because nothing is kept.

use crate::together::locked;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

/// How long something is kept: an index may be as far behind.
const KEPT: Duration = Duration::from_secs(1);

/// How much is kept at most.
const MOST: usize = 1_024;

/// Values by their keys, each with the moment before it was read, all by [`steady`](crate::Clock::steady).
#[derive(Debug)]
pub(crate) struct Kept<K, V>(Mutex<HashMap<K, (Duration, V)>>);

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Kept<K, V> {
    /// What is kept under this key, if it is not too old now.
    pub(crate) fn get(&self, key: &K, now: Duration) -> Option<V> {
        let kept = locked(&self.0);
        kept.get(key).filter(|(since, _)| is_young(*since, now)).map(|(_, value)| value.clone())
    }

    /// Keeps what was read after `since`, unless something that was read later is kept, or there is no room.
    pub(crate) fn put(&self, key: K, value: V, since: Duration, now: Duration) {
        let mut kept = locked(&self.0);
        if kept.get(&key).is_some_and(|(other, _)| *other > since) {
            return;
        }
        if kept.len() >= MOST {
            kept.retain(|_, (since, _)| is_young(*since, now));
        }
        if kept.len() < MOST || kept.contains_key(&key) {
            kept.insert(key, (since, value));
        }
    }

    /// It was seen to be wrong.
    pub(crate) fn forget(&self, key: &K) {
        locked(&self.0).remove(key);
    }
}

fn is_young(since: Duration, now: Duration) -> bool {
    now.saturating_sub(since) < KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn it_is_kept_for_a_second_from_before_it_was_read() {
        let kept = Kept::default();
        kept.put("a", 1, at(5_000), at(5_400));
        assert_eq!((kept.get(&"a", at(5_400)), kept.get(&"b", at(5_400))), (Some(1), None));
        assert_eq!((kept.get(&"a", at(5_999)), kept.get(&"a", at(6_000))), (Some(1), None));
    }

    #[test]
    fn what_was_read_later_stays() {
        let kept = Kept::default();
        kept.put("a", 2, at(200), at(300));
        kept.put("a", 1, at(100), at(400));
        assert_eq!(kept.get(&"a", at(400)), Some(2));
        kept.put("a", 3, at(250), at(400));
        assert_eq!(kept.get(&"a", at(400)), Some(3));
    }

    #[test]
    fn what_was_wrong_is_forgotten() {
        let kept = Kept::default();
        kept.put("a", 1, at(0), at(0));
        kept.forget(&"a");
        assert_eq!(kept.get(&"a", at(0)), None);
    }

    #[test]
    fn there_is_never_more_than_so_much_and_what_is_old_makes_room() {
        let kept = Kept::default();
        for key in 0..2 * MOST {
            kept.put(key, key, at(0), at(0));
        }
        assert_eq!(locked(&kept.0).len(), MOST);
        assert_eq!(kept.get(&MOST, at(0)), None);
        kept.put(0, 7, at(1), at(1));
        assert_eq!(kept.get(&0, at(1)), Some(7), "what is kept is brought up to date");
        kept.put(MOST, MOST, at(1_000), at(1_000));
        assert_eq!(kept.get(&MOST, at(1_000)), Some(MOST));
        assert!(locked(&kept.0).len() <= 2, "the one of now, and the one that was brought up to date");
    }
}
