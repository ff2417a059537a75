//! Why a job is where it is, in one plain sentence.

use crate::fleet::Fleet;
use crate::job::{Cancel, ContextFault, DispatchFault, Job, Looked, Place, Status};
use crate::pull_request::PullRequestState;
use crate::text::{Fact, Span};
use crate::time::Timestamp;
use crate::wait::Wait;

/// What a job waits for that goes on for nothing else; what keeps it from that follows.
const TO_ADOPT: &str = "It waits for a runner to look for what the lost attempt may have pushed.";

/// What there is to do where nobody has to do anything.
const NOTHING: &str = "Nothing to do.";

/// What is said of a job that ended before anybody came to say what became of a push that was lost.
const PERHAPS_PUSHED: &str = "An earlier attempt may have pushed.";

/// What a job that does not run waits for. `fleet` is what is known of the runners that it may wait for.
pub fn wait(job: &Job, fleet: Option<&Fleet<'_>>, now: Timestamp) -> Option<Wait> {
    if let (Status::Pending, Some(waits)) = (job.status, &job.waits) {
        let forge = job.integration.clone();
        return Some(match &waits.fault {
            Some(ContextFault::RateLimited { until }) => Wait::ForgeRateLimited { forge, time: *until },
            Some(ContextFault::Silent { until }) => Wait::NoWords { time: *until },
            Some(ContextFault::Away { .. }) | None => {
                Wait::ContextFetch { forge, n: u64::from(waits.tries) + 1, time: waits.next }
            }
        });
    }
    if let (Status::AwaitingInput, Some(question)) = (job.status, &job.question) {
        return Some(Wait::NeedsInput { ago: now.since(question.at).into() });
    }
    if let (Status::Paused, Some(pause)) = (job.status, &job.pause) {
        return Some(Wait::Paused { who: pause.by.clone(), ago: now.since(pause.at).into() });
    }
    if job.status != Status::Ready {
        return None;
    }
    if let (Place::Runners, Some(fleet)) = (job.place, fleet) {
        return Some(fleet.wait(job, now));
    }
    if let Some(wait) = job.model.as_ref().and_then(|model| model.wait(now)).filter(|_| !job.dispatch.starting) {
        return Some(wait);
    }
    let next = job.dispatch.due;
    Some(match (&job.dispatch.fault, job.place) {
        (_, Place::Fargate) if job.dispatch.starting => {
            Wait::TaskStarting { time: next.minus(crate::job::START_WITHIN) }
        }
        (Some(DispatchFault::Capacity { since, .. }), _) => Wait::FargateCapacity { time: *since, next },
        (Some(DispatchFault::Interrupted { .. }), _) => Wait::SpotInterrupted { next },
        (Some(DispatchFault::Throttled { .. }), _) => Wait::FargateThrottled { next },
        (Some(DispatchFault::Refused { reason, .. } | DispatchFault::Died { reason, .. }), _) => {
            Wait::StartFailed { reason: reason.clone(), next }
        }
        (Some(DispatchFault::Silent { .. }), _) => Wait::StartFailed { reason: "it was never heard of".into(), next },
        (None, _) => Wait::StartingNow { ago: Span::from(now.since(job.ready_since)) },
    })
}

/// One sentence on where a job is and what to do about it; `wait` is what it waits for, and `made` what became of the
/// pull request that it made, where that is known.
pub fn why(job: &Job, wait: Option<&Wait>, made: Option<PullRequestState>, now: Timestamp) -> (String, String) {
    let (sentence, help) = stands(job, wait, now);
    match made.filter(|state| job.result.is_some() && *state != PullRequestState::Open) {
        // Nobody is to review that any more, nor to do anything else about it.
        Some(state) => (format!("{sentence} The pull request is {}.", state.words()), NOTHING.into()),
        None => (sentence, help),
    }
}

fn stands(job: &Job, wait: Option<&Wait>, now: Timestamp) -> (String, String) {
    if let Some(wait) = wait {
        let sentence = wait.sentence();
        return match job.status {
            Status::Ready if job.adopts.is_some() => (format!("{TO_ADOPT} {sentence}"), wait.help()),
            _ => (sentence, wait.help()),
        };
    }
    if let Some(failure) = &job.failure {
        let (sentence, help) = (failure.sentence(), failure.help());
        return match untold_push(job) {
            Some(untold) => (format!("{sentence} {untold}"), format!("{} {help}", where_to_look(job))),
            None => (sentence, help),
        };
    }
    let nothing = || NOTHING.to_owned();
    if let Some(cancel) = job.cancel.as_ref().filter(|_| job.status.is_active()) {
        let asked = Span::from(now.since(cancel.at)).say();
        let held = match job.status {
            Status::Syncing => "a push that succeeds comes first",
            _ => "its runner stops it",
        };
        return (format!("{} cancelled it {asked} ago, in attempt {}; {held}.", cancel.by, job.attempt), nothing());
    }
    if let Some(pause) = job.pause.as_ref().filter(|_| job.status.is_active()) {
        let asked = Span::from(now.since(pause.at)).say();
        let held = match job.status {
            Status::Syncing => "a push that succeeds comes first",
            _ => "its runner stops",
        };
        return (format!("{} paused it {asked} ago, in attempt {}; {held}.", pause.by, job.attempt), nothing());
    }
    let since = |at: Option<Timestamp>| Span::from(at.map_or_else(Default::default, |at| now.since(at))).say();
    match (job.status, &job.result) {
        (Status::Completed, Some(result)) => {
            let files = if result.files == 1 { "1 file".to_owned() } else { format!("{} files", result.files) };
            (format!("It completed with pull request #{}: {files} changed.", result.number), "Review it.".into())
        }
        (Status::Cancelled, _) => {
            let said = job.cancel.as_ref().map_or_else(|| "It was cancelled.".into(), Cancel::sentence);
            match untold_push(job) {
                Some(untold) => (format!("{said} {untold}"), where_to_look(job)),
                None => (said, nothing()),
            }
        }
        (status, _) => {
            let started = job.run.as_ref().map(|run| run.started);
            (
                format!(
                    "It is {} in attempt {}, claimed {} ago{}.",
                    status.words().to_lowercase(),
                    job.attempt,
                    since(started),
                    if job.adopts.is_some() { ", and only adopts what a lost attempt may have pushed" } else { "" }
                ),
                nothing(),
            )
        }
    }
}

/// What is said of a job that ended after an attempt of it may have pushed, and before anybody came to say what became
/// of that. None: it has not ended, no push was lost, or what became of that is known.
pub fn untold_push(job: &Job) -> Option<String> {
    match (job.status, &job.looked) {
        (Status::Failed, Some(Looked::Failed { failure })) if job.failure.as_ref() != Some(failure) => {
            Some(format!("It may have pushed, and looking for that failed: {}", failure.sentence()))
        }
        (Status::Failed, Some(Looked::Failed { .. })) => Some(PERHAPS_PUSHED.into()),
        (Status::Cancelled, _) if job.lost_a_push => Some(PERHAPS_PUSHED.into()),
        _ => None,
    }
}

/// What a person does who wants to know whether an attempt of it has pushed.
fn where_to_look(job: &Job) -> String {
    // One that goes on with a pull request pushes there while that is open, and else to its own branch.
    let beside = job.continues.as_ref().map(|of| format!(" and at pull request #{}", of.number)).unwrap_or_default();
    format!("Look at the forge for its branch `{}`{beside}.", job.branch)
}

#[cfg(test)]
mod tests;
