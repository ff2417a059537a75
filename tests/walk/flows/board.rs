//! Flows of the board: tickets are created, edited and moved, and pull requests are linked.

use super::reviews::{link_body, note_number, open_pull_request};
use super::{flow, flow_after};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

/// A repeat is refused, because the ticket exists.
fn create_ticket() -> Step {
    let new = json!({
        "project": "acme", "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TODO,
    });
    Step::request("somebody writes a ticket", post("/v1/tickets", new)).refused_on_repeat("409")
}

fn note_job_of_decision(request: Request) -> Request {
    request.on_answer(|world, answer| world.note("job", answer["decision"]["job"].clone()))
}

/// A repeat with the same key returns the first answer.
fn create_ticket_with_key() -> Step {
    let new = json!({
        "project": "acme", "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TRIGGER,
    });
    let write = note_job_of_decision(post("/v1/tickets", new).header("idempotency-key", "key-1"));
    Step::request("somebody writes a ticket that starts a job", write).without_repeat(WithoutRepeat::AllOrNothing)
}

/// Refused if the ticket was not created.
fn edit_with_key() -> Step {
    let change = json!({ "description": "Do it well.", "labels": ["small"] });
    let edit = post("/v1/tickets/APP-1", change).patch().query("project=acme").header("idempotency-key", "key-1");
    Step::request("somebody changes its text by a key", edit).refused_on_repeat("404")
}

/// The target is not the trigger status: the ledger is written first, then the ticket.
fn move_away_with_key() -> Step {
    let away = post("/v1/tickets/APP-1/move", json!({ "status": "Blocked" })).query("project=acme");
    Step::request("somebody moves it away", away.header("idempotency-key", "key-1")).refused_on_repeat("404")
}

fn edit_ticket() -> Step {
    let change = json!({ "description": "Do it well.", "labels": ["small"] });
    Step::request("somebody changes its text", post("/v1/tickets/APP-1", change).patch().query("project=acme"))
}

fn move_to_trigger(key: &'static str) -> Step {
    let call = post("/v1/tickets/APP-1/move", json!({ "status": TRIGGER })).query("project=acme");
    let call = note_job_of_decision(call.header("idempotency-key", key));
    Step::request("somebody moves it", call).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn create_edit_and_move() -> Flow {
    let mut steps = vec![create_ticket(), edit_ticket(), move_to_trigger("key-1"), Step::messages()];
    let known = [attempt::start_task(), attempt::claim(), attempt::finish_failed(), Step::messages()];
    steps.extend(known.map(Step::broken_elsewhere));
    flow("a ticket is written, changed and moved on the board", &["failed"], steps)
}

pub(in crate::walk) fn create_in_trigger_status() -> Flow {
    let mut steps = vec![create_ticket_with_key(), edit_with_key(), move_away_with_key(), Step::messages()];
    let known = [attempt::start_task(), attempt::claim(), attempt::finish_failed(), Step::messages()];
    steps.extend(known.map(Step::broken_elsewhere));
    flow("a ticket is written into the trigger status, changed and moved away", &["failed"], steps)
}

async fn with_ticket(world: &World) {
    let new = json!({ "project": "acme", "key": "APP-1", "title": "About APP-1", "status": TODO });
    base::post_ok(world, "/v1/tickets", new).await;
}

/// A repeat with the same key completes a move that a crash interrupted.
pub(in crate::walk) fn move_with_keys() -> Flow {
    let entered = move_to_trigger("key-2").without_repeat(WithoutRepeat::AlwaysRepeated);
    let mut steps = vec![move_away_with_key(), entered];
    let known = [Step::messages(), attempt::start_task(), attempt::claim(), attempt::finish_failed(), Step::messages()];
    steps.extend(known.map(Step::broken_elsewhere));
    flow_after("a ticket is moved by keys", &["failed"], |world| with_ticket(world).boxed(), steps)
}

async fn with_comments(world: &World) {
    with_ticket(world).await;
    for text in ["Use tabs.", "Use spaces."] {
        let comment = post("/v1/tickets/APP-1/comments", json!({ "text": text })).query("project=acme");
        base::call_ok(world, comment).await;
    }
}

/// Adds one comment by a key, and edits and deletes another.
pub(in crate::walk) fn comments() -> Flow {
    let path = "/v1/tickets/APP-1/comments";
    let add = post(path, json!({ "text": "Really." })).query("project=acme").header("idempotency-key", "key-1");
    let text = json!({ "text": "Use both." });
    let edit = post(format!("{path}/1"), text).patch().query("project=acme");
    let steps = vec![
        Step::request("somebody comments on the ticket", add),
        Step::request("somebody changes a comment", edit),
        Step::request("somebody deletes a comment", delete(format!("{path}/2")).query("project=acme"))
            .refused_on_repeat("404"),
    ];
    flow_after("a ticket gets comments", &[], |world| with_comments(world).boxed(), steps)
}

/// A repeat is refused, because the ticket is gone.
pub(in crate::walk) fn delete_ticket() -> Flow {
    let call = delete("/v1/tickets/APP-1").query("project=acme");
    let step = Step::request("somebody deletes the ticket", call).refused_on_repeat("404");
    flow_after("a ticket is deleted", &[], |world| with_comments(world).boxed(), vec![step])
}

/// A repeat moves the tickets that a crash left behind.
pub(in crate::walk) fn rename_column() -> Flow {
    let call = post("/v1/projects/acme/columns/rename", json!({ "from": TODO, "to": "Backlog" }));
    let step = Step::request("somebody renames a column", call);
    flow_after("a column is renamed with its ticket", &[], |world| with_ticket(world).boxed(), vec![step])
}

fn link_pull_request() -> Step {
    let make = |world: &World| Some(post("/v1/pulls/link", link_body(world)).put().into());
    Step::call("somebody links its pull request", make).without_repeat(WithoutRepeat::AllOrNothing)
}

fn unlink_pull_request() -> Step {
    let make = |world: &World| {
        let (repository, number) = (REPOSITORY.replace('/', "%2F"), note_number(world, "number"));
        let which = format!("project=acme&repository={repository}&number={number}");
        Some(delete("/v1/pulls/link").query(which).into())
    };
    Step::call("somebody takes the link away", make).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn link_flow() -> Flow {
    let steps = vec![link_pull_request(), Step::messages()];
    flow_after("a pull request is linked to a ticket", &[], |world| open_pull_request(world).boxed(), steps)
}

pub(in crate::walk) fn unlink_flow() -> Flow {
    let steps = vec![
        link_pull_request().broken_elsewhere(),
        Step::messages().broken_elsewhere(),
        unlink_pull_request(),
        Step::messages(),
    ];
    flow_after("the link of a pull request is taken away", &[], |world| open_pull_request(world).boxed(), steps)
}
