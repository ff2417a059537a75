//! Breakers: jobs of an account wait while its limit is used up or its provider fails, instead of failing one by one.
//!
//! A breaker belongs to an account, not to a job. A claim that has not seen the breaker costs one more attempt. An
//! attempt opens the breaker and stores its end. After the end each job may start at a time of its own within
//! [`SPREAD`], so that early jobs probe the account. If they fail, the breaker opens again for longer before most
//! others start. The times follow from the clock, the stored breaker and the job's id, so no write is needed when a
//! breaker ends.

use crate::agent::{CLAUDE_CODE, CODEX};
use crate::failure::Failure;
use crate::id::{BadId, JobId, ProjectId, RunnerId};
pub use crate::key_of::KeyOf;
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Longest time before an account is tried again, even if its provider names a later time.
pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// After its end a breaker lets jobs start one by one within this time, so that an early failure is known before most
/// jobs start.
pub const SPREAD: Duration = Duration::from_secs(600);

/// How often a job on Fargate checks whether it may start. Closing a breaker by hand notifies no job.
pub const LOOK_EVERY: Duration = Duration::from_secs(300);

/// A failure within this time after a breaker's end continues the series: setup may take an hour before an agent calls
/// its model.
const IN_A_ROW: Duration = Duration::from_secs(3_600);

/// Shortest wait for a limit with a known end. Doubles up to [`SLOWEST`].
const SHORTEST: Duration = Duration::from_secs(60);

/// First wait if the end is unknown. Doubles up to [`SLOWEST`].
const FIRST: Duration = Duration::from_secs(300);

const SLOWEST: Duration = Duration::from_secs(3_600);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The account of a project's secrets.
    Project(ProjectId),
    /// A self-hosted runner's own key and network.
    Runner(RunnerId),
}

/// An account as used by jobs of one capability.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BreakerId {
    pub account: Account,
    /// `claude_code`, `codex`, `auto` or `command`.
    pub capability: String,
}

impl BreakerId {
    /// Pattern of the text form, for the OpenAPI document.
    pub const PATTERN: &str = r"^(project/[a-z0-9][a-z0-9-]{0,39}|runner/rnr_[a-z0-9]{26})/[a-z0-9_]{1,40}$";
}

/// `project/acme/claude_code`, `runner/rnr_…/codex`.
impl std::fmt::Display for BreakerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.account {
            Account::Project(project) => write!(f, "project/{project}/{}", self.capability),
            Account::Runner(runner) => write!(f, "runner/{runner}/{}", self.capability),
        }
    }
}

impl std::str::FromStr for BreakerId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let shape = BadId("an account is `project/PROJECT/CAPABILITY` or `runner/RUNNER/CAPABILITY`");
        let mut parts = text.split('/');
        let (Some(kind), Some(owner), Some(capability), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(shape);
        };
        let account = match kind {
            "project" => Account::Project(ProjectId::new(owner)?),
            "runner" => Account::Runner(RunnerId::new(owner)?),
            _ => return Err(shape),
        };
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if capability.is_empty() || capability.len() > 40 || !capability.chars().all(plain) {
            return Err(shape);
        }
        Ok(Self { account, capability: capability.to_owned() })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    LimitReached,
    ProviderUnavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub cause: Cause,
    pub ends: Option<Timestamp>,
}

impl Trouble {
    /// The trouble that caused a failure, if it concerns the account.
    pub fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::AgentQuota { time } => Some(Self { cause: Cause::LimitReached, ends: time.0 }),
            Failure::AgentOverloaded { .. } | Failure::AgentUnreachable { .. } => {
                Some(Self { cause: Cause::ProviderUnavailable, ends: None })
            }
            _ => None,
        }
    }

    /// The end of a breaker after the `times`th trouble in a row.
    ///
    /// A limit with a known end lasts until then: at least one minute (doubling, in case a clock is wrong), at most a
    /// day. Any other trouble lasts 5 min, doubling to one hour.
    pub fn until(&self, times: u32, now: Timestamp) -> Timestamp {
        let doubled = |first: Duration| first.saturating_mul(1 << times.clamp(1, 7).saturating_sub(1)).min(SLOWEST);
        match (self.cause, self.ends) {
            (Cause::LimitReached, Some(ends)) => ends.max(now.plus(doubled(SHORTEST))).min(now.plus(LONGEST)),
            _ => now.plus(doubled(FIRST)),
        }
    }

    /// The account that had this trouble. `None` if no other job uses it, so that only this job waits.
    ///
    /// A limit belongs to the key. Other failures belong to the self-hosted runner, because its own network may be
    /// broken while other runners work.
    pub fn account(&self, key: KeyOf, project: &ProjectId, runner: Option<&RunnerId>) -> Option<Account> {
        match (key, self.cause, runner) {
            (KeyOf::Project, Cause::LimitReached, _) | (KeyOf::Project, _, None) => {
                Some(Account::Project(project.clone()))
            }
            (_, _, Some(runner)) => Some(Account::Runner(runner.clone())),
            (KeyOf::Runner, _, None) => None,
        }
    }
}

