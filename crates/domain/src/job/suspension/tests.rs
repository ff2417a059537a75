use super::*;
use crate::fixtures::{
    active, awaiting_input_job, claim, crash_failure, fence, finish, finish_id, job_and_ticket, just_before,
    paused_job, pending, question, ready_job, result, suspend_report, time_at,
};
use crate::job::explanation::{explain_job, wait_reason};
use crate::job::{AttemptEnd, Placement};
use crate::project::{DEFAULT_SUSPENSION_LIMIT, Resume};
use crate::review::outcome::{ticket_after_job, update_waiting_badge};
use crate::run::due::{self, Due};
use crate::ticket::{Badge, StatusMove, Target};

const HELD_STATUSES: [JobStatus; 4] =
    [JobStatus::Claimed, JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing];

fn pause_by_ann(secs: u64) -> Pause {
    Pause::new("ann", time_at(secs))
}

fn request_pause(job: &Job) -> Job {
    job.pause(pause_by_ann(240), time_at(240)).unwrap()
}

fn request_cancel(job: &Job) -> Job {
    job.cancel(Cancel::new("bob", None, time_at(245)), time_at(245)).unwrap()
}

fn suspend_first_attempt(job: &Job, rest: Suspension, inputs: u32) -> Result<Job, TransitionRefusal> {
    job.suspend(&fence(job, 1, "c1"), &suspend_report(rest, inputs), time_at(250))
}

fn ended_jobs() -> Vec<Job> {
    let syncing = active(JobStatus::Syncing);
    [End::Completed(Some(result())), End::Failed(crash_failure(), None), End::Cancelled]
        .map(|end| finish(&syncing, end))
        .into()
}

#[track_caller]
fn check_outcome(outcome: &Result<Job, TransitionRefusal>, expected: &str) {
    let text = match outcome {
        Ok(job) => format!("{:?}, wants {:?}", job.status, job.want),
        Err(refusal) => format!("{refusal:?}"),
    };
    assert_eq!(text, expected);
}

// docs/reference/states.md has every status.
#[test]
fn effect_of_a_pause_depends_on_the_status() {
    for status in HELD_STATUSES {
        check_outcome(&active(status).pause(pause_by_ann(240), time_at(240)), &format!("{status:?}, wants Pause"));
        check_outcome(&request_pause(&active(status)).pause(pause_by_ann(245), time_at(245)), "AlreadyDone");
        check_outcome(&request_cancel(&active(status)).pause(pause_by_ann(250), time_at(250)), "StopRequested");
    }
}

#[test]
fn effect_of_continue_depends_on_the_status() {
    for status in HELD_STATUSES {
        check_outcome(&active(status).resume(time_at(245)), "AlreadyDone");
        let back = request_pause(&active(status)).resume(time_at(245));
        check_outcome(&back, &format!("{status:?}, wants Run"));
        assert_eq!(back.unwrap(), active(status), "the pause leaves no trace");
        check_outcome(&request_cancel(&active(status)).resume(time_at(250)), "StopRequested");
    }
}

#[test]
fn input_counts_in_every_status_and_resumes_a_job() {
    for (job, expected) in [
        (pending(), "Pending, wants Run"),
        (ready_job(), "Ready, wants Run"),
        (active(JobStatus::Executing), "Executing, wants Run"),
        (request_pause(&active(JobStatus::Executing)), "Executing, wants Pause"),
        (awaiting_input_job(), "Ready, wants Run"),
        (paused_job(), "Ready, wants Run"),
    ] {
        let outcome = job.resume_with_input(time_at(300));
        check_outcome(&outcome, expected);
        assert_eq!(outcome.unwrap().inputs, job.inputs + 1);
    }
    check_outcome(&request_cancel(&active(JobStatus::Executing)).resume_with_input(time_at(300)), "StopRequested");
    let full = Job { inputs: MAX_INPUTS, ..awaiting_input_job() };
    check_outcome(&full.resume_with_input(time_at(300)), "TooManyInputs");
}

#[test]
fn runner_may_yield_for_a_pause_in_every_held_status() {
    for job in HELD_STATUSES.map(|status| request_pause(&active(status))) {
        check_outcome(&suspend_first_attempt(&job, Suspension::Pause, 0), "Paused, wants Run");
    }
}

