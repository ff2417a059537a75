//! Title, state, facts and commands of a job.

use super::Subject;
use super::runner_link::RunnerLink;
use super::tabs::Tabs;
use crate::board::ticket_url;
use crate::hints::{NextStep, Page, name_buttons, next_steps};
use crate::labels::PullRequestView;
use crate::log::{Arrived, Entry};
use crate::markdown::{self, Below, SafeHtml};
use crate::prelude::*;
use pullyard_control::JobView;
use pullyard_domain::job::{AttemptRecord, DesiredState, Job, JobStatus, Placement, explanation};
use pullyard_domain::project::labels::join_labels;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::failure::{Failure, FailureClass};
use pullyard_domain::text::id::{JobId, RunId};
use pullyard_protocol::event::EventKind;
use std::time::Duration;

pub(crate) struct JobHead {
    pub(crate) id: JobId,
    pub(crate) project: ProjectId,
    pub(crate) status: JobStatus,
    pub(crate) address: String,
    pub(crate) title: SafeText,
    pub(crate) pill: Pill,
    pub(crate) sentence: SafeText,
    pub(crate) help: Option<Help>,
    pub(crate) failed: bool,
    pub(crate) fault: Option<&'static str>,
    /// The log's row that shows the cause of the failure.
    pub(crate) cause: Option<String>,
    pub(crate) next_steps: Vec<NextStep>,
    pub(crate) result: Option<JobResult>,
    /// `Review`, for a job of a pull request.
    pub(crate) verb: &'static str,
    pub(crate) pull_request: Option<(Option<String>, SafeText)>,
    pub(crate) ticket: Option<(String, SafeText)>,
    pub(crate) repository: Option<SafeText>,
    pub(crate) branch: SafeText,
    pub(crate) place: String,
    pub(crate) isolation: Option<SafeText>,
    pub(crate) refused_hosts: Vec<SafeText>,
    pub(crate) runner: Option<RunnerLink>,
    pub(crate) attempt: u32,
    /// For the script: messages up to this number lose their mark.
    pub(crate) read_inputs: u32,
    pub(crate) took: String,
    pub(crate) cost: String,
    pub(crate) turn_limit: Option<u32>,
    pub(crate) time: Option<String>,
    /// Another one than normal.
    pub(crate) priority: Option<&'static str>,
    /// Those that its runner must have.
    pub(crate) labels: Option<SafeText>,
    pub(crate) created: TimeLabel,
    pub(crate) started: Option<TimeLabel>,
    pub(crate) ended: Option<TimeLabel>,
    pub(crate) may_cancel: bool,
    pub(crate) may_pause: bool,
    pub(crate) may_continue: bool,
    pub(crate) question: Option<SafeHtml>,
    pub(crate) may_answer: bool,
    pub(crate) hears: Option<&'static str>,
    /// Kind of the message form: empty, `answer`, or `say` with the status. The script replaces the form if it changes.
    pub(crate) speaks: String,
    pub(crate) may_retry: bool,
    /// Run and step that the job belongs to, and whether the run may have to be resumed.
    pub(crate) step: Option<(RunId, SafeText)>,
    pub(crate) may_resume: bool,
    pub(crate) form_key: String,
    /// Empty in a fragment that does not change them.
    pub(crate) tabs: Tabs,
}

pub(crate) struct JobResult {
    pub(crate) pull_request: Option<PullRequestView>,
    pub(crate) commit: SafeText,
    pub(crate) changed: String,
    pub(crate) html: Option<SafeHtml>,
}

impl JobHead {
    pub(crate) fn add_isolation(&mut self, attempts: &[AttemptRecord]) {
        let newest = attempts.iter().find(|attempt| attempt.number == self.attempt);
        let work = newest.and_then(|attempt| attempt.work.as_ref());
        self.isolation = work.map(|work| line(&work.describe_isolation()));
        self.refused_hosts = work.into_iter().flat_map(|work| &work.refused_hosts).map(|host| line(host)).collect();
    }

