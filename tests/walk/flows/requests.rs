//! A flow of a job that a user requests, retries and cancels.

use super::{flow, tickets};
use crate::walk::attempt;
use crate::walk::http::{Request, post};
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use serde_json::json;

fn keyed(call: Request, key: &str) -> Request {
    let call = call.with("idempotency-key", key);
    call.keeping(|world, decision| world.note("job", decision["job"].clone()))
}

fn asked() -> Step {
    let wish = json!({ "project": "acme", "prompt": "Do it." });
    Step::request("somebody asks for a job", keyed(post("/v1/jobs", wish), "key-1"))
        .unrepeated(Unrepeated::AllOrNothing)
}

fn retried() -> Step {
    let make = |world: &World| {
        let path = format!("/v1/jobs/{}/retry", world.noted("job")?);
        Some(keyed(post(path, json!({})), "key-2").into())
    };
    Step::call("somebody asks for it once more", make)
}

pub(in crate::walk) fn asked_retried_and_cancelled() -> Flow {
    let steps = vec![
        asked(),
        Step::messages(),
        attempt::begins(),
        attempt::claims(),
        attempt::fails(),
        Step::messages(),
        retried(),
        Step::messages(),
        attempt::begins(),
        tickets::cancelled(),
        Step::messages(),
    ];
    flow("a job is asked for, fails, is retried and cancelled", &["failed", "cancelled"], steps)
}
