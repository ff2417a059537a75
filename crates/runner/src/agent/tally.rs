//! What an attempt's agent was and took, kept up to date while it works: told with the finish, whatever the
//! end.

use super::adapter::Adapter;
use super::record::Record;
use super::watch::Spent;
use crate::options::Isolation;
use pullyard_domain::checks::CheckRun;
use pullyard_domain::job::Work;
use std::sync::{Mutex, PoisonError};

/// Empty until an agent begins.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Told>);

#[derive(Clone, Debug, Default)]
struct Told {
    work: Option<Work>,
    spent: Spent,
}

impl Tally {
    /// The agent is started once more.
    pub(super) fn starts(&self, adapter: &dyn Adapter, isolation: Isolation) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let work = told.work.get_or_insert_with(|| Work {
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
            checks: Vec::new(),
        });
        work.starts = work.starts.saturating_add(1);
    }

    /// What it has taken by now, in all starts.
    pub(super) fn note(&self, record: &Record, spent: &Spent) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.spent = *spent;
        if let Some(work) = &mut told.work {
            work.model = record.model.clone().or_else(|| work.model.take());
            work.session = record.session.clone().or_else(|| work.session.take());
            work.turns = spent.turns;
            work.input_tokens = spent.tokens.input;
            work.cached_input_tokens = spent.tokens.cached;
            work.output_tokens = spent.tokens.output;
            work.about_usd_micros = Some(spent.about).filter(|about| *about > 0);
        }
    }

    /// What it has taken so far, in all that was asked of it.
    pub(super) fn spent(&self) -> Spent {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spent
    }

    /// A check of its work has ended.
    pub(crate) fn checked(&self, run: CheckRun) {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(work) = &mut told.work {
            work.checks.push(run);
        }
    }

    /// For the finish: what worked, and what that cost in millionths of a US dollar, what is only about right included.
    pub(crate) fn told(&self) -> (Option<Work>, Option<u64>) {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (told.work, told.spent.cost)
    }
}
