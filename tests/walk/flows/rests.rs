//! A flow in which a job is suspended by a question and by a pause, and resumes.

use super::{prepared, tickets};
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::json;

pub(super) fn answered() -> Step {
    let make = |world: &World| {
        let path = format!("/v1/jobs/{}/answer", world.noted("job")?);
        Some(post(path, json!({ "text": "The empty one." })).with("idempotency-key", "key-1").into())
    };
    Step::call("somebody answers", make).unrepeated(Unrepeated::AllOrNothing)
}

fn paused() -> Step {
    let make = |world: &World| {
        world.noted("lease")?;
        Some(post(format!("/v1/jobs/{}/pause", world.noted("job")?), json!({})).into())
    };
    Step::call("somebody pauses it", make).unrepeated(Unrepeated::AllOrNothing)
}

/// A user resumes the job after its attempt paused.
fn continued() -> Step {
    let make = |world: &World| {
        let heeded = world.noted("lease").is_none() && world.noted("want")? == "pause";
        let job = world.noted("job").filter(|_| heeded)?;
        Some(post(format!("/v1/jobs/{job}/continue"), json!({})).into())
    };
    Step::call("somebody continues it", make).unrepeated(Unrepeated::AllOrNothing)
}

pub(in crate::walk) fn asked_paused_and_continued() -> Flow {
    let mut steps: Vec<_> = tickets::until_it_works().into_iter().map(Step::walked_elsewhere).collect();
    steps.extend([attempt::asks(), attempt::ends(), Step::messages()]);
    steps.extend([answered(), Step::messages(), attempt::begins(), attempt::claims()]);
    steps.extend([paused(), attempt::tells(), attempt::pauses(), attempt::ends(), Step::messages()]);
    steps.extend([continued(), Step::messages(), attempt::begins(), attempt::claims()]);
    steps.extend([attempt::fails(), Step::messages()].map(Step::walked_elsewhere));
    let name = "a job that asks, is answered, is paused and continued";
    prepared(name, &["failed"], |world| patient(world).boxed(), steps)
}

/// A suspended job ends after an hour without an answer.
pub(super) async fn patient(world: &World) {
    base::settings(world, |settings| settings.limits.input_secs = 3_600).await;
}
