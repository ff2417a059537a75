//! Explains the state of a job in one plain sentence.

use crate::job::fleet::Fleet;
use crate::job::{
    ActiveAttempt, Cancel, ContextFault, DesiredState, DispatchFault, Job, JobStatus, Placement, Publishes,
    SILENT_AFTER, StepOfRun,
};
use crate::text::failure::Failure;
use crate::text::pull_request_link::PullRequestState;
use crate::text::time::Timestamp;
use crate::text::wait::Wait;
use crate::text::{Fact, Span, format_count};
use std::time::Duration;

/// More than the longest time between two stored heartbeats of an attempt.
const REPORT_SILENCE_AFTER: Duration = Duration::from_secs(45);

const NO_ACTION: &str = "Nothing to do.";

/// Replacements in the advice of a failure, in this order. A step has no ticket, and its run keeps its plan.
const OF_STEPS: [(&str, &str); 8] = [
    ("make the ticket, or the review, more specific", "start another run with another prompt or `changes: optional`"),
    (", or edit the ticket first, and the agent continues", ""),
    ("Split the ticket", "Split the step in another run"),
    ("the ticket", "the prompt"),
    ("raise `limits.wall_secs` with", "raise `limits.wall` there; if the plan has none, raise `limits.wall_secs` with"),
    ("Raise `limits.cost_usd` with", "Raise `limits.cost_usd` in another run; if the plan has none, raise it with"),
    ("Raise `limits.turns` with", "Raise `limits.turns` in another run; if the plan has none, raise it with"),
    ("Then `pullyard jobs retry`", "Then `pullyard jobs retry`, or start another run with the name of a branch"),
];

/// For a job that ended with a lost push.
const POSSIBLE_PUSH: &str = "A lost attempt may have pushed.";

/// The reason why a job does not run. `fleet` describes the runners that the job may wait for.
pub fn wait_reason(job: &Job, fleet: Option<&Fleet<'_>>, now: Timestamp) -> Option<Wait> {
    if let (JobStatus::Pending, Some(waits)) = (job.status, &job.waits) {
        let forge = job.integration.clone();
        return Some(match &waits.fault {
            Some(ContextFault::RateLimited { until }) => Wait::ForgeRateLimited { forge, time: *until },
            Some(ContextFault::Silent { until }) => Wait::NoReviewText { time: *until },
            Some(ContextFault::Away { .. }) | None => {
                Wait::ContextFetch { forge, n: u64::from(waits.tries) + 1, time: waits.next }
            }
        });
    }
    if let (JobStatus::AwaitingInput, Some(question)) = (job.status, &job.question) {
        return Some(Wait::NeedsInput { ago: now.since(question.at).into() });
    }
    if let (JobStatus::Paused, Some(pause)) = (job.status, &job.pause) {
        return Some(Wait::Paused { who: pause.by.clone(), ago: now.since(pause.at).into() });
    }
    if is_silent(job, now) {
        return None;
    }
    if let Some(wait) = job.run.as_ref().and_then(|run| run.forge_wait.as_ref()).filter(|_| job.status.is_active()) {
        let (forge, ago) = (job.integration.clone(), now.since(wait.since).into());
        return (job.want == DesiredState::Run).then(|| Wait::ForgeAway { forge, ago, reason: wait.reason.clone() });
    }
    if job.status != JobStatus::Ready {
        return None;
    }
    if let (Placement::Runners, Some(fleet)) = (job.place, fleet) {
        return Some(fleet.wait_reason(job, now));
    }
    if let Some(wait) = job.model.as_ref().and_then(|model| model.wait_reason(now)).filter(|_| !job.dispatch.starting) {
        return Some(wait);
    }
    let next = job.dispatch.due;
    Some(match (job.dispatch.fault.as_ref().map(|failed| &failed.last), job.place) {
        (_, Placement::Fargate) if job.dispatch.starting => {
            let time = next.minus(crate::job::START_TIMEOUT);
            Wait::TaskStarting { time, ago: now.since(time).into() }
        }
        (Some(DispatchFault::Capacity { since }), _) => Wait::FargateCapacity { time: *since, next },
        (Some(DispatchFault::MachineFull), _) => Wait::MachineFull {},
        (Some(DispatchFault::Interrupted), _) => Wait::SpotInterrupted { next },
        (Some(DispatchFault::Throttled), _) => Wait::FargateThrottled { next },
        (Some(DispatchFault::Refused { reason, .. } | DispatchFault::Died { reason }), _) => {
            Wait::StartFailed { reason: reason.clone(), next }
        }
        (Some(DispatchFault::Silent), _) => Wait::StartFailed { reason: "it never connected".into(), next },
        (None, _) => Wait::StartingNow { ago: Span::from(now.since(job.ready_since)) },
    })
}

