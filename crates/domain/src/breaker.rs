//! The brake on a model's account: while its limit is used up or its provider keeps failing, jobs that would ask it
//! wait instead of failing one after the other.
//!
//! A breaker is not the truth about a job, only about an account: a claim that has not seen it costs one more
//! attempt, which says the same again. It opens by the word of an attempt and says until when; then it is half
//! open: one job tries first. When that one's agent was answered, or has worked for [`PROBE_FOR`] and said nothing,
//! the breaker is over; when that one meets trouble as well, it opens again for longer; when it ends without having
//! asked, the next one tries, and so it does when that one was lost without a word. All of it follows from the time,
//! the stored breaker and that one job, so nothing has to be woken to make it so.
//!
//! Which jobs ask one account is said here; starting, claiming and putting jobs back is not.

use crate::agent::{CLAUDE_CODE, CODEX};
use crate::failure::{Class, Failure};
use crate::id::{BadId, JobId, ProjectId, RunnerId};
use crate::job::{AttemptEnd, Job, Run, Status, Work};
use crate::time::Timestamp;
use crate::wait::Wait;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest that an account is left alone before it is tried again, whatever its provider says.
pub const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// How long the agent of the job that tries first may work before no news of it is good news: longer than a model that
/// answers nothing is waited for by default, and the waits between the agent's starts.
pub const PROBE_FOR: Duration = Duration::from_secs(1_200);

/// How long the job that tries first may take to be claimed before another one tries.
const COMES_WITHIN: Duration = Duration::from_secs(600);

/// How long it may take from its claim until its agent begins, the project's setup included, before another one tries.
const PREPARES_WITHIN: Duration = Duration::from_secs(3_600);

/// How often a job on Fargate looks whether it may start, at most: a breaker that was closed by hand tells nobody.
pub const LOOK_EVERY: Duration = Duration::from_secs(300);

/// How long after its end a breaker that nobody tried is still remembered.
const REMEMBERED: Duration = Duration::from_secs(24 * 3_600);

/// The shortest time that is waited for a limit whose end is known: it doubles up to [`SLOWEST`].
const SHORTEST: Duration = Duration::from_secs(60);

/// The first time that is waited where nobody knows the end: it doubles up to [`SLOWEST`].
const FIRST: Duration = Duration::from_secs(300);

/// What doubling ends at.
const SLOWEST: Duration = Duration::from_secs(3_600);

/// Whose key a job's agent asks its model with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    /// The runner's own.
    #[default]
    Runner,
    /// One of its project's secrets.
    Project,
}

/// Whose account of a model's provider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// The one that a project names secrets for.
    Project(ProjectId),
    /// What a self-hosted runner has itself: its key, and its way to the provider.
    Runner(RunnerId),
}

/// One account, as jobs of one capability ask it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BreakerId {
    /// Whose.
    pub account: Account,
    /// What the jobs ask of a runner: `claude_code`, `codex`, `auto`, `command`.
    pub capability: String,
}

impl BreakerId {
    /// What its text looks like, for the API's description.
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

/// What keeps a model from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The account's limit is used up.
    LimitReached,
    /// Its provider keeps failing, or can't be reached.
    ProviderUnavailable,
}

/// What an attempt says of its model's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What.
    pub cause: Cause,
    /// When it ends, if the provider said so.
    pub ends: Option<Timestamp>,
}

impl Trouble {
    /// The trouble that a failure is, if it is one of the account and not of the work.
    pub fn of(failure: &Failure) -> Option<Self> {
        match failure {
            Failure::AgentQuota { time } => Some(Self { cause: Cause::LimitReached, ends: time.0 }),
            Failure::AgentOverloaded { .. } | Failure::AgentUnreachable { .. } => {
                Some(Self { cause: Cause::ProviderUnavailable, ends: None })
            }
            _ => None,
        }
    }

