//! The money that a job reserves from its project's budget and returns.

use super::{Fence, Job, TransitionRefusal};
use crate::project::budget::{Budget, Charge, MAX_USD_MICROS, Refund};

impl Budget {
    pub fn charge(&self, job: &Job) -> Option<Charge> {
        let reserved = job.reserved?;
        Some(Charge {
            project: job.project.clone(),
            day: reserved.day,
            usd_micros: reserved.usd_micros,
            jobs_below: self.jobs_per_day,
            usd_micros_at_most: self.usd_micros_per_day.map(|limit| limit.saturating_sub(reserved.usd_micros)),
        })
    }
}

impl Job {
    /// The refund at its end. `None`: it reserved no money, or has not ended.
    pub fn refund(&self) -> Option<Refund> {
        let reserved = self.reserved.filter(|_| self.status.is_terminal())?;
        Some(Refund {
            project: self.project.clone(),
            day: reserved.day,
            jobs: u32::from(!self.worked),
            reserved_usd_micros: reserved.usd_micros,
            spent_usd_micros: self.spent_usd_micros,
        })
    }

    /// Records the cost of an attempt whose runner stops without a finish. `AlreadyDone`: no change.
    pub fn record_stop_cost(&self, fence: &Fence, usd_micros: u64) -> Result<Self, TransitionRefusal> {
        self.check_fence(fence)?;
        let mut job = self.clone();
        if let Some(run) = &mut job.run {
            run.spent_usd_micros = Some(usd_micros);
        }
        if job == *self { Err(TransitionRefusal::AlreadyDone) } else { Ok(job) }
    }

    pub fn with_cost(mut self, usd_micros: u64) -> Self {
        self.spent_usd_micros = self.spent_usd_micros.saturating_add(usd_micros).min(MAX_USD_MICROS);
        self
    }
}
