//! The pages of one job: its log, changes, artifacts and attempts.

pub(crate) mod attempts;
pub(crate) mod changes;
pub(crate) mod commands;
mod diff;
pub(crate) mod head;
mod live;
pub(crate) mod log_tab;
pub(crate) mod tabs;

use crate::fault::Fault;
use crate::frame::Frame;
use crate::log::{self, Arrived, LogPart};
use crate::visit::PageContext;
use head::JobHead;
use pullyard_control::{self as control, Error, JobView};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::pull_request::PullRequestState;
use pullyard_entry::{Path, Problem};
use pullyard_protocol::event::Event;
use tabs::{Records, Tabs};

/// Events for the timeline, the result and the end of the log.
const LAST_EVENTS: usize = 300;

/// The phases before the agent's work are among these events of an attempt.
const FIRST_EVENTS: u64 = 64;

/// A job with the facts that each of its tabs shows.
pub(crate) struct Subject {
    pub(crate) view: JobView,
    pub(crate) became: Option<PullRequestState>,
}

/// The parts of a page around its tab.
pub(crate) struct Shell {
    pub(crate) frame: Frame,
    pub(crate) head: JobHead,
    pub(crate) tabs: Tabs,
}

/// Errors: 404 for a missing job, and for one of another project.
pub(crate) async fn load_subject(visit: &PageContext, id: Result<Path<JobId>, Problem>) -> Result<Subject, Fault> {
    let Path(id) = id?;
    let gone = || Fault::not_found(&format!("There is no job {id}."));
    let view = match control::job_view(&visit.ctx, &id).await {
        Err(Error::NotFound { .. }) => return Err(gone()),
        view => view?,
    };
    if !visit.visitor.may_access(&view.job.project) {
        return Err(gone());
    }
    let became = control::load_pull_request_state(&visit.ctx, &view.job).await?;
    Ok(Subject { view, became })
}

impl Subject {
    /// Artifacts, ended attempts, and the events at the begin of the newest attempt and at the end of the log.
    pub(crate) async fn load_records(&self, visit: &PageContext, last: Vec<Arrived>) -> Result<Records, Fault> {
        let job = &self.view.job;
        let artifacts = control::list_artifacts(&visit.ctx, &job.id).await?;
        let attempts = control::list_attempts(&visit.ctx, &job.id).await?;
        let attempt = job.attempt.max(1);
        let lacks_begin = last.first().is_some_and(|(first, _, event)| (*first, event.seq) > (attempt, 1));
        let mut events = Vec::new();
        if lacks_begin {
            let before = (attempt, FIRST_EVENTS + 1);
            events = control::list_events_before::<Event>(&visit.ctx, job, before, 1).await?.events;
        }
        events.extend(last);
        Ok(Records { artifacts, attempts, events })
    }

    pub(crate) async fn load_last_events(&self, visit: &PageContext) -> Result<Vec<Arrived>, Fault> {
        let (job, end) = (&self.view.job, (self.view.job.attempt, u64::MAX));
        let mut read = control::list_events_before::<Event>(&visit.ctx, job, end, LAST_EVENTS).await?;
        Ok(read.events.split_off(read.events.len().saturating_sub(LAST_EVENTS)))
    }

    pub(crate) fn head(&self, visit: &PageContext, last: &[Arrived]) -> JobHead {
        let job = &self.view.job;
        let mut head = JobHead::new(&self.view, self.became, visit);
        if job.status.is_terminal() {
            let part =
                LogPart { job, events: last, inputs: &[], known_inputs: 0, last_attempt: 0, unsaid: &[], full: None };
            head.add_log(job, &log::to_entries(&part), last);
        }
        head
    }

    pub(crate) fn shell(&self, visit: &PageContext, head: JobHead, records: &Records, at: &'static str) -> Shell {
        let title = format!("{} {}", self.view.job.id.short(), self.view.title);
        Shell {
            frame: visit.frame(&title, "jobs", Some(&self.view.job.project)),
            head,
            tabs: Tabs::new(&self.view, records, at),
        }
    }

    pub(crate) fn is_completed(&self) -> bool {
        self.view.job.status == JobStatus::Completed
    }
}
