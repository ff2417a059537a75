//! The limits of a ticket's life: money and jobs over all its jobs.
//! A new job reserves money in the item of its ticket; its end replaces the reservation by the job's cost. The
//! reservations add up to at most the limit, so parallel jobs cannot exceed it. A raise adds to the limit for a time.

mod raise;

use crate::budget::format_usd;
use crate::decision::Reason;
use crate::failure::Failure;
use crate::id::{ProjectId, TicketKey};
use crate::job::{AgentWrites, End, Job, JobStatus};
use crate::project::Settings;
use crate::pull_request_id::PullRequestId;
use crate::text::{Cause, OrWait, format_count};
use crate::time::Timestamp;
pub use raise::{
    DEFAULT_RAISE_TIME, MAX_RAISE_TIME, MAX_RAISES, MAX_RAISES_WITHOUT_ADMIN, Raise, RaiseAmount, RaiseFault,
    RaiseResult, RaiseRight,
};
use serde::{Deserialize, Serialize};

/// A smaller rest of the limit refuses a job: it could not pay one request to a model.
const MIN_USD_MICROS: u64 = 10_000;

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
    #[serde(default, skip_serializing_if = "crate::job::is_default")]
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

    /// Adds a new job. `None` if the limits have no room for it.
    ///
    /// A job that changes files reserves the rest of the limit, minus the reservation of one job for a concurrent review
    /// if the rest has room for two. A review reserves half of the rest, so that a raise increases it, but at least the
    /// reservation of one job.
    ///
    /// An attempt may use half of its job's reservation, but at least the reservation of one job. A lost attempt counts
    /// with its whole limit, and the next attempt needs the other half. `limits.cost_usd` replaces the half.
    pub fn reserve(&self, limits: &SpendingLimits, writes: AgentWrites, now: Timestamp) -> Option<(Self, JobCharge)> {
        if self.fact(limits, None, now).refusal().is_some() {
            return None;
        }
        let left = self.limits_in_force(limits, now).usd_micros.map(|max| max.saturating_sub(self.taken_usd_micros));
        let usd_micros = left.map(|left| {
            // Without a reservation per job, a job takes all.
            let unit = if limits.usd_micros_per_job == 0 { left } else { limits.usd_micros_per_job.min(left) };
            let reserved = match writes {
                AgentWrites::Tree if left / 2 >= unit => left - unit,
                AgentWrites::Tree => left,
                AgentWrites::OutputFile => unit.max(left / 2),
            };
            (reserved, unit.max(reserved / 2))
        });
        let (usd_micros, attempt_usd_micros) = usd_micros.unzip();
        let next = Self {
            jobs: self.jobs.saturating_add(1),
            taken_usd_micros: self.taken_usd_micros.saturating_add(usd_micros.unwrap_or(0)),
            ..self.clone()
        };
        Some((next, JobCharge { of: self.of.clone(), usd_micros, attempt_usd_micros, lost_usd_micros: 0 }))
    }

    /// Replaces the reservation of an ended job by its cost. A job that no agent worked on does not count.
    #[must_use]
    pub fn settle(&self, ended: &Job, charge: &JobCharge) -> Self {
        let reserved = charge.usd_micros.unwrap_or(0);
        let spent = ended.spent_usd_micros.saturating_add(charge.lost_usd_micros);
        Self {
            jobs: self.jobs.saturating_sub(u32::from(!ended.worked)),
            attempts: self.attempts.saturating_add(ended.attempt),
            taken_usd_micros: self.taken_usd_micros.saturating_sub(reserved).saturating_add(spent),
            spent_usd_micros: self.spent_usd_micros.saturating_add(spent),
            ..self.clone()
        }
    }
}

impl Job {
    /// The spending that the job counts in. A prompt, an analysis and a step of a run have none: the limits of job, run
    /// and day apply to them. `linked`: the ticket of its pull request.
    pub fn spent_on(&self, linked: Option<&TicketKey>) -> Option<SpentOn> {
        if self.step.is_some() {
            return None;
        }
        let ticket = self.ticket.as_ref().or(linked.filter(|_| self.revises.is_some()));
        ticket.cloned().map(SpentOn::Ticket).or_else(|| self.pull_request().map(SpentOn::PullRequest))
    }

    /// The charge of an ended job, which its end returns.
    pub fn ended_charge(&self) -> Option<&JobCharge> {
        self.charged.as_ref().filter(|_| self.status.is_terminal())
    }