    /// Until when nothing more is tried, when it is met for the `times`th time in a row.
    ///
    /// A limit whose end is known is waited for, within 24 h and never less than a minute, doubling: a clock that
    /// is wrong must not make a loop. Otherwise 5 min doubling to an hour.
    pub fn until(&self, times: u32, now: Timestamp) -> Timestamp {
        let doubled = |first: Duration| first.saturating_mul(1 << times.clamp(1, 7).saturating_sub(1)).min(SLOWEST);
        match (self.cause, self.ends) {
            (Cause::LimitReached, Some(ends)) => ends.max(now.plus(doubled(SHORTEST))).min(now.plus(LONGEST)),
            _ => now.plus(doubled(FIRST)),
        }
    }

    /// The account that this is a trouble of. None: nobody else asks it, so that only the job waits.
    ///
    /// A limit is its key's. What keeps failing is met by a self-hosted runner for itself: its own way out may be
    /// what is broken, and another runner of the project may do well.
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

/// The accounts that a job of this capability asks, where this runner, or a Fargate task, takes it.
pub fn asked(key: KeyOf, capability: &str, project: &ProjectId, runner: Option<&RunnerId>) -> Vec<BreakerId> {
    let of_project = (key == KeyOf::Project).then(|| Account::Project(project.clone()));
    let accounts = of_project.into_iter().chain(runner.cloned().map(Account::Runner));
    accounts.map(|account| BreakerId { account, capability: capability.to_owned() }).collect()
}

/// An attempt, by its job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// The job.
    pub job: JobId,
    /// The attempt.
    pub attempt: u32,
}

/// The job that tries first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// Which.
    pub job: JobId,
    /// Since when it may.
    pub at: Timestamp,
    /// When it was claimed; none while it is on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Timestamp>,
    /// Since when its agent works; none while its source is fetched and set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working: Option<Timestamp>,
}

/// What an attempt that is over shows of its model's account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Its agent was answered.
    Answers,
    /// Nothing: it may not even have asked.
    Nothing,
}

impl Shown {
    /// By one that came as far as `status`, ended like this, and whose runner says this of its agent.
    pub fn by(status: Status, ended: &AttemptEnd, work: Option<&Work>) -> Self {
        let class = match ended {
            AttemptEnd::Failed { failure } | AttemptEnd::Requeued { failure } => Some(failure.class()),
            _ => None,
        };
        let answers = match work.filter(|work| [CLAUDE_CODE, CODEX].contains(&work.agent.as_str())) {
            // It may have been answered once, and what ended it is what is asked about.
            _ if matches!(class, Some(Class::Key | Class::Provider)) => false,
            Some(work) => work.turns > 0,
            // A command need not say what it asks, and an older runner says nothing: what its agent made stands for that.
            None => match ended {
                AttemptEnd::Completed {} | AttemptEnd::Asked {} => true,
                AttemptEnd::Failed { .. } if status == Status::Syncing => true,
                AttemptEnd::Failed { .. } => {
                    status == Status::Executing && matches!(class, Some(Class::Agent | Class::Checks))
                }
                _ => false,
            },
        };
        if answers { Self::Answers } else { Self::Nothing }
    }
}

/// An account that is left alone for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Breaker {
    /// Which.
    pub id: BreakerId,
    /// Why.
    pub cause: Cause,
    /// Until when nobody asks it.
    pub until: Timestamp,
    /// How often in a row it opened.
    pub times: u32,
    /// When it opened last.
    pub opened: Timestamp,
    /// By whose word.
    pub by: By,
    /// Who tries first, once somebody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
    /// Raised by every write.
    pub rev: u64,
}

/// Whether a job may ask an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// As any other.
    Free,
    /// As the first after a trouble; that it is the one has to be written down before.
    First,
    /// Not before.
    Shut(Timestamp),
}

/// Whether a job may ask all of these accounts.
pub fn gate<'a>(breakers: impl IntoIterator<Item = &'a Breaker>, job: &JobId, now: Timestamp) -> Gate {
    let gates = breakers.into_iter().map(|breaker| breaker.gate(job, now));
    gates.fold(Gate::Free, |so_far, gate| match (so_far, gate) {
        (Gate::Shut(a), Gate::Shut(b)) => Gate::Shut(a.max(b)),
        (Gate::Shut(until), _) | (_, Gate::Shut(until)) => Gate::Shut(until),
        (Gate::First, _) | (_, Gate::First) => Gate::First,
        (Gate::Free, Gate::Free) => Gate::Free,
    })
}

