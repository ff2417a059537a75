//! Flows of runs: one asks a user and completes, one is cancelled.

use super::flow;
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

/// Without its user, the run ends by its time limit.
fn start(steps: Value) -> Step {
    let request = json!({ "project": "acme", "run_id": "one", "plan": { "name": "release", "limits": { "wall": "30m" }, "steps": steps } });
    let call = post("/v1/runs", request).on_answer(|world, run| world.note("run", run["id"].clone()));
    Step::request("somebody starts a run", call).without_repeat(WithoutRepeat::AlwaysRepeated)
}

/// A user orders what the run shows. After a lost hint, that follows a sweep.
fn settle() -> Step {
    Step::act("the sweeper goes round", |world| {
        async move {
            world.invoke(&world.sweep_event()).await;
            world.drain().await;
            true
        }
        .boxed()
    })
}

fn order(name: &'static str, order: &'static str) -> Step {
    let make = move |world: &World| {
        let path = format!("/v1/runs/{}/{order}", world.note_value("run")?);
        Some(post(path, json!({})).into())
    };
    Step::call(name, make).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn approve_and_complete() -> Flow {
    let steps = vec![
        start(json!([
            { "name": "ask", "approve": "Now?" }, { "name": "notes", "needs": ["ask"], "prompt": "Write them." },
        ])),
        Step::messages(),
        settle(),
        order("somebody approves its question", "steps/ask/approve"),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::get_credentials(),
        attempt::report_executing(),
        attempt::report_syncing(),
        attempt::finish_completed(),
        Step::messages(),
    ];
    flow("a run asks a user and opens a pull request", &["completed"], steps)
}

pub(in crate::walk) fn cancel() -> Flow {
    let steps = vec![
        start(json!([{ "name": "notes", "prompt": "Write them." }])).broken_elsewhere(),
        Step::messages(),
        settle(),
        order("somebody cancels it", "cancel"),
        Step::messages(),
    ];
    flow("a run is cancelled", &["cancelled"], steps)
}
