//! Records the agent and the usage of an attempt while it works, so that every finish can report them.

use super::adapter::Adapter;
use super::prices;
use super::record::Record;
use super::sign::Tokens;
use super::watch::Spent;
use crate::options::Isolation;
use pullyard_domain::checks::CheckRun;
use pullyard_domain::id::Sha256Hex;
use pullyard_domain::job::AgentReport;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Empty until an agent begins.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Told>);

#[derive(Clone, Debug, Default)]
struct Told {
    work: Option<AgentReport>,
    spent: Spent,
    base_commit: Option<String>,
    prompt_sha256: Option<Sha256Hex>,
    /// The agent was started without a session, so it names a new one.
    anew: bool,
    /// Tokens of earlier sessions that the current one replaced.
    of_others: Tokens,
    /// Number of further starts after transient faults.
    further_starts: usize,
    /// The first denied tool since the agent began this task or its latest inputs.
    denied: Option<String>,
}

impl Tally {
    /// An agent is about to work on this commit, for a job whose prompt has this hash.
    pub(crate) fn begins(&self, base_commit: &str, prompt_sha256: Option<Sha256Hex>) {
        let mut told = self.lock();
        told.base_commit = Some(base_commit.to_owned());
        told.prompt_sha256 = prompt_sha256;
        told.denied = None;
    }

    /// The agent is started to continue this session or to begin a new one.
    pub(super) fn starts(&self, adapter: &dyn Adapter, isolation: Isolation, session: Option<&str>) {
        let mut told = self.lock();
        told.anew = session.is_none();
        let Told { work, base_commit, prompt_sha256, .. } = &mut *told;
        let work = work.get_or_insert_with(|| AgentReport {
            agent: adapter.capability().into(),
            version: adapter.version(),
            model: None,
            session: None,
            isolation: isolation.word().into(),
            starts: 0,
            turns: 0,
            input_tokens: 0,
            cached_input_tokens: 0,
            output_tokens: 0,
            about_usd_micros: None,
            prices_of: None,
            prompt_sha256: prompt_sha256.clone(),
            base_commit: base_commit.clone(),
            commit: None,
            checks: Vec::new(),
        });
        work.starts = work.starts.saturating_add(1);
    }

    pub(super) fn note(&self, record: &Record, spent: &Spent) {
        let mut told = self.lock();
        if told.anew && record.session.is_some() {
            told.of_others = told.spent.tokens;
        }
        told.spent = *spent;
        if let Some(work) = &mut told.work {
            work.model = record.model.clone().or_else(|| work.model.take());
            work.session = record.session.clone().or_else(|| work.session.take());
            work.turns = spent.turns;
            work.input_tokens = spent.tokens.input;
            work.cached_input_tokens = spent.tokens.cached;
            work.output_tokens = spent.tokens.output;
            work.about_usd_micros = Some(spent.about).filter(|about| *about > 0);
            let of_about = || work.about_usd_micros.map(|_| prices::as_of().to_owned());
            work.prices_of = record.prices_of.clone().or_else(of_about).or(work.prices_of.take());
        }
    }

    pub(super) fn further_starts(&self) -> usize {
        self.lock().further_starts
    }

    pub(super) fn starts_further(&self) {
        self.lock().further_starts += 1;
    }

    /// The first denied tool, including the newest start. Neither a later start nor an answer resets it.
    pub(super) fn denied(&self, of_start: Option<String>) -> Option<String> {
        let mut told = self.lock();
        told.denied = told.denied.take().or(of_start);
        told.denied.clone()
    }

    pub(super) fn loses(&self, session: &str) {
        if let Some(work) = &mut self.lock().work {
            work.session.take_if(|named| named.as_str() == session);
        }
    }

    pub(super) fn spent(&self) -> Spent {
        self.lock().spent
    }

    /// Tokens of the current session in this attempt, without earlier sessions.
    pub(crate) fn tokens_of_session(&self) -> Tokens {
        let told = self.lock();
        told.spent.tokens - told.of_others
    }

    pub(crate) fn made(&self, commit: &str) {
        if let Some(work) = &mut self.lock().work {
            work.commit = Some(commit.to_owned());
        }
    }

    pub(crate) fn checked(&self, run: CheckRun) {
        if let Some(work) = &mut self.lock().work {
            work.checks.push(run);
        }
    }

    /// The agent and its cost for the finish, including estimates. Units: millionths of a US dollar.
    pub(crate) fn told(&self) -> (Option<AgentReport>, Option<u64>) {
        let told = self.lock().clone();
        (told.work, told.spent.cost)
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_denied_tool_is_known_until_the_next_task() {
        let tally = Tally::default();
        tally.begins("main", None);
        assert_eq!(tally.denied(None), None);
        assert_eq!(tally.denied(Some("Bash".into())).as_deref(), Some("Bash"));
        for further in [Some("Write".into()), None] {
            assert_eq!(tally.denied(further).as_deref(), Some("Bash"));
        }
        tally.begins("main", None);
        assert_eq!(tally.denied(None), None);
    }
}
