//! Tests `pullyard run` and `pullyard runs` as their user lives them, with a scripted agent.

use crate::agent_reviews::coming_from::{runnable, words};
use crate::cli::body;
use crate::prelude::*;
use crate::story::wait_until;

/// Approves as a reviewer, answers as a planner, and otherwise writes a line.
const AGENT: &str = r#"#!/bin/sh
prompt=$(cat)
case "$prompt" in
*'End with one of these outcomes'*) printf '{"v":1,"outcome":"approved","text":"No fault."}' > .pullyard/output.json;;
*'Change no file'*) printf '{"v":1,"text":"Write one line."}' > .pullyard/output.json;;
*) echo right >> work.txt;;
esac
"#;

const QUESTION: &str = "name: release
steps:
  - {name: ask, approve: Is it complete?}
  - {name: work, needs: [ask], prompt: Write a line.}
";

const SPAWND_PAGE: &str = include_str!("../docs/coming-from/spawnd.md");

struct World {
    story: Story,
    user: User,
    folder: TempDir,
}

impl World {
    async fn new() -> Self {
        let story = Story::start_with(Setup { agent: AGENT, ..Setup::default() }).await;
        let (user, folder) = (User::of(&story), TempDir::new().unwrap());
        user.ok(&["settings", "set", "command_policy=unrestricted"]).await;
        Self { story, user, folder }
    }

