//! Tests the way from a ticket to a pull request, with every state of the forge.

use crate::agents::{hostile_name, with_model};
use crate::api::{Call, LEASE};
use crate::git_points::path_with_git_script;
use crate::prelude::*;
use crate::world::World;
use axum::routing::{MethodRouter, get};
use pullyard_local_forge::{AccountKind, Role, User};
use std::path::PathBuf;

const GREETING_AGENT: &str = "echo hello > greeting.txt; echo done";

#[tokio::test]
async fn ticket_becomes_a_pull_request() {
    let world = World::with_agent(
        r#"cat > prompt.txt
           env | sort > env.txt
           echo "$@" > args.txt
           grep -rq forge-secret .git ../git ../home ../tmp && exit 9
           cp .git/config config.txt
           git status --porcelain > status.txt || exit 8
           git symbolic-ref HEAD > branch.txt || exit 7
           rm README.md
           echo '{"kind":"tool_call","name":"write","call":"c1","input":{"a":1}}'
           echo working >&2
           echo '{"kind":"result","text":"I wrote it."}'"#,
    )
    .await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);

    let finish = world.api.only_finish();
    assert_eq!(finish.outcome, FinishOutcome::Completed, "{finish:?}");
    let result = finish.result.unwrap();
    let head = world.branch_head(BRANCH).unwrap();
    let pull = world.open_pull_request(BRANCH).await.unwrap();
    assert_eq!((result.branch.as_str(), result.head.as_str()), (BRANCH, head.as_str()));
    assert_eq!(
        (result.pull_request.as_ref().unwrap().number, &result.pull_request.as_ref().unwrap().url),
        (pull.number, &pull.url)
    );
    assert_eq!((pull.title.as_str(), pull.base_branch.as_str()), ("APP-17: Greet", "main"));
    assert_eq!((result.files, result.deletions), (7, 1));
    assert_eq!(world.api.statuses(), ["preparing", "executing", "syncing"]);

    let job = world.api.assignment().job;
    let message = world.git_line(&["log", "-1", "--format=%G? %an%n%B", &head]);
    let trailers = format!("Pullyard-Job: {job}/1\nPullyard-Ticket: APP-17\nPullyard-Agent: command");
    // Unsigned, because the job has no signing key.
    assert_eq!(message, format!("N Pullyard\nAPP-17: Greet\n\n{trailers}"));
    assert_eq!(world.git_line(&["rev-parse", &format!("{head}^")]), world.branch_head("main").unwrap());

    let file = |path| world.file_at(&head, path).unwrap();
    assert_eq!(file("prompt.txt"), "Write a greeting.");
    assert_eq!(file("args.txt"), "--now\n");
    assert_eq!(file("branch.txt"), format!("refs/heads/{BRANCH}\n"));
    // `prompt.txt` and similar files are new; no file of the checkout is changed.
    assert!(file("status.txt").lines().all(|line| line.starts_with("?? ")), "{}", file("status.txt"));
    let known = "HOME LANG LC_ALL OLDPWD PATH PULLYARD_JOB PULLYARD_KIND PULLYARD_TICKET PWD SHLVL TERM TMPDIR _";
    for name in file("env.txt").lines().filter_map(|line| Some(line.split_once('=')?.0)) {
        assert!(known.split(' ').any(|known| known == name), "{name}");
    }
    assert!(
        file("env.txt").contains("PULLYARD_TICKET=APP-17\n") && file("env.txt").contains("PULLYARD_KIND=implement\n")
    );
    for secret in [TOKEN, LEASE, "bootstrap-secret", "extraHeader"] {
        for path in ["env.txt", "config.txt"] {
            assert!(!file(path).contains(secret), "{secret} is in {path}");
        }
    }

    let kinds: Vec<String> = world
        .api
        .events()
        .iter()
        .map(|event| serde_json::to_value(event.kind).unwrap().as_str().unwrap().to_owned())
        .collect();
    for kind in ["phase", "tool_call", "log", "result"] {
        assert!(kinds.iter().any(|seen_kind| seen_kind == kind), "{kind} is not in {kinds:?}");
    }
    assert!(world.worktrees().is_empty() && world.outbox_files().is_empty());
}

#[tokio::test]
async fn pull_request_body_sanitizes_the_model_name() {
    let (model, published) = hostile_name();
    let machine = with_model(&model).await;
    machine.completes().await;
    let body = pull_request_body(&machine.world).await;
    let agent = format!("| Agent | claude_code `2.1.197`, model: `{published}` |\n");
    assert!(body.contains(&agent) && body.contains("| Isolation | none |\n") && !body.contains("key-of"), "{body}");
}

