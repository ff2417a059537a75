//! Sends every event of `events/` through the libraries of the functions and compares the result with its file.
//! `processes` sends the same events through the deployed program.
//!
//! `events/FUNCTION.CASE.json` is the event and `events/FUNCTION.CASE.expected.json` its expected result: `answer` is
//! a part of the function's answer (JSON bodies are parsed), `error` a part of its error, `after` a part of the final
//! state. `signed` marks an event that needs the admin token. Words in `<…>` are placeholders for values of the test.
//! `events/env.json` is no event.

use crate::bitbucket_hooks::Shop;
use crate::prelude::*;
use crate::webhooks::{SECRET, World, signature};
use pullyard_entry::{ModelUrls, http};

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events")
}

/// A context over a story's services whose queues have no consumer.
async fn context(story: &Story) -> Context {
    story.function_context("lost", "lost.fifo").await
}

pub(crate) enum Target {
    Libraries(Box<Context>),
    Processes,
}

impl Target {
    async fn invoke(&self, story: &Story, function: &str, event: Value) -> Result<Value, String> {
        match self {
            Self::Libraries(ctx) => invoke(ctx, function, event).await,
            Self::Processes => story.function_runtime(function).invoke(&event).await.answer,
        }
    }
}

pub(crate) async fn invoke(ctx: &Context, function: &str, event: Value) -> Result<Value, String> {
    match router(ctx, function) {
        Some(router) => http::invoke(router, event).await,
        None => invoke_without_router(ctx, function, event).await,
    }
}

pub(crate) fn router(ctx: &Context, function: &str) -> Option<axum::Router> {
    match function {
        "api" => Some(pullyard_function_api::router(ctx.clone(), "unknown", ModelUrls::default())),
        "pages" => Some(pullyard_function_pages::router(ctx.clone())),
        "webhook" => Some(pullyard_function_webhook::router(ctx.clone())),
        "tickets" => Some(pullyard_function_tickets::router(ctx.clone())),
        _ => None,
    }
}

pub(crate) async fn invoke_without_router(ctx: &Context, function: &str, event: Value) -> Result<Value, String> {
    fn read<E: serde::de::DeserializeOwned>(event: Value) -> Result<E, String> {
        serde_json::from_value(event).map_err(|error| error.to_string())
    }
    fn written(answer: &impl serde::Serialize) -> Result<Value, String> {
        serde_json::to_value(answer).map_err(|error| error.to_string())
    }
    match function {
        "dispatcher" => written(&pullyard_function_dispatcher::handle(ctx, read(event)?).await),
        "effects" => written(&pullyard_function_effects::handle(ctx, read(event)?).await),
        "tasks" => {
            let handled = pullyard_function_tasks::handle(ctx, read(event)?).await;
            handled.map(|()| Value::Null).map_err(|error| error.to_string())
        }
        "sweeper" => {
            let swept = pullyard_function_sweeper::handle(ctx).await;
            swept.map(|report| json!({ "failed": report.failed })).map_err(|error| error.to_string())
        }
        other => panic!("there is no function {other}"),
    }
}

fn contains(found: &Value, expected: &Value, at: &str) -> Result<(), String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected.iter().try_for_each(|(name, expected)| {
            contains(found.get(name).unwrap_or(&Value::Null), expected, &format!("{at}/{name}"))
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => {
            let mut pairs = found.iter().zip(expected).enumerate();
            pairs.try_for_each(|(n, (found, expected))| contains(found, expected, &format!("{at}/{n}")))
        }
        _ if found == expected => Ok(()),
        _ => Err(format!("{at} is {found}, not {expected}")),
    }
}

struct EventJob {
    job: JobId,
    ticket: String,
    task: String,
}

async fn create_event_job(story: &Story, doer: &Target, name: &str, started: bool) -> EventJob {
    let ticket = format!("KEY-{name}");
    let job = story.create_job(&format!("event-{name}"), &ticket, 1).await;
    let mut task = String::new();
    if started {
        let event = json!({ "Records": [{ "messageId": "m", "body": json!({ "job": job }).to_string() }] });
        doer.invoke(story, "dispatcher", event).await.unwrap();
        task = story.wait_for_task(&job, 1).await["taskArn"].as_str().unwrap().to_owned();
    }
    EventJob { job, ticket, task }
}

