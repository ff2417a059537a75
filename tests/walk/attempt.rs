//! Steps that send the calls of an attempt's runner, each repeated until it is answered.

use super::http::{get, post};
use super::step::Step;
use super::world::World;
use futures::FutureExt;
use serde_json::{Value, json};

/// The newest running task starts; the world notes its environment.
pub(super) fn begins() -> Step {
    Step::act("a task begins", |world| begun(world).boxed())
}

async fn begun(world: &World) -> bool {
    let mut tasks = world.tasks().await;
    // Skip the task that started before.
    let before = world.noted("task");
    tasks.retain(|task| task["desiredStatus"] == "RUNNING" && task["taskArn"].as_str() != before.as_deref());
    let Some(task) = tasks.pop() else { return false };
    for name in ["PULLYARD_JOB", "PULLYARD_ATTEMPT", "PULLYARD_BOOTSTRAP"] {
        world.note(name, told(&task, name));
    }
    world.note("job", told(&task, "PULLYARD_JOB"));
    world.note("task", task["taskArn"].clone());
    true
}

/// A variable in the environment of a task.
pub(super) fn told(task: &Value, name: &str) -> Option<String> {
    let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array()?;
    let found = environment.iter().find(|pair| pair["name"] == name)?;
    found["value"].as_str().map(str::to_owned)
}

pub(super) fn claims() -> Step {
    Step::call("it claims", |world| {
        let (job, attempt) = (world.noted("PULLYARD_JOB")?, world.noted("PULLYARD_ATTEMPT")?);
        let claim =
            json!({ "claim_id": format!("claim-{job}"), "instance": "instance-1", "task": world.noted("task") });
        let call = post(format!("/v1/jobs/{job}/attempts/{attempt}/start"), claim);
        Some(call.by(&world.noted("PULLYARD_BOOTSTRAP")?).keeping(assigned).into())
    })
}

/// Notes the lease, the job and the path of the attempt.
pub(super) fn assigned(world: &World, made: &Value) {
    world.note("lease", made["lease"].clone());
    world.note("job", made["job"].clone());
    let job = made["job"].as_str().unwrap_or_default();
    world.note("attempt", format!("/v1/jobs/{job}/attempts/{}", made["attempt"]));
}

fn says(name: &'static str, what: &'static str, body: fn(&World) -> Value) -> Step {
    Step::call(name, move |world| {
        let path = format!("{}/{what}", world.noted("attempt")?);
        let call = post(path, body(world)).by(&world.noted("lease")?);
        Some(call.keeping(wanted).into())
    })
}

/// Notes the request of a user (`cancel`, `pause`), which every answer contains.
fn wanted(world: &World, answer: &Value) {
    if let Some(want) = answer["want"].as_str() {
        world.note("want", want);
    }
}

pub(super) fn prepares() -> Step {
    says("it prepares", "status", |_| json!({ "status": "preparing" }))
}

pub(super) fn executes() -> Step {
    says("its agent works", "status", |_| json!({ "status": "executing" }))
}

pub(super) fn tells() -> Step {
    says("its agent speaks", "events", |_| json!({ "first_seq": 1, "events": [] }))
}

pub(super) fn tells_what_it_does() -> Step {
    says("its agent does something", "events", |_| {
        let event = |seq: u64, kind: &str, text: &str| json!({ "seq": seq, "age_ms": 0, "kind": kind, "text": text });
        json!({ "first_seq": 1, "events": [event(1, "text", "I look around."), event(2, "text", "I found it.")] })
    })
}

pub(super) fn reads_what_was_said() -> Step {
    reads("its runner reads what was said", "inputs")
}

pub(super) fn heard_it() -> Step {
    says("its agent has heard it", "events", |_| json!({ "first_seq": 3, "events": [], "inputs": 1 }))
}

pub(super) fn looks_for_a_checkpoint() -> Step {
    reads("it looks for a checkpoint", "checkpoint")
}