#[test]
fn yield_after_a_withdrawn_pause_makes_the_job_ready() {
    let job = request_pause(&active(JobStatus::Executing)).resume(time_at(245)).unwrap();
    let back = suspend_first_attempt(&job, Suspension::Pause, 0).unwrap();
    assert_eq!(
        (back.status, back.want, back.requeues, back.ready_since),
        (JobStatus::Ready, DesiredState::Run, 0, time_at(250))
    );
    assert_eq!(back.session.as_ref().unwrap().id.as_deref(), Some("s1"), "the session continues");
    assert!(back.claim(&claim(2, "c2"), time_at(260)).is_ok());
}

#[test]
fn late_push_permission_does_not_block_a_yield() {
    let executing = active(JobStatus::Executing);
    let pushes = |job: &Job| job.advance(&fence(job, 1, "c1"), JobStatus::Syncing, time_at(248));
    // The push is refused for a pause, and its repeat arrives after the pause was withdrawn.
    check_outcome(&pushes(&request_pause(&executing)), "StopRequested");
    let late = pushes(&request_pause(&executing).resume(time_at(246)).unwrap()).unwrap();
    let back = suspend_first_attempt(&late, Suspension::Pause, 0).unwrap();
    assert_eq!((back.status, back.requeues, back.push_until, back.run.as_ref()), (JobStatus::Ready, 0, None, None));
    assert_eq!(pushes(&back), Err(TransitionRefusal::LeaseLost), "a later repeat may not push either");
    let still = suspend_first_attempt(&request_pause(&late), Suspension::Pause, 0).unwrap();
    assert_eq!((still.status, still.push_until), (JobStatus::Paused, None));
    check_outcome(&suspend_first_attempt(&late, question(), 0), "WrongStatus(Syncing)");
}

#[test]
fn question_is_refused_when_a_newer_input_exists() {
    let job = active(JobStatus::Executing).resume_with_input(time_at(240)).unwrap();
    check_outcome(&suspend_first_attempt(&job, question(), 0), "NewerInput");
    check_outcome(&suspend_first_attempt(&job, question(), 1), "AwaitingInput, wants Run");
    // A pause is accepted, because the next attempt reads the input.
    let paused = suspend_first_attempt(&request_pause(&job), Suspension::Pause, 0).unwrap();
    assert_eq!((paused.status, paused.session.unwrap().inputs), (JobStatus::Paused, 0));
    // The number of read inputs is clamped to the existing ones.
    let liar = suspend_first_attempt(&job, question(), 9).unwrap();
    assert_eq!(liar.session.unwrap().inputs, 1);
}

#[test]
fn cancel_beats_a_pause_and_a_question() {
    for rest in [question(), Suspension::Pause] {
        let cancelled =
            suspend_first_attempt(&request_cancel(&request_pause(&active(JobStatus::Executing))), rest, 0).unwrap();
        assert_eq!(
            (cancelled.status, cancelled.want, cancelled.pause.as_ref()),
            (JobStatus::Cancelled, DesiredState::Run, None)
        );
        assert_eq!(cancelled.cancel.as_ref().unwrap().by, "bob");
        assert_eq!(cancelled.attempt_end(), AttemptEnd::Cancelled {});
    }
}

#[test]
fn finish_beats_a_pending_pause() {
    let job = request_pause(&active(JobStatus::Syncing));
    let done =
        job.finish(&fence(&job, 1, "c1"), &finish_id("f1"), End::Completed(Some(result())), time_at(260)).unwrap();
    assert_eq!((done.status, done.pause, done.want), (JobStatus::Completed, None, DesiredState::Run));
}

#[test]
fn platform_fault_pauses_a_pausing_job() {
    let paused = request_pause(&active(JobStatus::Preparing)).requeue(time_at(300)).unwrap();
    assert_eq!((paused.status, paused.want, paused.requeues), (JobStatus::Paused, DesiredState::Run, 1));
    assert_eq!((paused.pause.as_ref().unwrap().at, paused.run.as_ref()), (time_at(300), None));
    assert!(paused.resume(time_at(400)).unwrap().claim(&claim(2, "c2"), time_at(410)).is_ok());
}

