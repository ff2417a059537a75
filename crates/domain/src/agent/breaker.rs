//! Breakers: jobs of an account wait while its limit is used up or its provider fails, instead of failing one by one.
//! A breaker belongs to an account, not to a job. A claim that has not seen the breaker costs one more attempt. An
//! attempt opens the breaker and stores its end. After the end each job may start at a time of its own within
//! [`START_SPREAD`], so that early jobs probe the account. If they fail, the breaker opens again for longer before most
//! others start. Times follow from the clock, the stored breaker and the job's id, so a breaker ends without a write.

use crate::agent::AgentSpec;
use crate::text::failure::Failure;
use crate::text::id::{InvalidId, JobId, ProjectId, RunnerId};
pub use crate::text::key_of::KeyOwner;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Longest time before an account is tried again, even if its provider names a later time.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// Jobs start one by one within this time after a breaker's end.
pub const START_SPREAD: Duration = Duration::from_secs(600);

/// How often a job on Fargate checks whether it may start. Closing a breaker by hand notifies no job.
pub const CHECK_INTERVAL: Duration = Duration::from_secs(300);

/// A failure within this time after a breaker's end continues the series: setup may take an hour.
const SERIES_WINDOW: Duration = Duration::from_secs(3_600);

/// The highest `limits.unclaimed_secs`: a job that waited for the breaker may still count its time from the end.
const KEPT_FOR: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Shortest wait for a limit with a known end. Doubles up to [`MAX_BACKOFF`].
const MIN_LIMIT_WAIT: Duration = Duration::from_secs(60);

/// First wait if the end is unknown. Doubles up to [`MAX_BACKOFF`].
const INITIAL_BACKOFF: Duration = Duration::from_secs(300);

const MAX_BACKOFF: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    Project(ProjectId),
    /// A self-hosted runner's own key and network.
    Runner(RunnerId),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BreakerId {
    pub account: Account,
    /// The code of an agent, or `auto`.
    pub capability: String,
}

impl BreakerId {
    /// Pattern of the text form, for the OpenAPI document.
    pub const PATTERN: &str = r"^(project/[a-z0-9][a-z0-9-]{0,39}|runner/rnr_[a-z0-9]{26})/[a-z0-9_]{1,40}$";
}

impl std::fmt::Display for BreakerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            Account::Project(project) => write!(f, "project/{project}/{}", self.capability),
            Account::Runner(runner) => write!(f, "runner/{runner}/{}", self.capability),
        }
    }
}

