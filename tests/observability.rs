//! Tests logs, traces, metrics, readiness and the Prometheus numbers of a deployment.

use crate::prelude::*;
use crate::up::Machine;
use pullyard_entry::config::Config;
use pullyard_entry::telemetry::{self, Timestamps};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const TRACE: &str = "1-67891233-abcdef012345678912345678";
const PLANTED_SECRET: &str = "planted-s3cret";
const PLANTED_NAME: &str = "planted-name <script>";

fn lines(data: &Path) -> Vec<Value> {
    let text = text_of(&data.join("logs"));
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn text_of(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &text_of(&path);
        } else {
            text += &String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default());
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_id_covers_a_job_and_no_line_has_a_secret() {
    let machine = Machine::new();
    machine.open_gate();
    let up = machine.up_with(&["--listen", "127.0.0.1:0", "--deployment", "shop-dev"]).await;
    machine.create_project().await;
    let event = json!({
        "event_id": "e-1", "occurred_at": "2026-11-20T12:00:00Z", "project": "shop",
        "ticket": { "key": "S-1", "title": PLANTED_SECRET, "description": PLANTED_SECRET, "status": TRIGGER },
    });
    let http = reqwest::Client::new();
    let response = http
        .post(format!("{}/v1/tickets/events?q={PLANTED_SECRET}", up.url()))
        .bearer_auth(machine.token())
        .header("x-amzn-trace-id", format!("Root={TRACE};Sampled=1"))
        .header("x-planted", PLANTED_SECRET)
        .json(&event)
        .send()
        .await
        .unwrap();
    let decision: Value = response.json().await.unwrap();
    let job: JobId = serde_json::from_value(decision["job"].clone()).unwrap_or_else(|_| panic!("{decision}"));
    // A delivery to an unknown hook, with an invalid trace header.
    let hook = format!("{}/webhooks/github/nobody?code={PLANTED_SECRET}", up.url());
    let unknown = http.post(hook).header("x-amzn-trace-id", PLANTED_SECRET).body(PLANTED_SECRET).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
    // A delivery with a wrong signature.
    let repositories: Value = serde_json::from_str(&machine.stdout(&["repos", "list", "--json"]).await).unwrap();
    let repository = repositories.pointer("/repositories/0/name").unwrap_or_else(|| panic!("{repositories}"));
    let install = json!({
        "name": "by-hand", "integration": "local", "project": "shop", "repository": repository,
        "base_url": up.url(), "by_hand": true,
    });
    up.api.install_hook(&serde_json::from_value(install).unwrap()).await.unwrap();
    let hook = format!("{}/webhooks/github/by-hand", up.url());
    let forged = http.post(hook).header("x-hub-signature-256", "sha256=00").body("{}").send().await.unwrap();
    assert_eq!(forged.status(), 401);
    up.wait_until_ended(&job).await;
    // A token is known by its id; its name is a text of a user.
    let token = json!({ "name": PLANTED_NAME, "kind": "api", "scopes": ["admin"] });
    let named = up.api.create_token(&serde_json::from_value(token).unwrap()).await.unwrap();
    let hold = serde_json::from_value(json!({ "reason": "a release" })).unwrap();
    ApiClient::new(up.url(), &named.token)
        .unwrap()
        .hold_project(&ProjectId::new("shop").unwrap(), &hold)
        .await
        .unwrap();
    up.api.revoke_token(&named.about.id).await.unwrap();
    let data = machine.path("data");
    let of_trace = async || {
        let ours: Vec<Value> = lines(&data).into_iter().filter(|line| line["trace_id"] == TRACE).collect();
        let functions: Vec<_> = ours.iter().filter_map(|line| line["function"].as_str()).collect();
        // The finish itself moves the ticket, so the effects function has no work for this trace.
        let all = ["tickets", "dispatcher", "api"].iter().all(|function| functions.contains(function));
        if all { Ok(ours) } else { Err(format!("{functions:?}")) }
    };
    let ours = wait_until("all of them have said so", of_trace).await;
    let find = |name: &str, value: &str| {
        let found = ours.iter().find(|line| line[name] == value);
        found.unwrap_or_else(|| panic!("no {name} {value} in {ours:?}"))
    };
    let answered = ours.iter().find(|line| line["message"] == "answered" && line["function"] == "tickets").unwrap();
    for (name, value) in [("route", json!("/v1/tickets/events")), ("project", json!("shop")), ("ticket", json!("S-1"))]
    {
        assert_eq!(answered[name], value, "{answered}");
    }
    assert_eq!((&answered["job"], &answered["delivery"]), (&decision["job"], &decision["delivery"]), "{answered}");
    assert!(answered["ms"].is_u64() && answered["request_id"].is_string() && answered["gateway_id"].is_string());
    let message = find("message", "message handled");
    assert!(message["message_id"].is_string() && message["request_id"].is_string(), "{message}");
    let first = find("route", "/v1/jobs/{job}/attempts/{attempt}/start");
    assert_eq!((&first["job"], &first["attempt"]), (&decision["job"], &json!(1)), "{first}");
    // The task receives the trace id, and the runner logs it.
    let tasks = text_of(&data.join("ecs/tasks"));
    assert!(tasks.contains("PULLYARD_TRACE_ID"), "{tasks}");
    assert!(tasks.contains(&format!("trace_id={TRACE}")), "{tasks}");

    let all = lines(&data);
    let stranger = all.iter().find(|line| line["hook"] == "nobody" && line["message"] == "answered").unwrap();
    assert_eq!((&stranger["function"], &stranger["status"]), (&json!("webhook"), &json!(404)), "{stranger}");
    assert!(stranger["trace_id"].as_str().unwrap().starts_with("1-"), "{stranger}");
    // Each metric is logged after the function's answer.
    let metric_lines = async || {
        let all = lines(&data);
        let sum = |name: &str| all.iter().filter_map(|line| line[name].as_u64()).sum::<u64>();
        let counted = ["DeliveriesAccepted", "TasksStarted", "JobsCompleted", "SignaturesRefused"].map(sum);
        if counted == [1, 1, 1, 1] { Ok(all) } else { Err(format!("{counted:?}")) }
    };
    let all = wait_until("each was counted once", metric_lines).await;
    for line in all.iter().filter(|line| line["_aws"].is_object()) {
        assert_eq!(line["Deployment"], "shop-dev", "{line}");
        assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Pullyard", "{line}");
    }
    let held = all.iter().find(|line| line["message"] == "project hold changed").unwrap();
    assert_eq!(held["caller"], named.about.id.as_str(), "{held}");
    let mut secrets = vec![PLANTED_SECRET.to_owned(), PLANTED_NAME.to_owned(), machine.token()];
    let keys: Value = serde_json::from_slice(&std::fs::read(data.join("keys.json")).unwrap()).unwrap();
    secrets.extend(keys.as_object().unwrap().values().filter_map(Value::as_str).map(str::to_owned));
    let log = text_of(&data.join("logs"));
    for secret in secrets {
        assert!(!log.contains(&secret), "a line has {}…", &secret[..6.min(secret.len())]);
    }
    assert!(!log.to_lowercase().contains("bearer"), "a line has a credential");
    assert_eq!(up.stop(Signal::SIGTERM).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_sweep_logs_failures_and_completes_only_if_recorded() {
    let story =
        Story::start_with(Setup { task: Task::Waiting, hints: pullyard_local::HintDelivery::Drop, ..Setup::default() })
            .await;
    let config = Config { deployment: Some("shop-dev".into()), ..story.function_config("lost", "lost.fifo").await };
    let ctx = story.function_context_of(config).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("logs")).unwrap();
    let log = std::fs::File::create(folder.path().join("logs/sweeper")).unwrap();
    let log_layer = telemetry::layer(log, "off".parse().unwrap(), Timestamps::Omit);
    // A subscriber for this thread only; the test continues on it after each await.
    let _written = tracing_subscriber::registry().with(log_layer).set_default();
    let sweep = async || {
        story.clock.advance(Duration::from_secs(61));
        let swept = pullyard_function_sweeper::handle(&ctx).await;
        let line = lines(folder.path()).pop().expect("the sweep logged no line");
        let [completed, failed] = ["SweepsCompleted", "SweepFailed"].map(|name| line[name].as_u64().unwrap());
        (swept.is_ok(), completed, failed, line["JobsWaiting"].as_u64())
    };
    assert_eq!(sweep().await, (true, 1, 0, Some(0)));
    story.corrupt_sweep_note().await;
    assert_eq!(sweep().await, (false, 1, 1, Some(0)), "an unreadable last-sweep item is not reported");
    assert_eq!(sweep().await, (true, 1, 0, Some(0)), "the last-sweep item was not rewritten");
    story.call_dynamodb("DeleteTable", json!({ "TableName": "pullyard" })).await;
    let (is_ok, completed, failed, waiting) = sweep().await;
    assert_eq!((is_ok, completed, waiting), (false, 0, None), "the sweep succeeded without a table");
    assert!(failed > 1, "{failed}");
    assert_eq!(lines(folder.path()).len(), 4, "expected one line per sweep");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_start_uses_the_same_task_and_trace() {
    let story =
        Story::start_with(Setup { task: Task::Waiting, hints: pullyard_local::HintDelivery::Drop, ..Setup::default() })
            .await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let ctx = story.function_context("lost", "lost.fifo").await;
    let body = json!({ "job": job }).to_string();
    for trace in [TRACE, "1-67891299-000000000000000000000000"] {
        // Simulate a lost answer to the first start: the task is not recorded.
        let mut stored = story.store().await.load_job(&job).await.unwrap().unwrap();
        stored.dispatch.task = None;
        story.store().await.update_job(&stored).await.unwrap();
        let record =
            json!({ "messageId": "m", "body": body, "attributes": { "AWSTraceHeader": format!("Root={trace}") } });
        let event = serde_json::from_value(json!({ "Records": [record] })).unwrap();
        let answer = pullyard_function_dispatcher::handle(&ctx, event).await;
        assert!(answer.batch_item_failures.is_empty(), "{trace}");
    }
    let tasks = story.list_tasks(&job).await;
    assert_eq!(tasks.len(), 1, "the repeated start created another task");
    assert_eq!(crate::story::task_variable(&tasks[0], "PULLYARD_TRACE_ID"), TRACE);
}

#[tokio::test(flavor = "multi_thread")]
async fn readyz_requires_a_readable_table_and_a_recent_sweep() {
    let story = Story::start_with_waiting_tasks().await;
    let ready = async || story.request_with_headers(Method::GET, "/readyz", &[], Vec::new()).await;
    let (status, headers, problem) = ready().await;
    assert_eq!((status, &problem["code"]), (503, &json!("not_ready")), "{problem}");
    assert_eq!(problem["detail"], "Not ready: the sweeper has not run yet.");
    assert!(headers.contains_key("retry-after"));
    story.local.sweep().await.unwrap();
    let (status, _, answer) = ready().await;
    assert_eq!((status, answer), (200, json!({ "status": "ok", "table": "ok", "sweeper": "ok" })));
    story.clock.advance(Duration::from_secs(720));
    let (status, _, problem) = ready().await;
    assert_eq!((status, &problem["code"]), (503, &json!("not_ready")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("the sweeper last ran "), "{problem}");
    story.call_dynamodb("DeleteTable", json!({ "TableName": "pullyard" })).await;
    let (status, _, problem) = ready().await;
    assert_eq!((status, &problem["detail"]), (503, &json!("Not ready: the table can't be read.")));
    let (status, ..) = story.request_with_headers(Method::GET, "/healthz", &[], Vec::new()).await;
    assert_eq!(status, 200, "healthz fails without a table");
}

async fn scrape(story: &Story) -> String {
    let url = format!("{}/metrics", story.local.api_url());
    let answer = reqwest::Client::new().get(url).bearer_auth(story.local.admin_token()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_endpoint_counts_jobs_and_runners() {
    let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
    let story = Story::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
    let fresh = scrape(&story).await;
    assert!(fresh.contains("pullyard_build_info{version="), "{fresh}");
    assert!(!fresh.contains("pullyard_jobs"), "jobs are counted before the first sweep: {fresh}");
    for n in 1..=3 {
        story.create_job(&format!("e{n}"), &format!("APP-{n}"), n).await;
    }
    let token = story.runner_token("acme", Some(&["acme"]), None).await;
    story.register_runner(&token, "kite", "i1").await;
    story.advance_and_sweep(Duration::from_secs(20)).await;
    let seen = scrape(&story).await;
    for line in [
        "pullyard_jobs{state=\"waiting\"} 3",
        "pullyard_jobs{state=\"running\"} 0",
        "pullyard_jobs_waiting{project=\"acme\"} 3",
        "pullyard_runners{state=\"online\"} 1",
        "pullyard_snapshot_capped 0",
    ] {
        assert!(seen.lines().any(|seen| seen == line), "no {line} in\n{seen}");
    }
    let value = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse::<u64>().unwrap()
    };
    assert!(value(&seen, "pullyard_oldest_job_waiting_seconds") >= 20, "{seen}");
    // Without sweeps the numbers stay, and their age grows.
    story.create_job("e4", "APP-4", 4).await;
    story.clock.advance(Duration::from_secs(61));
    let old = scrape(&story).await;
    assert!(old.contains("pullyard_jobs{state=\"waiting\"} 3"), "{old}");
    assert!(value(&old, "pullyard_snapshot_age_seconds") >= 61, "{old}");
    assert!(value(&old, "pullyard_sweep_age_seconds") >= 61, "{old}");
    story.local.sweep().await.unwrap();
    let new = scrape(&story).await;
    assert!(new.contains("pullyard_jobs{state=\"waiting\"} 4"), "{new}");
    for line in seen.lines().filter(|line| !line.starts_with('#')) {
        let (name, number) = line.rsplit_once(' ').unwrap();
        assert!(number.parse::<u64>().is_ok() && name.starts_with("pullyard_"), "{line}");
    }
}
