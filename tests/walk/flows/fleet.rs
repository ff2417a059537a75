//! Flows of runner commands: drain and resume, removal during a job, and closing a breaker.

use super::runners::{claims, registers, says, starts, with_runners};
use super::tickets;
use crate::walk::attempt;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use serde_json::json;
use std::time::Duration;

fn commanded(name: &'static str, what: &'static str) -> Step {
    Step::call(name, move |world| {
        let path = format!("/v1/runners/{}/commands", world.noted("runner")?);
        Some(post(path, json!({ "command": what })).into())
    })
}

fn beats(draining: bool) -> Step {
    says("it is heard", "heartbeat", move |_| {
        Some(json!({ "instance": "instance-1", "active": [], "draining": draining }))
    })
}

pub(in crate::walk) fn drained_and_resumed() -> Flow {
    let steps = vec![
        registers("instance-1"),
        commanded("somebody drains it", "drain"),
        beats(true),
        commanded("somebody has it go on", "resume"),
        beats(false),
        commanded("somebody drains it once more", "drain"),
    ];
    with_runners("a runner drains, goes on and drains", &[], steps)
}

/// A repeat is refused, because the runner is gone.
fn removed() -> Step {
    let make = |world: &World| Some(delete(format!("/v1/runners/{}", world.noted("runner")?)).into());
    Step::call("somebody removes the runner", make).or_refused("404")
}

pub(in crate::walk) fn removed_under_its_job() -> Flow {
    let known = [tickets::told(), claims("instance-1", "claim-1"), starts("claim-1"), attempt::prepares()];
    let mut steps = vec![Step::rounds(2), registers("instance-1").walked_elsewhere()];
    steps.extend(known.map(Step::walked_elsewhere));
    steps.extend([removed(), Step::sweep("the sweeper takes its job away"), Step::messages()]);
    let again = [registers("instance-2"), claims("instance-2", "claim-2"), starts("claim-2")];
    steps.extend(again.into_iter().chain([attempt::fails(), Step::messages()]).map(Step::walked_elsewhere));
    with_runners("a runner is removed under its job", &["failed"], steps)
}

/// Closes the breaker of the runner's account.
fn closed() -> Step {
    Step::call("somebody has the model asked again", |world| {
        let account = format!("runner/{}/command", world.noted("runner")?);
        Some(post("/v1/breakers/close", json!({ "account": account })).into())
    })
}

pub(in crate::walk) fn left_alone_and_asked_again() -> Flow {
    let known = [tickets::told(), claims("instance-1", "claim-1"), starts("claim-1"), attempt::prepares()];
    let mut steps = vec![registers("instance-1").walked_elsewhere()];
    steps.extend(known.into_iter().chain([attempt::executes()]).map(Step::walked_elsewhere));
    steps.extend([attempt::meets_trouble(), Step::messages(), closed()]);
    // The claim cache stays valid for a moment.
    steps.push(Step::wait(Duration::from_secs(10)));
    let again = [claims("instance-1", "claim-2"), starts("claim-2"), attempt::fails(), Step::messages()];
    steps.extend(again.map(Step::walked_elsewhere));
    with_runners("a job waits for its model until somebody has it asked again", &["failed"], steps)
}
