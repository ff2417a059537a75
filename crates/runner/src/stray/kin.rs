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
        // Whom a number leads to: the process itself, whom it began, and who is in its group.
        let mut leads: BTreeMap<i32, Vec<(i32, &str)>> = BTreeMap::new();
        for (pid, process) in table {
            for number in [*pid, process.parent, process.group] {
                leads.entry(number).or_default().push((*pid, process.began.as_str()));
            }
        }
        let mut living = BTreeSet::new();
        let mut known: Vec<i32> = self.seen.keys().copied().collect();
        while let Some(number) = known.pop() {
            // Each number leads there once.
            for (pid, began) in leads.remove(&number).unwrap_or_default() {
                if living.insert(pid) {
                    self.seen.insert(pid, Some(began.to_owned()));
                    known.push(pid);
                }
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
