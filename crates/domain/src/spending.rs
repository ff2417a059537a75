//! The limits of a ticket's life: money and jobs over all its jobs.
//! A new job reserves money in the item of its ticket; its end replaces the reservation by the job's cost. The
//! reservations add up to at most the limit, so parallel jobs cannot exceed it. A raise adds to the limit for a time.

use crate::budget::{MAX_USD_MICROS, format_usd, parse_usd_micros};
use crate::decision::Reason;
use crate::failure::Failure;
use crate::id::{ProjectId, TicketKey};
use crate::job::{AgentWrites, End, Job};
use crate::project::Settings;
use crate::pull_request_id::PullRequestId;
use crate::text::format_count;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Less money counts as nothing: a job could not make one request with it.
const MIN_USD_MICROS: u64 = 10_000;

/// Raises that are stored at once. An expired one gives its place to a new one.
pub const MAX_RAISES: usize = 10;

const MAX_RAISE_JOBS: u32 = 1_000;

pub const DEFAULT_RAISE_TIME: Duration = Duration::from_secs(7 * 24 * 3_600);

pub const MAX_RAISE_TIME: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The ticket of a job, or the pull request of a review without a ticket. A ticket created again under the key of a
/// deleted one goes on with its sums.
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

/// What the jobs of a ticket or pull request have used. Counted only while there is a limit.
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

/// An addition to the limits until a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// The id of the request or comment, so that its repeat raises nothing.
    pub id: String,
    pub by: String,
    pub at: Timestamp,
    pub usd_micros: u64,
    pub jobs: u32,
    pub until: Timestamp,
}

/// The part of a job in its ticket's spending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCharge {
    pub of: SpentOn,
    /// Reserved money, which all attempts of the job share. `None` without a limit of money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usd_micros: Option<u64>,
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
    /// Returns the reason why no further job may start. Only a raise changes it, so nothing waits for it.
    pub fn refusal(&self) -> Option<Reason> {
        let refuse = |used: String, limit: String, option: &str| {
            let SpendingFact { subject, command, .. } = self;
            let raise = format!("{command} raise {subject} {option}");
            Some(Reason::TicketLimit { ticket: subject.clone(), used, limit, raise })
        };
        if let Some(limit) = self.usd_micros
            && limit.saturating_sub(self.taken_usd_micros) < MIN_USD_MICROS
        {
            let (spent, reserved) =
                (self.spent_usd_micros, self.taken_usd_micros.saturating_sub(self.spent_usd_micros));
            let used = match reserved {
                0 => format_usd(spent),
                _ => format!("{} and reserved {}", format_usd(spent), format_usd(reserved)),
            };
            return refuse(used, format!("{} in {}", format_usd(limit), format_count(self.jobs, "job")), "--usd 20");
        }
        let max = self.max_jobs.filter(|max| self.jobs >= *max)?;
        refuse(self.jobs.to_string(), format_count(max, "job"), "--jobs 5")
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

    /// Adds a new job. A job that changes files reserves all that is left, but leaves the reservation of one job for a
    /// review beside it if two are left. A review reserves one. `None` if the limits have no room for the job.
    pub fn reserve(&self, limits: &SpendingLimits, writes: AgentWrites, now: Timestamp) -> Option<(Self, JobCharge)> {
        if self.fact(limits, None, now).refusal().is_some() {
            return None;
        }
        let left = self.limits_in_force(limits, now).usd_micros.map(|max| max.saturating_sub(self.taken_usd_micros));
        let usd_micros = left.map(|left| {
            // Without a reservation per job, a job takes all.
            let unit = if limits.usd_micros_per_job == 0 { left } else { limits.usd_micros_per_job.min(left) };
            match writes {
                AgentWrites::Tree if left / 2 >= unit => left - unit,
                AgentWrites::Tree => left,
                AgentWrites::OutputFile => unit,
            }
        });
        let next = Self {
            jobs: self.jobs.saturating_add(1),
            taken_usd_micros: self.taken_usd_micros.saturating_add(usd_micros.unwrap_or(0)),
            ..self.clone()
        };
        Some((next, JobCharge { of: self.of.clone(), usd_micros }))
    }

    /// Replaces the reservation of an ended job by its cost. A job that no agent worked on does not count.
    #[must_use]
    pub fn settle(&self, ended: &Job, charge: &JobCharge) -> Self {
        let reserved = charge.usd_micros.unwrap_or(0);
        let spent = ended.spent_usd_micros;
        Self {
            jobs: self.jobs.saturating_sub(u32::from(!ended.worked)),
            attempts: self.attempts.saturating_add(ended.attempt),
            taken_usd_micros: self.taken_usd_micros.saturating_sub(reserved).saturating_add(spent),
            spent_usd_micros: self.spent_usd_micros.saturating_add(spent),
            ..self.clone()
        }
    }
}

/// The right of the person who raises a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaiseRight {
    /// Any amount.
    Admin,
    /// All raises in force add up to at most the limit itself.
    Jobs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaiseResult {
    Raised(Spending),
    /// A raise with this id is stored.
    Repeat,
}

/// A raise that is refused: the field of the request, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RaiseFault {
    pub pointer: &'static str,
    pub fault: String,
}

/// The amount of a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaiseAmount {
    /// Units: millionths of a US dollar.
    pub usd_micros: u64,
    pub jobs: u32,
}

