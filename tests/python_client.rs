//! Tests the Python package of `clients/python` against a whole system and against a server that fails.

use crate::openapi::operations;
use crate::prelude::*;

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../clients/python");

const AGENT: &str = "#!/bin/sh\ncat > /dev/null\necho right >> work.txt\n";

/// Runs a script with the package; returns its output.
async fn python(url: &str, token: &str, script: &str) -> String {
    let imports = "import json\nfrom pullyard import *\nfrom pullyard import _runs\n";
    let mut command = Command::new("python3");
    command.args(["-c", &format!("{imports}{script}")]).env_clear().kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap()).env("PYTHONPATH", PACKAGE);
    command.env("PYTHONDONTWRITEBYTECODE", "1").env("XDG_CONFIG_HOME", "/nonexistent");
    let ended = command.env("PULLYARD_URL", url).env("PULLYARD_TOKEN", token).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(ended.stdout), text(ended.stderr));
    assert!(ended.status.success(), "{out}{err}");
    assert!(!format!("{out}{err}").contains(token), "the token was printed");
    out
}

async fn begin() -> (Story, User) {
    let story = Story::start_with(Setup { agent: AGENT, ..Setup::default() }).await;
    let user = User::of(&story);
    user.ok(&["settings", "set", "command_policy=unrestricted"]).await;
    (story, user)
}

async fn run_in(story: &Story, script: &str) -> String {
    python(story.local.api_url(), story.local.admin_token(), script).await
}