#[test]
fn suspended_job_has_no_run_and_resumes_normally() {
    for job in [awaiting_input_job(), paused_job()] {
        assert_eq!((job.run.as_ref(), job.push_until, job.attempt), (None, None, 1));
        assert_eq!(job.claim(&claim(2, "c2"), time_at(260)), Err(TransitionRefusal::StopRequested));
        let back = job.resume_with_input(time_at(300)).unwrap();
        assert_eq!((back.question.as_ref(), back.pause.as_ref(), back.ready_since), (None, None, time_at(300)));
        assert_eq!((back.dispatch.number, back.dispatch.due, back.dispatch.starting), (0, time_at(300), false));
        let second = back.claim(&claim(2, "c2"), time_at(310)).unwrap();
        assert_eq!((second.attempt, second.session.unwrap().attempt), (2, 1));
    }
}

#[test]
fn task_starting_during_a_pause_never_claims() {
    let starting = ready_job().begin_dispatch(time_at(10)).unwrap().set_task(1, 1, "task-c1").unwrap();
    let still = starting.pause(pause_by_ann(20), time_at(20)).unwrap();
    assert_eq!(still.claim(&claim(1, "c1"), time_at(30)), Err(TransitionRefusal::StopRequested));
    let back = still.resume(time_at(40)).unwrap();
    assert_eq!(back.claim(&claim(1, "c1"), time_at(50)), Err(TransitionRefusal::LeaseLost));
    // The next start has another number, so that ECS does not mistake it for the first.
    let again = back.begin_dispatch(time_at(60)).unwrap();
    assert_eq!(again.dispatch.number, 2);
    assert!(again.claim(&claim(1, "c2"), time_at(70)).is_ok());
}

#[test]
fn repeated_yield_is_recognised_by_its_id() {
    for job in [awaiting_input_job(), paused_job()] {
        let again = |job: &Job| suspend_first_attempt(job, Suspension::Pause, 0);
        assert_eq!(again(&job), Err(TransitionRefusal::AlreadyDone));
        let on = job.resume_with_input(time_at(300)).unwrap().claim(&claim(2, "c2"), time_at(310)).unwrap();
        assert_eq!(again(&on), Err(TransitionRefusal::AlreadyDone));
        let other = SuspendReport { id: finish_id("y2"), ..suspend_report(Suspension::Pause, 0) };
        assert_eq!(on.suspend(&fence(&on, 1, "c1"), &other, time_at(320)), Err(TransitionRefusal::LeaseLost));
    }
}

#[test]
fn suspended_job_expires_after_its_time_limit() {
    let until = time_at(250).plus(DEFAULT_SUSPENSION_LIMIT);
    for job in [awaiting_input_job(), paused_job()] {
        assert_eq!(due::job(&job), Some(Due::At(until)));
        assert_eq!(job.expire_suspension(just_before(until)), Err(TransitionRefusal::NotBefore(until)));
    }
    let failed = awaiting_input_job().expire_suspension(until).unwrap();
    let limit = Span(7 * 86_400);
    assert_eq!((failed.status, failed.failure), (JobStatus::Failed, Some(Failure::InputTimeout { limit })));
    let cancelled = paused_job().expire_suspension(until).unwrap();
    assert_eq!(
        (cancelled.status, cancelled.failure.as_ref(), cancelled.run.as_ref()),
        (JobStatus::Cancelled, None, None)
    );
    assert_eq!(cancelled.cancel.unwrap().sentence(), "Cancelled by Pullyard: \"it was not continued for 7 days\".");
    for job in HELD_STATUSES.map(active).into_iter().chain(ended_jobs()) {
        assert_eq!(job.expire_suspension(time_at(90_000_000)), Err(TransitionRefusal::WrongStatus(job.status)));
    }
}

#[test]
fn pause_of_an_unheld_job_counts_from_its_write() {
    let still = ready_job().pause(pause_by_ann(200), time_at(240)).unwrap();
    assert_eq!(still.suspended_until(), Some(time_at(240).plus(DEFAULT_SUSPENSION_LIMIT)));
}

