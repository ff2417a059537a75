//! The limits of a ticket's life: money and jobs over all its jobs.
//! A new job reserves money in the item of its ticket; its end replaces the reservation by the job's cost. The
//! reservations add up to at most the limit, so parallel jobs cannot exceed it. A raise adds to the limit for a time.

mod raise;

use crate::project::Settings;
use crate::project::budget::format_usd;
use crate::text::decision::Reason;
use crate::text::id::{ProjectId, TicketKey};
use crate::text::pull_request_id::PullRequestId;
use crate::text::time::Timestamp;
use crate::text::{Cause, OrWait, format_count};
pub use raise::{
    DEFAULT_RAISE_TIME, MAX_RAISE_TIME, MAX_RAISES, MAX_RAISES_WITHOUT_ADMIN, Raise, RaiseAmount, RaiseFault,
    RaiseResult, RaiseRight,
};
use serde::{Deserialize, Serialize};

/// A smaller rest of the limit refuses a job: it could not pay one request to a model.
pub(crate) const MIN_USD_MICROS: u64 = 10_000;

/// The ticket of a job, or the pull request of a review without a ticket. A ticket that is created again under the key of
/// a deleted ticket keeps its sums.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpentOn {
    Ticket(TicketKey),
    PullRequest(PullRequestId),
}

/// The limits in the settings. `None`: no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpendingLimits {
    /// Units: millionths of a US dollar.
    pub usd_micros: Option<u64>,
    pub jobs: Option<u32>,
    /// Left for another job where possible. Units: millionths of a US dollar.
    pub usd_micros_per_job: u64,
}

impl From<&Settings> for SpendingLimits {
    fn from(settings: &Settings) -> Self {
        let usd_micros_per_job = settings.budget.usd_micros_per_job;
        Self {
            usd_micros: settings.limits.ticket_usd_micros.map(|limit| limit.max(usd_micros_per_job)),
            jobs: settings.limits.ticket_jobs,
            usd_micros_per_job,
        }
    }
}

impl SpendingLimits {
    pub fn has_limit(&self) -> bool {
        self.usd_micros.is_some() || self.jobs.is_some()
    }
}

/// Money and jobs that a ticket or pull request has used. Both count only while the project has a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    pub project: ProjectId,
    pub of: SpentOn,
    /// Jobs created, without those that ended before an agent worked.
    pub jobs: u32,
    /// Attempts of its ended jobs.
    pub attempts: u32,
    /// Spent and reserved. Units: millionths of a US dollar.
    pub taken_usd_micros: u64,
    pub spent_usd_micros: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub raises: Vec<Raise>,
    pub rev: u64,
}

/// The part of a job in its ticket's spending. An older version stores only the first two fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCharge {
    pub of: SpentOn,
    /// Reserved money, which all attempts of the job share. `None` without a limit of money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
    /// The most that an attempt may use of it if the project has no `limits.cost_usd`. See [`Spending::reserve`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt_usd_micros: Option<u64>,
    /// The limits of attempts whose cost no runner reported.
    #[serde(default, skip_serializing_if = "crate::text::stored::is_default")]
    pub lost_usd_micros: u64,
}

/// The limits in force and their use, as a guard compares them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendingFact {
    /// The name of the ticket or pull request.
    pub subject: String,
    /// `tickets` or `pulls`: the command that raises the limit.
    pub command: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<u32>,
    pub jobs: u32,
    pub taken_usd_micros: u64,
    pub spent_usd_micros: u64,
}