/// Which of these breakers keeps a job back the longest, and until when.
pub fn keeps_back<'a>(
    breakers: impl IntoIterator<Item = &'a Breaker>,
    job: &JobId,
    now: Timestamp,
) -> Option<(&'a Breaker, Timestamp)> {
    let shut = breakers.into_iter().filter_map(|breaker| match breaker.gate(job, now) {
        Gate::Shut(until) => Some((breaker, until)),
        Gate::Free | Gate::First => None,
    });
    shut.max_by_key(|(_, until)| *until)
}

impl Breaker {
    /// The breaker after an attempt met trouble, over the one that stands. None: it says nothing new, so that a
    /// repeat is a repeat.
    ///
    /// While it is open, whoever began before adds nothing but a later end. Once it is half open, the next trouble
    /// opens it for longer; so does the trouble of the job that tried first, however late it comes: it shows that the
    /// silence before it was no good news.
    pub fn opened(before: Option<&Self>, id: &BreakerId, trouble: &Trouble, by: &By, now: Timestamp) -> Option<Self> {
        if before.is_some_and(|before| before.by == *by) {
            return None;
        }
        // One that is over is replaced, too.
        let rev = before.map_or(0, |before| before.rev);
        let before =
            before.filter(|before| !before.is_over(now) || (before.is_tried_by(&by.job) && !before.is_forgotten(now)));
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
                    probe: None,
                    rev,
                })
            }
        }
    }

    /// Whether this job may ask the account now.
    pub fn gate(&self, job: &JobId, now: Timestamp) -> Gate {
        if self.is_over(now) {
            return Gate::Free;
        }
        if now < self.until {
            return Gate::Shut(self.until);
        }
        match &self.probe {
            Some(probe) if probe.job != *job && now < probe.lasts() => Gate::Shut(probe.lasts()),
            _ => Gate::First,
        }
    }

    /// Until when it keeps others back, for readers; none where it does not.
    pub fn holds_until(&self, now: Timestamp) -> Option<Timestamp> {
        if self.is_over(now) {
            return None;
        }
        let probe = self.probe.as_ref().map(Probe::lasts);
        probe.into_iter().chain([self.until]).max().filter(|until| now < *until)
    }

    /// This job tries first. None: it needs no first one, or that is written down.
    ///
    /// One that was claimed and comes again was lost, or put back: what it did before says nothing of its next attempt.
    pub fn tried_by(&self, job: &JobId, now: Timestamp) -> Option<Self> {
        let probe = self.probe.as_ref().filter(|probe| probe.job == *job);
        let known = probe.is_some_and(|probe| probe.is_on_its_way() && now < probe.lasts());
        if known || self.gate(job, now) != Gate::First {
            return None;
        }
        let probe = Probe { job: job.clone(), at: now, claimed: None, working: None };
        Some(Self { probe: Some(probe), ..self.clone() })
    }

    /// The job that tries first was claimed. None: it is not that one, or that is known.
    pub fn claimed_by(&self, job: &JobId, now: Timestamp) -> Option<Self> {
        let probe = self.probe.as_ref().filter(|probe| probe.job == *job && probe.is_on_its_way())?;
        Some(Self { probe: Some(Probe { claimed: Some(now), ..probe.clone() }), ..self.clone() })
    }

    /// The agent of the job that tries first begins to work. None: it is not that one, or that is known.
    pub fn worked_by(&self, job: &JobId, now: Timestamp) -> Option<Self> {
        let probe = self.probe.as_ref().filter(|probe| probe.job == *job && probe.working.is_none())?;
        // That it was claimed may not have been heard.
        let claimed = probe.claimed.or(Some(now));
        Some(Self { probe: Some(Probe { claimed, working: Some(now), ..probe.clone() }), ..self.clone() })
    }

    /// Whether the end of this job, whose agent was answered, shows that the account works again.
    pub fn is_proven_by(&self, job: &JobId, now: Timestamp) -> bool {
        self.until <= now && self.probe.as_ref().is_some_and(|probe| probe.job == *job && probe.claimed.is_some())
    }

    /// The job that tried first has ended and shows nothing: the next one tries. None: it is not that one, or its
    /// silence has let everybody go by now, and who shows nothing takes that from nobody.
    pub fn untried_by(&self, job: &JobId, now: Timestamp) -> Option<Self> {
        (self.is_tried_by(job) && !self.is_over(now)).then(|| Self { probe: None, ..self.clone() })
    }

    /// The job that was claimed to try first and that others wait for: the table says whether it still tries.
    pub fn waits_for(&self, now: Timestamp) -> Option<&JobId> {
        let probe = self.probe.as_ref().filter(|probe| !probe.is_on_its_way() && now < probe.lasts())?;
        (self.until <= now).then_some(&probe.job)
    }

    /// The job that others wait for, as it is stored, tries no more, and its attempt was lost without a word: the next
    /// one tries. None: it is not that one, it tries, or its runner said how it ended, and whoever heard that notes
    /// what it shows.
    pub fn left_by(&self, job: &Job, now: Timestamp) -> Option<Self> {
        self.waits_for(now).filter(|first| **first == job.id)?;
        let asks = |run: &Run| match &self.id.account {
            Account::Project(_) => true,
            Account::Runner(runner) => run.runner.as_ref() == Some(runner),
        };
        let tries = job.status.is_active() && job.run.as_ref().is_some_and(|run| run.first && asks(run));
        let told = job.ended_by.as_ref().is_some_and(|by| by.attempt == job.attempt && by.finish.is_some());
        if tries || told { None } else { self.untried_by(&job.id, now) }
    }

    fn is_tried_by(&self, job: &JobId) -> bool {
        self.probe.as_ref().is_some_and(|probe| probe.job == *job)
    }

    /// It keeps nobody back any more, and what comes next is counted anew: the agent of the job that tried first has
    /// worked long enough, or nobody tried for a day.
    pub fn is_over(&self, now: Timestamp) -> bool {
        if now < self.until {
            return false;
        }
        let proven = self.probe.as_ref().and_then(|probe| probe.working).is_some_and(|at| now >= at.plus(PROBE_FOR));
        proven || self.is_forgotten(now)
    }

    fn is_forgotten(&self, now: Timestamp) -> bool {
        now >= self.until.plus(REMEMBERED)
    }

    /// When nobody needs it any more. Units: an instant.
    pub fn forgotten(&self) -> Timestamp {
        self.until.plus(REMEMBERED).plus(REMEMBERED)
    }

    /// What a job that it keeps back waits for.
    pub fn wait(&self, until: Timestamp) -> Wait {
        wait(self.cause, &self.id.capability, until)
    }
}

impl Probe {
    /// Until when others wait for it.
    fn lasts(&self) -> Timestamp {
        match (self.working, self.claimed) {
            (Some(working), _) => working.plus(PROBE_FOR),
            (None, Some(claimed)) => claimed.plus(PREPARES_WITHIN),
            (None, None) => self.at.plus(COMES_WITHIN),
        }
    }

    /// Nobody has claimed it yet.
    fn is_on_its_way(&self) -> bool {
        self.claimed.is_none() && self.working.is_none()
    }
}

/// What a job waits for that such a trouble keeps back.
pub fn wait(cause: Cause, capability: &str, until: Timestamp) -> Wait {
    match cause {
        Cause::LimitReached => Wait::LimitReached { time: until },
        Cause::ProviderUnavailable => Wait::ProviderUnavailable { provider: provider(capability).into(), time: until },
    }
}

/// Whom the agents of a capability ask, as people know it.
fn provider(capability: &str) -> &'static str {
    match capability {
        CLAUDE_CODE => "Anthropic",
        CODEX => "OpenAI",
        _ => "The model's provider",
    }
}

#[cfg(test)]
mod tests;