/// The accounts that a job of this capability uses on this runner, or on Fargate if there is no runner.
pub fn asked(key: KeyOf, capability: &str, project: &ProjectId, runner: Option<&RunnerId>) -> Vec<BreakerId> {
    let of_project = (key == KeyOf::Project).then(|| Account::Project(project.clone()));
    let accounts = of_project.into_iter().chain(runner.cloned().map(Account::Runner));
    accounts.map(|account| BreakerId { account, capability: capability.to_owned() }).collect()
}

/// The attempt that opened a breaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    pub job: JobId,
    pub attempt: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    pub id: BreakerId,
    pub cause: Cause,
    /// The account is not used before this time.
    pub until: Timestamp,
    pub times: u32,
    pub opened: Timestamp,
    pub by: By,
    pub rev: u64,
}

/// The breaker that delays a job the longest, and until when. `None`: the job may start.
pub fn keeps_back<'a>(
    breakers: impl IntoIterator<Item = &'a Breaker>,
    job: &JobId,
    now: Timestamp,
) -> Option<(&'a Breaker, Timestamp)> {
    let times = breakers.into_iter().map(|breaker| (breaker, breaker.reopens_for(job)));
    times.filter(|(_, at)| now < *at).max_by_key(|(_, at)| *at)
}

impl Breaker {
    /// The breaker after a trouble. `None`: the breaker does not change, because the trouble is known already or ends
    /// no later.
    ///
    /// An open breaker is only extended. A trouble within an hour after its end opens it for longer; a later one starts
    /// a new series.
    pub fn opened(before: Option<&Self>, id: &BreakerId, trouble: &Trouble, by: &By, now: Timestamp) -> Option<Self> {
        if before.is_some_and(|before| before.by == *by) {
            return None;
        }
        let rev = before.map_or(0, |before| before.rev);
        let before = before.filter(|before| now < before.until.plus(IN_A_ROW));
        match before.filter(|before| now < before.until) {
            Some(open) => {
                let until = trouble.until(open.times, now);
                (until > open.until).then(|| Self { until, cause: trouble.cause, by: by.clone(), ..open.clone() })
            }
            None => {
                let times = before.map_or(0, |before| before.times).saturating_add(1);
                Some(Self {
                    id: id.clone(),
                    cause: trouble.cause,
                    until: trouble.until(times, now),
                    times,
                    opened: now,
                    by: by.clone(),
                    rev,
                })
            }
        }
    }

    pub fn reopens_for(&self, job: &JobId) -> Timestamp {
        let digest = Sha256::digest(job.as_str());
        let hash = digest.as_slice().first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first));
        self.until.plus(Duration::from_secs(u64::from(hash) % SPREAD.as_secs()))
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until.plus(SPREAD)
    }

    /// For display: the end of the breaker, and afterwards the time when the last job may start.
    pub fn holds_until(&self, now: Timestamp) -> Timestamp {
        if now < self.until { self.until } else { self.until.plus(SPREAD) }
    }

    /// When the table may delete the breaker.
    pub fn forgotten(&self) -> Timestamp {
        self.until.plus(IN_A_ROW)
    }

    pub fn wait(&self, until: Timestamp) -> Wait {
        wait(self.cause, &self.id.capability, until)
    }
}

pub fn wait(cause: Cause, capability: &str, until: Timestamp) -> Wait {
    match cause {
        Cause::LimitReached => Wait::LimitReached { time: until },
        Cause::ProviderUnavailable => Wait::ProviderUnavailable { provider: provider(capability).into(), time: until },
    }
}

fn provider(capability: &str) -> &'static str {
    match capability {
        CLAUDE_CODE => "Anthropic",
        CODEX => "OpenAI",
        _ => "The model's provider",
    }
}

#[cfg(test)]
mod tests;
