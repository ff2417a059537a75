//! Tests the project's commands: setup, checks on the agent's work, and one repair round.

use crate::prelude::*;
use crate::publish::replace_pulls_api;
use crate::world::World;
use axum::routing::get;
use pullyard_domain::agent::checks::{CheckOutcome, CheckRun, Checks, FailedChecksPolicy, Setup};
use pullyard_domain::agent::commands::CommandPolicy;

const GREETING_AGENT: &str = "cat > /dev/null; echo hello > greeting.txt; echo 'I greet.'";
const REPAIRING_AGENT: &str = "cat > @DIR@/prompt; if grep -q 'checks failed' @DIR@/prompt
    then cp @DIR@/prompt @DIR@/repair; ls > @DIR@/files; cat README.md > @DIR@/readme; echo hello > greeting.txt
    else echo hullo > greeting.txt; fi";
const GREETING_CHECK: &str = "grep -q hello greeting.txt || { echo 'it says' $(cat greeting.txt); exit 4; }";

pub(crate) async fn with_checks(agent: &str, checks: &[&str], change: impl FnOnce(&mut JobCommands)) -> World {
    let world = World::with_agent(agent).await;
    let commands = checks.iter().map(|line| line.replace("@DIR@", world.outside_path("").to_str().unwrap())).collect();
    let mut all = JobCommands {
        policy: CommandPolicy::Unrestricted,
        setup: Setup::default(),
        checks: Checks { commands, ..Checks::default() },
    };
    change(&mut all);
    world.api.change_assignment(|job| job.commands = Some(all));
    world
}

async fn run_checks(world: &World) -> (RunResult, Vec<CheckRun>) {
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let runs = world.api.only_finish().work.map(|work| work.checks).unwrap_or_default();
    (ran, runs)
}

fn check_results(runs: &[CheckRun]) -> Vec<(u32, CheckOutcome, Option<i32>)> {
    runs.iter().map(|run| (run.round, run.outcome, run.exit_code)).collect()
}

fn artifact_text(world: &World, name: &str) -> String {
    let bytes = world.api.bucket_object(name).unwrap_or_else(|| panic!("{name} was not stored"));
    String::from_utf8(bytes).unwrap()
}

pub(crate) async fn pull_request(world: &World) -> Value {
    let number = world.open_pull_request(BRANCH).await.unwrap().number;
    let url = format!("{}/repos/{}/pulls/{number}", world.forge.api_url(), world.repository.full_name);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).bearer_auth(TOKEN).send().await.unwrap().json().await.unwrap()
}

fn checks_trailer(world: &World) -> String {
    world.git_line(&["log", "-1", "--format=%(trailers:key=Pullyard-Checks,valueonly)", BRANCH])
}

#[tokio::test]
async fn passed_checks_are_reported_stored_and_shown_on_the_pr() {
    let world = with_checks(GREETING_AGENT, &[GREETING_CHECK, "echo all is well"], |_| ()).await;
    let (_, runs) = run_checks(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed);
    assert_eq!(check_results(&runs), [(0, CheckOutcome::Passed, Some(0)), (0, CheckOutcome::Passed, Some(0))]);
    assert_eq!((runs[0].artifact.as_deref(), runs[1].artifact.as_deref()), (None, Some("check-2.txt")));
    assert_eq!(artifact_text(&world, "check-2.txt"), "all is well\n");
    let events = world.api.events();
    let of_check: Vec<_> = events.iter().filter(|event| event.call.as_deref() == Some("check-2")).collect();
    assert_eq!((of_check[0].kind, of_check[0].text.as_deref()), (EventKind::Command, Some("echo all is well")));
    assert_eq!((of_check[1].kind, of_check[1].text.as_deref()), (EventKind::ToolResult, Some("all is well\n")));
    assert_eq!(of_check[1].data.as_ref().unwrap()["end"], "exit code 0");
    assert_eq!(world.api.statuses(), ["preparing", "executing", "syncing"]);
    let pull = pull_request(&world).await;
    let body = pull["body"].as_str().unwrap();
    assert!(body.starts_with("## Summary by the agent\n\n```text\nI greet.\n```\n\nAs asked.\n"), "{body}");
    assert!(
        body.contains("<summary>The agent and its checks</summary>")
            && body.contains("| Check | `echo all is well` passed in "),
        "{body}"
    );
    assert_eq!((&pull["draft"], checks_trailer(&world).as_str()), (&Value::Bool(false), "passed"));
    assert_eq!(artifact_text(&world, "final-message.md"), "I greet.");
}

