//! What a life is fullest of. What goes wrong in one life of many goes wrong in most lives of its mood.

use pullyard_domain::project::Compute;

/// Chances are of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mood {
    /// Where jobs run at first.
    pub(crate) compute: Compute,
    /// How often somebody falls silent, dies or comes back, beside everything else.
    pub(crate) misfortunes: u64,
    /// For how long. Units: seconds.
    pub(crate) silence: (u64, u64),
    /// What a platform fault took is put back, as often as that may be.
    pub(crate) requeues: bool,
    /// Of what goes wrong, a runner that falls silent.
    pub(crate) runners_silent: u64,
    /// Whoever has read something does nothing for a while.
    pub(crate) reads_stall: u64,
    /// A sweep that has read something does nothing for a while.
    pub(crate) sweeps_stall: u64,
    /// A request comes a second time, later.
    pub(crate) twice: u64,
    /// An answer of the API never comes.
    pub(crate) lost: u64,
    /// A runner's answer to its claim never comes.
    pub(crate) claims_lost: u64,
    /// A message is never sent.
    pub(crate) hints_lost: u64,
    /// A container begins minutes late.
    pub(crate) late_tasks: u64,
    /// An agent fails.
    pub(crate) fails: u64,
    /// How often tickets are moved, beside everything else.
    pub(crate) moves: u64,
    /// How often in all, at least.
    pub(crate) changes: usize,
    /// How often reviewers ask for changes, beside everything else. None: nor is there a webhook.
    pub(crate) reviews: u64,
    /// How often in all, at least.
    pub(crate) reviewed: usize,
    /// A project lets reviews wait for one another.
    pub(crate) coalesces: u64,
    /// How often pull requests are closed, merged and reopened, beside everything else.
    pub(crate) turns: u64,
    /// What reviewers and those do is never told.
    pub(crate) reviews_lost: u64,
    /// How often people pause jobs, have them go on and speak to their agents, beside everything else.
    pub(crate) rests: u64,
    /// An agent asks something before it is done.
    pub(crate) asks: u64,
    /// How many tickets there are at most.
    pub(crate) tickets: usize,
}

/// A bit of everything.
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

/// Runners are silent for about as long as it takes to be noticed, and whoever notices it is slow.
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

/// Much comes twice, and many answers never.
pub(crate) const TWICE: Mood =
    Mood { compute: Compute::Runners, reads_stall: 8, twice: 45, lost: 15, claims_lost: 15, ..USUAL };

/// The same on Fargate, whose containers begin late and die.
pub(crate) const LATE: Mood =
    Mood { compute: Compute::Fargate, requeues: true, late_tasks: 60, misfortunes: 10, lost: 10, ..TWICE };

/// Few tickets are moved all the time, and what follows is seldom said.
pub(crate) const RESTLESS: Mood =
    Mood { moves: 30, changes: 30, tickets: 2, hints_lost: 45, fails: 60, twice: 20, ..USUAL };

/// Agents are quick and good, and reviewers never content.
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

/// Agents ask, and people stop them and change their minds.
pub(crate) const RESTING: Mood = Mood { requeues: true, twice: 20, lost: 8, fails: 5, rests: 14, asks: 80, ..USUAL };

impl Mood {
    /// Every life has one; two of three are usual.
    pub(crate) fn of(seed: u64) -> Self {
        let others = [SILENT, TWICE, LATE, RESTLESS, REVIEWED, RESTING];
        let usual = if seed.is_multiple_of(2) { Compute::Runners } else { Compute::Fargate };
        match seed % 3 {
            0 => others[(seed / 3 % others.len() as u64) as usize],
            _ => Self { compute: usual, ..USUAL },
        }
    }
}
