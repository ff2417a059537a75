//! Flows of a self-hosted runner that completes a ticket's job or falls silent.

use super::{prepared, tickets};
use crate::walk::attempt;
use crate::walk::base::{self, RUNNERS};
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) fn registers(instance: &'static str) -> Step {
    let new = json!({
        "name": "kite", "instance": instance, "capabilities": ["command"], "labels": [], "version": "0.1.0", "slots": 1,
    });
    let call = post("/v1/runners", new).by(RUNNERS);
    Step::request("a runner registers", call.keeping(|world, made| world.note("runner", made["runner"].clone())))
}

pub(super) fn says(
    name: &'static str,
    what: &'static str,
    body: impl Fn(&World) -> Option<Value> + Send + Sync + 'static,
) -> Step {
    Step::call(name, move |world| {
        let path = format!("/v1/runners/{}/{what}", world.noted("runner")?);
        Some(post(path, body(world)?).by(RUNNERS).keeping(claimed).into())
    })
}

/// Notes the job, attempt and token of a claim, as a task's environment contains them.
fn claimed(world: &World, answer: &Value) {
    if let Some(job) = answer["job"].as_object() {
        world.note("PULLYARD_JOB", job["job"].clone());
        world.note("PULLYARD_ATTEMPT", job["attempt"].clone());
        world.note("PULLYARD_BOOTSTRAP", job["bootstrap"].clone());
    }
}

pub(super) fn claims(instance: &'static str, claim: &'static str) -> Step {
    says("it claims a job", "claim", move |_| Some(json!({ "instance": instance, "claim_id": claim })))
}

pub(super) fn starts(claim: &'static str) -> Step {
    Step::call("its process begins", move |world| {
        let (job, attempt) = (world.noted("PULLYARD_JOB")?, world.noted("PULLYARD_ATTEMPT")?);
        let start = json!({ "claim_id": claim, "instance": "run-job" });
        let call = post(format!("/v1/jobs/{job}/attempts/{attempt}/start"), start);
        Some(call.by(&world.noted("PULLYARD_BOOTSTRAP")?).keeping(attempt::assigned).into())
    })
}

fn beats() -> Step {
    says("it is heard", "heartbeat", |world| Some(json!({ "instance": "instance-1", "active": [world.noted("job")?] })))
}

pub(super) fn with_runners(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    prepared(name, ends, |world| async { base::has_runners(world).await }.boxed(), steps)
}

pub(in crate::walk) fn completed() -> Flow {
    let steps = vec![
        registers("instance-1"),
        tickets::told(),
        claims("instance-1", "claim-1"),
        starts("claim-1"),
        attempt::prepares(),
        attempt::executes(),
        beats(),
        attempt::syncs(),
        attempt::completes(),
        Step::messages(),
    ];
    with_runners("a runner completes a ticket's job", &["completed"], steps)
}

pub(in crate::walk) fn silent() -> Flow {
    let steps = vec![
        // The sweeper judges no runner before it has watched for long enough.
        Step::rounds(2),
        registers("instance-1"),
        tickets::told(),
        claims("instance-1", "claim-1"),
        starts("claim-1"),
        attempt::prepares(),
        Step::rounds(8),
        Step::wait(Duration::from_secs(15)),
        Step::sweep("the sweeper finds it silent"),
        Step::messages(),
        registers("instance-2"),
        claims("instance-2", "claim-2"),
        starts("claim-2"),
        attempt::fails(),
        Step::messages(),
    ];
    with_runners("a silent runner's job is put back", &["failed"], steps)
}
