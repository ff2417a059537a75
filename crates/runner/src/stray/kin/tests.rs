use super::*;
use crate::stray::table::Process;
use proptest::prelude::*;

/// Processes as number, parent, group and when they began.
fn table<const N: usize>(processes: [(i32, i32, i32, &str); N]) -> Table {
    let process = |(pid, parent, group, began): (i32, i32, i32, &str)| {
        let began = began.to_owned();
        (pid, Process { parent, group, began })
    };
    processes.map(process).into()
}

fn kin_of(pid: i32) -> Kin {
    let mut kin = Kin::default();
    kin.add(pid);
    kin
}

#[test]
fn who_was_seen_once_is_known_without_its_parent() {
    let mut kin = kin_of(10);
    assert_eq!(kin.learn(&table([(5, 1, 5, "a"), (10, 5, 10, "b"), (11, 10, 11, "c")])), [10, 11].into());
    assert_eq!(kin.learn(&table([(5, 1, 5, "a"), (11, 1, 11, "c")])), [11].into());
}

#[test]
fn who_is_in_the_group_of_one_that_was_seen_is_known_though_nobody_saw_it_begin() {
    let mut kin = kin_of(10);
    assert_eq!(kin.learn(&table([(10, 5, 10, "b"), (11, 10, 11, "c")])), [10, 11].into());
    // 11 began it, and both that and 10 are gone.
    assert_eq!(kin.learn(&table([(12, 1, 11, "d")])), [12].into());
    assert_eq!(kin.learn(&table([(12, 1, 11, "d"), (13, 12, 13, "e")])), [12, 13].into());
}

#[test]
fn whoever_has_the_number_of_one_that_is_dead_is_a_stranger_and_so_is_its_group() {
    let mut kin = kin_of(10);
    assert_eq!(kin.learn(&table([(10, 5, 10, "b")])), [10].into());
    let strangers = table([(10, 1, 10, "x"), (11, 10, 10, "y")]);
    assert_eq!((kin.learn(&strangers), kin), (BTreeSet::new(), Kin::default()));
}

#[test]
fn the_group_that_somebody_joined_is_not_its_own() {
    let mut kin = kin_of(10);
    assert_eq!(kin.learn(&table([(5, 1, 5, "a"), (6, 5, 5, "a"), (10, 5, 5, "b")])), [10].into());
}

/// What may happen between looks; to whom is counted among those that live.
#[derive(Clone, Copy, Debug)]
enum Act {
    Fork(usize),
    Exit(usize),
    /// It makes a group of its own.
    Lead(usize),
    Look,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        4 => (0_usize..64).prop_map(Act::Fork),
        3 => (0_usize..64).prop_map(Act::Exit),
        2 => (0_usize..64).prop_map(Act::Lead),
        3 => Just(Act::Look),
    ];
    prop::collection::vec(act, 0..80)
}

/// A machine: process 1, a stranger, and the agent that the stranger began. Each process says in `began` the how many
/// it is, which nobody else ever is.
struct Machine {
    table: Table,
    born: usize,
    /// Who made each group.
    makers: BTreeMap<i32, String>,
    /// Numbers that were let go since the last look.
    warm: BTreeSet<i32>,
    /// The agent, and all that descend from it.
    ours: BTreeSet<String>,
}

const AGENT: i32 = 3;

impl Machine {
    fn new() -> Self {
        let makers = [(1, "0"), (2, "1"), (AGENT, "2")].map(|(pid, birth)| (pid, birth.to_owned()));
        Self {
            table: table([(1, 0, 1, "0"), (2, 1, 2, "1"), (AGENT, 2, AGENT, "2")]),
            born: 3,
            makers: makers.into(),
            warm: BTreeSet::new(),
            ours: ["2".to_owned()].into(),
        }
    }

    fn nth(&self, n: usize) -> i32 {
        *self.table.keys().nth(n % self.table.len()).unwrap()
    }

    fn is_free(&self, number: i32) -> bool {
        !self.warm.contains(&number)
            && !self.table.contains_key(&number)
            && self.table.values().all(|process| process.group != number)
    }

    fn does(&mut self, act: Act) {
        match act {
            Act::Fork(n) => {
                let parent = self.nth(n);
                let (group, of) = (self.table[&parent].group, self.table[&parent].began.clone());
                // The smallest, so that they are used again soon.
                let pid = (2..).find(|number| self.is_free(*number)).unwrap();
                let began = self.born.to_string();
                self.born += 1;
                if self.ours.contains(&of) {
                    self.ours.insert(began.clone());
                }
                self.table.insert(pid, Process { parent, group, began });
            }
            Act::Exit(n) => {
                let pid = self.nth(n);
                if pid != 1 {
                    let gone = self.table.remove(&pid).unwrap();
                    self.warm.extend([pid, gone.group]);
                    for orphan in self.table.values_mut().filter(|process| process.parent == pid) {
                        orphan.parent = 1;
                    }
                }
            }
            Act::Lead(n) => {
                let pid = self.nth(n);
                let process = self.table.get_mut(&pid).unwrap();
                self.warm.insert(std::mem::replace(&mut process.group, pid));
                self.makers.insert(pid, process.began.clone());
            }
            Act::Look => self.warm.clear(),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_between_looks_nobody_elses_is_taken_and_none_is_lost_that_was_seen(acts in acts()) {
        let (mut machine, mut kin) = (Machine::new(), kin_of(AGENT));
        // All that were ever found.
        let mut ever: BTreeSet<String> = ["2".to_owned()].into();
        for act in acts.into_iter().chain([Act::Look]) {
            machine.does(act);
            if !matches!(act, Act::Look) {
                continue;
            }
            let found = kin.learn(&machine.table);
            ever.extend(found.iter().map(|pid| machine.table[pid].began.clone()));
            for (pid, process) in &machine.table {
                let is_found = found.contains(pid);
                prop_assert!(!is_found || machine.ours.contains(&process.began), "{} is a stranger", pid);
                let parent = machine.table.get(&process.parent).map(|parent| &parent.began);
                let is_known = ever.contains(&process.began)
                    || parent.is_some_and(|parent| ever.contains(parent))
                    || ever.contains(&machine.makers[&process.group]);
                prop_assert!(is_found || !is_known, "{} is lost", pid);
            }
            // It does not grow with all that ever was.
            prop_assert!(kin.seen.len() <= 2 * machine.table.len());
        }
    }
}
