//! The rows of classes that claims of this process read lately, for the claims that come next.
//!
//! A row is a suggestion and stays one: whoever tries a job reads it strongly, and its transaction alone proves the
//! claim. Nobody takes a row out by trying it; it counts as gone once its job was seen to be, and only in what was read
//! before that. That there is nothing is never answered from here.

use crate::together::locked;
use pullyard_domain::id::{ClassId, JobId};
use pullyard_domain::select::Candidate;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long rows serve claims that came after they were read.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// Of how many classes rows are kept. A look reads at most 256 of each.
const MOST_CLASSES: usize = 256;

/// A read of a class that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    /// In the order of what this process did and saw: two things of one millisecond are told apart.
    number: u64,
    at: Duration,
}

impl Begun {
    fn is_young(self, now: Duration) -> bool {
        now.saturating_sub(self.at) < KEPT_FOR
    }
}

/// The first rows of a class, as the index had them.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) all: Vec<Candidate>,
    /// There may be others behind them.
    pub(super) more: bool,
    begun: Begun,
}

/// The rows that are kept, and which jobs are gone.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    number: u64,
    classes: BTreeMap<ClassId, Class>,
}

#[derive(Debug)]
struct Class {
    newest: Begun,
    kept: Option<Arc<Rows>>,
    /// Jobs that were seen to be Ready no more, and when.
    gone: BTreeMap<JobId, u64>,
    /// What was read before this time is not kept.
    not_before: Duration,
}

impl Shelf {
    /// Somebody begins to read rows.
    pub(super) fn begins(&self, at: Duration) -> Begun {
        Begun { number: locked(&self.0).next(), at }
    }

    /// What that brought, of at most `most`.
    pub(super) fn keep(&self, class: &ClassId, begun: Begun, all: Vec<Candidate>, most: usize) -> Arc<Rows> {
        let rows = Arc::new(Rows { more: all.len() >= most, all, begun });
        let mut known = locked(&self.0);
        if !known.has_room_for(class, &rows) {
            return rows;
        }
        let new = || Class { newest: begun, kept: None, gone: BTreeMap::new(), not_before: Duration::ZERO };
        let of = known.classes.entry(class.clone()).or_insert_with(new);
        // Of two reads that overlap the one that began last counts.
        if of.newest.number <= begun.number {
            // Whoever uses older rows than the last ones may try a job in vain.
            let last = std::mem::replace(&mut of.newest, begun);
            of.gone.retain(|_, seen| *seen > last.number);
            of.kept = (!rows.all.is_empty() && begun.at >= of.not_before).then(|| rows.clone());
        }
        rows
    }

    /// The rows of a class that a claim may begin with, where some are young enough and not all of them gone.
    pub(super) fn kept(&self, class: &ClassId, now: Duration) -> Option<Arc<Rows>> {
        let mut known = locked(&self.0);
        let of = known.classes.get_mut(class)?;
        let rows = of.kept.take()?;
        let serves = rows.begun.is_young(now) && rows.all.iter().any(|row| !of.is_gone(&rows, &row.job));
        serves.then(|| of.kept.insert(rows).clone())
    }

    /// Its job was seen to be Ready no more.
    pub(super) fn gone(&self, row: &Candidate) {
        let mut known = locked(&self.0);
        let seen = known.next();
        if let Some(of) = known.classes.get_mut(&row.class) {
            of.gone.insert(row.job.clone(), seen);
        }
    }

    /// Whether that was seen after these rows were read.
    pub(super) fn is_gone(&self, rows: &Rows, row: &Candidate) -> bool {
        locked(&self.0).classes.get(&row.class).is_some_and(|of| of.is_gone(rows, &row.job))
    }

    /// Its rows were of no use: other processes take what they show, or whoever asks may not. Keeping them would cost
    /// claims a look in vain, so none are kept for a while.
    pub(super) fn in_vain(&self, class: &ClassId, now: Duration) {
        if let Some(of) = locked(&self.0).classes.get_mut(class) {
            of.kept = None;
            of.not_before = now + KEPT_FOR;
        }
    }
}

