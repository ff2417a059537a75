//! Builds denials from the state of a job.

use super::{Job, JobStatus, MAX_INPUTS, TransitionRefusal};
use crate::agent::COMMAND;
use crate::text::denial::Denial;

impl Denial {
    pub fn already_ended(job: &Job) -> Self {
        Self::AlreadyEnded { job: job.id.clone(), end: end_phrase(job) }
    }

    pub fn for_pause(job: &Job, refusal: &TransitionRefusal) -> Option<Self> {
        let (id, status) = (job.id.clone(), status_phrase(job.status));
        match refusal {
            TransitionRefusal::WrongStatus(_) if job.status.is_terminal() => Some(Self::already_ended(job)),
            TransitionRefusal::WrongStatus(_) => Some(Self::NotPausable { job: id, status }),
            TransitionRefusal::StopRequested => Some(Self::Cancelling { job: id }),
            _ => None,
        }
    }

    pub fn for_continue(job: &Job, refusal: &TransitionRefusal) -> Option<Self> {
        let id = job.id.clone();
        match refusal {
            TransitionRefusal::WrongStatus(_) if job.status.is_terminal() => Some(Self::already_ended(job)),
            TransitionRefusal::WrongStatus(_) => Some(Self::AwaitsAnswer { job: id }),
            TransitionRefusal::StopRequested => Some(Self::Cancelling { job: id }),
            TransitionRefusal::TooManyInputs => Some(Self::TooManyInputs { job: id, n: MAX_INPUTS.into() }),
            _ => None,
        }
    }

    /// Whether a message to the job would not be read. `capability` is that of its agent: a `command` gets all messages
    /// in the prompt of its attempt, and no later ones.
    pub fn for_message(job: &Job, capability: &str) -> Option<Self> {
        (capability == COMMAND && job.status.is_active()).then(|| Self::CommandWorks { job: job.id.clone() })
    }

    pub fn not_retryable(job: &Job) -> Self {
        let id = job.id.clone();
        if job.status.is_terminal() {
            Self::NotFailed { job: id, end: end_phrase(job) }
        } else {
            Self::NotOver { job: id, status: status_phrase(job.status) }
        }
    }
}

fn status_phrase(status: JobStatus) -> String {
    match status {
        JobStatus::AwaitingInput => "waiting for an answer".into(),
        other => other.label().to_lowercase(),
    }
}

fn end_phrase(job: &Job) -> String {
    match (job.status, &job.result) {
        (JobStatus::Completed, Some(result)) => format!("completed with pull request #{}", result.number),
        (JobStatus::Completed, None) => "completed".to_owned(),
        (JobStatus::Failed, ..) => "failed".to_owned(),
        _ => "been cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{active, crash_failure, finish, result};
    use crate::job::End;

    #[test]
    fn message_to_a_working_command_is_refused() {
        for status in JobStatus::ALL {
            let job = Job { status, ..active(JobStatus::Executing) };
            let code = |capability| Denial::for_message(&job, capability).map(|denial| denial.code());
            let is_refused = !status.is_terminal()
                && !status.is_suspended()
                && !matches!(status, JobStatus::Pending | JobStatus::Ready);
            assert_eq!(code("command"), is_refused.then_some("command_works"), "{status:?}");
            assert_eq!(code("codex"), None);
        }
    }

    #[test]
    fn denial_names_the_end_of_the_job() {
        let done = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
        let of = |denial: Denial| denial.sentence().replace(&done.id.short(), "7F2K");
        assert_eq!(of(Denial::already_ended(&done)), "Job 7F2K has already completed with pull request #231.");
        let failed = finish(&active(JobStatus::Executing), End::Failed(crash_failure(), None));
        assert_eq!(of(Denial::already_ended(&failed)), "Job 7F2K has already failed.");
        let only = "only a failed or cancelled job can be retried.";
        assert_eq!(of(Denial::not_retryable(&done)), format!("Job 7F2K completed with pull request #231; {only}"));
        let running = active(JobStatus::Executing);
        assert_eq!(of(Denial::not_retryable(&running)), format!("Job 7F2K is executing; {only}"));
    }

    #[test]
    fn pause_and_continue_denials_name_the_obstacle() {
        let done = finish(&active(JobStatus::Syncing), End::Completed(Some(result())));
        let cancelled = finish(&active(JobStatus::Syncing), End::Cancelled);
        let (asks, waits) = (crate::fixtures::awaiting_input_job(), crate::fixtures::pending());
        let refused = |job: &Job| TransitionRefusal::WrongStatus(job.status);
        let code = |denial: Option<Denial>| denial.map(|denial| denial.code());
        let pause = |job: &Job, refusal: &TransitionRefusal| code(Denial::for_pause(job, refusal));
        let go_on = |job: &Job, refusal: &TransitionRefusal| code(Denial::for_continue(job, refusal));
        assert_eq!(pause(&done, &refused(&done)), Some("too_late"));
        assert_eq!(pause(&waits, &refused(&waits)), Some("not_pausable"));
        assert_eq!(pause(&waits, &TransitionRefusal::StopRequested), Some("is_cancelled"));
        assert_eq!(pause(&waits, &TransitionRefusal::AlreadyDone), None, "a repeat");
        let unpaused = Denial::for_pause(&asks, &refused(&asks)).map(|denial| denial.sentence()).unwrap_or_default();
        assert!(unpaused.contains(" is waiting for an answer; "), "{unpaused}");
        assert_eq!(go_on(&cancelled, &refused(&cancelled)), Some("too_late"));
        assert_eq!(go_on(&asks, &refused(&asks)), Some("asks"));
        assert_eq!(go_on(&asks, &TransitionRefusal::StopRequested), Some("is_cancelled"));
        assert_eq!(go_on(&asks, &TransitionRefusal::TooManyInputs), Some("too_many_inputs"));
        assert_eq!(go_on(&asks, &TransitionRefusal::AlreadyDone), None, "a repeat");
        assert!(
            Denial::already_ended(&cancelled).sentence().ends_with("has already been cancelled."),
            "names the cancel"
        );
    }
}