fn reads(name: &'static str, what: &'static str) -> Step {
    Step::call(name, move |world| {
        let path = format!("{}/{what}", world.noted("attempt")?);
        Some(get(path).by(&world.noted("lease")?).into())
    })
}

pub(super) fn syncs() -> Step {
    says("it may push", "status", |_| json!({ "status": "syncing" }))
}

pub(super) fn asks_for_its_token() -> Step {
    says("it asks for its token", "credentials", |_| json!({}))
}

pub(super) fn completes() -> Step {
    says("it completes", "finish", |world| {
        let number: u64 = world.noted("number").map_or(7, |number| number.parse().unwrap());
        json!({
            "finish_id": "finish-1", "outcome": "completed",
            "result": {
                "branch": world.noted("branch").unwrap_or_else(|| "pullyard/acme/app-1-1".into()),
                "head": world.noted("head").unwrap_or_else(|| "a".repeat(40)),
                "pull_request": { "number": number, "url": format!("https://forge.test/acme/app/pull/{number}") },
                "files": 1, "insertions": 2, "deletions": 3,
            },
        })
    })
}

/// The same after the job was lost: refused with 409, and the result is stored.
pub(super) fn completes_late() -> Step {
    completes().refused("409")
}

/// Finishes because the model is overloaded.
pub(super) fn meets_trouble() -> Step {
    says(
        "its model answers nobody",
        "finish",
        |_| json!({ "finish_id": "finish-2", "outcome": "failed", "failure": { "code": "agent_overloaded", "n": 10 } }),
    )
}

pub(super) fn fails() -> Step {
    says(
        "it fails",
        "finish",
        |_| json!({ "finish_id": "finish-1", "outcome": "failed", "failure": { "code": "no_changes" } }),
    )
}

/// Finishes once a user requested a cancel.
pub(super) fn stops() -> Step {
    Step::call("it stops", |world| {
        world.noted("want").filter(|want| want == "cancel")?;
        let path = format!("{}/finish", world.noted("attempt")?);
        let stopped = json!({ "finish_id": "finish-1", "outcome": "cancelled" });
        Some(post(path, stopped).by(&world.noted("lease")?).into())
    })
}

/// The agent asks a question before any input arrived.
pub(super) fn asks() -> Step {
    gives_back("its agent asks", |_| Some(question(0)))
}

/// The agent asks a question after it received an input.
pub(super) fn asks_once_it_heard() -> Step {
    gives_back("its agent asks", |_| Some(question(1)))
}

fn question(inputs: u32) -> Value {
    json!({
        "yield_id": "yield-1", "outcome": "asks", "question": "Which list?",
        "agent": "command", "session": "session-1", "inputs": inputs,
    })
}

/// Yields once a user requested a pause.
pub(super) fn pauses() -> Step {
    gives_back("it gives its job back", |world| {
        world.noted("want").filter(|want| want == "pause")?;
        Some(
            json!({ "yield_id": "yield-2", "outcome": "paused", "agent": "command", "session": "session-1", "inputs": 1 }),
        )
    })
}

/// Yields, which ends the attempt and removes its notes.
fn gives_back(name: &'static str, body: fn(&World) -> Option<Value>) -> Step {
    Step::call(name, move |world| {
        let (path, lease) = (format!("{}/yield", world.noted("attempt")?), world.noted("lease")?);
        let over = |world: &World, _: &Value| {
            ["PULLYARD_BOOTSTRAP", "attempt", "lease"].iter().for_each(|note| world.forget(note));
        };
        Some(post(path, body(world)?).by(&lease).keeping(over).into())
    })
}

/// The task of an ended attempt stops.
pub(super) fn ends() -> Step {
    Step::act("its task ends", |world| {
        async {
            if let Some(task) = world.noted("task").filter(|_| world.noted("lease").is_none()) {
                world.raw.stop_task(&task.into()).await;
            }
            true
        }
        .boxed()
    })
}