#[tokio::test]
async fn failed_check_fails_the_job_after_at_most_one_repair() {
    for (repair, rounds, output) in
        [(false, "without a repair round", "check-1.txt"), (true, "after 1 repair round", "check-1-again.txt")]
    {
        let agent = "cat > /dev/null; echo x >> @DIR@/starts; echo hullo > greeting.txt";
        let world = with_checks(agent, &[GREETING_CHECK, "true"], |all| all.checks.repair = repair).await;
        let (_, runs) = run_checks(&world).await;
        let failure = world.api.only_finish().failure.unwrap();
        let sentence = failure.sentence();
        assert_eq!(failure.code(), "checks_failed");
        assert!(sentence.ends_with(&format!("failed with exit code 4, {rounds}.")), "{sentence}");
        let starts = if repair { 2 } else { 1 };
        assert_eq!(check_results(&runs)[..2], [(0, CheckOutcome::Failed, Some(4)), (0, CheckOutcome::Passed, Some(0))]);
        assert_eq!(runs.len(), 2 * starts);
        assert_eq!(std::fs::read_to_string(world.outside_path("starts")).unwrap(), "x\n".repeat(starts));
        assert_eq!(artifact_text(&world, output), "it says hullo\n");
        assert_eq!(world.api.statuses(), ["preparing", "executing"]);
        assert_eq!(world.branch_head(BRANCH), None);
    }
}

#[tokio::test]
async fn agent_repairs_its_work_with_the_output_of_failed_checks() {
    let dirty = "echo dirt > dirt.txt; echo dirt > README.md";
    let world = with_checks(REPAIRING_AGENT, &[GREETING_CHECK, dirty], |all| all.checks.repair = true).await;
    let (_, runs) = run_checks(&world).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed);
    let passed = CheckOutcome::Passed;
    let expected =
        [(0, CheckOutcome::Failed, Some(4)), (0, passed, Some(0)), (1, passed, Some(0)), (1, passed, Some(0))];
    assert_eq!(check_results(&runs), expected);
    let prompt = std::fs::read_to_string(world.outside_path("repair")).unwrap();
    assert!(prompt.starts_with("Write a greeting.\n\n"), "{prompt}");
    assert!(prompt.contains("ended with exit code 4:\n\n```text\nit says hullo\n```\n"), "{prompt}");
    assert!(!prompt.contains("dirt"), "a passed check is shown: {prompt}");
    // Changes by checks are discarded.
    assert!(!std::fs::read_to_string(world.outside_path("files")).unwrap().contains("dirt.txt"));
    assert_eq!(std::fs::read_to_string(world.outside_path("readme")).unwrap(), "# App\n");
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("hello\n"));
    assert_eq!((world.file_at(BRANCH, "dirt.txt"), world.file_at(BRANCH, "README.md")), (None, Some("# App\n".into())));
    assert_eq!(checks_trailer(&world), "passed");
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    assert!(body.contains("The checks ran again after further work of the agent."), "{body}");
}

#[tokio::test]
async fn failed_checks_create_a_draft_if_the_project_allows_it() {
    let draft = |all: &mut JobCommands| all.checks.failed = FailedChecksPolicy::Draft;
    let world = with_checks("cat > /dev/null; echo hullo > greeting.txt", &[GREETING_CHECK], draft).await;
    world.completes().await;
    let pull = pull_request(&world).await;
    let body = pull["body"].as_str().unwrap();
    assert_eq!((&pull["draft"], checks_trailer(&world).as_str()), (&Value::Bool(true), "failed"));
    assert!(
        body.contains("Checks failed, so this is a draft.") && body.contains("**failed** with exit code 4"),
        "{body}"
    );
}

/// Writes a wrong greeting and reports that its limits are used up.
const EXHAUSTED_AGENT: &str = r#"cat > /dev/null; echo x >> @DIR@/starts; echo hullo > greeting.txt
    echo '{"kind":"result","text":"I greet."}'; echo '{"kind":"usage","turns":1,"cost_usd_micros":400000}'"#;