    pub(crate) fn new(subject: &Subject, visit: &PageContext) -> Self {
        let Subject { view, pull_request_state, runner, labels: required } = subject;
        let (pull_request_state, JobView { job, title, repository, waits, revises, now }) = (*pull_request_state, view);
        let (sentence, help) = explanation::explain_job(job, waits.as_ref(), pull_request_state, *now);
        let may_run = visit.visitor.may_run_jobs();
        let may_answer = may_run && job.question.is_some();
        let hears = job.status.delivery_hint().filter(|_| may_run && job.want != DesiredState::Cancel);
        let speaks = match (may_answer, hears) {
            (true, _) => "answer".to_owned(),
            (false, Some(_)) => format!("say {}", job.status.as_str()),
            (false, None) => String::new(),
        };
        let is_unchanged = explanation::is_allowed_without_change(job);
        let failed = job.failure.is_some() && !is_unchanged;
        let may_repeat = may_run && !is_unchanged && matches!(job.status, JobStatus::Failed | JobStatus::Cancelled);
        let running = job.run.as_ref().filter(|_| job.status.is_active());
        Self {
            id: job.id.clone(),
            project: job.project.clone(),
            status: job.status,
            address: format!("/jobs/{}", job.id),
            title: line(title),
            pill: labels::job_pill(job),
            sentence: line(&sentence),
            // The form for the answer is on the page.
            help: (help != "Nothing to do." && !may_answer).then(|| text::help(&name_buttons(&help, Page::Job))),
            failed,
            fault: job
                .failure
                .as_ref()
                .filter(|_| failed && waits.is_none())
                .and_then(|failure| failure.class().label_beside(&sentence)),
            cause: None,
            next_steps: if failed { next_steps(&help, job.project.as_str()) } else { Vec::new() },
            result: to_result(&visit.ctx, job, pull_request_state),
            verb: job.kind.spec().title_prefix.trim(),
            pull_request: revises.as_ref().map(|of| {
                let id = job.pull_request_id(of.number);
                let address = match job.kind.reviews() {
                    true => Some(format!("/pulls/{id}")),
                    false => labels::pull_request_address(&visit.ctx, &id, &of.url),
                };
                (address, line(&of.label))
            }),
            ticket: job.ticket.as_ref().map(|key| (ticket_url(&job.project, key), line(key.as_str()))),
            repository: repository.as_ref().map(|repository| line(repository.as_str())),
            branch: line(job.commit_branch()),
            place: match job.place {
                Placement::Fargate if visit.ctx.on_one_machine => "a process on this machine".into(),
                Placement::Fargate => {
                    format!("a {} {} task", job.task.size.as_str(), job.task.capacity.display_name())
                }
                Placement::Runners => "a runner".into(),
            },
            isolation: None,
            refused_hosts: Vec::new(),
            runner: runner.clone(),
            attempt: job.attempt,
            read_inputs: job.read_inputs,
            took: labels::job_duration(job, *now),
            cost: describe_cost(job),
            turn_limit: job.policy.turns,
            time: running.map(|run| {
                let limit = labels::format_duration(Duration::from_secs(job.policy.wall_secs));
                format!("{} of {limit}", labels::format_duration(now.since(run.started)))
            }),
            priority: (!job.priority.is_normal()).then(|| job.priority.label()),
            labels: (!required.is_empty()).then(|| line(&join_labels(required))),
            created: labels::format_time(job.created, *now),
            started: job.run.as_ref().map(|run| labels::format_time(run.started, *now)),
            ended: job.ended_at.map(|at| labels::format_time(at, *now)),
            may_pause: may_run && may_pause(job),
            may_continue: may_run && (job.status == JobStatus::Paused || job.pause.is_some()),
            question: job.question.as_ref().map(|question| markdown::render(&question.text, Below::Title)),
            may_answer,
            hears,
            speaks,
            may_cancel: may_run && !job.status.is_terminal() && job.cancel.is_none(),
            may_retry: may_repeat && job.step.is_none(),
            may_resume: may_repeat && job.step.is_some(),
            step: job.step.as_ref().map(|step| (step.run.clone(), line(&step.name))),
            form_key: new_form_key(),
            tabs: Tabs::default(),
        }
    }

    /// Links the row that shows the cause of the failure, and adds the agent's final message to the result.
    pub(crate) fn add_log(&mut self, job: &Job, entries: &[Entry], events: &[Arrived]) {
        self.cause = job.failure.as_ref().and_then(|failure| find_cause(failure, entries));
        if let Some(result) = &mut self.result {
            let mut newest_first = events.iter().rev().filter(|(attempt, ..)| *attempt == job.attempt);
            let last = newest_first.find(|(.., event)| matches!(event.kind, EventKind::Result | EventKind::Text));
            let text = last.and_then(|(.., event)| Some((event, event.text.as_deref()?)));
            let html = text.filter(|(_, text)| text.len() <= 8_192).map(|(event, text)| match event.is_output_line() {
                // The indentation makes the line code, which shows its characters unchanged.
                true => markdown::render(&format!("    {text}"), Below::Section),
                false => markdown::render(text, Below::Section),
            });
            result.html = html.filter(|html| !html.is_empty());
        }
    }
}

fn to_result(ctx: &Context, job: &Job, pull_request_state: Option<PullRequestState>) -> Option<JobResult> {
    let of_result = job.result.as_ref().map(|it| (&it.head, it.files, it.insertions, it.deletions));
    let of_branch = || job.pushed.as_ref().map(|it| (&it.head, it.files, it.insertions, it.deletions));
    let (head, files, insertions, deletions) = of_result.or_else(of_branch)?;
    let files = labels::format_count(files, "file");
    Some(JobResult {
        pull_request: PullRequestView::of_result(ctx, job, pull_request_state.unwrap_or(PullRequestState::Open)),
        commit: text::short_commit(head),
        changed: format!("{files} +{insertions} \u{2212}{deletions}"),
        html: None,
    })
}

fn describe_cost(job: &Job) -> String {
    let spent = labels::format_cost(job.spent_usd_micros);
    match job.policy.cost_usd_micros {
        Some(limit) => format!("{spent} of {} per attempt", labels::format_usd(limit)),
        None => spent,
    }
}

/// The failed check or setup command; for a failure of the agent or a limit, the last event.
fn find_cause(failure: &Failure, entries: &[Entry]) -> Option<String> {
    let check = entries.iter().rev().find(|entry| entry.is_failed_check());
    let cause = match failure.class() {
        FailureClass::Checks => check,
        FailureClass::Repo if matches!(failure, Failure::SetupFailed { .. }) => check,
        FailureClass::Agent | FailureClass::Limit => entries.iter().rev().find(|entry| entry.id.starts_with('e')),
        _ => None,
    };
    cause.map(|entry| entry.id.clone())
}

/// The job waits for a runner or is being worked on, without a pending request.
fn may_pause(job: &Job) -> bool {
    let at_work =
        matches!(job.status, JobStatus::Ready | JobStatus::Claimed | JobStatus::Preparing | JobStatus::Executing);
    at_work && job.pause.is_none() && job.cancel.is_none()
}
