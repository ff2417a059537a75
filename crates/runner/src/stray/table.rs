//! Which processes run on this machine, and which of them began which: a table, and the walk down it, the same
//! wherever the table comes from. What is done with what is found is in `stray`.

mod proc;
mod ps;

#[cfg(target_os = "linux")]
#[cfg(test)]
pub(super) use ps::is_there as ps_is_there;

use std::collections::{BTreeMap, BTreeSet};

/// A process that is not dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) parent: i32,
    /// The number of the process that made its group.
    pub(super) group: i32,
    /// When it began, as its source says that; with the number it names one process.
    pub(super) began: String,
}

/// Processes by their numbers.
pub(super) type Table = BTreeMap<i32, Process>;

/// Nobody says what runs.
#[derive(Debug, thiserror::Error)]
#[error("see which processes run: {0}")]
pub(crate) struct Unseen(pub(super) String);

/// Where a table comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Files that the kernel shows: Linux.
    Proc,
    /// The program that POSIX has for it.
    Ps,
}

impl Source {
    /// This machine's. No `cfg` chooses: what a Mac does is compiled, and tested, on Linux too.
    pub(super) const HERE: Self = if cfg!(target_os = "linux") { Self::Proc } else { Self::Ps };

    /// Every process that runs.
    pub(super) async fn table(self) -> Result<Table, Unseen> {
        self.look(&[], |_| ()).await
    }

    /// Every process that runs. Each whose environment is seen to have one of the marks, as `NAME=VALUE`, is told as
    /// soon as it is seen.
    pub(super) async fn look(self, marks: &[Vec<u8>], tell: impl FnMut(i32)) -> Result<Table, Unseen> {
        match self {
            Self::Proc => proc::look(marks, tell),
            Self::Ps => ps::look(marks, tell).await,
        }
    }

    /// How it is called where people read it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Proc => "/proc",
            Self::Ps => ps::PROGRAM,
        }
    }
}

/// Everything below a process, itself not among it.
pub(super) fn descendants(table: &Table, root: i32) -> BTreeSet<i32> {
    let mut below = BTreeSet::new();
    let mut parents = vec![root];
    while let Some(parent) = parents.pop() {
        let children = table.iter().filter(|(_, process)| process.parent == parent).map(|(pid, _)| *pid);
        parents.extend(children.filter(|child| below.insert(*child)));
    }
    below
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn under(parent: i32) -> Process {
        Process { parent, group: 1, began: String::new() }
    }

    #[test]
    fn descent_is_followed_to_its_end_and_nowhere_else() {
        let parents = [(2, 1), (3, 2), (4, 3), (5, 1), (6, 5), (7, 4)];
        let table = parents.into_iter().map(|(pid, parent)| (pid, under(parent))).collect();
        assert_eq!(descendants(&table, 2), [3, 4, 7].into());
        assert_eq!(descendants(&table, 7), BTreeSet::new());
    }

    proptest! {
        #[test]
        fn below_a_process_is_whoever_comes_to_it_from_parent_to_parent(
            chosen in prop::collection::vec(0_usize..64, 1..24),
            root in 0_usize..24,
        ) {
            // The parent of each has a smaller number, as it does until numbers begin anew.
            let numbers = |at: usize| i32::try_from(at + 1).unwrap();
            let parents: BTreeMap<i32, i32> =
                chosen.iter().enumerate().map(|(at, parent)| (numbers(at + 1), numbers(parent % (at + 1)))).collect();
            let table = parents.iter().map(|(pid, parent)| (*pid, under(*parent))).collect();
            let root = numbers(root % (chosen.len() + 1));
            let comes = |pid: &i32| {
                let mut at = *pid;
                while let Some(parent) = parents.get(&at) {
                    if *parent == root {
                        return true;
                    }
                    at = *parent;
                }
                false
            };
            let expected: BTreeSet<i32> = parents.keys().copied().filter(comes).collect();
            prop_assert_eq!(descendants(&table, root), expected);
        }
    }

    /// Both are asked about the same two processes: us, and a child in a group of its own.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn ps_says_of_a_process_what_the_kernel_says() {
        if !ps::is_there() {
            return;
        }
        let mut command = tokio::process::Command::new("sleep");
        let child = command.arg("600").process_group(0).kill_on_drop(true).spawn().unwrap();
        let [ours, its] = [std::process::id(), child.id().unwrap()].map(|pid| i32::try_from(pid).unwrap());
        let (of_proc, of_ps) = (Source::Proc.table().await.unwrap(), Source::Ps.table().await.unwrap());
        for table in [&of_proc, &of_ps] {
            assert_eq!((table[&its].parent, table[&its].group), (ours, its));
            assert_eq!(table[&ours].parent, i32::try_from(std::os::unix::process::parent_id()).unwrap());
        }
        assert_eq!(of_proc[&ours].group, of_ps[&ours].group);
        // It is the same process as long as it is said to have begun at the same time.
        assert_eq!(Source::Ps.table().await.unwrap()[&its], of_ps[&its]);
        assert_eq!(Source::Proc.table().await.unwrap()[&its], of_proc[&its]);
    }
}
