//! Flows of a user's own ticket tool: it is connected, and shows the wanted states.

use super::tickets::send_ticket_event;
use super::{flow_after, with_a_forge};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

fn create(world: &World) -> Request {
    let url = format!("{}/tool", world.forge_url().unwrap());
    let new = json!({ "id": "own", "kind": "http", "url": url, "secret": base::TOOL_SECRET_NAME });
    post("/v1/trackers", new)
}

fn choose() -> Request {
    post("/v1/projects/acme/tracker", json!({ "connection": "own" })).put()
}

async fn with_secret(world: &World) {
    with_a_forge(world).await;
    world.note("tool", true);
    world.raw.put_secret(base::TOOL_SECRET_NAME, base::TOOL_SECRET).await;
}

async fn with_tool(world: &World) {
    with_secret(world).await;
    base::call_ok(world, create(world)).await;
    base::call_ok(world, choose()).await;
}

pub(in crate::walk) fn complete_job() -> Flow {
    let known = [
        send_ticket_event(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::report_executing(),
        attempt::post_no_events(),
        attempt::get_credentials(),
        attempt::report_syncing(),
    ];
    let mut steps: Vec<_> = known.map(Step::broken_elsewhere).into();
    steps.extend([attempt::finish_completed(), Step::messages()]);
    flow_after("a ticket tool shows a completed job", &["completed"], |world| with_tool(world).boxed(), steps)
}

fn report_ticket() -> Step {
    let event = json!({
        "event_id": "e0", "occurred_at": "2026-11-20T12:00:00Z", "project": "acme",
        "ticket": { "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TODO },
    });
    Step::request("the tool reports a ticket", post("/v1/tickets/events", event).function("tickets"))
}

fn move_ticket(status: &str) -> Step {
    let call = post("/v1/tickets/APP-1/move", json!({ "status": status })).query("project=acme");
    let call = call.header("idempotency-key", "key-1");
    Step::request("somebody moves it on the board", call).without_repeat(WithoutRepeat::AllOrNothing)
}

/// A failed write is repeated at once.
pub(in crate::walk) fn sync_after_failure() -> Flow {
    let set_away = |name, method: Method| {
        Step::act(name, move |world| {
            let method = method.clone();
            async move {
                forge::set_tool_away(world, method).await;
                true
            }
            .boxed()
        })
    };
    let synced = post("/v1/tickets/APP-1/sync", json!({})).query("project=acme");
    let steps = vec![
        report_ticket().broken_elsewhere(),
        set_away("the tool is away", Method::POST),
        move_ticket(REVIEW).broken_elsewhere(),
        Step::messages(),
        set_away("the tool answers again", Method::DELETE),
        Step::request("somebody syncs the ticket", synced),
        Step::messages(),
    ];
    flow_after("a ticket is synced with a tool that was away", &[], |world| with_tool(world).boxed(), steps)
}

/// The move is a request until the tool has made it. Then it starts a job, whose failure the tool shows.
pub(in crate::walk) fn move_on_board() -> Flow {
    let (created, moved) = (report_ticket(), move_ticket(TRIGGER));
    let known = [attempt::start_task(), attempt::claim()];
    let mut steps = vec![created.broken_elsewhere(), moved, Step::messages()];
    steps.extend(known.map(Step::broken_elsewhere));
    steps.extend([attempt::finish_failed(), Step::messages()]);
    flow_after("a ticket tool confirms a move", &["failed"], |world| with_tool(world).boxed(), steps)
}

pub(in crate::walk) fn connect_and_delete() -> Flow {
    let steps = vec![
        Step::call("somebody connects a tool", |world| Some(create(world).into())).refused_on_repeat("409"),
        Step::request("somebody tests it", post("/v1/trackers/own/test", json!({}))),
        Step::request("a project uses it", choose()),
        Step::request("the project returns to the board", delete("/v1/projects/acme/tracker")),
        Step::request("somebody deletes it", delete("/v1/trackers/own")).refused_on_repeat("404"),
    ];
    flow_after("a ticket tool is connected and deleted", &[], |world| with_secret(world).boxed(), steps)
}
