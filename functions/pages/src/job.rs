//! The pages of one job: its log, changes, artifacts and attempts.

pub(crate) mod attempts;
pub(crate) mod changes;
pub(crate) mod commands;
mod fragment;
pub(crate) mod head;
mod live;
mod log_search;
pub(crate) mod log_tab;
pub(crate) mod output;
mod runner_link;
pub(crate) mod tabs;

use crate::log::{self, Arrived, LogPart};
use crate::prelude::*;
use head::JobHead;
use pullyard_control::JobView;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::id::JobId;
use pullyard_protocol::event::Event;
use runner_link::RunnerLink;
use std::collections::BTreeSet;
use tabs::{Records, Tabs};

const LAST_EVENTS: usize = 300;

/// The phases before the agent's work are among these events of an attempt.
const FIRST_EVENTS: u64 = 64;

/// A job with the facts that each of its tabs shows.
pub(crate) struct Subject {
    pub(crate) view: JobView,
    pub(crate) pull_request_state: Option<PullRequestState>,
    pub(crate) runner: Option<RunnerLink>,
    pub(crate) labels: BTreeSet<String>,
}

pub(crate) struct Shell {
    pub(crate) frame: Frame,
    pub(crate) head: JobHead,
}

/// Errors: 404 for a missing job, and for one of another project.
pub(crate) async fn load_subject(visit: &PageContext, id: JobId) -> Result<Subject, Fault> {
    let ctx = &visit.ctx;
    let view = match control::job_view(ctx, &id).await {
        Err(Error::NotFound { .. }) => None,
        view => Some(view?).filter(|view| visit.visitor.may_access(&view.job.project)),
    };
    let view = view.ok_or_else(|| Fault::not_found(&format!("There is no job {id}.")))?;
    let pull_request_state = control::load_pull_request_state(ctx, &view.job).await?;
    let active = view.job.run.as_ref().filter(|_| view.job.status.is_active());
    let ids = active.into_iter().flat_map(|run| run.runner.clone()).collect();
    let runner = RunnerLink::load_all(ctx, ids).await?.into_values().next();
    let labels = control::load_runner_labels(ctx, &view.job).await?;
    Ok(Subject { view, pull_request_state, runner, labels })
}

impl Subject {
    /// Loads artifacts, ended attempts, and the events at the begin of the newest attempt and at the end of the log.
    pub(crate) async fn load_records(&self, ctx: &Context, last: Vec<Arrived>) -> Result<Records, Error> {
        let job = &self.view.job;
        let artifacts = control::list_artifacts(ctx, &job.id).await?;
        let attempts = control::list_attempts(ctx, &job.id).await?;
        let attempt = job.attempt.max(1);
        let is_begin_missing = last.first().is_some_and(|(first, _, event)| (*first, event.seq) > (attempt, 1));
        let mut events = Vec::new();
        if is_begin_missing {
            let before = (attempt, FIRST_EVENTS + 1);
            events = control::list_events_before::<Event>(ctx, job, before, 1).await?.events;
        }
        events.extend(last);
        Ok(Records { artifacts, attempts, events })
    }

    pub(crate) async fn load_last_events(&self, ctx: &Context) -> Result<Vec<Arrived>, Error> {
        let (job, end) = (&self.view.job, (self.view.job.attempt, u64::MAX));
        let mut page = control::list_events_before::<Event>(ctx, job, end, LAST_EVENTS).await?;
        Ok(page.events.split_off(page.events.len().saturating_sub(LAST_EVENTS)))
    }

    pub(crate) fn head(&self, visit: &PageContext, last: &[Arrived]) -> JobHead {
        let job = &self.view.job;
        let mut head = JobHead::new(self, visit);
        if job.status.is_terminal() {
            head.add_log(job, &log::to_entries(&LogPart::new(job, last)), last);
        }
        head
    }

    pub(crate) async fn load_tab(&self, visit: &PageContext, at: &'static str) -> Result<(Shell, Records), Error> {
        let last = self.load_last_events(&visit.ctx).await?;
        let head = self.head(visit, &last);
        let records = self.load_records(&visit.ctx, last).await?;
        Ok((self.shell(visit, head, &records, at), records))
    }

    pub(crate) fn shell(&self, visit: &PageContext, mut head: JobHead, records: &Records, at: &'static str) -> Shell {
        head.add_isolation(&records.attempts);
        head.tabs = Tabs::new(&self.view, records, at);
        let title = format!("{} {}", self.view.job.id.short(), self.view.title);
        Shell { frame: visit.frame(&title, "jobs", Some(&self.view.job.project)), head }
    }
}
