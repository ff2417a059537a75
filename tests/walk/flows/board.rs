//! Flows of the board: tickets are created, edited and moved, and pull requests are linked.

use super::reviews::{link, number, opened};
use super::{flow, prepared};
use crate::story::{REPOSITORY, TODO, TRIGGER};
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::json;

/// A repeat is refused, because the ticket exists.
fn written() -> Step {
    let new = json!({
        "project": "acme", "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TODO,
    });
    Step::request("somebody writes a ticket", post("/v1/tickets", new)).or_refused("409")
}

fn noting_its_job(request: Request) -> Request {
    request.keeping(|world, answer| world.note("job", answer["decision"]["job"].clone()))
}

/// A repeat with the same key returns the first answer.
fn written_by_key() -> Step {
    let new = json!({
        "project": "acme", "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TRIGGER,
    });
    let write = noting_its_job(post("/v1/tickets", new).with("idempotency-key", "key-1"));
    Step::request("somebody writes a ticket that starts a job", write).unrepeated(Unrepeated::AllOrNothing)
}

/// Refused if the ticket was not created.
fn edited_by_key() -> Step {
    let change = json!({ "description": "Do it well.", "labels": ["small"] });
    let edit = post("/v1/tickets/APP-1", change).patch().asking("project=acme").with("idempotency-key", "key-1");
    Step::request("somebody changes its text by a key", edit).or_refused("404")
}

/// The target is not the trigger status: the ledger is written first, then the ticket.
fn moved_away_by_key() -> Step {
    let away = post("/v1/tickets/APP-1/move", json!({ "status": "Blocked" })).asking("project=acme");
    Step::request("somebody moves it away", away.with("idempotency-key", "key-1")).or_refused("404")
}

fn edited() -> Step {
    let change = json!({ "description": "Do it well.", "labels": ["small"] });
    Step::request("somebody changes its text", post("/v1/tickets/APP-1", change).patch().asking("project=acme"))
}

fn moved(key: &'static str) -> Step {
    let call = post("/v1/tickets/APP-1/move", json!({ "status": TRIGGER })).asking("project=acme");
    let call = noting_its_job(call.with("idempotency-key", key));
    Step::request("somebody moves it", call).unrepeated(Unrepeated::AllOrNothing)
}

pub(in crate::walk) fn written_edited_and_moved() -> Flow {
    let mut steps = vec![written(), edited(), moved("key-1"), Step::messages()];
    let known = [attempt::begins(), attempt::claims(), attempt::fails(), Step::messages()];
    steps.extend(known.map(Step::walked_elsewhere));
    flow("a ticket is written, changed and moved on the board", &["failed"], steps)
}

pub(in crate::walk) fn written_into_the_trigger_status() -> Flow {
    let mut steps = vec![written_by_key(), edited_by_key(), moved_away_by_key(), Step::messages()];
    let known = [attempt::begins(), attempt::claims(), attempt::fails(), Step::messages()];
    steps.extend(known.map(Step::walked_elsewhere));
    flow("a ticket is written into the trigger status, changed and moved away", &["failed"], steps)
}

/// A ticket without a job.
async fn written_before(world: &World) {
    let new = json!({ "project": "acme", "key": "APP-1", "title": "About APP-1", "status": TODO });
    base::done(world, "/v1/tickets", new).await;
}

/// A repeat with the same key completes a move that a crash interrupted.
pub(in crate::walk) fn moved_by_keys() -> Flow {
    let entered = moved("key-2").unrepeated(Unrepeated::Repeated);
    let mut steps = vec![moved_away_by_key(), entered];
    let known = [Step::messages(), attempt::begins(), attempt::claims(), attempt::fails(), Step::messages()];
    steps.extend(known.map(Step::walked_elsewhere));
    prepared("a ticket is moved by keys", &["failed"], |world| written_before(world).boxed(), steps)
}

fn linked() -> Step {
    let make = |world: &World| Some(post("/v1/pulls/link", link(world)).put().into());
    Step::call("somebody links its pull request", make).unrepeated(Unrepeated::AllOrNothing)
}

fn unlinked() -> Step {
    let make = |world: &World| {
        let (repository, number) = (REPOSITORY.replace('/', "%2F"), number(world, "number"));
        let which = format!("project=acme&repository={repository}&number={number}");
        Some(delete("/v1/pulls/link").asking(which).into())
    };
    Step::call("somebody takes the link away", make).unrepeated(Unrepeated::AllOrNothing)
}

pub(in crate::walk) fn linked_to_its_pull_request() -> Flow {
    let steps = vec![linked(), Step::messages()];
    prepared("a pull request is linked to a ticket", &[], |world| opened(world).boxed(), steps)
}

pub(in crate::walk) fn linked_and_unlinked() -> Flow {
    let steps = vec![linked().walked_elsewhere(), Step::messages().walked_elsewhere(), unlinked(), Step::messages()];
    prepared("the link of a pull request is taken away", &[], |world| opened(world).boxed(), steps)
}
