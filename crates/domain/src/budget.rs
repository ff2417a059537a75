//! What a project may use up in a day: jobs and dollars.
//!
//! Owns the rule: what a job reserves when it is made, when that is refused, and what comes back when the job
//! ends. Only what may still be taken is handed to the transaction, so that the rule is written down once.
//! A day is one in UTC, and a job belongs to the day it was made on, however long it works.

use crate::decision::Reason;
use crate::id::ProjectId;
use crate::setting_fault::SettingFault;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The most dollars that a limit may name. Units: millionths of a US dollar.
pub(crate) const MOST: u64 = 1_000_000_000_000;

/// The most jobs that a limit may name.
const MOST_JOBS: u32 = 1_000_000;

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What a project may use up on each day. Without a limit nothing is counted.
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// At most so many jobs are made.
    pub jobs_per_day: Option<u32>,
    /// At most so much is spent and reserved. Units: millionths of a US dollar.
    pub usd_micros_per_day: Option<u64>,
    /// What a job reserves until it ends, and what it cost is known. Units: millionths of a US dollar.
    pub usd_micros_per_job: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { jobs_per_day: None, usd_micros_per_day: None, usd_micros_per_job: 5_000_000 }
    }
}

impl Budget {
    /// There is a limit.
    pub fn is_set(&self) -> bool {
        self.jobs_per_day.is_some() || self.usd_micros_per_day.is_some()
    }

    /// Why no further job may be made today, if so.
    pub fn refuses(&self, project: &ProjectId, today: &Today) -> Option<Reason> {
        let exhausted = |used, limit| {
            Some(Reason::BudgetExhausted { project: project.clone(), used, limit, time: today.day.end() })
        };
        if let Some(most) = self.jobs_per_day
            && today.jobs >= most
        {
            return exhausted(today.jobs.to_string(), jobs(most));
        }
        let most = self.usd_micros_per_day?;
        if today.taken_usd_micros.saturating_add(self.usd_micros_per_job) <= most {
            return None;
        }
        let (spent, reserved) = (usd(today.spent_usd_micros), today.reserved_usd_micros());
        let used = if reserved == 0 { spent } else { format!("{spent} and reserved {}", usd(reserved)) };
        exhausted(used, usd(most))
    }

    /// How many further jobs today leaves room for.
    pub fn room(&self, today: &Today) -> u32 {
        let by_jobs = self.jobs_per_day.map(|most| most.saturating_sub(today.jobs));
        let by_dollars = self.usd_micros_per_day.map(|most| {
            let left = most.saturating_sub(today.taken_usd_micros);
            u32::try_from(left / self.usd_micros_per_job.max(1)).unwrap_or(u32::MAX)
        });
        by_jobs.unwrap_or(u32::MAX).min(by_dollars.unwrap_or(u32::MAX))
    }

    /// What a job that is made now reserves.
    pub fn reserve(&self, now: Timestamp) -> Option<Reserved> {
        self.is_set().then(|| Reserved { day: Day::of(now), usd_micros: self.usd_micros_per_job })
    }

    /// Refuses a budget under which nothing could start.
    pub(crate) fn check(&self) -> Result<(), SettingFault> {
        let fault = |pointer, fault: &'static str| Err(SettingFault { pointer, fault: fault.into() });
        if self.jobs_per_day.is_some_and(|jobs| !(1..=MOST_JOBS).contains(&jobs)) {
            return fault("/budget/jobs_per_day", "use 1 to 1000000, or null for no limit; a hold stops a project");
        }
        if self.usd_micros_per_job > MOST {
            return fault("/budget/usd_micros_per_job", "use at most 1000000000000, a million dollars");
        }
        match self.usd_micros_per_day {
            Some(most) if most > MOST => {
                fault("/budget/usd_micros_per_day", "use at most 1000000000000, a million dollars")
            }
            Some(_) if self.usd_micros_per_job == 0 => {
                fault("/budget/usd_micros_per_job", "a limit in dollars holds only if each job reserves some")
            }
            Some(most) if most < self.usd_micros_per_job => {
                fault("/budget/usd_micros_per_day", "it is less than one job reserves, so no job could ever start")
            }
            _ => Ok(()),
        }
    }
}

/// A day in UTC, by its first instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(Timestamp);

impl Day {
    /// The day of this instant.
    pub fn of(at: Timestamp) -> Self {
        let length = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
        Self(Timestamp::from_millis(at.millis() - at.millis().rem_euclid(length)))
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        self.0
    }

    /// The first instant that is not of it any more.
    pub fn end(self) -> Timestamp {
        self.0.plus(DAY)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.day())
    }
}

/// What a project has used up on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Today {
    /// Which day.
    pub day: Day,
    /// Jobs that were made, but those that ended before an agent worked.
    pub jobs: u32,
    /// What its jobs spent, and what those that have not ended reserve. Units: millionths of a US dollar.
    pub taken_usd_micros: u64,
    /// What its ended jobs spent. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
}

impl Today {
    /// A day on which nothing was used up.
    pub fn unused(day: Day) -> Self {
        Self { day, jobs: 0, taken_usd_micros: 0, spent_usd_micros: 0 }
    }

    /// What jobs that have not ended reserve. Units: millionths of a US dollar.
    pub fn reserved_usd_micros(&self) -> u64 {
        self.taken_usd_micros.saturating_sub(self.spent_usd_micros)
    }
}

/// What a job took from its day when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// Which day.
    pub day: Day,
    /// Beside one job. Units: millionths of a US dollar.
    pub usd_micros: u64,
}

/// What making a job takes from a day: one job, and dollars. The transaction proves the two bounds, which say
/// what the guard saw as arithmetic on the stored item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose.
    pub project: ProjectId,
    /// Which day.
    pub day: Day,
    /// What is reserved. Units: millionths of a US dollar.
    pub usd_micros: u64,
    /// Only if fewer jobs were made before.
    pub jobs_below: Option<u32>,
    /// Only if no more was taken before. Units: millionths of a US dollar.
    pub usd_micros_at_most: Option<u64>,
}

/// What the end of a job gives back to the day it was made on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// Whose.
    pub project: ProjectId,
    /// Which day.
    pub day: Day,
    /// How many jobs: one, if no agent ever worked on it.
    pub jobs: u32,
    /// What was reserved. Units: millionths of a US dollar.
    pub reserved_usd_micros: u64,
    /// What of it, or beyond it, was spent. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
}

/// An amount as people write it, to the cent: `$1.50`. Units: millionths of a US dollar.
pub fn usd(micros: u64) -> String {
    let cents = micros.saturating_add(5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// `1 job`, `20 jobs`.
fn jobs(count: u32) -> String {
    format!("{count} job{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
