//! Profiles of lives. Each makes some faults frequent that are rare otherwise.

use pullyard_domain::project::Compute;

/// Probabilities are percentages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) compute: Compute,
    pub(crate) misfortunes: u64,
    /// The length of a silence. Units: seconds.
    pub(crate) silence: (u64, u64),
    /// Whether jobs are requeued after platform faults, up to the limit.
    pub(crate) requeues: bool,
    pub(crate) runners_silent: u64,
    pub(crate) reads_stall: u64,
    pub(crate) sweeps_stall: u64,
    pub(crate) repeats: u64,
    pub(crate) answers_lost: u64,
    pub(crate) claims_lost: u64,
    pub(crate) hints_lost: u64,
    pub(crate) late_tasks: u64,
    pub(crate) agent_fails: u64,
    pub(crate) moves: u64,
    pub(crate) min_changes: usize,
    /// The weight of reviews among the steps. 0: there is no webhook.
    pub(crate) reviews: u64,
    pub(crate) min_reviews: usize,
    pub(crate) coalesces: u64,
    pub(crate) state_changes: u64,
    pub(crate) reviews_lost: u64,
    /// The weight of pauses, resumes and inputs among the steps.
    pub(crate) suspensions: u64,
    pub(crate) agent_asks: u64,
    pub(crate) tickets: usize,
}

pub(crate) const USUAL: Profile = Profile {
    compute: Compute::Fargate,
    misfortunes: 4,
    silence: (20, 400),
    requeues: false,
    runners_silent: 0,
    reads_stall: 2,
    sweeps_stall: 15,
    repeats: 7,
    answers_lost: 3,
    claims_lost: 3,
    hints_lost: 8,
    late_tasks: 15,
    agent_fails: 15,
    moves: 6,
    min_changes: 8,
    reviews: 3,
    min_reviews: 1,
    coalesces: 85,
    state_changes: 1,
    reviews_lost: 15,
    suspensions: 2,
    agent_asks: 18,
    tickets: 4,
};

/// Runners are silent for about the time limit, and sweeps are slow.
pub(crate) const SILENT: Profile = Profile {
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
pub(crate) const DOUBLED: Profile =
    Profile { compute: Compute::Runners, reads_stall: 8, repeats: 45, answers_lost: 15, claims_lost: 15, ..USUAL };

/// The same on Fargate, with late and dying containers.
pub(crate) const LATE: Profile =
    Profile { compute: Compute::Fargate, requeues: true, late_tasks: 60, misfortunes: 10, answers_lost: 10, ..DOUBLED };

/// Few tickets move all the time, and many hints are lost.
pub(crate) const RESTLESS: Profile =
    Profile { moves: 30, min_changes: 30, tickets: 2, hints_lost: 45, agent_fails: 60, repeats: 20, ..USUAL };

/// Agents are fast and succeed, and reviewers request many changes.
pub(crate) const MANY_REVIEWS: Profile = Profile {
    requeues: true,
    repeats: 25,
    hints_lost: 20,
    late_tasks: 5,
    agent_fails: 8,
    reviews: 25,
    min_reviews: 6,
    state_changes: 6,
    reviews_lost: 25,
    tickets: 2,
    ..USUAL
};

/// Agents ask questions, and users pause and resume jobs.
pub(crate) const MANY_SUSPENSIONS: Profile =
    Profile { requeues: true, repeats: 20, answers_lost: 8, agent_fails: 5, suspensions: 14, agent_asks: 80, ..USUAL };

impl Profile {
    /// The profile of a seed; two of three are usual.
    pub(crate) fn for_seed(seed: u64) -> Self {
        let others = [SILENT, DOUBLED, LATE, RESTLESS, MANY_REVIEWS, MANY_SUSPENSIONS];
        let usual = if seed.is_multiple_of(2) { Compute::Runners } else { Compute::Fargate };
        match seed % 3 {
            0 => others[(seed / 3 % others.len() as u64) as usize],
            _ => Self { compute: usual, ..USUAL },
        }
    }
}
