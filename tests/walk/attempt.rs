//! Steps that send the calls of an attempt's runner, each repeated until it is answered.

use super::http::{get, post};
use super::step::Step;
use super::world::World;
use crate::prelude::*;

pub(super) fn start_task() -> Step {
    Step::act("a task begins", |world| newest_task(world).boxed())
}

async fn newest_task(world: &World) -> bool {
    let mut tasks = world.tasks().await;
    // A task whose job has ended may still run, and a third job must not take it.
    let before = world.note_value("task");
    let last = tasks.iter().rposition(|task| task["taskArn"].as_str() == before.as_deref());
    tasks.drain(..last.map_or(0, |last| last + 1));
    tasks.retain(|task| task["desiredStatus"] == "RUNNING");
    let Some(task) = tasks.pop() else { return false };
    for name in ["PULLYARD_JOB", "PULLYARD_ATTEMPT", "PULLYARD_BOOTSTRAP"] {
        world.note(name, environment_value(&task, name));
    }
    world.note("job", environment_value(&task, "PULLYARD_JOB"));
    world.note("task", task["taskArn"].clone());
    true
}

pub(super) fn environment_value(task: &Value, name: &str) -> Option<String> {
    let environment = task["overrides"]["containerOverrides"][0]["environment"].as_array()?;
    let found = environment.iter().find(|pair| pair["name"] == name)?;
    found["value"].as_str().map(str::to_owned)
}

pub(super) fn claim() -> Step {
    Step::call("it claims", |world| {
        let (job, attempt) = (world.note_value("PULLYARD_JOB")?, world.note_value("PULLYARD_ATTEMPT")?);
        let claim =
            json!({ "claim_id": format!("claim-{job}"), "instance": "instance-1", "task": world.note_value("task") });
        let call = post(format!("/v1/jobs/{job}/attempts/{attempt}/start"), claim);
        Some(call.token(&world.note_value("PULLYARD_BOOTSTRAP")?).on_answer(note_assignment).into())
    })
}

pub(super) fn note_assignment(world: &World, response: &Value) {
    world.note("lease", response["lease"].clone());
    world.note("job", response["job"].clone());
    let job = response["job"].as_str().unwrap_or_default();
    world.note("attempt", format!("/v1/jobs/{job}/attempts/{}", response["attempt"]));
}

fn post_to_attempt(name: &'static str, action: &'static str, body: fn(&World) -> Value) -> Step {
    Step::call(name, move |world| {
        let path = format!("{}/{action}", world.note_value("attempt")?);
        let call = post(path, body(world)).token(&world.note_value("lease")?);
        Some(call.on_answer(note_want).into())
    })
}

/// Notes the request of a user (`cancel`, `pause`), which every answer contains.
fn note_want(world: &World, answer: &Value) {
    if let Some(want) = answer["want"].as_str() {
        world.note("want", want);
    }
}

pub(super) fn report_preparing() -> Step {
    post_to_attempt("it prepares", "status", |_| json!({ "status": "preparing" }))
}

pub(super) fn report_executing() -> Step {
    post_to_attempt("its agent works", "status", |_| json!({ "status": "executing" }))
}

pub(super) fn post_no_events() -> Step {
    post_to_attempt("its agent reports progress", "events", |_| json!({ "first_seq": 1, "events": [] }))
}

pub(super) fn post_events() -> Step {
    post_to_attempt("its agent sends events", "events", |_| {
        let event = |seq: u64, kind: &str, text: &str| json!({ "seq": seq, "age_ms": 0, "kind": kind, "text": text });
        json!({ "first_seq": 1, "events": [event(1, "text", "I look around."), event(2, "text", "I found it.")] })
    })
}

pub(super) fn get_inputs() -> Step {
    get_from_attempt("its runner loads inputs", "inputs")
}

pub(super) fn ack_input() -> Step {
    post_to_attempt("its agent reads the input", "events", |_| json!({ "first_seq": 3, "events": [], "inputs": 1 }))
}

pub(super) fn get_checkpoint() -> Step {
    get_from_attempt("it looks for a checkpoint", "checkpoint")
}

fn get_from_attempt(name: &'static str, resource: &'static str) -> Step {
    Step::call(name, move |world| {
        let path = format!("{}/{resource}", world.note_value("attempt")?);
        Some(get(path).token(&world.note_value("lease")?).into())
    })
}

pub(super) fn report_syncing() -> Step {
    post_to_attempt("it may push", "status", |_| json!({ "status": "syncing" }))
}

pub(super) fn get_credentials() -> Step {
    post_to_attempt("it requests its token", "credentials", |_| json!({}))
}

pub(super) fn finish_completed() -> Step {
    post_to_attempt(
        "it completes",
        "finish",
        |world| json!({ "finish_id": "finish-1", "outcome": "completed", "result": result_of(world) }),
    )
}

/// The step has a branch of its own, and no pull request yet.
pub(super) fn finish_pushed() -> Step {
    post_to_attempt("it has pushed", "finish", |world| {
        let mut result = result_of(world);
        result.as_object_mut().unwrap().remove("pull_request");
        json!({ "finish_id": "finish-1", "outcome": "completed", "result": result })
    })
}