    fn write(&self, plan: &str) -> String {
        let file = self.folder.path().join("plan.yaml");
        std::fs::write(&file, plan).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The plan of `runs init` for the scripted agent.
    async fn contributor_plan(&self) -> String {
        let plan = self.user.ok(&["runs", "init"]).await;
        let plan = plan.replace("agent: claude_code, ", "").replace("    agent: codex\n", "");
        self.write(&plan.replace("cargo test", "grep right work.txt"))
    }

    /// Waits until the newest run has this state, or one of its steps asks.
    async fn wait_for(&self, state: &str) -> Value {
        wait_until("the run has its state", async || {
            let ran = self.user.run(&["runs", "show", "@last", "--json"]).await;
            let run: Value = serde_json::from_str(&ran.out).unwrap();
            let mut states = run["steps"].as_array().into_iter().flatten().map(|step| &step["state"]);
            let is_reached = if state == "asked" { states.any(|step| step == state) } else { run["state"] == state };
            if is_reached { Ok(run) } else { Err(ran.out) }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn run_with_a_failing_check_exits_with_6_and_pushes_nothing() {
    let World { story, user, .. } = World::new().await;
    let run = ["run", "-p", "Write a line.\nBe brief.", "--check", "grep wrong work.txt", "--watch"];
    let ran = user.run(&run).await.assert_exit(6, " failed after ");
    assert!(ran.err.contains("main: failed after "), "{ran:?}");
    assert!(ran.err.contains("`grep wrong work.txt`") && ran.err.contains("`pullyard runs resume "), "{ran:?}");
    assert_eq!((story.branches().await.len(), story.pull_requests().await.len()), (0, 0));
    let listed = user.ok(&["runs"]).await;
    assert!(listed.starts_with("failed\trun_") && listed.contains("\tWrite a line.\t1/1\t"), "{listed}");
    let why = user.ok(&["runs", "why", "@last"]).await;
    assert!(why.contains("Failed or cancelled steps: main.") && why.contains("of main failed."), "{why}");
    let checks = user.ok(&["runs", "checks", "@last"]).await;
    assert!(checks.starts_with("main\tgrep wrong work.txt\tfailed\texit code 1\t"), "{checks}");
    let log = user.run(&["runs", "logs", "@last/main"]).await;
    assert!(log.err.contains("-- executing, attempt 1 --"), "{log:?}");
    let events = user.ok(&["runs", "events", "@last/main"]).await;
    let is_phase = |line: &str| line.contains(r#""kind":"phase""#) && line.contains(r#""name":"executing""#);
    assert!(events.lines().any(is_phase), "{events}");
    let provenance = user.ok(&["runs", "provenance", "@last/main"]).await;
    assert!(provenance.starts_with("attempt\t1\nended_as\tfailed\n"), "{provenance}");
    let trace = user.ok(&["runs", "trace", "@last"]).await;
    let spans: Vec<_> = trace.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect();
    let spans: Vec<_> = spans.iter().map(|cells| [cells[1], cells[2], cells[4]]).collect();
    assert_eq!(spans, [["failed", "main", ""], ["failed", "main", "1"]], "{trace}");

    user.run(&["runs", "resume", "@last", "--watch"]).await.assert_exit(6, " failed after ");
    let trace = user.json(&["runs", "trace", "@last"]).await;
    let attempts = trace["spans"].as_array().unwrap().iter().filter(|span| span["attempt"] == 1);
    let jobs: BTreeSet<_> = attempts.map(|span| span["job"].to_string()).collect();
    assert_eq!((jobs.len(), story.jobs().await.len()), (2, 2), "{trace}");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_plan_makes_one_pull_request_and_its_repeat_no_second() {
    let world = World::new().await;
    let (story, user, file) = (&world.story, &world.user, world.contributor_plan().await);
    let run = ["run", "-f", &file, "--param", "task=Retry on 503", "--run-id", "retry-503"];
    let ran = user.run(&[&run[..], &["--watch"]].concat()).await;
    for line in ["plan: done in ", "implement: done in ", "review: approved in ", "fix: skipped\n", " completed in "] {
        assert!(ran.err.contains(line), "{line}: {ran:?}");
    }
    let out = ran.assert_success();
    let pulls = story.pull_requests().await;
    assert_eq!(pulls.len(), 1);
    let (id, url) = out.trim().split_once('\n').unwrap();
    assert_eq!(url, pulls[0]["html_url"].as_str().unwrap());
    let jobs = story.jobs().await.len();
    assert_eq!(user.ok(&run).await.trim(), id, "the repeat started another run");
    assert_eq!((story.jobs().await.len(), jobs), (3, 3));
    let other = ["run", "-f", &file, "--param", "task=Else", "--run-id", "retry-503"];
    user.run(&other).await.assert_exit(1, "idempotency_key_reused");

    let shown = user.ok(&["runs", "show", "@last"]).await;
    assert!(
        shown.contains("name\tcontributor: Retry on 503\n") && shown.contains("done\treview\tapproved\tjob_"),
        "{shown}"
    );
    assert!(shown.contains("parameter\ttask=Retry on 503\n"), "{shown}");
    let artifacts = user.ok(&["runs", "artifacts", "@last/implement"]).await;
    assert!(artifacts.contains("changes.patch\tpatch\t"), "{artifacts}");
    let trace = user.json(&["runs", "trace", "@last"]).await;
    let spans = trace["spans"].as_array().unwrap();
    let last = &spans[spans.len() - 1];
    assert_eq!((spans.len(), &last["step"], &last["started"]), (7, &json!("fix"), &Value::Null), "{trace}");
    let one = format!("/v1/runs/{id}");
    let mut run = user.json(&["runs", "show", "@last"]).await;
    assert_eq!(run, body(story, &format!("{one}?plan=true")).await);
    assert_eq!((&run["params"], &run["plan"]["base"]), (&json!({ "task": "Retry on 503" }), &json!("main")));
    assert_eq!(run["plan"]["repository"], run["repository"]);
    user.ok(&["runs", "check", &world.write(&run["plan"].to_string())]).await;
    run.as_object_mut().unwrap().retain(|name, _| name != "plan" && name != "params");
    assert_eq!(body(story, &one).await, run, "a poll carries no plan");
    assert_eq!(user.json(&["runs", "list"]).await, body(story, "/v1/runs?project=acme").await);
    user.run(&["runs", "resume", "@last"]).await.assert_exit(3, "run_completed");
    user.run(&["runs", "cancel", "@last", "--yes"]).await.assert_exit(3, "run_ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn question_is_approved_or_refused_by_command() {
    let world = World::new().await;
    let (story, user, file) = (&world.story, &world.user, world.write(QUESTION));
    let watched = user.spawn(&["run", "-f", &file, "--watch"]);
    world.wait_for("asked").await;
    assert_eq!(user.ok(&["runs", "why", "@last/work"]).await, "work waits for ask.\n");
    let id = user.json(&["runs", "show", "@last"]).await["id"].as_str().unwrap().to_owned();
    for run in ["@last", &id, &id[id.len() - 4..]] {
        assert_eq!(user.ok(&["why", &format!("{run}/work")]).await, "work waits for ask.\n");
    }
    let why = user.ok(&["why", &id]).await;
    assert!(why.contains("ask waits for a user.\n") && why == user.ok(&["why", &id[id.len() - 4..]]).await, "{why}");
    user.run(&["why", &format!("{id}/none")]).await.assert_exit(5, "has no step none");
    user.run(&["runs", "logs", "@last/work"]).await.assert_exit(5, "work has no job");
    user.run(&["runs", "approve", "@last/work"]).await.assert_exit(3, "no_question");
    user.run(&["runs", "resume", "@last"]).await.assert_exit(3, "run_not_over");
    let answered = user.run(&["runs", "approve", "@last/ask"]).await;
    assert!(answered.err.contains("Approved ask of run "), "{answered:?}");
    let ended = watched.wait_with_output().await.unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{err}");
    assert!(err.contains("ask: waits for a user\nIs it complete?\n") && err.contains("ask: approved by "), "{err}");
    assert_eq!(story.pull_requests().await.len(), 1);
    let run = user.json(&["runs", "show", "@last"]).await;
    let by = run["by"].as_str().unwrap();
    assert_eq!(run["steps"][0]["answered_by"], by, "{run}");
    let why = user.run(&["why", "@last/ask"]).await;
    assert_eq!((&*why.out, why.err.contains("Is it complete?")), (&*format!("{by} approved ask.\n"), true), "{why:?}");
    user.run(&["runs", "logs", "@last/ask"]).await.assert_exit(5, "ask asks a user, so it never has a job");

    user.ok(&["run", "-f", &file]).await;
    world.wait_for("asked").await;
    user.run(&["runs", "refuse", "@last/ask"]).await.assert_success();
    let run = world.wait_for("failed").await;
    assert_eq!(run["steps"][0]["why"]["sentence"], format!("{by} refused ask."), "{run}");
    assert_eq!(run["steps"][1]["why"]["code"], "stopped", "{run}");
    user.run(&["runs", "resume", "@last", "--cost-usd", "9"]).await.assert_exit(3, "run_unlimited");
    user.run(&["runs", "resume", "@last"]).await.assert_success();
    world.wait_for("asked").await;
    user.run(&["runs", "cancel", "@last"]).await.assert_exit(2, "add --yes");
    user.run(&["runs", "cancel", "@last", "--yes"]).await.assert_success();
    world.wait_for("cancelled").await;
    let why = user.ok(&["runs", "why", "@last"]).await;
    assert!(why.contains(&format!(" was cancelled by {by}.\n")), "{why}");
    let shown = user.ok(&["runs", "show", "@last"]).await;
    assert!(shown.contains(&format!("cancelled_by\t{by}\n")), "{shown}");
    user.run(&["runs", "watch", "@last"]).await.assert_exit(6, " cancelled after ");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_watch_lets_the_run_go_on() {
    let world = World::new().await;
    let file = world.write(QUESTION);
    let mut terminal = world.user.shown_at_terminal(&["run", "-f", &file, "--watch"]);
    terminal.wait_for_text("ask ?").await;
    terminal.signal("-INT").await;
    let (code, err) = terminal.wait().await;
    assert_eq!(code, Some(130), "{err}");
    assert!(err.contains("ask: waits for a user\n") && err.contains(" goes on\n"), "{err}");
    assert_eq!(world.wait_for("asked").await["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn plan_names_its_schema_and_is_checked_in_its_project() {
    let world = World::new().await;
    let (story, user) = (&world.story, &world.user);
    let plan = std::fs::read_to_string(world.contributor_plan().await).unwrap();
    let (first, rest) = plan.split_once('\n').unwrap();
    let url = first.strip_prefix("# yaml-language-server: $schema=").unwrap();
    assert!(rest.starts_with("name: contributor\n"), "{plan}");
    let path = url.strip_prefix(story.local.api_url()).unwrap();
    let (status, _, schema) = story.request(Method::GET, path, None, Vec::new()).await;
    assert_eq!((status, &schema["title"]), (200, &json!("Plan of a Pullyard run")));

    let file = world.write(&plan);
    let check = ["runs", "check", &file, "--project", "acme"];
    assert_eq!(user.ok(&check).await, format!("{file}: 4 steps, no fault in project acme\n"));
    user.ok(&["settings", "set", "command_policy=allowlist", "default_repository=null"]).await;
    let faulty = plan.replace("grep right work.txt", "rm -r x").replace("retries: 1", "limits: {wall: 9h}");
    world.write(&faulty);
    assert_eq!(user.ok(&check[..3]).await, format!("{file}: 4 steps, no fault\n"), "without a project");
    let ran = user.run(&check).await.assert_exit(1, "error: the plan has 3 faults");
    let at = |line: &str| line.split("  ").take(2).collect::<Vec<_>>().join(" ");
    let places = ["15:5 /steps/1/checks", "16:14 /steps/1/limits/wall", "26:5 /steps/3/checks"];
    let found: Vec<_> = ran.out.lines().map(at).collect();
    assert_eq!(found, places.map(|place| format!("{file}:{place}")), "{ran:?}");
    let ran = user.run(&[&check[..], &["--json"]].concat()).await.assert_exit(1, "");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&report["count"], &report["faults"][0]["pointer"]), (&json!(3), &json!("/steps/1/checks")));
    world.write(&faulty.replace("role: fixer", "use_role: fixer"));
    user.run(&check).await.assert_exit(1, "error: the plan has 1 fault");
    let limits = json!({ "wall": "9h" });
    let step = |n| json!({ "name": format!("s{n}"), "prompt": "Ask.", "sandbox": "read_only", "limits": limits });
    world.write(&json!({ "name": "long", "steps": (0..25).map(step).collect::<Vec<_>>() }).to_string());
    user.run(&check).await.assert_exit(1, "error: the plan has 25 faults; the first 20 are listed");

    world.write(&format!("repository: acme/none\n{plan}"));
    let ran = user.run(&check).await.assert_exit(1, "the plan has ");
    assert!(ran.out.contains("  /repository  acme/none is not connected to acme: `pullyard repos add"), "{ran:?}");
    world.write(&plan);
    user.run(&["runs", "check", &file, "--project", "acm"]).await.assert_exit(5, "did you mean acme?");
    let reader = story.create_token(&[Scope::Read], Some(&["acme"])).await;
    User::with(story, &reader).run(&check).await.assert_exit(4, "not_allowed");
    let mut away = User::new();
    away.ok(&check[..3]).await;
    away.set_env("PULLYARD_URL", "http://127.0.0.1:1");
    away.set_env("PULLYARD_PROJECT", "acme");
    away.run(&check[..3]).await.assert_exit(1, "can't reach http://127.0.0.1:1");
    let mut lost = User::new();
    lost.set_env("PULLYARD_CONTEXT", "none");
    assert!(lost.ok(&["runs", "init"]).await.starts_with("name: contributor\n"));

    let token = Some(story.local.admin_token());
    for (plan, status, pointer) in [
        (json!({ "name": "a", "steps": [{ "name": "a", "approve": "Now?" }] }), 200, Value::Null),
        (json!({ "name": "a", "stpes": [] }), 422, json!("/plan/steps")),
    ] {
        let body = json!({ "project": "acme", "plan": plan }).to_string().into_bytes();
        let (found, _, answer) = story.request(Method::POST, "/v1/plans/check", token, body).await;
        assert_eq!((found, &answer["faults"][0]["pointer"]), (status, &pointer), "{answer}");
    }
    assert_eq!(body(story, "/v1/runs?project=acme").await["runs"], json!([]), "a check starts nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_plan_or_flag_is_refused_with_its_place() {
    let world = World::new().await;
    let (story, user) = (&world.story, &world.user);
    user.ok(&["settings", "set", "command_policy=allowlist"]).await;
    user.run(&["runs", "show", "@last"]).await.assert_exit(5, "`pullyard run --prompt TEXT`");
    for (arguments, text) in [
        (&[][..], "--prompt"),
        (&["-p", "a", "-f", "b"], "cannot be used with"),
        (&["-p", " "], "the prompt is empty"),
        (&["-p", "a", "--param", "b=c"], "cannot be used with"),
        (&["-f", "a", "--check", "make"], "cannot be used with"),
        (&["-f", "a", "--param", "b"], "write it as NAME=VALUE"),
        (&["-p", "a", "--cost-usd", "much"], "use an amount in dollars"),
        (&["-p", "a", "--cost-usd", "0"], "--cost-usd: "),
        (&["-p", "a", "--check", "rm -r x"], "--check: "),
        (&["-p", "a", "--check", ""], "--check: "),
        (&["-p", "a", "--agent", "odd"], "invalid value 'odd'"),
        (&["-p", "a", "--repository", "acme/none"], "--repository: acme/none is not connected to acme"),
        (&["-p", "a", "--base", "a b"], "--base: use the name of a branch"),
    ] {
        user.run(&[&["run"], arguments].concat()).await.assert_exit(2, text);
    }
    let of_flag = user.run(&["run", "-p", "a", "--check", ""]).await;
    assert!(of_flag.err.contains("help: correct the flags") && !of_flag.err.contains("runs check"), "{of_flag:?}");
    user.run(&["run", "-f", "/missing.yaml"]).await.assert_exit(1, "can't read /missing.yaml");

    let file = world.contributor_plan().await;
    user.run(&["run", "-f", &file]).await.assert_exit(2, "--param task: the plan requires this parameter");
    let unknown = user.run(&["run", "-f", &file, "--param", "task=a", "--param", "taks=b"]).await;
    unknown.assert_exit(2, "--param taks: the plan has no such parameter");
    let plan = std::fs::read_to_string(&file).unwrap();
    let file = world.write(&plan.replace("retries: 1", "limits: {wall: 9h}"));
    let ran = user.run(&["run", "-f", &file, "--param", "task=a"]).await;
    let ran = ran.assert_exit(2, &format!("{file}:16:14  /steps/1/limits/wall  "));
    assert!(ran.err.contains("error: the plan has "), "{ran:?}");
    let file = world.write(&plan.replace("needs: [review]", "needs: [reviw]"));
    let fault = "there is no step `reviw`; did you mean `review`?";
    let ran = user.run(&["run", "-f", &file, "--json"]).await.assert_exit(2, &format!("  /steps/3/needs/0  {fault}\n"));
    let problem: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&problem["code"], &problem["faults"][0]["fault"]), (&json!("plan_invalid"), &json!(fault)));

    let token = story.local.admin_token();
    let send = async |path: &str, body: Value| {
        let (status, _, problem) = story.request(Method::POST, path, Some(token), body.to_string().into_bytes()).await;
        (status, problem)
    };
    let (status, problem) = send("/v1/runs", json!({ "project": "acme", "plan": { "name": "a", "stpes": [] } })).await;
    let pointers: Vec<_> = problem["faults"].as_array().unwrap().iter().map(|fault| &fault["pointer"]).collect();
    assert_eq!((status, &problem["code"], pointers.len()), (422, &json!("plan_invalid"), 2), "{problem}");
    assert!(pointers.contains(&&json!("/plan/steps")) && pointers.contains(&&json!("/plan/stpes")), "{problem}");
    let help = problem["help"].as_str().unwrap();
    assert!(help.contains("docs/plans.md") && help.contains("`pullyard runs check FILE`"), "{problem}");

    user.ok(&["run", "-f", &world.write(QUESTION)]).await;
    let id = world.wait_for("asked").await["id"].as_str().unwrap().to_owned();
    assert_eq!(
        send(&format!("/v1/runs/{id}/resume"), json!({ "cost_usd": 0.0000001 })).await.1["pointer"],
        "/cost_usd"
    );
    let odd = format!("/v1/runs/{id}?plan=all");
    let (status, _, problem) = story.request(Method::GET, &odd, Some(token), Vec::new()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_parameter")), "{problem}");
    user.run(&["runs", "approve", "@last"]).await.assert_exit(2, "RUN/STEP");
    user.run(&["runs", "approve", "@last/aks"]).await.assert_exit(5, "has no step aks");
    user.run(&["runs", "show", "zzzz"]).await.assert_exit(5, "there is no run zzzz in project acme");
    let reader = story.create_token(&[Scope::Read], Some(&["acme"])).await;
    let reader = User::with(story, &reader);
    reader.ok(&["runs", "show", &id]).await;
    reader.run(&["runs", "approve", &format!("{id}/ask")]).await.assert_exit(4, "not_allowed");
    reader.run(&["run", "-p", "a"]).await.assert_exit(4, "not_allowed");
    let stranger = story.create_token(&[Scope::Read, Scope::Jobs], Some(&["other"])).await;
    User::with(story, &stranger).run(&["runs", "cancel", &id, "--yes"]).await.assert_exit(5, "there is no run");
}

/// The story's agent and check replace those of the page; its setup script is a file of the repository.
#[tokio::test(flavor = "multi_thread")]
async fn commands_and_plan_of_spawnds_page_work() {
    let world = World::new().await;
    let (story, user) = (&world.story, &world.user);
    let setup = [("scripts/worktree/setup.sh", "echo right > setup.txt\n", false)];
    story.local.forge().commit(REPOSITORY, "main", "pullyard-bot", &setup).await.unwrap();
    let tests = "pytest tests/test_parser.py";
    let plan = SPAWND_PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let plan = plan.replace("    agent: codex\n", "").replace(tests, "grep right setup.txt work.txt");
    let (file, mut started) = (world.write(&plan), Vec::new());
    for line in runnable(SPAWND_PAGE) {
        // The run before has ended; a run that asks can be cancelled.
        if line.starts_with("pullyard runs cancel ") {
            user.ok(&["run", "-f", &world.write(QUESTION)]).await;
            world.wait_for("asked").await;
        }
        if line.starts_with("pullyard runs resume ") {
            world.wait_for("cancelled").await;
        }
        let words = words(&line.replace("plan.yaml", &file).replace(tests, "grep right work.txt"));
        let words: Vec<&str> = words.iter().map(String::as_str).skip(1).collect();
        let out = user.ok(&words).await;
        if words[0] == "run" {
            started.push(out.trim().to_owned());
        }
    }
    world.wait_for("asked").await;
    assert_eq!(started.len(), 2);
    user.ok(&["runs", "watch", &started[0]]).await;
    let run = user.json(&["runs", "show", &started[0]]).await;
    let states: Vec<_> = run["steps"].as_array().unwrap().iter().map(|step| (&step["name"], &step["state"])).collect();
    let done = json!("done");
    let names = [json!("parser"), json!("codex-worker"), json!("reviewer")];
    assert_eq!(states, names.each_ref().map(|name| (name, &done)), "{run}");
    let commits = story.git(&["rev-list", "--count", &format!("main..{}", run["branch"].as_str().unwrap())]).await;
    assert_eq!((commits.as_str(), story.pull_requests().await.len()), ("2", 2));
}