    /// Money for the next attempt: the limit of an attempt, or the rest of the reservation if that is less. `None`: no
    /// limit.
    pub fn attempt_cost_limit(&self) -> Option<u64> {
        let limit = self.attempt_limit();
        // The run has reserved the limit once, for all attempts of the step's job.
        let limit = match self.step {
            Some(_) => limit.map(|limit| limit.saturating_sub(self.spent_usd_micros)),
            None => limit,
        };
        match (limit, self.reservation_left()) {
            (Some(limit), Some(left)) => Some(limit.min(left)),
            (limit, left) => limit.or(left),
        }
    }

    /// The limit of each attempt: `limits.cost_usd`, otherwise its part of the job's reservation.
    fn attempt_limit(&self) -> Option<u64> {
        self.policy.cost_usd_micros.or_else(|| self.charged.as_ref()?.attempt_usd_micros)
    }

    fn reservation_left(&self) -> Option<u64> {
        let charge = self.charged.as_ref()?;
        let used = self.spent_usd_micros.saturating_add(charge.lost_usd_micros);
        Some(charge.usd_micros?.saturating_sub(used))
    }

    /// Counts an attempt that ends without a finish: the cost that its runner reported when it stopped, otherwise its
    /// limit. The agent may have used all of it, so a smaller sum could exceed the ticket's limit. Before the status
    /// Executing, no agent has worked.
    #[must_use]
    pub(crate) fn count_lost_attempt(mut self) -> Self {
        if let Some(spent) = self.run.as_ref().and_then(|run| run.spent_usd_micros) {
            return self.with_cost(spent);
        }
        let has_agent = matches!(self.status, JobStatus::Executing | JobStatus::Syncing);
        let limit = self.attempt_cost_limit().filter(|_| has_agent);
        if let (Some(charge), Some(limit)) = (&mut self.charged, limit)
            && charge.usd_micros.is_some()
        {
            charge.lost_usd_micros = charge.lost_usd_micros.saturating_add(limit);
        }
        self
    }

    /// The failure of a lost attempt that has used the rest of the job's reservation: an agent could not make one request
    /// with it. `pull_request`: as in [`Job::name_limit_of`].
    pub fn failure_after_loss(&self, pull_request: Option<&str>) -> Option<Failure> {
        let lost = self.clone().count_lost_attempt();
        let charge = lost.charged.as_ref().filter(|_| lost.has_used_reservation())?;
        Some(name_ticket_limit(charge, lost.describe_used(charge), pull_request))
    }

    fn has_used_reservation(&self) -> bool {
        self.reservation_left().is_some_and(|left| left < MIN_USD_MICROS)
    }

    /// The cost of all attempts. Lost ones may have used less than they count with.
    fn describe_used(&self, charge: &JobCharge) -> String {
        let used = format_usd(self.spent_usd_micros.saturating_add(charge.lost_usd_micros));
        if charge.lost_usd_micros > 0 { format!("up to {used}") } else { used }
    }

    /// Names the ticket's limit in an end that its reservation caused. `self` is the job before the attempt's cost,
    /// `pull_request` the name of its pull request.
    pub fn name_limit_of(&self, end: End, pull_request: Option<&str>) -> End {
        match end {
            End::Failed(failure, result) => End::Failed(self.name_limit(failure, pull_request), result),
            end => end,
        }
    }

    /// Whether the rest of the reservation limits the attempt. Otherwise `limits.cost_usd` would let it use more.
    fn is_limited_by_reservation(&self) -> bool {
        self.reservation_left().is_some_and(|left| match self.policy.cost_usd_micros {
            Some(limit) => left < limit,
            None => self.attempt_limit().is_none_or(|limit| left <= limit),
        })
    }

    fn name_limit(&self, failure: Failure, pull_request: Option<&str>) -> Failure {
        match (failure, &self.charged) {
            (Failure::CostLimit { spent, .. }, Some(charge)) if self.is_limited_by_reservation() => {
                // An attempt without money spent nothing; earlier ones used the reservation.
                let spent = if self.has_used_reservation() { self.describe_used(charge) } else { spent };
                name_ticket_limit(charge, spent, pull_request)
            }
            (failure, _) => failure,
        }
    }
}

fn name_ticket_limit(charge: &JobCharge, spent: String, pull_request: Option<&str>) -> Failure {
    let limit = format_usd(charge.usd_micros.unwrap_or(0));
    let (ticket, raise) = match &charge.of {
        SpentOn::Ticket(key) => (key.to_string(), format!("tickets raise {key}")),
        SpentOn::PullRequest(id) => (
            pull_request.map_or_else(|| format!("pull request {}", id.number), str::to_owned),
            format!("pulls raise {}", pull_request.unwrap_or("PR")),
        ),
    };
    Failure::TicketLimit { spent, limit, ticket, raise: Cause(raise) }
}

#[cfg(test)]
mod tests;
