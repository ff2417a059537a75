//! The part of a job in the spending of its ticket or pull request.

use super::{AgentWrites, End, Job, JobStatus};
use crate::project::budget::format_usd;
use crate::project::spending::{JobCharge, MIN_USD_MICROS, Spending, SpendingLimits, SpentOn};
use crate::text::Cause;
use crate::text::failure::Failure;
use crate::text::id::TicketKey;
use crate::text::time::Timestamp;

impl Spending {
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