/// The state of a job and the user's next step. `wait`: why it waits. `pull_request`: its last known state.
pub fn explain_job(
    job: &Job,
    wait: Option<&Wait>,
    pull_request: Option<PullRequestState>,
    now: Timestamp,
) -> (String, String) {
    let (sentence, help) = explain_state(job, wait, now);
    match pull_request.filter(|state| job.result.is_some() && *state != PullRequestState::Open) {
        // A closed or merged pull request needs no review.
        Some(state) => (format!("{sentence} The pull request is {}.", state.display_name()), NO_ACTION.into()),
        None => (sentence, help),
    }
}

fn explain_state(job: &Job, wait: Option<&Wait>, now: Timestamp) -> (String, String) {
    if let Some(wait) = wait {
        return (wait.sentence(), wait.help());
    }
    if let Some(failure) = &job.failure {
        let (sentence, help) = explain_failure(job, failure);
        return match unresolved_push_note(job) {
            Some(note) => (format!("{sentence} {note}"), format!("{} {help}", push_location_help(job))),
            None => (sentence, help),
        };
    }
    let nothing = || NO_ACTION.to_owned();
    let age = |at: Timestamp| Span::from(now.since(at)).render();
    let stop = match (&job.cancel, &job.pause) {
        (Some(cancel), _) => Some((format!("{} cancelled the job {} ago", cancel.by, age(cancel.at)), " it")),
        (None, Some(pause)) => Some((format!("{} paused the job {} ago", pause.by, age(pause.at)), "")),
        (None, None) => None,
    };
    if let Some((request, it)) = stop.filter(|_| job.status.is_active()) {
        let state = match job.status {
            JobStatus::Syncing => match job.publishes() {
                Publishes::Change => "it completes if its push succeeds".to_owned(),
                Publishes::Review => "it completes if its review is posted".to_owned(),
                Publishes::Nothing => "it completes if its answer arrives".to_owned(),
            },
            _ => format!("its runner is stopping{it}"),
        };
        return (format!("{request}, in attempt {}; {state}.", job.attempt), nothing());
    }
    match (job.status, &job.result) {
        (JobStatus::Completed, Some(result)) => {
            let files = format_count(result.files, "file");
            (format!("The job completed with pull request #{}: {files} changed.", result.number), "Review it.".into())
        }
        (JobStatus::Completed, None) if job.pushed.is_some() => {
            // A retry may have published the work of another job, on that job's branch.
            let (branch, files) = job.pushed.as_ref().map_or((&job.branch, 0), |it| (&it.branch, it.files));
            let opens = job.step.as_ref().map_or_else(String::new, |StepOfRun { run, name, .. }| {
                let command = format!("`pullyard runs pr create {} --step {name}`", run.short());
                format!(" Once the step is done, {command} opens a pull request for its newest commit.")
            });
            let help = format!("The steps that need it get it as a patch.{opens}");
            (
                format!(
                    "The job completed with a commit on the branch {branch}: {} changed.",
                    format_count(files, "file")
                ),
                help,
            )
        }
        (JobStatus::Completed, None) => {
            let what = if job.kind.reviews() { "a review" } else { "an answer" };
            (format!("The job completed with {what}."), "Read it with `pullyard jobs output`.".into())
        }
        (JobStatus::Cancelled, _) => {
            let cancelled = job.cancel.as_ref().map_or_else(|| "The job was cancelled.".into(), Cancel::sentence);
            match unresolved_push_note(job) {
                Some(note) => (format!("{cancelled} {note}"), push_location_help(job)),
                None => (cancelled, nothing()),
            }
        }
        (status, _) if is_silent(job, now) => {
            let ago = age(job.run.as_ref().map_or(now, ActiveAttempt::last_heartbeat));
            let limit = Span::from(SILENT_AFTER).render();
            // The machine of a silent runner may be suspended. Then the runner's own time counts.
            let has_runner = job.run.as_ref().is_some_and(|run| run.runner.is_some());
            let condition = if has_runner { ", if its runner is not silent as well" } else { "" };
            let (state, number) = (status.label(), job.attempt);
            let help = "Wait; the setting `offline` decides whether the job is queued again or fails.";
            (
                format!(
                    "Attempt {number} ({state}) has been silent for {ago}; after {limit} it is stopped{condition}."
                ),
                help.into(),
            )
        }
        (status, _) => {
            let started = age(job.run.as_ref().map_or(now, |run| run.started));
            let activity = match status {
                JobStatus::Claimed => "A runner has claimed the job",
                JobStatus::Preparing => "The runner is preparing the workspace",
                JobStatus::Syncing => match job.publishes() {
                    Publishes::Change => "The runner is pushing the work",
                    Publishes::Review => "The runner is posting the review",
                    Publishes::Nothing => "The runner is handing over the answer",
                },
                JobStatus::Executing => "The agent is working",
                _ => status.label(),
            };
            (format!("{activity} (attempt {}, started {started} ago).", job.attempt), nothing())
        }
    }
}

