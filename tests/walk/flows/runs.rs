//! Flows of runs: one asks a user and completes, one is cancelled and resumed.

use super::flow;
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

fn start(steps: Value) -> Step {
    let request = json!({ "project": "acme", "run_id": "one", "plan": { "name": "release", "steps": steps } });
    let call = post("/v1/runs", request).on_answer(|world, run| world.note("run", run["id"].clone()));
    Step::request("somebody starts a run", call).without_repeat(WithoutRepeat::AllOrNothing)
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

pub(in crate::walk) fn cancel_and_resume() -> Flow {
    let steps = vec![
        start(json!([{ "name": "notes", "prompt": "Write them." }])).broken_elsewhere(),
        Step::messages(),
        order("somebody cancels it", "cancel"),
        Step::messages(),
        order("somebody resumes it", "resume").refused_on_repeat("409"),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::finish_failed(),
        Step::messages(),
    ];
    flow("a run is cancelled, resumed and fails", &["cancelled", "failed"], steps)
}
