//! Flows in which the end of a job is sent to an endpoint.

use super::{flow, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

const ENDPOINT: &str = "/v1/projects/acme/notifications/ops";

fn add_endpoint() -> Step {
    Step::call("somebody adds an endpoint", |world| {
        Some(post(ENDPOINT, json!({ "kind": "webhook", "url": world.receiver.url() })).put().into())
    })
}

fn answer(name: &'static str, status: StatusCode) -> Step {
    Step::act(name, move |world| {
        world.receiver.answer(status, &[]);
        async { true }.boxed()
    })
}

fn redeliver() -> Step {
    Step::act("somebody looks for lost notices", |world| find_notice(world).boxed())
}

async fn find_notice(world: &World) -> bool {
    let items = crate::walk::outcome::items(world).await;
    let Some(notice) = items.iter().find(|item| item["sk"] == "NOTICE") else { return false };
    world.note("notice", notice["id"].clone());
    true
}

pub(in crate::walk) fn send() -> Flow {
    let steps = vec![
        add_endpoint(),
        tickets::send_ticket_event(),
        Step::messages(),
        attempt::start_task(),
        tickets::cancel_job(),
        Step::messages(),
    ];
    flow("the end of a job is sent", &["cancelled"], steps)
}

pub(in crate::walk) fn enable_redeliver_and_delete() -> Flow {
    let steps = vec![
        add_endpoint().broken_elsewhere(),
        answer("the endpoint is gone", StatusCode::GONE),
        tickets::send_ticket_event().broken_elsewhere(),
        Step::messages().broken_elsewhere(),
        tickets::cancel_job().broken_elsewhere(),
        Step::messages().broken_elsewhere(),
        answer("the endpoint is back", StatusCode::OK),
        Step::request("somebody enables it", post(format!("{ENDPOINT}/enable"), json!({}))),
        redeliver(),
        Step::call("somebody sends it again", |world| {
            Some(post("/v1/notices/redeliver", json!({ "notice": world.note_value("notice")? })).into())
        }),
        // The hint of a call that is repeated is the sweeper's.
        Step::sweep("the sweeper finds the notice due").broken_elsewhere(),
        Step::messages().broken_elsewhere(),
        Step::request("somebody deletes it", delete(ENDPOINT)).refused_on_repeat("404"),
    ];
    flow("an endpoint is enabled and deleted", &["cancelled"], steps)
}