async fn pull_request_body(world: &World) -> String {
    pull_request(world).await["body"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn open_pull_request_is_continued() {
    let world = World::with_agent(GREETING_AGENT).await;
    let earlier = world.commit_on("feature", "Earlier work");
    let pull = world.create_pull_request("feature").await;
    world.api.change_assignment(|job| {
        job.continues = Some(ContinuedPullRequest { number: pull.number, branch: "feature".into() })
    });
    let result = world.completes().await.result.unwrap();
    assert_eq!((result.branch.as_str(), result.pull_request.as_ref().unwrap().number), ("feature", pull.number));
    assert_eq!(world.git_line(&["rev-parse", "feature^"]), earlier);
    assert_eq!(world.branch_head(BRANCH), None);
}

#[tokio::test]
async fn pushed_commit_of_an_earlier_attempt_is_adopted() {
    let world = World::with_agent("exit 1").await;
    let job = world.api.assignment().job;
    let pushed = world.commit_on(BRANCH, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1"));
    world.api.change_assignment(|job| {
        job.attempt = 2;
    });
    let finish = world.completes().await;
    assert_eq!(finish.result.unwrap().head, pushed);
    assert_eq!(world.api.statuses(), ["preparing", "executing", "syncing"]);
    // The isolation of the earlier attempt's agent is unknown.
    let body = pull_request_body(&world).await;
    assert!(body.starts_with("As asked.\n") && !body.contains("| Isolation |"), "{body}");
}

/// The pull request was closed or reopened between two attempts.
#[tokio::test]
async fn pushed_commit_is_adopted_after_its_pr_closed_or_reopened() {
    for (pushed_to, reopened) in [(BRANCH, true), ("feature", false)] {
        let world = World::with_agent("exit 1").await;
        let job = world.api.assignment().job;
        world.commit_on("feature", "Earlier work");
        let pushed = world.commit_on(pushed_to, &format!("APP-17: Greet\n\nPullyard-Job: {job}/1"));
        let number = match reopened {
            true => world.create_pull_request("feature").await.number,
            false => 41,
        };
        world.api.change_assignment(|job| {
            job.attempt = 2;
            job.continues = Some(ContinuedPullRequest { number, branch: "feature".into() });
        });
        let finish = world.completes().await;
        let result = finish.result.unwrap();
        assert_eq!((result.branch.as_str(), result.head), (pushed_to, pushed));
        let own = world.open_pull_request(pushed_to).await.unwrap();
        assert_eq!(result.pull_request.as_ref().unwrap().number, own.number);
    }
}

#[tokio::test]
async fn branch_moved_by_a_stranger_is_never_overwritten() {
    let world = World::with_agent(WAITING_AGENT).await;
    let theirs = world.run_with_change(async || world.commit_on(BRANCH, "Not yours")).await;
    assert_eq!(world.api.failure_code(), "push_rejected");
    assert_eq!(world.branch_head(BRANCH), Some(theirs));
}

#[tokio::test]
async fn existing_branch_of_a_stranger_fails_before_the_agent() {
    let world = World::with_agent("exit 1").await;
    let theirs = world.commit_on(BRANCH, "Not yours");
    assert_eq!(world.fails().await, "branch_taken");
    assert_eq!(world.api.statuses(), ["preparing"]);
    assert_eq!(world.branch_head(BRANCH), Some(theirs));
}

#[tokio::test]
async fn too_little_time_prevents_the_push() {
    let world = World::with_agent(GREETING_AGENT).await;
    world.api.change_script(|script| script.push_for_secs = Some(20));
    // No report renews the window, so the attempt ends at once and keeps its work for a retry.
    assert_eq!(world.fails().await, "forge_unavailable");
    assert_eq!(world.branch_head(BRANCH), None);
}

pub(crate) fn install_hook(world: &World, name: &str, script: &str) {
    pullyard_test_script::write_script(world.repository.git_dir.join("hooks").join(name), script);
}

/// Makes the forge answer pushes only once the second file exists; it creates the first file before.
fn delay_push(world: &World) -> [PathBuf; 2] {
    let files = ["begun", "go"].map(|name| world.outside_path(name));
    let [begun, go] = files.each_ref().map(|path| path.display());
    install_hook(world, "pre-receive", &format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done"));
    files
}

async fn wait_for_renewal(world: &World) {
    let is_push = |call: &&Call| call.body["status"] == "syncing";
    world.api.wait_for(|calls| calls.iter().filter(is_push).count() >= 2).await;
}

#[tokio::test]
async fn running_push_renews_its_window() {
    let world = World::with_agent(GREETING_AGENT).await;
    let [begun, go] = delay_push(&world);
    // 44 s minus the margin of 30 s.
    world.api.change_script(|script| script.push_for_secs = Some(44));
    let runner = world.spawn(|_| ());
    wait_for_file(&begun).await;
    wait_for_renewal(&world).await;
    let is_checkpoint = |call: &Call| call.route == "artifacts" && call.body["kind"] == "checkpoint";
    world.api.wait_for(|calls| calls.iter().any(is_checkpoint)).await;
    std::fs::write(go, "").unwrap();
    let ran = wait_for_exit(runner).await;
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed, "{}", ran.log);
    let waits = world.api.calls("status").into_iter().filter(|call| call.body["waits_for"].is_string()).count();
    assert_eq!(waits, 0, "the push was repeated: {}", ran.log);
}

#[tokio::test]
async fn push_ends_if_its_window_is_not_renewed() {
    let world = World::with_agent(GREETING_AGENT).await;
    let [_, go] = delay_push(&world);
    world.api.change_script(|script| (script.first_push_secs, script.push_for_secs) = ([40].into(), Some(0)));
    let sentence = world.failure().await.sentence();
    let branch = world.branch_head(BRANCH);
    std::fs::write(go, "").unwrap();
    assert!(sentence.ends_with(": the control plane did not extend the time for the push."), "{sentence}");
    assert_eq!(branch, None);
}

#[tokio::test]
async fn cancel_during_a_push_ends_its_renewals() {
    let world = World::with_agent(GREETING_AGENT).await;
    let [begun, go] = delay_push(&world);
    world.api.change_script(|script| script.push_for_secs = Some(38));
    let runner = world.spawn(|_| ());
    wait_for_file(&begun).await;
    world.api.change_script(|script| script.cancel = true);
    let ran = wait_for_exit(runner).await;
    let branch = world.branch_head(BRANCH);
    std::fs::write(go, "").unwrap();
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Cancelled, "{}", ran.log);
    let texts = world.api.event_texts();
    assert!(!texts.contains("Waiting for "), "{texts}");
    assert_eq!(branch, None);
}

#[tokio::test]
async fn refused_renewal_ends_git_at_once() {
    let world = World::with_agent(GREETING_AGENT).await;
    let [begun, go] = ["begun", "go"].map(|name| world.outside_path(name));
    let path = path_with_git_script(&world, |git| {
        let [begun, go] = [&begun, &go].map(|path| path.display());
        let wait = format!("touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done; sleep 2");
        format!("[ \"$1\" != push ] || {{ {wait}; }}\nexec '{git}' \"$@\"")
    });
    // A window of 14 s, whose first renewal is refused after 7 s. A git that survives it pushes after 9 s.
    world.api.change_script(|script| script.push_for_secs = Some(44));
    let runner = world.spawn(|command| {
        command.env("PATH", path);
    });
    wait_for_file(&begun).await;
    world.api.change_script(|script| script.refuse("status", 409, "lease_lost"));
    wait_for_renewal(&world).await;
    std::fs::write(go, "").unwrap();
    let ran = wait_for_exit(runner).await;
    assert_eq!(world.leftover_processes(), [""; 0], "{}", ran.log);
    assert!(world.api.finishes().is_empty() && world.branch_head(BRANCH).is_none(), "{}", ran.log);
}

#[tokio::test]
async fn refused_push_opens_no_pull_request() {
    let world = World::with_agent(GREETING_AGENT).await;
    let message = "error: GH006: Protected branch update failed for refs/heads/x.";
    install_hook(&world, "pre-receive", &format!("echo '{message}' >&2; exit 1"));
    assert_eq!(world.fails().await, "branch_protected");
    assert!(world.open_pull_request(BRANCH).await.is_none());
}

pub(crate) async fn replace_pulls_api(world: &World, pulls: MethodRouter) {
    let missing = async || (StatusCode::NOT_FOUND, Json(json!({ "message": "Not Found" })));
    let forge = Router::new().route("/repos/acme/app/pulls", pulls).fallback(missing);
    let url = serve(forge).await;
    world.api.change_assignment(|job| job.repository.api_url = url);
}

#[tokio::test]
async fn missing_permission_to_open_a_pr_is_reported() {
    let pulls = get(async || Json(json!([]))).post(async || {
        let body = json!({ "message": "Resource not accessible by personal access token" });
        (StatusCode::FORBIDDEN, Json(body))
    });
    let world = World::with_agent(GREETING_AGENT).await;
    replace_pulls_api(&world, pulls).await;
    let failure = world.failure().await;
    assert_eq!(failure.code(), "permission_missing");
    assert_eq!(failure.sentence(), "The local forge does not permit this account to open pull requests in acme/app.");
    assert!(world.branch_head(BRANCH).is_some(), "the work was not pushed");
}

#[tokio::test]
async fn read_only_account_fails_as_permission_missing() {
    let mut world = World::with_agent(GREETING_AGENT).await;
    let reader = User { login: "reader".into(), id: 8, token: "reader-secret".into() };
    world.forge.add_user(reader, AccountKind::User).await.unwrap();
    world.forge.set_role("acme/app", "reader", Role::Read).await.unwrap();
    world.api = crate::api::Api::start(world.api.assignment(), "reader-secret").await;
    let failure = world.failure().await;
    assert_eq!(failure.code(), "permission_missing");
    assert_eq!(failure.sentence(), "The local forge does not permit this account to push in acme/app.");
    assert_eq!(world.branch_head(BRANCH), None);
}
