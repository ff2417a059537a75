//! Steps with branches and outputs of their own, and managers that add steps.

use super::*;
use pullyard_domain::job::PushedCommit;
use pullyard_domain::run::SpawnRequest;

pub(super) fn pushed(job: &Job) -> End {
    let head = if job.branch.ends_with('a') { "a" } else { "b" }.repeat(40);
    End::Pushed(PushedCommit { branch: job.branch.clone(), head, files: 1, insertions: 2, deletions: 3 })
}

fn added(names: &[&str]) -> Vec<SpawnRequest> {
    let one = |name: &&str| json!({ "name": name, "role": "implementer", "prompt": format!("Do {name}.") });
    names.iter().map(|name| serde_json::from_value(one(name)).unwrap()).collect()
}

fn list(names: &[&str]) -> Option<JobOutput> {
    Some(JobOutput::Read(Answer { text: "Divided.".into(), spawn: added(names), ..Answer::default() }))
}

async fn manager(spawn: Value) -> Started {
    Started::new(json!({ "name": "lead", "steps": [
        { "name": "lead", "role": "manager", "prompt": "Lead.", "spawn": spawn },
        { "name": "last", "role": "planner", "needs": ["lead"], "prompt": "Describe it." },
    ] }))
    .await
}

#[tokio::test]
async fn own_branches_reach_the_next_step_as_patches() {
    let own = |name: &str| json!({ "name": name, "branch": "own", "prompt": "Work." });
    let last = json!({ "name": "join", "needs": ["a", "b"], "prompt": "Apply both." });
    let it = Started::new(json!({ "name": "two", "steps": [own("a"), own("b"), last] })).await;
    it.expect("running: a open, b open, join waiting").await;
    let (job, _) = it.job("a").await;
    let tail = &it.id.as_str()[it.id.as_str().len() - 8..];
    assert_eq!((job.branch.as_str(), &job.continues), (&*format!("pullyard/acme/run-{tail}-a"), &None));
    assert!(!job.is_known_by(4) && job.is_known_by(5));
    it.end("a", pushed, None).await;
    it.end("b", pushed, None).await;
    let (join, context) = it.job("join").await;
    assert!(!join.branch.contains("/run-"), "the shared branch: {}", join.branch);
    let prompt = context.prompt();
    for part in ["Commit aaaaaaaaaa: 1 file changed", "--3way .pullyard/input/a/change.patch", "/input/b/change.patch"]
    {
        assert!(prompt.contains(part), "{part}: {prompt}");
    }
    it.end("join", completed, None).await;
    assert_eq!(it.run().await.result.unwrap().number, 7);
}

#[tokio::test]
async fn retried_step_has_another_own_branch() {
    let step = json!({ "name": "a", "branch": "own", "retries": 1, "prompt": "Work." });
    let it = Started::new(json!({ "name": "one", "steps": [step] })).await;
    let (first, _) = it.job("a").await;
    it.end("a", crashed, None).await;
    let (second, _) = it.job("a").await;
    assert_eq!((second.branch, second.retry_of), (format!("{}.2", first.branch), Some(first.id)));
}

#[tokio::test]
async fn writing_step_reports_an_outcome() {
    let it = Started::new(json!({ "name": "two", "steps": [
        { "name": "fix", "outcomes": ["fixed", "unclear"], "changes": "optional", "prompt": "Fix it." },
        { "name": "ask", "role": "planner", "needs": ["fix"], "when": { "fix": "unclear" }, "prompt": "Explain." },
    ] }))
    .await;
    let (_, context) = it.job("fix").await;
    assert!(context.prompt().contains("`outcome` is one of `fixed`, `unclear`"), "{}", context.prompt());
    it.end("fix", answered, answer("It is unclear.", Some("unclear"))).await;
    it.expect("running: fix done, ask open").await;
    let (_, context) = it.job("ask").await;
    assert!(context.prompt().contains("It is unclear."), "{}", context.prompt());
}

#[tokio::test]
async fn retry_after_a_lost_output_may_change_nothing() {
    let lost = |job: &Job| End::Failed(Failure::OutputLost {}, Some(job_result(job)));
    let step = json!({ "name": "fix", "outcomes": ["fixed", "unclear"], "retries": 2, "prompt": "Fix it." });
    for (keys, is_free) in [(json!({}), true), (json!({ "branch": "own" }), false)] {
        let mut step = step.clone();
        step.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        let it = Started::new(json!({ "name": "one", "steps": [step] })).await;
        let free = "You may leave all other files unchanged.";
        assert!(!it.job("fix").await.1.prompt().contains(free));
        match is_free {
            true => it.end("fix", lost, None).await,
            false => it.end("fix", |_| End::Failed(Failure::OutputLost {}, None), None).await,
        }
        assert_eq!(it.job("fix").await.1.prompt().contains(free), is_free);
        if is_free {
            it.end("fix", crashed, None).await;
            assert!(it.job("fix").await.1.prompt().contains(free), "the second retry");
            it.end("fix", answered, answer("It was there.", Some("fixed"))).await;
            it.expect("completed: fix done").await;
        }
    }
}

#[tokio::test]
async fn manager_is_done_when_its_freed_retry_changes_nothing() {
    let step = json!({ "name": "lead", "role": "manager", "changes": "required", "retries": 1, "prompt": "Lead." });
    let it = Started::new(json!({ "name": "one", "steps": [step] })).await;
    it.end("lead", |job| End::Failed(Failure::OutputLost {}, Some(job_result(job))), None).await;
    it.expect("running: lead open").await;
    let unchanged = Failure::NoChanges { left_out: Quoted(None) };
    it.end("lead", |_| End::Failed(unchanged, None), None).await;
    it.expect("completed: lead done").await;
}