#[tokio::test]
async fn work_is_judged_without_repair_when_limits_are_used_up() {
    for (by_turns, failed) in [(true, FailedChecksPolicy::Draft), (false, FailedChecksPolicy::Fail)] {
        let world = with_checks(EXHAUSTED_AGENT, &[GREETING_CHECK], |all| {
            all.checks.repair = true;
            all.checks.failed = failed;
        })
        .await;
        world.api.change_assignment(|job| match by_turns {
            true => job.limits.turns = Some(1),
            false => job.limits.cost_usd_micros = Some(400_000),
        });
        let (_, runs) = run_checks(&world).await;
        assert_eq!(check_results(&runs), [(0, CheckOutcome::Failed, Some(4))]);
        assert_eq!(std::fs::read_to_string(world.outside_path("starts")).unwrap(), "x\n", "the agent was restarted");
        let events = world.api.events();
        let has_note = |text: &str| text.contains("The agent has no budget left for a repair. ");
        assert!(events.iter().any(|event| event.text.as_deref().is_some_and(has_note)), "{events:?}");
        match world.api.only_finish().failure {
            None => assert_eq!(pull_request(&world).await["draft"], Value::Bool(true)),
            Some(failure) => assert!(failure.sentence().ends_with("exit code 4, without a repair round.")),
        }
        assert_eq!(world.api.only_finish().failure.is_none(), by_turns);
    }
}

#[tokio::test]
async fn only_a_refused_draft_fails_as_draft_refused() {
    let refuses = |message: &'static str| {
        let refuse = async move || (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": message })));
        get(async || Json(json!([]))).post(refuse)
    };
    let draft = |all: &mut JobCommands| all.checks.failed = FailedChecksPolicy::Draft;
    for (agent, message, code) in [
        ("echo hullo > greeting.txt", "Draft pull requests are not supported in this repository.", "draft_refused"),
        ("echo hello > greeting.txt", "No drafts, please.", "pull_request_refused"),
    ] {
        let world = with_checks(&format!("cat > /dev/null; {agent}"), &[GREETING_CHECK], draft).await;
        replace_pulls_api(&world, refuses(message)).await;
        run_checks(&world).await;
        assert_eq!(world.api.failure_code(), code, "{message}");
        assert!(world.branch_head(BRANCH).is_some(), "no work was pushed");
    }
}

async fn refuse_drafts(Json(pull): Json<Value>) -> Response {
    if pull["draft"] == Value::Bool(true) {
        let refusal = json!({ "message": "Draft pull requests are not supported in this repository." });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(refusal)).into_response();
    }
    let of = |branch: &Value| json!({ "ref": branch, "sha": "a".repeat(40), "repo": { "id": 9 } });
    let opened = json!({
        "number": 7, "html_url": "https://x.test/acme/app/pull/7", "title": "T", "state": "open", "draft": false,
        "user": null, "updated_at": "2026-11-20T12:00:00Z", "merged_at": null,
        "head": of(&pull["head"]), "base": of(&pull["base"]),
    });
    (StatusCode::CREATED, Json(opened)).into_response()
}

#[tokio::test]
async fn draft_of_a_plan_is_opened_where_the_forge_has_none() {
    let world = World::with_agent(GREETING_AGENT).await;
    world.api.change_assignment(|job| job.pull_request.draft = true);
    replace_pulls_api(&world, get(async || Json(json!([]))).post(refuse_drafts)).await;
    let result = world.completes().await.result.unwrap();
    assert_eq!(result.pull_request.map(|pull| pull.number), Some(7));
    let texts = world.api.event_texts();
    assert!(texts.contains("no drafts in this repository, so the pull request is open"), "{texts}");
}

#[tokio::test]
async fn failed_checks_are_not_pushed_to_an_open_pull_request() {
    let draft = |all: &mut JobCommands| all.checks.failed = FailedChecksPolicy::Draft;
    let world = with_checks("cat > /dev/null; echo hullo > greeting.txt", &[GREETING_CHECK], draft).await;
    let head = world.commit_on("feature", "Earlier work");
    let number = world.create_pull_request("feature").await.number;
    world.api.change_assignment(|job| job.continues = Some(ContinuedPullRequest { number, branch: "feature".into() }));
    run_checks(&world).await;
    assert_eq!((world.api.failure_code(), world.branch_head("feature")), ("checks_failed", Some(head)));
}

