//! Orders of users: cancel, resume, answers, and the pull request of a step.

use super::*;

#[test]
fn run_without_room_for_cost_fails_and_resumes_with_more() {
    let mut world = costly(3, 3);
    world.end("a", COMPLETED).check("failed cost_limit: a done, b skipped (stopped)");
    let too_low = |cost| refusal(world.run.resume(&world.plan, cost, ("ann", time_at(1))));
    assert_eq!((too_low(None), too_low(Some(500_000))), ("run_cost_too_low", "run_cost_too_low"));
    world.order(|run, plan, now| run.resume(plan, Some(4_000_000), ("ann", now))).check("running: a done, b open");
}

#[test]
fn resume_needs_the_cost_of_the_next_step() {
    let limit = json!({ "limits": { "cost_usd": 1 }, "defaults": { "limits": { "cost_usd": 1 } } });
    let ask = json!({ "name": "ask", "needs": ["b"], "approve": "Is it right?" });
    let mut world = World::new(json!([step("a", &[]), step("b", &["a"]), ask]), limit);
    world.settle();
    world.end("a", COMPLETED).check("failed cost_limit: a done, b skipped (stopped), ask skipped (stopped)");
    let too_low = resume(&world.run, &world.plan, time_at(1)).unwrap_err().sentence();
    assert!(too_low.ends_with("has spent $1.00, and its next step needs $1.00."), "{too_low}");
}

#[test]
fn resume_is_refused_without_outputs_or_a_cost_limit() {
    let mut world = diamond(json!({}));
    world.end("a", REFUSED);
    assert_eq!(refusal(world.run.resume(&world.plan, Some(1_000_000), ("ann", time_at(1)))), "run_unlimited");
    let days = |days: u64| time_at(days * 24 * 3_600);
    assert_eq!(refusal(resume(&world.run, &world.plan, days(90))), "run_expired");
    assert!(resume(&world.run, &world.plan, days(89)).is_ok());
}

#[test]
fn cancel_ends_open_jobs_and_a_push_that_won_stays() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).order(cancel);
    assert_eq!(world.run.ordered_by.as_deref(), Some("ann"));
    let repeat = world.run.cancel(("bob", time_at(1)));
    assert_eq!(repeat.as_ref(), Ok(&world.run), "the first user stays");
    let is_cancelled = |world: &World, step: &str| world.jobs[&world.job(step)] == StepJob::Open { is_cancelled: true };
    assert!(is_cancelled(&world, "b") && is_cancelled(&world, "c"));
    world.check("running: a done, b open, c open, d waiting").end("b", COMPLETED).end("c", JobEnd::Cancelled);
    world.check("cancelled: a done, b done, c cancelled (job_cancelled), d skipped (stopped)");
    assert_eq!(refusal(cancel(&world.run, &world.plan, time_at(1))), "run_ended");
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).end("b", COMPLETED).end("c", COMPLETED).order(cancel).end("d", COMPLETED);
    assert_eq!(world.run.state, RunState::Completed, "the work was done before the cancel");
    assert_eq!((world.run.want, world.run.is_cancelled()), (RunWant::Cancel, false));
}

#[test]
fn resume_starts_what_is_not_done_with_new_jobs() {
    let mut world = diamond(json!({}));
    world.end("a", COMPLETED).end("b", REFUSED);
    let before = world.job("b");
    assert_eq!(refusal(resume(&world.run, &world.plan, time_at(1))), "run_not_over");
    world.end("c", COMPLETED).order(resume).check("running: a done, b open, c done, d waiting");
    assert_ne!(world.job("b"), before);
    world.end("b", COMPLETED).end("d", COMPLETED).check("completed: a done, b done, c done, d done");
    assert_eq!(refusal(resume(&world.run, &world.plan, time_at(1))), "run_completed");
}

#[test]
fn resume_decides_a_condition_again_when_its_need_failed() {
    let review = with(step("review", &[]), json!({ "outcomes": ["approved", "faulty"], "allow_failure": true }));
    let fix = with(step("fix", &["review"]), json!({ "when": { "review": "faulty" } }));
    let mut world = World::new(json!([review, fix, step("last", &["review"])]), json!({}));
    world.settle();
    world.end("review", REFUSED).end("last", REFUSED);
    world.check("failed step_failed: review failed (job_failed), fix skipped (when), last failed (job_failed)");
    world.order(resume).check("running: review open, fix waiting, last waiting");
    world.end_with("review", "faulty").check("running: review done, fix open, last open");
}