async fn check(world: &World, shop: &Shop, doer: &Target, file: &Path) -> Result<(), String> {
    let story = &world.story;
    let name = file.file_name().unwrap().to_string_lossy().strip_suffix(".json").unwrap().to_owned();
    let function = name.split('.').next().unwrap();
    let read = |path: PathBuf| std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()));
    let (event, expected) = (read(file.to_owned())?, read(file.with_file_name(format!("{name}.expected.json")))?);
    let all = format!("{event}{expected}");
    let event_job = match all.contains("<job>") || all.contains("<ticket>") {
        true => Some(create_event_job(story, doer, &name, all.contains("<task>")).await),
        false => None,
    };
    let filled = |text: String| {
        let mut text = text.replace("<admin>", story.local.admin_token());
        text = text.replace("<repository>", &world.repository.to_string()).replace("<pull>", &world.number.to_string());
        text = text.replace("<shop>", &shop.uuid);
        if let Some(EventJob { job, ticket, task }) = &event_job {
            text = text.replace("<job>", job.as_str()).replace("<ticket>", ticket).replace("<task>", task);
        }
        text
    };
    let parse = |text: String| serde_json::from_str::<Value>(&text).map_err(|error| error.to_string());
    let (mut event, expected) = (parse(filled(event))?, parse(filled(expected))?);
    for header in ["x-hub-signature-256", "x-hub-signature"] {
        if event["headers"][header] == "<signature>" {
            let body = event["body"].as_str().unwrap_or_default();
            event["headers"][header] = signature(SECRET, body.as_bytes()).into();
        }
    }
    if expected["signed"] == true {
        event["headers"]["authorization"] = format!("Bearer {}", story.local.admin_token()).into();
    }
    let known = ["answer", "error", "after", "signed"];
    if !expected.as_object().is_some_and(|map| map.keys().all(|key| known.contains(&key.as_str())) && !map.is_empty()) {
        return Err(format!("the expectation may only say {known:?}"));
    }
    match (doer.invoke(story, function, event).await, &expected["error"]) {
        (Ok(mut answer), Value::Null) => {
            if let Some(Ok(body)) = answer["body"].as_str().map(serde_json::from_str::<Value>) {
                answer["body"] = body;
            }
            contains(&answer, &expected["answer"], "answer")?;
        }
        (Err(error), Value::String(message)) if error.contains(message) => {}
        (answered, _) => return Err(format!("it answered {answered:?}")),
    }
    let Some(EventJob { job, ticket, .. }) = event_job else { return Ok(()) };
    let stored = story.load_job_item(&job).await;
    let key = TicketKey::new(ticket).unwrap();
    let after = json!({
        "tasks": story.list_tasks(&job).await.len(),
        "status": stored["status"],
        "died": stored["run"]["died"].is_object(),
        "fault": stored["dispatch"]["fault"].is_object(),
        "ticket": story.api.ticket(&story.project, &key).await.unwrap(),
    });
    contains(&after, &expected["after"], "after")
}

pub(crate) fn setup() -> Setup {
    Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }
}

/// Checks every event file. The world has a hook `acme` with a pull request of GitHub, and a hook `shop` of Bitbucket.
pub(crate) async fn check_all(world: &World, doer: &Target) {
    world.install_by_hand("acme").await;
    let shop = Shop::connect(&world.story).await;
    let mut files = std::fs::read_dir(events()).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "json") && !file.ends_with("env.json"));
    files.sort();
    let (expectations, events): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.to_string_lossy().ends_with(".expected.json"));
    let mut failed = Vec::new();
    for file in &events {
        if let Err(fault) = check(world, &shop, doer, file).await {
            failed.push(format!("{}: {fault}", file.file_name().unwrap().to_string_lossy()));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert_eq!(events.len(), expectations.len(), "an event or an expectation is missing");
    let functions = events
        .iter()
        .map(|file| file.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned())
        .collect::<BTreeSet<_>>();
    assert_eq!(functions.len(), 8, "{functions:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_has_its_expected_result() {
    let world = World::with_setup(setup()).await;
    let doer = Target::Libraries(Box::new(context(&world.story).await));
    check_all(&world, &doer).await;
}
