//! Profiles of lives. Each makes some faults frequent that are rare otherwise.

use pullyard_domain::project::Compute;

/// Probabilities are percentages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mood {
    pub(crate) compute: Compute,
    /// The weight of misfortunes among the steps.
    pub(crate) misfortunes: u64,
    /// The length of a silence. Units: seconds.
    pub(crate) silence: (u64, u64),
    /// Whether jobs are requeued after platform faults, up to the limit.
    pub(crate) requeues: bool,
    /// The share of silent runners among misfortunes.
    pub(crate) runners_silent: u64,
    /// An invocation stalls after a read.
    pub(crate) reads_stall: u64,
    /// A sweep stalls after a read.
    pub(crate) sweeps_stall: u64,
    /// A request is repeated later.
    pub(crate) twice: u64,
    pub(crate) lost: u64,
    pub(crate) claims_lost: u64,
    pub(crate) hints_lost: u64,
    /// A container starts minutes late.
    pub(crate) late_tasks: u64,
    pub(crate) fails: u64,
    /// The weight of ticket moves among the steps.
    pub(crate) moves: u64,
    /// The minimum number of ticket moves.
    pub(crate) changes: usize,
    /// The weight of reviews among the steps. 0: there is no webhook.
    pub(crate) reviews: u64,
    /// The minimum number of reviews.
    pub(crate) reviewed: usize,
    /// A project defers reviews.
    pub(crate) coalesces: u64,
    /// The weight of closes, merges and reopens among the steps.
    pub(crate) turns: u64,
    /// The webhook of a review, close, merge or reopen is lost.
    pub(crate) reviews_lost: u64,
    /// The weight of pauses, resumes and inputs among the steps.
    pub(crate) rests: u64,
    /// An agent asks a question before it is done.
    pub(crate) asks: u64,
    /// The maximum number of tickets.
    pub(crate) tickets: usize,
}

pub(crate) const USUAL: Mood = Mood {
    compute: Compute::Fargate,
    misfortunes: 4,
    silence: (20, 400),
    requeues: false,
    runners_silent: 0,
    reads_stall: 2,
    sweeps_stall: 15,
    twice: 7,
    lost: 3,
    claims_lost: 3,
    hints_lost: 8,
    late_tasks: 15,
    fails: 15,
    moves: 6,
    changes: 8,
    reviews: 3,
    reviewed: 1,
    coalesces: 85,
    turns: 1,
    reviews_lost: 15,
    rests: 2,
    asks: 18,
    tickets: 4,
};

/// Runners are silent for about the time limit, and sweeps are slow.
pub(crate) const SILENT: Mood = Mood {
    compute: Compute::Runners,
    misfortunes: 14,
    silence: (70, 160),
    requeues: true,
    runners_silent: 60,
    reads_stall: 4,
    sweeps_stall: 60,
    claims_lost: 25,
    ..USUAL
};

/// Many requests are doubled, and many answers are lost.
pub(crate) const TWICE: Mood =
    Mood { compute: Compute::Runners, reads_stall: 8, twice: 45, lost: 15, claims_lost: 15, ..USUAL };

/// The same on Fargate, with late and dying containers.
pub(crate) const LATE: Mood =
    Mood { compute: Compute::Fargate, requeues: true, late_tasks: 60, misfortunes: 10, lost: 10, ..TWICE };

/// Few tickets move all the time, and many hints are lost.
pub(crate) const RESTLESS: Mood =
    Mood { moves: 30, changes: 30, tickets: 2, hints_lost: 45, fails: 60, twice: 20, ..USUAL };

/// Agents are fast and succeed, and reviewers request many changes.
pub(crate) const REVIEWED: Mood = Mood {
    requeues: true,
    twice: 25,
    hints_lost: 20,
    late_tasks: 5,
    fails: 8,
    reviews: 25,
    reviewed: 6,
    turns: 6,
    reviews_lost: 25,
    tickets: 2,
    ..USUAL
};

/// Agents ask questions, and users pause and resume jobs.
pub(crate) const RESTING: Mood = Mood { requeues: true, twice: 20, lost: 8, fails: 5, rests: 14, asks: 80, ..USUAL };

impl Mood {
    /// The profile of a seed; two of three are usual.
    pub(crate) fn of(seed: u64) -> Self {
        let others = [SILENT, TWICE, LATE, RESTLESS, REVIEWED, RESTING];
        let usual = if seed.is_multiple_of(2) { Compute::Runners } else { Compute::Fargate };
        match seed % 3 {
            0 => others[(seed / 3 % others.len() as u64) as usize],
            _ => Self { compute: usual, ..USUAL },
        }
    }
}