#[tokio::test]
async fn adopted_commit_with_failed_checks_opens_a_draft() {
    let world = World::with_agent("exit 1").await;
    let job = world.api.assignment().job;
    world.commit_on(BRANCH, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1\nPullyard-Checks: failed"));
    world.api.change_assignment(|job| job.attempt = 2);
    let (_, runs) = run_checks(&world).await;
    assert_eq!((world.api.only_finish().outcome, runs.len()), (FinishOutcome::Completed, 0));
    let pull = pull_request(&world).await;
    assert_eq!(pull["draft"], Value::Bool(true));
    assert!(pull["body"].as_str().unwrap().contains("See the job's log."), "{pull}");
}

#[tokio::test]
async fn checks_get_their_own_home_and_no_keys() {
    let world = with_checks(
        "cat > /dev/null; echo mine > $HOME/mine; echo hello > greeting.txt",
        &["env | sort > @DIR@/env; cat .git/config ~/mine 2> /dev/null; echo in $HOME"],
        |_| (),
    )
    .await;
    let ran = world
        .run_with(|command| {
            command.env("ANTHROPIC_API_KEY", "key-of-the-model").env("OPENAI_API_KEY", "key-of-the-model");
        })
        .await;
    assert_eq!((ran.code, world.api.only_finish().outcome), (Some(0), FinishOutcome::Completed), "{}", ran.log);
    let env = std::fs::read_to_string(world.outside_path("env")).unwrap();
    let names: Vec<&str> = env.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    let known = "CI HOME LANG LC_ALL OLDPWD PATH PULLYARD_JOB PULLYARD_KIND PULLYARD_TICKET PWD SHLVL TERM TMPDIR _";
    for name in &names {
        assert!(known.split(' ').any(|known| known == *name), "{name}");
    }
    assert!(names.contains(&"PULLYARD_JOB") && !env.contains("key-of-the-model") && !env.contains(TOKEN), "{env}");
    let output = artifact_text(&world, "check-1.txt");
    assert!(!output.contains("mine") && !output.contains("remote") && output.contains("/home-of-commands"), "{output}");
}

#[tokio::test]
async fn check_over_its_time_limit_is_killed_with_its_children() {
    let world = with_checks(GREETING_AGENT, &["echo begun; trap '' TERM; sleep 600 & sleep 600"], |all| {
        all.checks.limit_secs = 1
    })
    .await;
    let (_, runs) = run_checks(&world).await;
    let failure = world.api.only_finish().failure.unwrap();
    assert_eq!(failure.code(), "checks_timed_out");
    assert!(failure.sentence().ends_with("took longer than 1 s."), "{}", failure.sentence());
    assert_eq!(check_results(&runs), [(0, CheckOutcome::TimedOut, None)]);
    assert_eq!(artifact_text(&world, "check-1.txt"), "begun\n");
    assert_eq!(world.leftover_processes(), [""; 0]);
}

#[tokio::test]
async fn long_check_output_keeps_both_ends_without_secrets() {
    let flood =
        "echo first; echo forge-secret-5e0c; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo forge-secret-5e0c last";
    let world = with_checks(GREETING_AGENT, &[flood], |all| all.checks.output_kib = 4).await;
    let (_, runs) = run_checks(&world).await;
    let output = artifact_text(&world, "check-1.txt");
    assert!(runs[0].truncated && output.len() < 5_000, "{}", output.len());
    assert!(output.starts_with("first\n[redacted]\nxxx") && output.ends_with("x\n[redacted] last\n"), "{output}");
    assert!(output.contains("bytes left out] …"));
    assert!(!world.api.event_texts().contains(TOKEN) && !runs[0].command.contains(TOKEN));
    let body = pull_request(&world).await["body"].as_str().unwrap().to_owned();
    assert!(!body.contains(TOKEN) && body.contains("echo [redacted]"), "{body}");
}

#[tokio::test]
async fn allowed_commands_run_without_a_shell() {
    let allowlist = |all: &mut JobCommands| all.policy = CommandPolicy::Allowlist;
    let agent = "cat > /dev/null; echo 'for arg; do echo \"<$arg>\"; done' > check.sh";
    let world = with_checks(agent, &["bash check.sh 'a | b' \"c; d\" plain", "rebar3 eunit"], allowlist).await;
    let (_, runs) = run_checks(&world).await;
    assert_eq!(world.api.failure_code(), "checks_failed");
    assert_eq!(check_results(&runs), [(0, CheckOutcome::Passed, Some(0)), (0, CheckOutcome::Failed, Some(127))]);
    assert_eq!(artifact_text(&world, "check-1.txt"), "<a | b>\n<c; d>\n<plain>\n");
    assert_eq!(artifact_text(&world, "check-2.txt"), "rebar3 is not in the runner's path\n");
}

#[tokio::test]
async fn disallowed_command_is_refused_before_anything_is_fetched() {
    let allowlist = |all: &mut JobCommands| all.policy = CommandPolicy::Allowlist;
    let world = with_checks(GREETING_AGENT, &["make", "make | tee @DIR@/out"], allowlist).await;
    run_checks(&world).await;
    let failure = world.api.only_finish().failure.unwrap();
    assert_eq!(failure.code(), "command_not_allowed");
    assert!(failure.sentence().contains("`make | tee "), "{}", failure.sentence());
    assert!(world.api.calls("credentials").is_empty() && !world.outside_path("out").exists());
}

#[tokio::test]
async fn cancel_stops_a_check_and_stores_its_partial_output() {
    let check = "echo half way; echo > @DIR@/begun; trap '' TERM; while :; do sleep 0.05; done";
    let world = with_checks(GREETING_AGENT, &[check], |_| ()).await;
    let runner = world.spawn(|_| ());
    wait_for_file(&world.outside_path("begun")).await;
    world.api.change_script(|script| script.cancel = true);
    assert_eq!(wait_for_exit(runner).await.code, Some(0));
    let finish = world.api.only_finish();
    assert_eq!((finish.outcome, world.leftover_processes()), (FinishOutcome::Cancelled, vec![]));
    assert_eq!(world.branch_head(BRANCH), None);
    assert_eq!(artifact_text(&world, "check-1.txt"), "half way\n");
    assert!(world.api.event_texts().contains("half way\n"), "{}", world.api.event_texts());
    assert_eq!(finish.work.map(|work| work.checks.len()), Some(0));
}

#[tokio::test]
async fn setup_files_are_visible_to_the_agent_and_not_committed() {
    let setup =
        ["echo tool > tool.txt; mkdir -p 'a b'; echo x > 'a b/[x].txt'; echo changed > README.md", "echo set up"];
    let agent = "cat > /dev/null; cat tool.txt README.md > greeting.txt; git status --porcelain > status.txt";
    let world = with_checks(agent, &["cat tool.txt 'a b/[x].txt'"], |all| {
        all.setup.commands = setup.map(str::to_owned).to_vec();
    })
    .await;
    world.completes().await;
    assert_eq!(world.file_at(BRANCH, "greeting.txt").as_deref(), Some("tool\n# App\n"));
    assert_eq!(world.file_at(BRANCH, "status.txt").as_deref(), Some("?? greeting.txt\n?? status.txt\n"));
    let names = world.git_line(&["ls-tree", "-r", "--name-only", BRANCH]);
    assert_eq!(names, "README.md\nagent.sh\ngreeting.txt\nstatus.txt");
    assert_eq!(world.file_at(BRANCH, "README.md").as_deref(), Some("# App\n"));
    assert_eq!(artifact_text(&world, "check-1.txt"), "tool\nx\n");
    let output = artifact_text(&world, "setup-output.txt");
    assert!(output.ends_with("$ echo set up\nset up\n\n"), "{output}");
    assert!(world.api.event_texts().contains("set up\n"));
    assert_eq!(world.api.statuses(), ["preparing", "executing", "syncing"]);
}

#[tokio::test]
async fn failed_setup_ends_the_job_before_the_agent_starts() {
    let world = with_checks("touch @DIR@/agent", &[], |all| {
        all.setup.commands = vec!["echo no network >&2; exit 3".into(), "echo never".into()];
    })
    .await;
    let (_, runs) = run_checks(&world).await;
    let failure = world.api.only_finish().failure.unwrap();
    assert_eq!(failure.code(), "setup_failed");
    assert!(failure.sentence().ends_with("failed with exit code 3."), "{}", failure.sentence());
    assert!(artifact_text(&world, "setup-output.txt").contains("no network\n"));
    assert_eq!((world.api.statuses(), runs.len()), (vec!["preparing".to_owned()], 0));
    assert!(!world.outside_path("agent").exists());
}

#[tokio::test]
async fn read_only_check_that_changes_files_fails_the_job() {
    for (check, isolation, code) in [
        ("echo x > new.txt", "none", "tree_changed"),
        ("echo x >> greeting.txt", "none", "tree_changed"),
        ("echo x > new.txt", "landlock", "checks_failed"),
        ("echo x > new.txt || true; echo x > built/x", "landlock", ""),
        ("echo x > built/x", "none", ""),
    ] {
        let world = with_checks("echo built/ > .gitignore; mkdir built; echo hello > greeting.txt", &[check], |all| {
            all.checks.read_only = true;
        })
        .await;
        // A runner that is root starts commands under another account.
        std::fs::set_permissions(world.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
        let ran = world.run_under("PULLYARD_ISOLATION", isolation).await;
        let failure = world.api.only_finish().failure;
        let found = failure.as_ref().map_or("", |failure| failure.code());
        assert_eq!(found, code, "{check} {isolation}: {failure:?} {}", ran.log);
        assert_eq!(world.branch_head(BRANCH).is_some(), code.is_empty(), "{check} {isolation}");
        if code == "tree_changed" {
            let sentence = failure.unwrap().sentence();
            assert!(sentence.contains("`new.txt`") || sentence.contains("`greeting.txt`"), "{sentence}");
        }
    }
}