fn result_of(world: &World) -> Value {
    let number: u64 = world.note_value("number").map_or(7, |number| number.parse().unwrap());
    json!({
        "branch": world.note_value("branch").unwrap_or_else(|| "pullyard/acme/app-1-1".into()),
        "head": world.note_value("head").unwrap_or_else(|| "a".repeat(40)),
        "pull_request": { "number": number, "url": format!("https://forge.test/acme/app/pull/{number}") },
        "files": 1, "insertions": 2, "deletions": 3,
    })
}

pub(super) fn finish_with_answer() -> Step {
    post_to_attempt(
        "it answers",
        "finish",
        |_| json!({ "finish_id": "finish-1", "outcome": "completed", "output": { "kind": "read", "text": "Twice." } }),
    )
}

/// The reviewer of a run requests changes.
pub(super) fn finish_with_outcome() -> Step {
    post_to_attempt("it requests changes", "finish", |_| {
        let output = json!({ "kind": "read", "text": "One fault.", "outcome": "changes_requested" });
        json!({ "finish_id": "finish-1", "outcome": "completed", "output": output })
    })
}

/// The manager of a run adds a step.
pub(super) fn finish_with_steps() -> Step {
    post_to_attempt("it adds a step", "finish", |_| {
        let spawn = json!([{ "name": "notes", "role": "planner", "prompt": "Write down how." }]);
        let output = json!({ "kind": "read", "text": "One step.", "spawn": spawn });
        json!({ "finish_id": "finish-1", "outcome": "completed", "output": output })
    })
}

pub(super) fn finish_with_report() -> Step {
    post_to_attempt("it has analysed the repository", "finish", |_| {
        let lists = json!({ "pulls": { "as_of": "2026-11-20T12:00:00.000Z", "open": 0 } });
        let output = json!({ "kind": "analysis", "lists": lists, "items": [] });
        json!({ "finish_id": "finish-1", "outcome": "completed", "output": output })
    })
}

pub(super) fn finish_with_review() -> Step {
    post_to_attempt("it has posted its review", "finish", finish_of_review)
}

/// It has pushed, and reports.
pub(super) fn finish_resolved() -> Step {
    post_to_attempt("it has pushed and posted its review", "finish", |world| {
        let mut finish = finish_of_review(world);
        finish["result"] = result_of(world);
        // The id of the pushed commit differs in each run, and the pull request's status shows this one.
        finish["output"]["head"] = json!("a".repeat(40));
        finish
    })
}

fn finish_of_review(world: &World) -> Value {
    let review = json!({ "summary": "One problem.", "findings": [{
        "path": "change.txt", "line": 1, "side": "right", "severity": "high", "category": "bug",
        "title": "It overflows", "body": "After 64 tries.",
    }], "threads": [] });
    let head = world.note_value("head").unwrap();
    let output = json!({ "kind": "review", "head": head, "review": review, "places": ["inline"] });
    json!({ "finish_id": "finish-1", "outcome": "completed", "output": output })
}

/// The same after the job was lost: refused with 409, and the result is stored.
pub(super) fn finish_late() -> Step {
    finish_completed().always_refused("409")
}

pub(super) fn finish_overloaded() -> Step {
    post_to_attempt(
        "its model is overloaded",
        "finish",
        |_| json!({ "finish_id": "finish-2", "outcome": "failed", "failure": { "code": "agent_overloaded", "n": 10 } }),
    )
}

pub(super) fn finish_failed() -> Step {
    post_to_attempt(
        "it fails",
        "finish",
        |_| json!({ "finish_id": "finish-1", "outcome": "failed", "failure": { "code": "no_changes" } }),
    )
}

pub(super) fn finish_cancelled() -> Step {
    Step::call("it stops", |world| {
        world.note_value("want").filter(|want| want == "cancel")?;
        let path = format!("{}/finish", world.note_value("attempt")?);
        let stopped = json!({ "finish_id": "finish-1", "outcome": "cancelled" });
        Some(post(path, stopped).token(&world.note_value("lease")?).into())
    })
}

pub(super) fn ask_question() -> Step {
    yield_job("its agent asks", |_| Some(question(0)))
}

/// The agent's question, after it received an input.
pub(super) fn ask_after_input() -> Step {
    yield_job("its agent asks", |_| Some(question(1)))
}

fn question(inputs: u32) -> Value {
    json!({
        "yield_id": "yield-1", "outcome": "asks", "question": "Which list?",
        "agent": "command", "session": "session-1", "inputs": inputs,
    })
}

pub(super) fn yield_paused() -> Step {
    yield_job("it yields its job", |world| {
        world.note_value("want").filter(|want| want == "pause")?;
        Some(
            json!({ "yield_id": "yield-2", "outcome": "paused", "agent": "command", "session": "session-1", "inputs": 1 }),
        )
    })
}

/// Yields, which ends the attempt and removes its notes.
fn yield_job(name: &'static str, body: fn(&World) -> Option<Value>) -> Step {
    Step::call(name, move |world| {
        let (path, lease) = (format!("{}/yield", world.note_value("attempt")?), world.note_value("lease")?);
        let over = |world: &World, _: &Value| {
            ["PULLYARD_BOOTSTRAP", "attempt", "lease"].iter().for_each(|note| world.forget(note));
        };
        Some(post(path, body(world)?).token(&lease).on_answer(over).into())
    })
}

pub(super) fn stop_task() -> Step {
    Step::act("its task ends", |world| {
        async {
            if let Some(task) = world.note_value("task").filter(|_| world.note_value("lease").is_none()) {
                world.raw.stop_task(&task.into()).await;
            }
            true
        }
        .boxed()
    })
}