/// A failure of the job, with advice. A run repeats the jobs of its steps.
pub fn explain_failure(job: &Job, failure: &Failure) -> (String, String) {
    match &job.step {
        Some(_) if is_allowed_without_change(job) => {
            ("Nothing to change, which the step allows.".into(), NO_ACTION.into())
        }
        Some(step) => {
            let (retry, run, name) = ("`pullyard jobs retry`", step.run.short(), &step.name);
            let help = OF_STEPS.iter().fold(failure.help(), |help, (old, new)| help.replace(*old, new));
            let resume = format!("`pullyard runs resume {run}`");
            let help = match help.split_once(retry).or_else(|| help.split_once("`pullyard runs resume`")) {
                // The run knows whether a resume repeats a step that a manager added, or only another run.
                Some((cause, _)) if name.contains('/') => {
                    format!("{cause}`pullyard runs why {run}/{name}`, which explains how to repeat it.")
                }
                _ if help.contains("the prompt") => {
                    help.replace(retry, &format!("`pullyard run`, or {resume} with the same prompt"))
                }
                _ => help.replace(retry, &resume).replace("`pullyard runs resume`", &resume),
            };
            (failure.sentence(), help)
        }
        None => (failure.sentence(), failure.help()),
    }
}

/// Whether the job of a step failed only because it changed nothing, which the step allows.
pub fn is_allowed_without_change(job: &Job) -> bool {
    let may_change_nothing = job.step.as_ref().is_some_and(|step| step.may_change_nothing);
    may_change_nothing && matches!(job.failure, Some(Failure::NoChanges { .. }))
}

fn is_silent(job: &Job, now: Timestamp) -> bool {
    job.run.as_ref().is_some_and(|run| job.status.is_active() && run.silence(now) >= REPORT_SILENCE_AFTER)
}

/// A note on an ended job with a lost push. `None` if the job has not ended or no push was lost.
pub fn unresolved_push_note(job: &Job) -> Option<&'static str> {
    (job.status.is_terminal() && job.lost_a_push).then_some(POSSIBLE_PUSH)
}

/// Names the branch and the pull request that a lost push may have reached.
fn push_location_help(job: &Job) -> String {
    // A continuing job pushes to its pull request while that is open, else to its own branch.
    let also = job.continues.as_ref().map(|pr| format!(" and at pull request #{}", pr.number)).unwrap_or_default();
    format!("Check the forge for the branch `{}`{also}.", job.branch)
}

#[cfg(test)]
mod tests;