#[tokio::test(flavor = "multi_thread")]
async fn python_program_and_request_get_one_run_for_one_id() {
    let (story, user) = begin().await;
    let script = r#"
steps = [agent("parser", "Improve parser diagnostics", check="grep right work.txt")]
done = run(steps, repository="acme/app", base="main", run_id="parser-1", client=Client(poll=0.2), wait=True, timeout=240)
assert done.state == "completed" and done.is_over and done.step("parser").state == "done", done
again = run(steps, repository="acme/app", base="main", run_id="parser-1")
assert again == done, (again, done)
print(json.dumps([done.id, done.pull_request, {"name": done.name, "steps": steps}]))"#;
    let printed: Value = serde_json::from_str(&run_in(&story, script).await).unwrap();
    let (id, plan) = (printed[0].as_str().unwrap(), &printed[2]);
    let pulls = story.pull_requests().await;
    assert_eq!((pulls.len(), &pulls[0]["html_url"]), (1, &printed[1]));
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    let line =
        ["run", "-f", file.to_str().unwrap(), "--repository", "acme/app", "--base", "main", "--run-id", "parser-1"];
    assert_eq!(user.ok(&line).await.trim(), id);
    let body =
        json!({ "project": "acme", "plan": plan, "repository": "acme/app", "base": "main", "run_id": "parser-1" });
    let token = Some(story.local.admin_token());
    let (status, _, run) = story.request(Method::POST, "/v1/runs", token, body.to_string().into_bytes()).await;
    assert_eq!((status, run["id"].as_str()), (200, Some(id)), "{run}");
    assert_eq!(story.jobs().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_follows_approves_refuses_resumes_and_cancels() {
    let (story, _) = begin().await;
    let script = r#"
client = Client(poll=0.1)
plan = {"name": "release", "steps": [{"name": "ask", "approve": "Is it complete?"},
                                     agent("work", "Write a line.", needs="ask")]}
first, seen = client.start(plan), []
for step in first.events():
    seen.append((step.name, step.state))
    if step.state == "asked":
        assert step.question == "Is it complete?"
        first.approve("ask")
assert first.state == "completed" and ("work", "done") in seen, (first, seen)
phases = [one["event"]["name"] for one in first.events("work") if one["event"]["kind"] == "phase"]
assert "executing" in phases, phases
assert list(first.events("ask")) == []

second = client.start(plan)
for step in second.events():
    if step.state == "asked":
        break
try:
    second.wait(0)
    raise AssertionError
except WaitTimeout as error:
    assert "still running" in str(error), error
second.refuse("ask")
try:
    second.wait(240)
    raise AssertionError
except RunFailed as error:
    assert error.run is second and "ask" in str(error), error
assert second.resume().state == "running"
assert second.cancel().wait(240, check=False).state == "cancelled"
try:
    second.approve("ask")
    raise AssertionError
except ApiError as error:
    assert (error.status, error.code) == (409, "run_ended"), error
assert [one.id for one in client.runs()] == [second.id, first.id]
assert client.get(first.id).step("work").job == first.step("work").job
assert client.get("@last").id == second.id
print(client.project)"#;
    assert_eq!(run_in(&story, script).await, "acme\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_plan_reach_python_with_their_pointers() {
    let (story, _) = begin().await;
    let script = r#"
for steps in [agent("a", "x", colour="red")], [agent("a", "x", needs="b")]:
    try:
        run(steps)
        raise AssertionError
    except ApiError as error:
        assert (error.status, error.code) == (422, "plan_invalid"), error
        print(error.faults[0].pointer, error.faults[0].pointer in str(error), "docs/plans.md" in error.help)
try:
    Client(token="pat_wrong").get("run_" + "a" * 26)
    raise AssertionError
except ApiError as error:
    print(error.status)
for of_spawnd in ({"repository": object()}, {"coordinator": 1}):
    try:
        run([agent("a", "x")], **of_spawnd)
        raise AssertionError
    except TypeError as error:
        assert f"`{next(iter(of_spawnd))}`" in str(error), error
for bad in ({"url": "127.0.0.1"}, {"token": "a b"}):
    try:
        Client(**bad)
        raise AssertionError
    except ValueError as error:
        print(str(error).split(";")[1])
try:
    Client("http://127.0.0.1:1").project
    raise AssertionError
except ConnectionFailed as error:
    print(error)"#;
    let out = run_in(&story, script).await;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[..2], ["/plan/steps/0/colour True True", "/plan/steps/0/needs/0 True True"], "{out}");
    assert_eq!(lines[2..5], ["401", " write it as https://HOST", " correct PULLYARD_TOKEN"], "{out}");
    assert!(lines[5].starts_with("can't reach http://127.0.0.1:1: "), "{out}");
}

type Calls = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Refuses the first two calls of each path, then shows an ended run. `resume` is always refused.
async fn answer(State(calls): State<Calls>, request: Request) -> Response {
    let header = |name| Some(request.headers().get(name)?.to_str().unwrap().to_owned());
    let path = request.uri().path().to_owned();
    let number = {
        let mut calls = calls.lock().unwrap();
        calls.push((path.clone(), header("idempotency-key")));
        calls.iter().filter(|(called, _)| *called == path).count()
    };
    if path.ends_with("/moved") {
        return (StatusCode::FOUND, [("location", "/v1/stolen")]).into_response();
    }
    match number {
        1 => (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response(),
        2 => (StatusCode::SERVICE_UNAVAILABLE, "<html>a proxy</html>").into_response(),
        _ => axum::Json(json!({ "id": "run_1", "project": "acme", "name": "a", "state": "completed", "steps": [], "ended": "2026-11-30T12:00:00Z",
            "of_a_newer_server": 1 }))
        .into_response(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn python_repeats_transient_failures_with_one_key() {
    let calls = Calls::default();
    let url = serve(Router::new().fallback(answer).with_state(calls.clone())).await;
    let script = r#"
done = Client(project="acme").run([agent("a", "x")], wait=True)
for refused in (done.resume, lambda: Client().get("moved")):
    try:
        refused()
        raise AssertionError
    except ApiError as error:
        print(error.status, error.code)"#;
    assert_eq!(python(&url, "pat_x", script).await, "429 gateway\n302 gateway\n");
    let calls = calls.lock().unwrap();
    let keys: BTreeSet<_> = calls.iter().filter(|(_, key)| key.is_some()).collect();
    let starts: BTreeSet<_> = calls.iter().filter(|(path, _)| path == "/v1/runs").collect();
    assert_eq!((keys.len(), &keys), (1, &starts), "{calls:?}");
    let count = |path: &str| calls.iter().filter(|(called, _)| called == path).count();
    let counts = ["/v1/runs", "/v1/runs/run_1", "/v1/runs/run_1/resume", "/v1/runs/moved", "/v1/stolen"].map(count);
    assert_eq!(counts, [3, 3, 1, 1, 0], "{calls:?}");
}

#[tokio::test]
async fn python_calls_and_reads_what_the_api_describes() {
    let script = r#"
from dataclasses import fields
run_answer = {"id": "r", "project": "acme", "name": "a", "state": "running", "steps": [{"name": "s", "state": "open", "job": "j"}]}
sent = {}
class Recorder:
    def call(self, method, path, body, key, may_repeat):
        sent.setdefault(route, []).append([body, path.partition("?")[2]])
        if route == "events":
            return run_answer if "/v1/runs/" in path else {"events": [{}], "cursor": "c", "end": "after=c" in path}
        return {"runs": [run_answer], "next": None if "after=" in path else "c"} if route == "list" else run_answer
client = Client("http://h", "t", project="acme")
client._http = Recorder()
route, whole = "start", dict(params={"a": "b"}, repository="acme/app", base="main", run_id="k")
started = client.run([agent("s", "x")], concurrency_limit=2, **whole)
for route, call in {"cancel": started.cancel, "resume": lambda: started.resume(30), "approve": lambda: started.approve("s"),
                    "refuse": lambda: started.refuse("s"), "show": started.refresh, "list": lambda: list(client.runs()),
                    "events": lambda: list(started.events("s"))}.items():
    call()
names = lambda kind: [one.name for one in fields(kind) if not one.name.startswith("_")]
print(json.dumps({"routes": _runs.ROUTES, "sent": sent, "Run": names(Run), "RunStep": names(Step)}))"#;
    let printed: Value = serde_json::from_str(&python("http://h", "pat_x", script).await).unwrap();
    let document = pullyard_function_api::document("https://pullyard.example.com");
    let described: BTreeMap<String, &Value> = operations(&document).collect();
    let schema = |name: &str| document["components"]["schemas"][name]["properties"].as_object().unwrap();
    for name in ["Run", "RunStep"] {
        for field in printed[name].as_array().unwrap() {
            assert!(schema(name).contains_key(field.as_str().unwrap()), "{name} has no {field}");
        }
    }
    for (route, place) in printed["routes"].as_object().unwrap() {
        let name = format!("{} {}", place[0].as_str().unwrap().to_lowercase(), place[1].as_str().unwrap());
        let operation = described.get(&name).unwrap_or_else(|| panic!("the API has no {name}"));
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let reference = body["$ref"].as_str().map(|reference| reference.trim_start_matches('#'));
        let body = reference.map_or(body, |reference| document.pointer(reference).unwrap());
        let parameters = operation["parameters"].to_string();
        for call in printed["sent"][route].as_array().into_iter().flatten() {
            for field in call[0].as_object().into_iter().flat_map(|body| body.keys()) {
                assert!(body["properties"][field].is_object(), "{name} takes no {field}");
            }
            for (query, _) in call[1].as_str().unwrap().split('&').filter_map(|pair| pair.split_once('=')) {
                assert!(parameters.contains(&format!("\"{query}\"")), "{name} has no parameter {query}");
            }
        }
    }
    assert_eq!(printed["sent"]["start"][0][0].as_object().unwrap().len(), schema("StartRun").len());
}

#[test]
fn python_package_has_the_version_of_the_program() {
    let project = include_str!("../clients/python/pyproject.toml");
    assert!(project.contains(&format!("\nversion = \"{}\"\n", env!("CARGO_PKG_VERSION"))), "{project}");
}
