//! Flows of a self-hosted runner that completes a ticket's job or falls silent.

use super::{flow_after, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base::{self, RUNNER_TOKEN};
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

pub(super) fn register(instance: &'static str) -> Step {
    let new = json!({
        "name": "kite", "instance": instance, "capabilities": ["command"], "labels": [], "version": "0.1.0", "slots": 1,
        "updates": "denied",
    });
    let call = post("/v1/runners", new).token(RUNNER_TOKEN);
    Step::request("a runner registers", call.on_answer(|world, answer| world.note("runner", answer["runner"].clone())))
}

pub(super) fn post_as_runner(
    name: &'static str,
    what: &'static str,
    body: impl Fn(&World) -> Option<Value> + Send + Sync + 'static,
) -> Step {
    Step::call(name, move |world| {
        let path = format!("/v1/runners/{}/{what}", world.note_value("runner")?);
        Some(post(path, body(world)?).token(RUNNER_TOKEN).on_answer(note_claim).into())
    })
}

fn note_claim(world: &World, answer: &Value) {
    if let Some(order) = answer["order"].as_object() {
        world.note("order", order["id"].clone());
    }
    if let Some(job) = answer["job"].as_object() {
        world.note("PULLYARD_JOB", job["job"].clone());
        world.note("PULLYARD_ATTEMPT", job["attempt"].clone());
        world.note("PULLYARD_BOOTSTRAP", job["bootstrap"].clone());
    }
}

pub(super) fn claim(instance: &'static str, claim: &'static str) -> Step {
    post_as_runner("it claims a job", "claim", move |_| Some(json!({ "instance": instance, "claim_id": claim })))
}

pub(super) fn start_process(claim: &'static str) -> Step {
    Step::call("its process begins", move |world| {
        let (job, attempt) = (world.note_value("PULLYARD_JOB")?, world.note_value("PULLYARD_ATTEMPT")?);
        let start = json!({ "claim_id": claim, "instance": "run-job" });
        let call = post(format!("/v1/jobs/{job}/attempts/{attempt}/start"), start);
        Some(call.token(&world.note_value("PULLYARD_BOOTSTRAP")?).on_answer(attempt::note_assignment).into())
    })
}

fn heartbeat() -> Step {
    post_as_runner("it is heard", "heartbeat", |world| {
        Some(json!({ "instance": "instance-1", "active": [world.note_value("job")?] }))
    })
}

pub(super) fn with_runners(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    flow_after(name, ends, |world| async { base::use_runners(world).await }.boxed(), steps)
}

pub(in crate::walk) fn complete_job() -> Flow {
    let steps = vec![
        register("instance-1"),
        tickets::send_ticket_event(),
        // The dispatcher wakes the runner.
        Step::messages(),
        claim("instance-1", "claim-1"),
        start_process("claim-1"),
        attempt::report_preparing(),
        attempt::report_executing(),
        heartbeat(),
        attempt::report_syncing(),
        attempt::finish_completed(),
        Step::messages(),
    ];
    with_runners("a runner completes a ticket's job", &["completed"], steps)
}

pub(in crate::walk) fn silent_runner() -> Flow {
    let steps = vec![
        // The sweeper judges no runner before it has watched for long enough.
        Step::sweeps(2),
        register("instance-1"),
        tickets::send_ticket_event(),
        claim("instance-1", "claim-1"),
        start_process("claim-1"),
        attempt::report_preparing(),
        Step::sweeps(8),
        Step::wait(Duration::from_secs(15)),
        Step::sweep("the sweeper finds it silent"),
        Step::messages(),
        register("instance-2"),
        claim("instance-2", "claim-2"),
        start_process("claim-2"),
        attempt::finish_failed(),
        Step::messages(),
    ];
    with_runners("a silent runner's job is put back", &["failed"], steps)
}