#[tokio::test]
async fn manager_gets_the_results_of_its_steps_in_its_next_turn() {
    let it = manager(json!({ "turns": 2 })).await;
    let (first, context) = it.job("lead").await;
    assert!(context.prompt().contains("You have 2 turns with this one"), "{}", context.prompt());
    it.end("lead", answered, list(&["a", "b"])).await;
    it.expect("running: lead spawning, last waiting, lead/a open, lead/b open").await;
    let (worker, context) = it.job("lead/a").await;
    assert!(worker.branch.ends_with("-lead_a"), "{}", worker.branch);
    assert!(context.prompt().contains("Do a.") && !context.prompt().contains("You can add"), "{}", context.prompt());
    it.end("lead/a", pushed, None).await;
    it.end("lead/b", crashed, None).await;
    let (second, context) = it.job("lead").await;
    assert_ne!(second.id, first.id);
    assert_eq!(second.retry_of, None, "it is other work");
    let prompt = context.prompt();
    for part in [
        "Divided.",
        "`lead/a`: done.",
        "input/lead/a/change.patch",
        "`lead/b`: failed.",
        "This is your last turn",
        "Lead.",
    ] {
        assert!(prompt.contains(part), "{part}: {prompt}");
    }
    assert!(!prompt.contains("lead/b/change.patch"), "{prompt}");
    it.end("lead", completed, answer("Both are in.", None)).await;
    let (_, context) = it.job("last").await;
    assert!(context.prompt().contains("Both are in."), "{}", context.prompt());
    it.end("last", answered, answer("Described.", None)).await;
    it.expect("completed: lead done, last done, lead/a done, lead/b failed").await;
}

#[tokio::test]
async fn list_that_the_plan_or_the_project_refuses_fails_its_step() {
    let mut with_model = added(&["a"]);
    with_model[0].model = Some("opus".into());
    for (spawn, list, fault) in [
        (json!({ "most": 1 }), added(&["a", "b"]), "use at most 1 steps at `/spawn`"),
        (json!({}), with_model, "a command has no model at `a`"),
    ] {
        let it = manager(spawn).await;
        let output = Answer { text: "Divided.".into(), spawn: list, ..Answer::default() };
        it.end("lead", answered, Some(JobOutput::Read(output))).await;
        let run = it.run().await;
        it.check(&run, "failed: lead failed, last skipped");
        let why = run.explain_step(&run.steps[0]).unwrap();
        assert_eq!(why.sentence(), format!("lead may not add its steps: {fault}."));
    }
}

#[tokio::test]
async fn list_above_the_limits_of_the_project_gets_them() {
    let it = manager(json!({})).await;
    let mut long = added(&["a"]);
    long[0].limits.wall = Some("2h".into());
    let output = Answer { text: "Divided.".into(), spawn: long, ..Answer::default() };
    it.end("lead", answered, Some(JobOutput::Read(output))).await;
    it.expect("running: lead spawning, last waiting, lead/a open").await;
    assert_eq!(it.job("lead/a").await.0.policy.wall_secs, 3_600);
}

#[tokio::test]
async fn list_of_a_lost_attempt_changes_nothing() {
    let it = manager(json!({})).await;
    let (world, (job, _)) = (&it.world, it.job("lead").await);
    let runner = world.runners(1, 1, 1).await.remove(0);
    let fence = world.claim(&job.id, Some(&runner)).await;
    for _ in 0..3 {
        sweep(&world.ctx).await.into_result().unwrap();
        world.ctx.clock.advance(Duration::from_secs(60));
    }
    assert!(world.load_job(&job.id).await.check_fence(&fence).is_err());
    let before = it.run().await;
    let (id, output) = (FinishId::new("late").unwrap(), list(&["a"]));
    let finish = Finish { id, end: End::Completed(None), spent_usd_micros: None, work: None, output };
    let late = finish_attempt(&world.ctx, &fence, &finish).await;
    assert!(matches!(late, Err(Error::LeaseLost { .. })), "{late:?}");
    it.advance().await;
    assert_eq!((it.run().await, world.ctx.store.load_output(&job.id).await.unwrap()), (before, None));
}

/// Step, end of its job, output, and the pointer of the refusal.
type Case = (&'static str, fn(&Job) -> End, Option<JobOutput>, &'static str);

#[tokio::test]
async fn output_and_pull_request_belong_to_certain_steps() {
    let plain = json!({ "name": "plain", "prompt": "Work." });
    let own = json!({ "name": "own", "branch": "own", "prompt": "Work." });
    let it = Started::new(json!({ "name": "two", "steps": [plain, own] })).await;
    let cases: [Case; 4] = [
        ("plain", completed, answer("Done.", None), "/output"),
        ("plain", pushed, None, "/result/pull_request"),
        ("own", completed, None, "/result/pull_request"),
        ("own", answered, None, "/result"),
    ];
    for (step, end, output, pointer) in cases {
        let (world, (job, _)) = (&it.world, it.job(step).await);
        let fence = Fence { job: job.id.clone(), attempt: 1, claim: ClaimId::new("c1").unwrap() };
        let (id, end) = (FinishId::new("f").unwrap(), end(&job));
        let finish = Finish { id, end, spent_usd_micros: None, work: None, output };
        let refused = finish_attempt(&world.ctx, &fence, &finish).await;
        assert!(matches!(&refused, Err(Error::Invalid { pointer: at, .. }) if *at == pointer), "{step}: {refused:?}");
    }
}