#[test]
fn ticket_shows_ai_waiting_while_its_job_is_suspended() {
    let ticket = job_and_ticket().1;
    assert_eq!(update_waiting_badge(&active(JobStatus::Executing), &ticket), None);
    for job in [awaiting_input_job(), paused_job()] {
        let waits = update_waiting_badge(&job, &ticket).unwrap();
        assert_eq!((waits.wanted.badge, &waits.active_job), (Some(Badge::AiWaiting), &ticket.active_job));
        assert_eq!((waits.wanted.status.as_ref(), &waits.status), (None, &ticket.status), "the ticket does not move");
        assert_eq!(update_waiting_badge(&job, &waits), None);
        let goes_on = update_waiting_badge(&job.resume_with_input(time_at(300)).unwrap(), &waits).unwrap();
        assert_eq!(goes_on.wanted.badge, None);
    }
    let waits = update_waiting_badge(&awaiting_input_job(), &ticket).unwrap();
    let failed = ticket_after_job(&awaiting_input_job().expire_suspension(time_at(900_000)).unwrap(), &waits);
    let todo = Some(StatusMove { to: Target::Todo, expected: ticket.status });
    assert_eq!((failed.wanted.badge, failed.wanted.status), (Some(Badge::AiFailed), todo.clone()));
    let cancelled = ticket_after_job(&paused_job().expire_suspension(time_at(900_000)).unwrap(), &waits);
    assert_eq!((cancelled.wanted.badge, cancelled.wanted.status), (None, todo));
    // If the pull request was merged, the ticket stays and loses the badge.
    let merged = paused_job().cancel(Cancel::automatic("acme/app#1 was merged", time_at(300)), time_at(300)).unwrap();
    assert_eq!(ticket_after_job(&merged, &waits).wanted.badge, None);
}

#[test]
fn why_names_who_paused_and_what_it_waits_for() {
    let sentence = |job: &Job| explain_job(job, wait_reason(job, None, time_at(370)).as_ref(), None, time_at(370)).0;
    assert_eq!(
        sentence(&request_pause(&active(JobStatus::Executing))),
        "ann paused the job 2 min ago, in attempt 1; its runner is stopping."
    );
    let pushing = request_pause(&active(JobStatus::Syncing));
    assert_eq!(sentence(&pushing), "ann paused the job 2 min ago, in attempt 1; it completes if its push succeeds.");
    assert_eq!(sentence(&awaiting_input_job()), "The agent asked a question 2 min ago.");
    assert_eq!(sentence(&paused_job()), "ann paused the job 2 min ago.");
}

#[test]
fn runner_of_the_session_is_preferred_for_a_while() {
    let (kite, gull) = (RunnerId::for_registration("t1", "kite"), RunnerId::for_registration("t1", "gull"));
    let mut held = Job { place: Placement::Runners, ..request_pause(&active(JobStatus::Executing)) };
    held.run.as_mut().unwrap().runner = Some(kite.clone());
    let mut back = suspend_first_attempt(&held, Suspension::Pause, 0).unwrap().resume(time_at(300)).unwrap();
    let takes = |job: &Job, runner, secs| job.may_be_claimed_by(runner, time_at(secs));
    let later = 300 + RUNNER_AFFINITY.as_secs();
    assert_eq!(
        (takes(&back, &kite, 300), takes(&back, &gull, later - 1), takes(&back, &gull, later)),
        (true, false, true)
    );
    back.policy.resume = Resume::Require;
    assert!(takes(&back, &gull, later), "any runner can resume");
    assert!(takes(&ready_job(), &gull, 0), "without a session, any runner");
}

#[test]
fn stored_questions_and_inputs_are_clipped() {
    let hostile = "\u{202e}\u{1b}[31m".repeat(9_000) + &"x".repeat(90_000);
    let rest = Suspension::Question { question: hostile.clone() };
    let report =
        SuspendReport { agent: Some(hostile.clone()), session: Some(hostile.clone()), ..suspend_report(rest, 0) };
    let job = active(JobStatus::Executing);
    let job = job.suspend(&fence(&job, 1, "c1"), &report, time_at(250)).unwrap();
    let question = job.question.clone().unwrap().text;
    assert!(question.chars().count() <= MAX_QUESTION_CHARS && !question.contains(char::is_control), "{question}");
    assert!(serde_json::to_string(&job.session).unwrap().len() < 1_000);
    let input = job.new_input(&hostile, &hostile, None, time_at(260));
    assert!(input.text.chars().count() <= MAX_INPUT_CHARS && input.by.chars().count() <= 48);
    assert_eq!((input.seq, input.question), (1, Some(question)), "it answers the question");
    assert_eq!(job.new_input("ann", "two\nlines", None, time_at(260)).text, "two\nlines");
}