impl std::str::FromStr for BreakerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let shape = InvalidId("an account is `project/PROJECT/CAPABILITY` or `runner/RUNNER/CAPABILITY`");
        let [kind, owner, capability] = text.split('/').collect::<Vec<_>>()[..] else { return Err(shape) };
        let account = match kind {
            "project" => Account::Project(ProjectId::new(owner)?),
            "runner" => Account::Runner(RunnerId::new(owner)?),
            _ => return Err(shape),
        };
        let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if capability.is_empty() || capability.len() > 40 || !capability.chars().all(is_valid) {
            return Err(shape);
        }
        Ok(Self { account, capability: capability.to_owned() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerCause {
    LimitReached,
    ProviderUnavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountFault {
    pub cause: BreakerCause,
    pub ends_at: Option<Timestamp>,
}

impl AccountFault {
    pub fn from_failure(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::AgentQuota { time } => Some(Self { cause: BreakerCause::LimitReached, ends_at: time.0 }),
            Failure::AgentOverloaded { .. } | Failure::AgentUnreachable { .. } => {
                Some(Self { cause: BreakerCause::ProviderUnavailable, ends_at: None })
            }
            _ => None,
        }
    }

    /// The end of a breaker after the `times`th fault in a row.
    /// A limit with a known end lasts until then: at least one minute (doubling, in case a clock is wrong), at most a
    /// day. Any other fault lasts 5 min, doubling to one hour.
    pub fn blocked_until(&self, times: u32, now: Timestamp) -> Timestamp {
        let doubled = |first: Duration| first.saturating_mul(1 << times.clamp(1, 7).saturating_sub(1)).min(MAX_BACKOFF);
        match (self.cause, self.ends_at) {
            (BreakerCause::LimitReached, Some(ends)) => {
                ends.max(now.plus(doubled(MIN_LIMIT_WAIT))).min(now.plus(MAX_WAIT))
            }
            _ => now.plus(doubled(INITIAL_BACKOFF)),
        }
    }

    /// The account that had this fault. `None` if no other job uses it, so that only this job waits.
    /// A limit belongs to the key. Other failures belong to the self-hosted runner, because its own network may be
    /// broken while other runners work.
    pub fn account(&self, key: KeyOwner, project: &ProjectId, runner: Option<&RunnerId>) -> Option<Account> {
        match (key, self.cause, runner) {
            (KeyOwner::Project, BreakerCause::LimitReached, _) | (KeyOwner::Project, _, None) => {
                Some(Account::Project(project.clone()))
            }
            (_, _, Some(runner)) => Some(Account::Runner(runner.clone())),
            (KeyOwner::Runner, _, None) => None,
        }
    }
}

/// The accounts that a job of this capability uses on this runner, or on Fargate if there is no runner.
pub fn breaker_ids(key: KeyOwner, capability: &str, project: &ProjectId, runner: Option<&RunnerId>) -> Vec<BreakerId> {
    let of_project = (key == KeyOwner::Project).then(|| Account::Project(project.clone()));
    let accounts = of_project.into_iter().chain(runner.cloned().map(Account::Runner));
    accounts.map(|account| BreakerId { account, capability: capability.to_owned() }).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRef {
    pub job: JobId,
    pub attempt: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub id: BreakerId,
    pub cause: BreakerCause,
    pub until: Timestamp,
    pub times: u32,
    pub opened: Timestamp,
    pub by: AttemptRef,
    pub rev: u64,
}

/// The breaker that delays a job the longest, and until when. `None`: the job may start.
pub fn longest_delay<'a>(
    breakers: impl IntoIterator<Item = &'a Breaker>,
    job: &JobId,
    now: Timestamp,
) -> Option<(&'a Breaker, Timestamp)> {
    let times = breakers.into_iter().map(|breaker| (breaker, breaker.start_time(job)));
    times.filter(|(_, at)| now < *at).max_by_key(|(_, at)| *at)
}

impl Breaker {
    /// `None`: no change, because the fault is known already or ends no later. An open breaker is only extended. A
    /// fault within an hour after its end opens it for longer; a later one starts a new series.
    pub fn record_fault(
        before: Option<&Self>,
        id: &BreakerId,
        fault: &AccountFault,
        by: &AttemptRef,
        now: Timestamp,
    ) -> Option<Self> {
        if before.is_some_and(|before| before.by == *by) {
            return None;
        }
        let rev = before.map_or(0, |before| before.rev);
        let before = before.filter(|before| now < before.until.plus(SERIES_WINDOW));
        match before.filter(|before| now < before.until) {
            Some(open) => {
                let until = fault.blocked_until(open.times, now);
                (until > open.until).then(|| Self { until, cause: fault.cause, by: by.clone(), ..open.clone() })
            }
            None => {
                let times = before.map_or(0, |before| before.times).saturating_add(1);
                Some(Self {
                    id: id.clone(),
                    cause: fault.cause,
                    until: fault.blocked_until(times, now),
                    times,
                    opened: now,
                    by: by.clone(),
                    rev,
                })
            }
        }
    }

    pub fn start_time(&self, job: &JobId) -> Timestamp {
        let digest = Sha256::digest(job.as_str());
        let hash = digest.as_slice().first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first));
        self.until.plus(Duration::from_secs(u64::from(hash) % START_SPREAD.as_secs()))
    }

    /// When all its jobs may start.
    pub fn last_start(&self) -> Timestamp {
        self.until.plus(START_SPREAD)
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.last_start()
    }

    /// For display: the end of the breaker, and afterwards the time when the last job may start.
    pub fn blocked_until(&self, now: Timestamp) -> Timestamp {
        if now < self.until { self.until } else { self.last_start() }
    }

    /// Ends it early. It stays stored, because jobs that waited for it count their time from its end.
    pub fn close(&self, now: Timestamp) -> Self {
        Self { until: self.until.min(now.minus(START_SPREAD)), times: 0, ..self.clone() }
    }

    pub fn expires_at(&self) -> Timestamp {
        self.until.plus(KEPT_FOR)
    }

    pub fn wait_reason(&self, until: Timestamp) -> Wait {
        wait_reason(self.cause, &self.id.capability, until)
    }
}

pub fn wait_reason(cause: BreakerCause, capability: &str, until: Timestamp) -> Wait {
    match cause {
        BreakerCause::LimitReached => Wait::LimitReached { time: until },
        BreakerCause::ProviderUnavailable => {
            Wait::ProviderUnavailable { provider: provider_name(capability).into(), time: until }
        }
    }
}

fn provider_name(capability: &str) -> &'static str {
    let key = AgentSpec::find(capability).and_then(|agent| agent.keys.first());
    key.map_or("The model's provider", |key| key.spec().provider.spec().name)
}

#[cfg(test)]
mod tests;