impl SpendingFact {
    /// Returns the reason why no further job may start.
    pub fn refusal(&self) -> Option<Reason> {
        let refuse = |used: String, limit: String, options: &str| {
            let SpendingFact { subject, command, .. } = self;
            let raise = Cause(format!("{command} raise {subject} {options}"));
            let or_wait = OrWait(self.is_only_reserved());
            Some(Reason::TicketLimit { ticket: subject.clone(), used, limit, raise, or_wait })
        };
        let max_jobs = self.max_jobs.filter(|max| self.jobs >= *max);
        if let Some(limit) = self.usd_micros
            && self.has_no_money(self.taken_usd_micros)
        {
            let (spent, reserved) =
                (self.spent_usd_micros, self.taken_usd_micros.saturating_sub(self.spent_usd_micros));
            let used = match reserved {
                0 => format_usd(spent),
                _ => format!("{} and reserved {}", format_usd(spent), format_usd(reserved)),
            };
            let (limit, jobs) = (format_usd(limit), self.jobs);
            return match max_jobs {
                None => refuse(used, format!("{limit} in {}", format_count(jobs, "job")), "--usd 20"),
                Some(max) => {
                    let limits = format!("{limit} and {jobs} of {}", format_count(max, "job"));
                    refuse(used, limits, "--usd 20 --jobs 5")
                }
            };
        }
        refuse(self.jobs.to_string(), format_count(max_jobs?, "job"), "--jobs 5")
    }

    /// Whether the reservations of running jobs are the only reason for a refusal. The end of a job returns its unused
    /// money. Any other refusal needs a raise.
    pub fn is_only_reserved(&self) -> bool {
        let has_jobs = self.max_jobs.is_none_or(|max| self.jobs < max);
        has_jobs && self.has_no_money(self.taken_usd_micros) && !self.has_no_money(self.spent_usd_micros)
    }

    fn has_no_money(&self, used_usd_micros: u64) -> bool {
        self.usd_micros.is_some_and(|limit| limit.saturating_sub(used_usd_micros) < MIN_USD_MICROS)
    }
}

impl Spending {
    pub fn new(project: ProjectId, of: SpentOn) -> Self {
        Self { project, of, jobs: 0, attempts: 0, taken_usd_micros: 0, spent_usd_micros: 0, raises: Vec::new(), rev: 0 }
    }

    /// The limits with the raises in force.
    pub fn limits_in_force(&self, limits: &SpendingLimits, now: Timestamp) -> SpendingLimits {
        let in_force = || self.raises.iter().filter(|raise| now < raise.until);
        SpendingLimits {
            usd_micros: limits
                .usd_micros
                .map(|limit| in_force().map(|raise| raise.usd_micros).fold(limit, u64::saturating_add)),
            jobs: limits.jobs.map(|limit| in_force().map(|raise| raise.jobs).fold(limit, u32::saturating_add)),
            ..*limits
        }
    }

    /// `$41.20 of $50.00, 6 of 20 jobs, 8 attempts`. `limits`: those in force.
    pub fn describe(&self, limits: &SpendingLimits) -> String {
        let (spent, reserved) = (self.spent_usd_micros, self.taken_usd_micros.saturating_sub(self.spent_usd_micros));
        let mut money = format_usd(spent);
        if reserved > 0 {
            money.push_str(&format!(" and {} reserved", format_usd(reserved)));
        }
        if let Some(limit) = limits.usd_micros {
            money.push_str(&format!(" of {}", format_usd(limit)));
        }
        let jobs = match limits.jobs {
            Some(max) => format!("{} of {}", self.jobs, format_count(max, "job")),
            None => format_count(self.jobs, "job"),
        };
        format!("{money}, {jobs}, {}", format_count(self.attempts, "attempt"))
    }

    /// `label` is the name of the pull request.
    pub fn fact(&self, limits: &SpendingLimits, label: Option<&str>, now: Timestamp) -> SpendingFact {
        let limits = self.limits_in_force(limits, now);
        let (subject, command) = match &self.of {
            SpentOn::Ticket(key) => (key.to_string(), "tickets"),
            SpentOn::PullRequest(id) => (label.map_or_else(|| id.to_string(), str::to_owned), "pulls"),
        };
        SpendingFact {
            subject,
            command: command.into(),
            usd_micros: limits.usd_micros,
            max_jobs: limits.jobs,
            jobs: self.jobs,
            taken_usd_micros: self.taken_usd_micros,
            spent_usd_micros: self.spent_usd_micros,
        }
    }
}

#[cfg(test)]
mod tests;
