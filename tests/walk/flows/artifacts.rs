//! Flows of artifacts: an attempt stores output and a checkpoint, receives an input, and the next attempt continues.

use super::rests::{answered, patient};
use super::{flow, prepared, tickets};
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const BYTES: &[u8] = b"what another attempt can go on from";
const PLACE: &str = "place";

/// Reserves an artifact.
fn offers(kind: &'static str, name: &'static str) -> Step {
    Step::call("it offers what it keeps", move |world| {
        let sha256: String = Sha256::digest(BYTES).iter().map(|byte| format!("{byte:02x}")).collect();
        let offer = json!({ "kind": kind, "name": name, "size_bytes": BYTES.len(), "sha256": sha256 });
        let call = post(format!("{}/artifacts", world.noted("attempt")?), offer).by(&world.noted("lease")?);
        Some(call.keeping(|world, place| world.note(PLACE, place.clone())).into())
    })
}

/// Uploads the bytes, unless the bucket has them.
fn uploads() -> Step {
    Step::act("it uploads that", |world| {
        async {
            let Some(place) = world.noted(PLACE) else { return false };
            let place: Value = serde_json::from_str(&place).unwrap();
            let Some(url) = place["put_url"].as_str() else { return true };
            let mut call = world.ground.http.put(url).body(BYTES);
            for (name, value) in place["headers"].as_object().unwrap() {
                call = call.header(name, value.as_str().unwrap());
            }
            call.send().await.unwrap().error_for_status().unwrap();
            true
        }
        .boxed()
    })
}

/// Confirms the upload.
fn stored() -> Step {
    Step::call("it says that they are there", |world| {
        let place: Value = serde_json::from_str(&world.noted(PLACE)?).unwrap();
        let path = format!("{}/artifacts/{}/stored", world.noted("attempt")?, place["id"].as_str()?);
        Some(post(path, json!({})).by(&world.noted("lease")?).into())
    })
}

/// A user sends an input while the agent works.
fn said() -> Step {
    let make = |world: &World| {
        world.noted("lease")?;
        let path = format!("/v1/jobs/{}/answer", world.noted("job")?);
        Some(post(path, json!({ "text": "Mind the margins." })).with("idempotency-key", "key-2").into())
    };
    Step::call("somebody says something", make)
}

pub(in crate::walk) fn kept_told_and_gone_on() -> Flow {
    let mut steps: Vec<_> = tickets::until_it_works().into_iter().map(Step::walked_elsewhere).collect();
    steps.extend([attempt::tells_what_it_does(), offers("agent_output", "agent-output.jsonl"), uploads(), stored()]);
    steps.extend([said(), Step::messages(), attempt::reads_what_was_said(), attempt::heard_it()]);
    // The second upload is not confirmed: its runner dies first, and the next attempt looks for it.
    steps.extend([offers("checkpoint", "checkpoint.bundle"), uploads()]);
    let known = [attempt::asks_once_it_heard(), attempt::ends(), Step::messages(), answered(), Step::messages()];
    steps.extend(known.into_iter().chain([attempt::begins(), attempt::claims()]).map(Step::walked_elsewhere));
    steps.push(attempt::looks_for_a_checkpoint());
    steps.extend([attempt::fails(), Step::messages()].map(Step::walked_elsewhere));
    let name = "an attempt keeps things, is told something, and another goes on";
    prepared(name, &["failed"], |world| patient(world).boxed(), steps)
}

/// An attempt pushes after it lost its job.
pub(in crate::walk) fn late() -> Flow {
    let mut steps: Vec<_> = tickets::until_its_task_died().into_iter().map(Step::walked_elsewhere).collect();
    steps.extend([attempt::completes_late(), Step::messages()]);
    flow("a result comes after its job was given up", &["failed"], steps)
}
