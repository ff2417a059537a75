//! Tests the jobs of a run's steps: branches of their own, patches of earlier steps, and outputs of jobs that write.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::agent::checks::{Checks, FailedChecksPolicy, Setup};
use pullyard_domain::agent::commands::CommandPolicy;
use pullyard_domain::project::plan::SpawnLimits;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_protocol::attempt::{AssignedPatch, AssignedStep};

const OWN: &str = "pullyard/acme/run-1-left";

async fn world(script: &str, step: AssignedStep) -> World {
    let world = World::with_agent(script).await;
    world.api.change_assignment(|job| (job.ticket, job.step) = (None, Some(step)));
    world
}

fn manager() -> AssignedStep {
    let spawn = SpawnLimits { most: 1, turns: 2, roles: vec!["implementer".into()] };
    AssignedStep { reports: true, may_change_nothing: true, spawn: Some(spawn), ..AssignedStep::default() }
}

fn answer(finish: FinishRequest) -> Answer {
    finish.output.and_then(JobOutput::into_answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_branch_starts_at_the_branch_of_the_run() {
    let step = AssignedStep { has_own_branch: true, starts_from: Some("shared".into()), ..AssignedStep::default() };
    let world = world("echo hello > greeting.txt", step).await;
    world.forge.commit("acme/app", "shared", "pullyard-bot", &[("first.txt", "first", false)]).await.unwrap();
    world.api.change_assignment(|job| job.branch = OWN.into());
    let result = world.completes().await.result.unwrap();
    assert_eq!((result.branch.as_str(), result.pull_request, result.files), (OWN, None, 1));
    assert_eq!(world.branch_head(OWN), Some(result.head));
    assert_eq!(Some(world.git_line(&["rev-parse", &format!("{OWN}^")])), world.branch_head("shared"));
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_work_of_an_own_branch_survives_a_shared_commit() {
    let step = AssignedStep { has_own_branch: true, starts_from: Some("shared".into()), ..AssignedStep::default() };
    let script =
        "cat > /dev/null; echo half > half.txt; echo waiting; trap 'exit 1' TERM; while :; do sleep 0.05; done";
    let world = world(script, step).await;
    let commit = async |file: &str| {
        world.forge.commit("acme/app", "shared", "pullyard-bot", &[(file, "text", false)]).await.unwrap()
    };
    let start = commit("first.txt").await;
    world.api.change_assignment(|job| job.branch = OWN.into());
    world.pauses().await;
    commit("second.txt").await;
    world.api.next_attempt(|job| {
        set_resume(job, Policy::Require, &[]);
        set_command(job, "cat > /dev/null; cp half.txt whole.txt");
    });
    let ran = run_on_another_machine(&world).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?} {}", world.api.event_texts());
    assert_eq!(world.file_at(OWN, "whole.txt").as_deref(), Some("half\n"));
    assert_eq!(world.git_line(&["rev-parse", &format!("{OWN}^")]), start);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_check_of_an_own_branch_publishes_nothing() {
    let draft = |commands: &mut JobCommands| commands.checks.failed = FailedChecksPolicy::Draft;
    let world = with_checks("cat > /dev/null; echo hello > greeting.txt", &["exit 4"], draft).await;
    let step = AssignedStep { has_own_branch: true, ..AssignedStep::default() };
    world.api.change_assignment(|job| (job.ticket, job.branch, job.step) = (None, OWN.into(), Some(step)));
    assert_eq!(world.fails().await, "checks_failed");
    assert_eq!(world.branch_head(OWN), None);
}

/// A commit of the job's first attempt, whose second one works.
fn commit_of_first_attempt(world: &World, branch: &str) -> String {
    let job = world.api.assignment().job;
    world.commit_on(branch, &format!("Greet\n\nPullyard-Job: {job}/1"))
}

#[tokio::test(flavor = "multi_thread")]
async fn output_is_refused_with_the_commit_of_another_attempt() {
    let script =
        format!(r#"{WAITING_AGENT}; mkdir -p .pullyard; printf '{{"v":1,"text":"Greeted."}}' > .pullyard/output.json"#);
    let world = world(&script, AssignedStep { reports: true, ..AssignedStep::default() }).await;
    world.api.change_assignment(|job| job.attempt = 2);
    let pushed = world.run_with_change(async || commit_of_first_attempt(&world, BRANCH)).await;
    let finish = world.api.only_finish();
    assert_eq!((world.api.failure_code(), &finish.output), ("output_lost", &None));
    assert_eq!(finish.result.map(|result| result.head), Some(pushed));
}

#[tokio::test(flavor = "multi_thread")]
async fn own_branch_of_a_stranger_is_not_overwritten() {
    let world = world(WAITING_AGENT, AssignedStep { has_own_branch: true, ..AssignedStep::default() }).await;
    world.api.change_assignment(|job| job.branch = OWN.into());
    let theirs = world.run_with_change(async || world.commit_on(OWN, "Not yours")).await;
    assert_eq!((world.api.failure_code(), world.branch_head(OWN)), ("push_rejected", Some(theirs)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_commit_of_an_own_branch_is_adopted() {
    let world = world("exit 9", AssignedStep { has_own_branch: true, ..AssignedStep::default() }).await;
    world.api.change_assignment(|job| (job.attempt, job.branch) = (2, OWN.into()));
    let pushed = commit_of_first_attempt(&world, OWN);
    let result = world.completes().await.result.unwrap();
    assert_eq!((result.branch.as_str(), result.head, result.pull_request), (OWN, pushed, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_commit_is_published_when_a_patch_is_gone() {
    let world = world("echo ran > @DIR@/ran", AssignedStep::default()).await;
    let head = "a".repeat(40);
    let patch = AssignedPatch { step: "left".into(), file: "left/change.patch".into(), branch: OWN.into(), head };
    world.api.change_assignment(|job| {
        job.attempt = 2;
        job.step.as_mut().unwrap().patches = vec![patch];
    });
    let pushed = commit_of_first_attempt(&world, BRANCH);
    assert_eq!(world.completes().await.result.unwrap().head, pushed);
    assert!(!world.outside_path("ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn earlier_commit_is_applied_as_a_patch() {
    let script = "git apply --3way .pullyard/input/lead/left/change.patch && echo seen";
    let world = world(script, AssignedStep::default()).await;
    let main = world.branch_head("main").unwrap();
    world.forge.commit("acme/app", OWN, "pullyard-bot", &[("left.txt", "left\n", false)]).await.unwrap();
    let patch = AssignedPatch {
        step: "lead/left".into(),
        file: "lead/left/change.patch".into(),
        branch: OWN.into(),
        head: world.branch_head(OWN).unwrap(),
    };
    let line = r#"test -f .pullyard/input/lead/left/change.patch && test -z "$(git status --porcelain .pullyard)""#;
    let checks = Checks { commands: vec![line.into()], ..Checks::default() };
    world.api.change_assignment(|job| {
        job.step.as_mut().unwrap().patches = vec![patch];
        job.commands = Some(JobCommands { policy: CommandPolicy::Unrestricted, setup: Setup::default(), checks });
    });
    let result = world.completes().await.result.unwrap();
    assert_eq!(world.git_line(&["diff", "--name-only", &main, &result.head]), "left.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn patch_without_its_commit_fails_before_an_agent() {
    let world = world("echo ran > @DIR@/ran", AssignedStep::default()).await;
    let head = "a".repeat(40);
    let patch = AssignedPatch { step: "left".into(), file: "left/change.patch".into(), branch: OWN.into(), head };
    world.api.change_assignment(|job| job.step.as_mut().unwrap().patches = vec![patch]);
    assert_eq!(world.fails().await, "input_missing");
    assert!(!world.outside_path("ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn change_and_output_are_delivered_together() {
    let script = r#"echo hello > greeting.txt; mkdir .pullyard
        printf '{"v":1,"outcome":"fixed","text":"Said %s."}' "$(cat @DIR@/token)" > .pullyard/output.json"#;
    let world = world(script, AssignedStep { reports: true, ..AssignedStep::default() }).await;
    std::fs::write(world.outside_path("token"), crate::world::TOKEN).unwrap();
    world.api.change_assignment(|job| job.outcomes = ["fixed", "unclear"].map(str::to_owned).to_vec());
    let finish = world.completes().await;
    let head = finish.result.as_ref().unwrap().head.clone();
    assert_eq!(world.git_line(&["show", "--name-only", "--format=", &head]), "greeting.txt");
    let answer = answer(finish);
    assert_eq!(answer.outcome.as_deref(), Some("fixed"));
    assert!(!answer.text.contains(crate::world::TOKEN), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_file_of_the_repository_fails_before_an_agent() {
    let world = world("echo ran > @DIR@/ran", manager()).await;
    world.forge.commit("acme/app", "main", "pullyard-bot", &[(".pullyard/output.json", "{}", false)]).await.unwrap();
    let failure = world.failure().await;
    assert_eq!(failure.code(), "output_taken");
    assert!(failure.sentence().contains(".pullyard/output.json"), "{failure:?}");
    assert!(!world.outside_path("ran").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_setup_left_is_not_the_answer() {
    let world = world("echo hello > greeting.txt", AssignedStep { reports: true, ..AssignedStep::default() }).await;
    let line = r#"mkdir -p .pullyard; echo '{"v":1,"outcome":"fixed","text":"Old."}' > .pullyard/output.json"#;
    let setup = Setup { commands: vec![line.into()], ..Setup::default() };
    let commands = JobCommands { policy: CommandPolicy::Unrestricted, setup, checks: Checks::default() };
    world.api.change_assignment(|job| {
        job.outcomes = ["fixed", "unclear"].map(str::to_owned).to_vec();
        job.commands = Some(commands);
    });
    assert_eq!(world.fails().await, "output_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn next_attempt_beside_changes_writes_its_own_output() {
    let script = r#"if [ ! -e @DIR@/asked ]; then
        touch @DIR@/asked; echo hello > greeting.txt; mkdir -p .pullyard
        echo '{"v":1,"text":"First."}' > .pullyard/output.json
        echo 'Which one?' > .pullyard/question.md
    fi"#;
    let world = world(script, AssignedStep { reports: true, ..AssignedStep::default() }).await;
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.calls("yield").len(), 1);
    world.api.next_attempt(|job| set_resume(job, Policy::Prefer, &[input(1, Some("Which one?"), "Both.")]));
    let ran = run_on_another_machine(&world).await;
    assert_eq!((ran.code, world.api.only_finish().output), (Some(0), None), "{}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_reach_setup_and_checks_as_data() {
    let script = "if env | grep -q PULLYARD_PARAM_; then exit 9; fi; echo hello > greeting.txt";
    let world = world(script, AssignedStep::default()).await;
    let ran = world.outside_path("ran");
    let touch = format!("touch {}", ran.display());
    let value = format!("; {touch}\n$({touch}) `{touch}` \"' %s \\n ü\r\n\n");
    let print = |to: &str| format!("printf %s \"$PULLYARD_PARAM_DUE_DATE\" > {}", world.outside_path(to).display());
    let path = format!("printf %s \"$PATH\" > {}", world.outside_path("path").display());
    let setup = Setup { commands: vec![print("setup"), path], ..Setup::default() };
    let checks = Checks { commands: vec![print("check")], ..Checks::default() };
    world.api.change_assignment(|job| {
        job.commands = Some(JobCommands { policy: CommandPolicy::Unrestricted, setup, checks });
        let parameters = [("due-date", value.clone()), ("path", "/nowhere".into())];
        job.step.as_mut().unwrap().parameters = parameters.map(|(name, value)| (name.to_owned(), value)).into();
    });
    world.completes().await;
    let read = |name: &str| std::fs::read_to_string(world.outside_path(name)).unwrap();
    assert_eq!((read("setup"), read("check")), (value.clone(), value));
    assert_ne!(read("path"), "/nowhere");
    assert!(!ran.exists(), "a value ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_tree_completes_a_manager_with_its_list() {
    let script = r#"mkdir .pullyard
        echo '{"v":1,"text":"Divided.","spawn":[{"name":"a","role":"implementer","prompt":"Do it."}]}' > .pullyard/output.json"#;
    let world = world(script, manager()).await;
    let finish = world.completes().await;
    assert_eq!(finish.result, None);
    let names: Vec<_> = answer(finish).spawn.into_iter().map(|step| step.name).collect();
    assert_eq!(names, ["a"]);
    assert_eq!(world.git_line(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_list_returns_to_the_agent_with_its_fault() {
    let script = r#"mkdir -p .pullyard
        if [ -e .pullyard/output.json ]; then
          cat > @DIR@/prompt; echo '{"v":1,"text":"Done."}' > .pullyard/output.json; echo hello > greeting.txt
        else
          echo '{"v":1,"text":"Divided.","spawn":[{"name":"a","role":"other","prompt":"Do it."}]}' > .pullyard/output.json
        fi"#;
    let world = world(script, manager()).await;
    let finish = world.completes().await;
    assert!(finish.result.is_some() && answer(finish).spawn.is_empty());
    let prompt = std::fs::read_to_string(world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("there is no role `other`"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repaired_list_completes_an_unchanged_manager() {
    let script = r#"mkdir -p .pullyard; role=other; [ ! -e .pullyard/output.json ] || role=implementer
        printf '{"v":1,"text":"Divided.","spawn":[{"name":"a","role":"%s","prompt":"Do it."}]}' $role > .pullyard/output.json"#;
    let finish = world(script, manager()).await.completes().await;
    assert_eq!((&finish.result, finish.output.is_some()), (&None, true));
    assert_eq!(answer(finish).spawn.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_of_another_job_or_of_the_last_turn_is_refused() {
    let script = r#"mkdir -p .pullyard
        echo '{"v":1,"text":"Divided.","spawn":[{"name":"a","role":"implementer","prompt":"Do it."}]}' > .pullyard/output.json"#;
    let mut last = manager();
    last.spawn.as_mut().unwrap().turns = 1;
    let other = AssignedStep { spawn: None, ..manager() };
    for (step, fault) in [(last, "the last turn"), (other, "this job can add no steps")] {
        let failure = world(script, step).await.failure().await;
        assert!(failure.sentence().contains(fault), "{failure:?}");
    }
}
