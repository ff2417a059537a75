//! What a job takes from its project's budget, and gives back.

use super::Job;
use crate::budget::{Budget, Charge, MOST, Returned};

impl Budget {
    /// What making this job takes from its day, and how much of the day may be taken before it.
    pub fn charge(&self, job: &Job) -> Option<Charge> {
        let reserved = job.reserved?;
        Some(Charge {
            project: job.project.clone(),
            day: reserved.day,
            usd_micros: reserved.usd_micros,
            jobs_below: self.jobs_per_day,
            usd_micros_at_most: self.usd_micros_per_day.map(|most| most.saturating_sub(reserved.usd_micros)),
        })
    }
}

impl Job {
    /// What its end gives back. None: it reserved nothing, or has not ended.
    pub fn returned(&self) -> Option<Returned> {
        let reserved = self.reserved.filter(|_| self.status.is_terminal())?;
        Some(Returned {
            project: self.project.clone(),
            day: reserved.day,
            jobs: u32::from(!self.worked),
            reserved_usd_micros: reserved.usd_micros,
            spent_usd_micros: self.spent_usd_micros,
        })
    }

    /// The job with what one more attempt of it cost. Units: millionths of a US dollar.
    pub fn with_cost(mut self, usd_micros: u64) -> Self {
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(usd_micros).min(MOST);
        self
    }
}