impl Known {
    fn next(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// A class without rows takes no place, and one that nobody reads any more leaves its own.
    fn has_room_for(&mut self, class: &ClassId, rows: &Rows) -> bool {
        if self.classes.contains_key(class) {
            return true;
        }
        if rows.all.is_empty() {
            return false;
        }
        if self.classes.len() >= MOST_CLASSES {
            self.classes.retain(|_, of| of.newest.is_young(rows.begun.at));
        }
        self.classes.len() < MOST_CLASSES
    }
}

impl Class {
    fn is_gone(&self, rows: &Rows, job: &JobId) -> bool {
        self.gone.get(job).is_some_and(|seen| *seen > rows.begun.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn class(name: &str) -> ClassId {
        ClassId::new(name).unwrap()
    }

    fn row(job: &str) -> Candidate {
        Candidate { job: JobId::new(format!("job_{job:0>26}")).unwrap(), class: class("a"), order: 1 }
    }

    impl Shelf {
        /// A read of class `a` that shows these.
        fn reads(&self, at: u64, jobs: &[&str]) -> Arc<Rows> {
            self.keep(&class("a"), self.begins(secs(at)), jobs.iter().map(|job| row(job)).collect(), 16)
        }

        /// The rows that are kept of it and not gone; none where it has to be read.
        fn shows(&self, at: Duration) -> Option<Vec<Candidate>> {
            let rows = self.kept(&class("a"), at)?;
            Some(rows.all.iter().filter(|row| !self.is_gone(&rows, row)).cloned().collect())
        }
    }

    fn jobs(jobs: &[&str]) -> Option<Vec<Candidate>> {
        Some(jobs.iter().map(|job| row(job)).collect())
    }

    #[test]
    fn rows_are_kept_for_five_seconds_from_when_their_read_began() {
        let shelf = Shelf::default();
        assert_eq!(shelf.shows(secs(10)), None);
        shelf.reads(10, &["j1", "j2"]);
        assert_eq!(shelf.shows(secs(10)), jobs(&["j1", "j2"]));
        assert_eq!(shelf.shows(Duration::from_millis(14_999)), jobs(&["j1", "j2"]));
        assert_eq!(shelf.shows(secs(15)), None);
        assert_eq!(shelf.shows(secs(10)), None, "what was too old is let go");
    }

    #[test]
    fn that_there_is_nothing_is_not_kept() {
        let shelf = Shelf::default();
        shelf.reads(1, &[]);
        assert_eq!(shelf.shows(secs(1)), None);
        assert!(locked(&shelf.0).classes.is_empty());
        shelf.reads(1, &["j1"]);
        shelf.gone(&row("j1"));
        assert_eq!(shelf.shows(secs(1)), None, "all of them are gone");
        shelf.reads(1, &["j1"]);
        shelf.reads(1, &[]);
        assert_eq!(shelf.shows(secs(1)), None, "the newer read says so");
    }

    #[test]
    fn what_is_gone_is_gone_from_all_that_was_read_before_and_from_nothing_that_is_read_later() {
        let shelf = Shelf::default();
        let first = shelf.reads(1, &["j1", "j2"]);
        let begun = shelf.begins(secs(1));
        shelf.gone(&row("j1"));
        let second = shelf.keep(&class("a"), begun, vec![row("j1"), row("j2")], 16);
        assert!(shelf.is_gone(&first, &row("j1")) && shelf.is_gone(&second, &row("j1")));
        assert_eq!(shelf.shows(secs(1)), jobs(&["j2"]), "the index may have shown it before it was taken");
        let third = shelf.reads(1, &["j1", "j2"]);
        assert!(!shelf.is_gone(&third, &row("j1")), "it went back");
        assert_eq!(shelf.shows(secs(1)), jobs(&["j1", "j2"]));
    }

    #[test]
    fn of_two_reads_that_overlap_the_one_that_began_last_is_kept() {
        let shelf = Shelf::default();
        let slow = shelf.begins(secs(1));
        shelf.reads(2, &["j2"]);
        shelf.keep(&class("a"), slow, vec![row("j1")], 16);
        assert_eq!(shelf.shows(secs(2)), jobs(&["j2"]));
    }

    #[test]
    fn rows_of_no_use_are_let_go_and_none_are_kept_for_five_seconds() {
        let shelf = Shelf::default();
        shelf.reads(1, &["j1"]);
        let before = shelf.begins(secs(1));
        shelf.in_vain(&class("a"), secs(1));
        assert_eq!(shelf.shows(secs(1)), None);
        shelf.keep(&class("a"), before, vec![row("j1")], 16);
        assert_eq!(shelf.shows(secs(1)), None, "a read that was under way");
        shelf.reads(5, &["j1"]);
        assert_eq!(shelf.shows(secs(5)), None);
        shelf.reads(6, &["j1"]);
        assert_eq!(shelf.shows(secs(6)), jobs(&["j1"]));
    }

    #[test]
    fn only_so_many_classes_are_kept_and_those_that_nobody_reads_make_room() {
        let shelf = Shelf::default();
        for number in 0..=MOST_CLASSES {
            let at = if number == 0 { 1 } else { 3 };
            shelf.keep(&class(&format!("c{number}")), shelf.begins(secs(at)), vec![row("j1")], 16);
        }
        let kept = |name: String, at| shelf.kept(&class(&name), secs(at)).is_some();
        assert!(kept("c0".into(), 3));
        assert!(!kept(format!("c{MOST_CLASSES}"), 3), "there was no room");
        // The first one is too old by now.
        shelf.keep(&class("late"), shelf.begins(secs(6)), vec![row("j1")], 16);
        assert!(kept("late".into(), 6) && kept("c1".into(), 6) && !kept("c0".into(), 6));
        assert_eq!(locked(&shelf.0).classes.len(), MOST_CLASSES);
    }

    #[test]
    fn that_others_may_wait_behind_them_is_kept_with_the_rows() {
        let shelf = Shelf::default();
        let read = |most| shelf.keep(&class("a"), shelf.begins(secs(1)), vec![row("j1"), row("j2")], most).more;
        assert_eq!([read(2), read(3)], [true, false]);
    }
}
