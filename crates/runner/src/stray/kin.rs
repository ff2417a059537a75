//! Who belongs to whom where orphans are nobody's: an orphan's parent is process 1, whoever began it. So it is
//! remembered who was seen to descend from a program, by number and by when it began; and whose group somebody is in:
//! only a process itself makes a group with its number, and as long as that is there the number is nobody else's.
//!
//! What nobody saw before it lost its parent, in a group that was made by nobody who was seen, is not known here.
//! Numbers are taken to be used again later than at the next look.

use super::table::Table;
use std::collections::{BTreeMap, BTreeSet};

/// A program, or several, and whatever was seen to descend from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Kin {
    /// When each began; none of those that no table has shown yet.
    seen: BTreeMap<i32, Option<String>>,
}

impl Kin {
    /// Another program: it runs, or nobody has waited for it yet.
    pub(super) fn add(&mut self, pid: i32) {
        self.seen.insert(pid, None);
    }

    /// Learns from a look who else belongs to it. Those that live.
    pub(super) fn learn(&mut self, table: &Table) -> BTreeSet<i32> {
        // Whose number is another's by now is dead.
        self.seen.retain(|pid, began| match (began, table.get(pid)) {
            (Some(began), Some(process)) => *began == process.began,
            _ => true,
        });
        let mut living = BTreeSet::new();
        loop {
            let knows = |pid: i32| self.seen.contains_key(&pid);
            let found: Vec<_> = table
                .iter()
                .filter(|(pid, process)| knows(**pid) || knows(process.parent) || knows(process.group))
                .filter(|(pid, _)| !living.contains(*pid))
                .map(|(pid, process)| (*pid, process.began.clone()))
                .collect();
            if found.is_empty() {
                break;
            }
            for (pid, began) in found {
                living.insert(pid);
                self.seen.insert(pid, Some(began));
            }
        }
        // Of the dead the group that they made may live, and is known by them.
        let groups: BTreeSet<_> = table.values().map(|process| process.group).collect();
        self.seen.retain(|pid, _| living.contains(pid) || groups.contains(pid));
        living
    }

    #[cfg(test)]
    pub(super) fn has_seen(&self, pid: i32) -> bool {
        self.seen.get(&pid).is_some_and(Option::is_some)
    }
}

#[cfg(test)]
mod tests;
