//! A project's daily budget of jobs and dollars.
//! A new job reserves `usd_micros_per_job`; its end replaces the reservation by the job's cost. Days are in UTC. A job
//! belongs to the day on which it was created.

use crate::text::decision::Reason;
use crate::text::format_count;
use crate::text::id::ProjectId;
use crate::text::setting_fault::{SettingFault, fault};
pub use crate::text::time::Day;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) const MAX_USD_MICROS: u64 = 1_000_000_000_000;

const MAX_JOBS: u32 = 1_000_000;

/// A project's limits per day. Usage is only counted if there is a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    pub jobs_per_day: Option<u32>,
    /// Most money spent and reserved per day. Units: millionths of a US dollar.
    pub usd_micros_per_day: Option<u64>,
    /// Reserved by a job until its cost is known at its end. Units: millionths of a US dollar.
    pub usd_micros_per_job: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { jobs_per_day: None, usd_micros_per_day: None, usd_micros_per_job: 5_000_000 }
    }
}

impl Budget {
    pub fn has_limit(&self) -> bool {
        self.jobs_per_day.is_some() || self.usd_micros_per_day.is_some()
    }

    pub fn refusal(&self, project: &ProjectId, today: &DailyUsage) -> Option<Reason> {
        let exhausted = |used, limit| {
            Some(Reason::BudgetExhausted { project: project.clone(), used, limit, time: today.day.end() })
        };
        if let Some(max) = self.jobs_per_day
            && today.jobs >= max
        {
            return exhausted(today.jobs.to_string(), format_count(max, "job"));
        }
        let max = self.usd_micros_per_day?;
        if today.taken_usd_micros.saturating_add(self.usd_micros_per_job) <= max {
            return None;
        }
        let (spent, reserved) = (format_usd(today.spent_usd_micros), today.reserved_usd_micros());
        let used = if reserved == 0 { spent } else { format!("{spent} and reserved {}", format_usd(reserved)) };
        exhausted(used, format_usd(max))
    }

    /// How many further jobs fit into today. `control` wakes at most that many held tickets.
    pub fn remaining_jobs(&self, today: &DailyUsage) -> u32 {
        let by_jobs = self.jobs_per_day.map(|limit| limit.saturating_sub(today.jobs));
        let by_dollars = self.usd_micros_per_day.map(|limit| {
            let remaining = limit.saturating_sub(today.taken_usd_micros);
            u32::try_from(remaining / self.usd_micros_per_job.max(1)).unwrap_or(u32::MAX)
        });
        by_jobs.unwrap_or(u32::MAX).min(by_dollars.unwrap_or(u32::MAX))
    }

    pub fn reserve(&self, now: Timestamp) -> Option<Reservation> {
        self.has_limit().then(|| Reservation { day: Day::containing(now), usd_micros: self.usd_micros_per_job })
    }

    pub(crate) fn check(&self) -> Result<(), SettingFault> {
        if self.jobs_per_day.is_some_and(|jobs| !(1..=MAX_JOBS).contains(&jobs)) {
            return fault("/budget/jobs_per_day", "use 1 to 1000000, or no limit; to stop a project, put it on hold");
        }
        if self.usd_micros_per_job > MAX_USD_MICROS {
            return fault("/budget/usd_micros_per_job", "use at most $1,000,000 (1000000000000 millionths)");
        }
        match self.usd_micros_per_day {
            Some(limit) if limit > MAX_USD_MICROS => {
                fault("/budget/usd_micros_per_day", "use at most $1,000,000 (1000000000000 millionths)")
            }
            Some(_) if self.usd_micros_per_job == 0 => {
                fault("/budget/usd_micros_per_job", "a dollar limit needs a reservation per job")
            }
            Some(limit) if limit < self.usd_micros_per_job => {
                fault("/budget/usd_micros_per_day", "it is less than the reservation of one job, so no job could start")
            }
            _ => Ok(()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyUsage {
    pub day: Day,
    /// Jobs created, without those that ended before an agent worked.
    pub jobs: u32,
    pub taken_usd_micros: u64,
    pub spent_usd_micros: u64,
}

impl DailyUsage {
    pub fn zero(day: Day) -> Self {
        Self { day, jobs: 0, taken_usd_micros: 0, spent_usd_micros: 0 }
    }

    pub fn reserved_usd_micros(&self) -> u64 {
        self.taken_usd_micros.saturating_sub(self.spent_usd_micros)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub day: Day,
    pub usd_micros: u64,
}

/// One job and its dollars, added to the day's counters by the transaction that creates the job. The transaction checks
/// the limits of `Budget::refusal` again, because concurrent creations may all have read the same usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    pub project: ProjectId,
    pub day: Day,
    pub usd_micros: u64,
    pub jobs_below: Option<u32>,
    /// Condition: `taken_usd_micros` is at most the limit minus the reservation. Units: millionths of a US dollar.
    pub usd_micros_at_most: Option<u64>,
}

/// The change of the day's counters when a job ends: minus `jobs` and `reserved_usd_micros`, plus `spent_usd_micros`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refund {
    pub project: ProjectId,
    pub day: Day,
    /// 1 if no agent worked on the job, otherwise 0.
    pub jobs: u32,
    pub reserved_usd_micros: u64,
    /// May exceed the reservation. Units: millionths of a US dollar.
    pub spent_usd_micros: u64,
}

pub fn format_usd(micros: u64) -> String {
    let cents = micros.saturating_add(5_000) / 10_000;
    format!("${}.{:02}", cents / 100, cents % 100)
}

/// Formats an amount as users write it, without rounding: `2.50`. Units: millionths of a US dollar.
pub fn format_usd_exact(micros: u64) -> String {
    let part = format!("{:06}", micros % 1_000_000);
    let (cents, rest) = part.split_at(2);
    format!("{}.{cents}{}", micros / 1_000_000, rest.trim_end_matches('0'))
}

/// Parses dollars with up to six decimals, never through a float. Units: millionths of a US dollar.
pub fn parse_usd_micros(text: &str) -> Result<u64, String> {
    let (dollars, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parse = || {
        let part = (is_digits(dollars) && is_digits(part) && part.len() <= 6).then(|| format!("{part:0<6}"))?;
        dollars.parse::<u64>().ok()?.checked_mul(1_000_000)?.checked_add(part.parse().ok()?)
    };
    parse().ok_or_else(|| "use dollars, such as 50 or 2.50".into())
}

#[cfg(test)]
mod tests;