impl RaiseAmount {
    /// Parses the first line of a comment: `/pullyard raise 20` in dollars, or `/pullyard raise 5 jobs`. `None` for
    /// another comment.
    pub fn parse_comment(text: &str) -> Option<Result<Self, String>> {
        let words: Vec<&str> = text.lines().next()?.split_whitespace().collect();
        let ["/pullyard", "raise", amount @ ..] = &words[..] else { return None };
        Some(match amount {
            [usd] => parse_usd_micros(usd.trim_start_matches('$')).map(|usd_micros| Self { usd_micros, jobs: 0 }),
            [jobs, "job" | "jobs"] => {
                jobs.parse().map(|jobs| Self { usd_micros: 0, jobs }).map_err(|_| "use a number of jobs".into())
            }
            _ => Err("write `/pullyard raise 20` for dollars, or `/pullyard raise 5 jobs`".into()),
        })
    }
}

impl Spending {
    /// Adds a raise. An expired raise ends no job: a job keeps the money that it reserved.
    pub fn raise(&self, raise: Raise, limits: &SpendingLimits, right: RaiseRight) -> Result<RaiseResult, RaiseFault> {
        let fault = |pointer, fault: String| Err(RaiseFault { pointer, fault });
        if self.raises.iter().any(|stored| stored.id == raise.id) {
            return Ok(RaiseResult::Repeat);
        }
        if raise.usd_micros == 0 && raise.jobs == 0 {
            return fault("/usd_micros", "raise by at least $0.01 or one job".into());
        }
        if raise.usd_micros > 0 && !(MIN_USD_MICROS..=MAX_USD_MICROS).contains(&raise.usd_micros) {
            return fault("/usd_micros", "use $0.01 to $1,000,000".into());
        }
        if raise.jobs > MAX_RAISE_JOBS {
            return fault("/jobs", format!("use at most {MAX_RAISE_JOBS} jobs"));
        }
        if raise.until <= raise.at || raise.until > raise.at.plus(MAX_RAISE_TIME) {
            return fault("/for_secs", "use at most 30 days".into());
        }
        if raise.usd_micros > 0 && limits.usd_micros.is_none() {
            return fault("/usd_micros", "the project has no `limits.ticket_usd` to raise".into());
        }
        if raise.jobs > 0 && limits.jobs.is_none() {
            return fault("/jobs", "the project has no `limits.ticket_jobs` to raise".into());
        }
        let mut raises = self.raises.clone();
        if raises.len() >= MAX_RAISES {
            raises.retain(|stored| raise.at < stored.until);
        }
        if raises.len() >= MAX_RAISES {
            let end = raises.iter().map(|stored| stored.until).min().unwrap_or(raise.at);
            let rule =
                format!("{MAX_RAISES} raises are in force until {end}; raise `limits.ticket_usd` of the project");
            return fault("/usd_micros", rule);
        }
        let raised = Self { raises: [raises, vec![raise.clone()]].concat(), ..self.clone() };
        let in_force = raised.limits_in_force(limits, raise.at);
        if right == RaiseRight::Jobs {
            if let (Some(limit), Some(raised)) = (limits.usd_micros, in_force.usd_micros)
                && raise.usd_micros > 0
                && raised > limit.saturating_mul(2)
            {
                let rule = format!("without the scope `admin`, all raises add up to at most {}", format_usd(limit));
                return fault("/usd_micros", rule);
            }
            if let (Some(limit), Some(raised)) = (limits.jobs, in_force.jobs)
                && raise.jobs > 0
                && raised > limit.saturating_mul(2)
            {
                let rule = format!("without the scope `admin`, all raises add up to at most {limit} jobs");
                return fault("/jobs", rule);
            }
        }
        Ok(RaiseResult::Raised(raised))
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
        let limit = self.policy.cost_usd_micros;
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

    fn reservation_left(&self) -> Option<u64> {
        let reserved = self.charged.as_ref()?.usd_micros?;
        Some(reserved.saturating_sub(self.spent_usd_micros))
    }

    /// Names the ticket's limit in an end that its reservation caused. `self` is the job before the attempt's cost.
    pub fn name_limit_of(&self, end: End) -> End {
        match end {
            End::Failed(failure, result) => End::Failed(self.name_limit(failure), result),
            end => end,
        }
    }

    fn name_limit(&self, failure: Failure) -> Failure {
        let is_reservation =
            self.reservation_left().is_some_and(|left| self.policy.cost_usd_micros.is_none_or(|limit| left < limit));
        match failure {
            Failure::CostLimit { spent, .. } if is_reservation => {
                let reserved = self.charged.as_ref().and_then(|charge| charge.usd_micros).unwrap_or(0);
                let (subject, command) = match self.charged.as_ref().map(|charge| &charge.of) {
                    Some(SpentOn::Ticket(key)) => (key.to_string(), format!("tickets raise {key}")),
                    Some(SpentOn::PullRequest(id)) => (format!("pull request {}", id.number), "pulls raise PR".into()),
                    None => return Failure::CostLimit { spent, limit: format_usd(reserved) },
                };
                Failure::TicketLimit { spent, limit: format_usd(reserved), ticket: subject, raise: command }
            }
            failure => failure,
        }
    }
}

#[cfg(test)]
mod tests;