#[test]
fn time_limit_ends_the_run_and_counts_from_a_resume() {
    let mut world = World::new(json!([step("a", &[]), step("b", &["a"])]), json!({ "limits": { "wall": "1h" } }));
    world.settle();
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(900))), "it may have missed a release");
    world.secs = 3_000;
    assert_eq!(world.settle(), [[0, 0, 0]]);
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(3_600))));
    world.secs = 3_600;
    assert_eq!(world.settle(), [[0, 0, 1]]);
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(4_500))));
    world.end("a", JobEnd::Cancelled);
    world.check("failed time_limit: a cancelled (job_cancelled), b skipped (stopped)");
    assert_eq!(due::run(&world.run), None);
    world.order(resume).check("running: a open, b waiting");
    assert_eq!(due::run(&world.run), Some(Due::At(time_at(4_500))));
    let late = world.run.since.plus(Duration::from_secs(3_600));
    assert!(resume(&world.run, &world.plan, time_at(3_700)).is_ok(), "a repeat");
    assert_eq!(refusal(resume(&world.run, &world.plan, late)), "run_not_over", "it is about to end");
}

#[test]
fn question_waits_for_a_user_and_a_refusal_is_a_failure() {
    let start = || {
        let question = json!({ "name": "ask", "needs": ["a"], "approve": "Deploy?" });
        let mut world = World::new(json!([step("a", &[]), question, step("b", &["ask"])]), json!({}));
        world.settle();
        assert_eq!(refusal(answer(&world.run, "ask", Answer::Approve, &world.plan, time_at(0))), "no_question");
        world.end("a", COMPLETED).check("running: a done, ask asked, b waiting").check_wait("ask", "approval");
        world
    };
    let order = |choice: Answer| move |run: &Run, plan: &Plan, now: Timestamp| answer(run, "ask", choice, plan, now);
    let mut approved = start();
    approved.order(order(Answer::Approve)).check("running: a done, ask done, b open");
    let why = |world: &World| world.run.explain_step(world.run.find_step("ask").unwrap()).map(|why| why.sentence());
    assert_eq!(why(&approved).as_deref(), Some("ann approved ask."));
    let repeat = |choice: Answer| answer(&approved.run, "ask", choice, &approved.plan, time_at(9));
    assert_eq!(repeat(Answer::Approve).as_ref(), Ok(&approved.run));
    assert_eq!(refusal(repeat(Answer::Refuse)), "no_question");
    let ending = start().run.cancel(("ann", time_at(0))).unwrap();
    assert_eq!(refusal(answer(&ending, "ask", Answer::Approve, &approved.plan, time_at(0))), "run_ended");
    let mut refused = start();
    refused.order(order(Answer::Refuse));
    refused.check("failed step_failed: a done, ask failed (refused), b skipped (stopped)");
    assert_eq!(why(&refused).as_deref(), Some("ann refused ask."));
    refused.order(resume).check("running: a done, ask asked, b waiting");
    assert_eq!(refused.run.find_step("ask").unwrap().by, None);
    assert_eq!(refusal(answer(&refused.run, "a", Answer::Refuse, &refused.plan, time_at(0))), "no_question");
}

#[test]
fn allowed_failure_of_a_completed_run_offers_no_resume() {
    let ask = json!({ "name": "ask", "approve": "Deploy?", "allow_failure": true });
    let vote = with(step("vote", &[]), json!({ "outcomes": ["yes", "no"], "allow_failure": true }));
    let work = with(step("work", &[]), json!({ "allow_failure": true }));
    let mut world = World::new(json!([ask, vote, work]), json!({}));
    world.settle();
    world.order(|run, plan, now| answer(run, "ask", Answer::Refuse, plan, now));
    world.end("vote", COMPLETED).end("work", REFUSED);
    world.check("completed: ask failed (refused), vote failed (no_outcome), work failed (job_failed)");
    for (name, sentence) in [
        ("ask", "ann refused ask. The run went on."),
        ("vote", " of vote chose none of its outcomes. The run went on."),
        ("work", " of work failed. The run went on."),
    ] {
        let why = world.run.explain_step(world.run.find_step(name).unwrap()).unwrap();
        assert!(why.sentence().ends_with(sentence) && !why.help().contains("resume"), "{why:?}");
    }
}

#[test]
fn pull_request_needs_a_done_step_with_its_own_branch() {
    let shared = with(step("shared", &[]), json!({ "branch": "shared" }));
    let question = json!({ "name": "ask", "approve": "Deploy?" });
    let steps = json!([step("a", &[]), step("b", &["a"]), shared, question]);
    let mut world = World::new(steps, json!({ "defaults": { "branch": "own" } }));
    world.settle();
    world.end("a", COMPLETED);
    let find = |name: &str| world.run.own_branch_job(&world.plan, world.run.find_step(name).unwrap()).cloned();
    assert_eq!(find("a"), Ok(world.job("a")));
    assert_eq!(refusal(find("b")), "step_not_done");
    assert_eq!(refusal(find("shared")), "no_own_branch");
    assert_eq!(refusal(find("ask")), "no_own_branch", "a question inherits no branch");
    let opened = world.run.clone().with_pull_request("a", "https://forge.test/1");
    let urls: Vec<_> = opened.steps.iter().map(|step| step.pull_request.as_deref()).collect();
    assert_eq!(urls, [Some("https://forge.test/1"), None, None, None]);
}
