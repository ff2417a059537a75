//! Flows of artifacts: an attempt stores output and a checkpoint, receives an input, and the next attempt continues.

use super::suspensions::{answer_question, limit_input_wait};
use super::{flow, flow_after, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use sha2::Digest;

const BYTES: &[u8] = b"what another attempt can continue from";
const UPLOAD: &str = "place";

fn reserve_artifact(kind: &'static str, name: &'static str) -> Step {
    Step::call("it offers what it keeps", move |world| {
        let sha256: String = Sha256::digest(BYTES).iter().map(|byte| format!("{byte:02x}")).collect();
        let offer = json!({ "kind": kind, "name": name, "size_bytes": BYTES.len(), "sha256": sha256 });
        let call =
            post(format!("{}/artifacts", world.note_value("attempt")?), offer).token(&world.note_value("lease")?);
        Some(call.on_answer(|world, place| world.note(UPLOAD, place.clone())).into())
    })
}

/// Uploads the bytes, unless the bucket has them.
fn upload() -> Step {
    Step::act("it uploads that", |world| {
        async {
            let Some(place) = world.note_value(UPLOAD) else { return false };
            let place: Value = serde_json::from_str(&place).unwrap();
            let Some(url) = place["put_url"].as_str() else { return true };
            let mut call = world.clients.http.put(url).body(BYTES);
            for (name, value) in place["headers"].as_object().unwrap() {
                call = call.header(name, value.as_str().unwrap());
            }
            call.send().await.unwrap().error_for_status().unwrap();
            true
        }
        .boxed()
    })
}

fn confirm_upload() -> Step {
    Step::call("it says that they are there", |world| {
        let place: Value = serde_json::from_str(&world.note_value(UPLOAD)?).unwrap();
        let path = format!("{}/artifacts/{}/stored", world.note_value("attempt")?, place["id"].as_str()?);
        Some(post(path, json!({})).token(&world.note_value("lease")?).into())
    })
}

fn send_input() -> Step {
    let make = |world: &World| {
        world.note_value("lease")?;
        let path = format!("/v1/jobs/{}/answer", world.note_value("job")?);
        Some(post(path, json!({ "text": "Mind the margins." })).header("idempotency-key", "key-2").into())
    };
    Step::call("somebody says something", make)
}

async fn prepare(world: &World) {
    base::use_codex(world).await;
    limit_input_wait(world).await;
}

pub(in crate::walk) fn artifacts_and_input() -> Flow {
    let mut steps: Vec<_> = tickets::steps_until_executing().into_iter().map(Step::broken_elsewhere).collect();
    steps.extend([
        attempt::post_events(),
        reserve_artifact("agent_output", "agent-output.jsonl"),
        upload(),
        confirm_upload(),
    ]);
    steps.extend([send_input(), Step::messages(), attempt::get_inputs(), attempt::ack_input()]);
    // The second upload is not confirmed: its runner dies first, and the next attempt looks for it.
    steps.extend([reserve_artifact("checkpoint", "checkpoint.bundle"), upload()]);
    let known =
        [attempt::ask_after_input(), attempt::stop_task(), Step::messages(), answer_question(), Step::messages()];
    steps.extend(known.into_iter().chain([attempt::start_task(), attempt::claim()]).map(Step::broken_elsewhere));
    steps.push(attempt::get_checkpoint());
    steps.extend([attempt::finish_failed(), Step::messages()].map(Step::broken_elsewhere));
    let name = "an attempt stores artifacts, receives a message, and another continues";
    flow_after(name, &["failed"], |world| prepare(world).boxed(), steps)
}

/// An attempt pushes after it lost its job.
pub(in crate::walk) fn late_result() -> Flow {
    let mut steps: Vec<_> = tickets::steps_until_task_death().into_iter().map(Step::broken_elsewhere).collect();
    steps.extend([attempt::finish_late(), Step::messages()]);
    flow("a result comes after its job was given up", &["failed"], steps)
}
