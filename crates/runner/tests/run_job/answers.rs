//! Tests jobs of kind `read`: the output file, its repair, and the limits of the agent.

use crate::prelude::*;
use crate::world::World;
use pullyard_domain::review::output::{Answer, JobOutput};

/// A world whose job asks a question.
async fn world(script: &str) -> World {
    let world = World::with_agent(script).await;
    world.api.change_assignment(ask);
    world
}

pub(crate) fn ask(assignment: &mut Assignment) {
    assignment.kind = JobKind::Read;
    assignment.branch = "main".into();
    assignment.ticket = None;
}

async fn answer(world: &World) -> String {
    let finish = world.completes().await;
    assert_eq!(finish.result, None);
    let phases: Vec<_> = world.api.calls("status").iter().map(|call| call.body["status"].clone()).collect();
    assert_eq!(phases, ["preparing", "executing", "syncing"]);
    match finish.output {
        Some(JobOutput::Read(Answer { text, .. })) => text,
        other => panic!("no answer: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_file_is_the_answer_and_changes_are_dropped() {
    let world = world(
        r#"echo changed > README.md; git add -A; git -c user.name=a -c user.email=a@b commit -qm mine
           LC_ALL=C GIT_TERMINAL_PROMPT=0 git push -q "$(cat @DIR@/url)" HEAD:refs/heads/mine 2> @DIR@/refused
           echo '{"v":1,"text":"See `README.md`."}' > .pullyard/output.json"#,
    )
    .await;
    std::fs::write(world.outside_path("url"), world.api.assignment().repository.clone_url).unwrap();
    let main = world.branch_head("main");
    assert_eq!(answer(&world).await, "See `README.md`.");
    let refused = std::fs::read_to_string(world.outside_path("refused")).unwrap();
    assert!(refused.contains("could not read Username"), "{refused}");
    assert_eq!(world.branch_head("main"), main);
    assert_eq!(world.git_line(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test(flavor = "multi_thread")]
async fn last_message_of_an_agent_is_the_answer_without_a_file() {
    let said = "Twice:\n\n- in `a.rs`\n- in `b.rs`, with for\u{200b}ge-secret-5e0c";
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": said, "session_id": "s", "num_turns": 1,
        "total_cost_usd": 0.01, "permission_denials": [], "terminal_reason": "completed", "modelUsage": {},
    });
    let machine = AgentMachine::with_agent(CLAUDE, "cat @DIR@/said.jsonl; cat > /dev/null").await;
    std::fs::write(machine.world.outside_path("said.jsonl"), format!("{result}\n")).unwrap();
    machine.world.api.change_assignment(ask);
    let finish = machine.completes().await;
    let Some(JobOutput::Read(Answer { text, .. })) = finish.output else { panic!("{finish:?}") };
    assert!(text.starts_with("Twice:\n\n- in `a.rs`\n- in `b.rs`, with "), "{text}");
    assert!(!text.contains(TOKEN), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn command_without_a_file_starts_again_and_fails() {
    let world = world("echo run >> @DIR@/runs; echo Twice.").await;
    let expected = Failure::OutputInvalid { fault: "the file does not exist".into() };
    assert_eq!(world.failure().await, expected);
    assert_eq!(std::fs::read_to_string(world.outside_path("runs")).unwrap().lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_redacted_in_the_answer() {
    let world =
        world(r#"printf '{"v":1,"text":"The token is %s."}' "$(cat @DIR@/token)" > .pullyard/output.json"#).await;
    std::fs::write(world.outside_path("token"), crate::world::TOKEN).unwrap();
    let text = answer(&world).await;
    assert!(text.starts_with("The token is ") && !text.contains(crate::world::TOKEN), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_output_returns_to_the_agent_with_its_fault() {
    let world = world(
        r#"if [ -e .pullyard/output.json ]; then
             cat > @DIR@/prompt; echo '{"v":1,"text":"Right."}' > .pullyard/output.json
           else
             echo '{"v":1,"answer":"Wrong."}' > .pullyard/output.json
           fi"#,
    )
    .await;
    assert_eq!(answer(&world).await, "Right.");
    let prompt = std::fs::read_to_string(world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("is wrong: unknown field"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_of_a_step_is_one_of_its_words() {
    let world = world(
        r#"if [ -e .pullyard/output.json ]; then
             cat > @DIR@/prompt; echo '{"v":1,"outcome":"approved","text":"Good."}' > .pullyard/output.json
           else
             echo '{"v":1,"outcome":"fine","text":"Good."}' > .pullyard/output.json
           fi"#,
    )
    .await;
    world.api.change_assignment(|job| job.outcomes = ["approved", "changes_requested"].map(str::to_owned).to_vec());
    let finish = world.completes().await;
    let expected = Answer { outcome: Some("approved".into()), text: "Good.".into(), ..Answer::default() };
    assert_eq!(finish.output, Some(JobOutput::Read(expected)));
    let prompt = std::fs::read_to_string(world.outside_path("prompt")).unwrap();
    assert!(prompt.contains("use one of approved, changes_requested at `/outcome`"), "{prompt}");
}

#[tokio::test(flavor = "multi_thread")]
async fn outcome_of_another_job_is_refused() {
    let world = world(r#"echo '{"v":1,"outcome":"approved","text":"Good."}' > .pullyard/output.json"#).await;
    let expected = Failure::OutputInvalid { fault: "this job has no outcomes: leave it out at `/outcome`".into() };
    assert_eq!(world.failure().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn step_reads_the_branch_of_its_run() {
    let world =
        world(r#"printf '{"v":1,"text":"%s"}' "$(git diff --name-only origin/main...HEAD)" > .pullyard/output.json"#)
            .await;
    world.forge.commit("acme/app", "feature", "pullyard-bot", &[("new.txt", "new", false)]).await.unwrap();
    world.api.change_assignment(|job| job.branch = "feature".into());
    assert_eq!(answer(&world).await, "new.txt");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_stays_wrong_fails_the_job() {
    let world = world(r#"echo run >> @DIR@/runs; echo '{"v":2,"text":"Wrong."}' > .pullyard/output.json"#).await;
    let failure = world.failure().await;
    assert_eq!(failure, Failure::OutputInvalid { fault: "the version is 1, not 2 at `/v`".into() });
    assert_eq!(std::fs::read_to_string(world.outside_path("runs")).unwrap().lines().count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn own_files_of_the_repository_are_replaced() {
    let output = r#"echo '{"v":1,"text":"Mine."}' > .pullyard/output.json"#;
    for path in [".pullyard", ".pullyard/output.json"] {
        let world = world(output).await;
        world.forge.commit("acme/app", "main", "pullyard-bot", &[(path, "theirs", false)]).await.unwrap();
        assert_eq!(answer(&world).await, "Mine.", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn linked_folder_is_not_followed() {
    let world =
        world("rm -rf .pullyard; ln -s @DIR@ .pullyard; echo '{\"v\":1,\"text\":\"Other.\"}' > @DIR@/output.json")
            .await;
    assert_eq!(world.fails().await, "output_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn next_attempt_has_the_output_and_no_changes() {
    let world = world(
        r#"if [ -e @DIR@/asked ]; then
             grep -q changed README.md && echo changed > .pullyard/seen; ls .pullyard >> @DIR@/seen
           else
             echo changed > README.md; touch @DIR@/asked
             echo '{"v":1,"text":"First."}' > .pullyard/output.json
             echo 'Which one?' > .pullyard/question.md
           fi"#,
    )
    .await;
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.calls("yield").len(), 1);
    world.api.next_attempt(|job| set_resume(job, Policy::Prefer, &[input(1, Some("Which one?"), "Both.")]));
    let ran = run_on_another_machine(&world).await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let finish = world.api.only_finish();
    assert!(matches!(&finish.output, Some(JobOutput::Read(Answer { text, .. })) if text == "First."), "{finish:?}");
    assert_eq!(std::fs::read_to_string(world.outside_path("seen")).unwrap(), "output.json\n");
}

const ANSWERING_AGENT: &str = r#"
    while read -r line; do
        echo '{"v":1,"text":"First."}' > .pullyard/output.json
        cat @DIR@/said.jsonl
        break
    done
    cat > /dev/null"#;

async fn answering_machine() -> AgentMachine {
    let machine = AgentMachine::with_agent(CLAUDE, ANSWERING_AGENT).await;
    let result = json!({
        "type": "result", "subtype": "success", "is_error": false, "result": "Written.", "session_id": "s",
        "num_turns": 1, "total_cost_usd": 0.01, "permission_denials": [], "terminal_reason": "completed",
        "modelUsage": {},
    });
    std::fs::write(machine.world.outside_path("said.jsonl"), format!("{result}\n")).unwrap();
    machine.world.api.change_assignment(ask);
    machine
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_or_pause_before_the_answer_wins() {
    for (order, route, outcome) in [("cancel", "finish", "cancelled"), ("pause", "yield", "paused")] {
        let machine = answering_machine().await;
        machine.world.api.change_script(|script| script.push_order = Some((order, false)));
        let ran = machine.world.run_with(|command| machine.set_env(command)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        assert_eq!(machine.world.api.statuses().last().map(String::as_str), Some("syncing"), "{order}");
        let [call] = machine.world.api.calls(route).try_into().unwrap();
        assert_eq!(call.body["outcome"], outcome, "{order}");
    }
}
