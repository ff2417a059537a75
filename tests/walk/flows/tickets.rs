//! Flows of a ticket that enters the trigger status and gets a job.

use super::flow;
use crate::story::TRIGGER;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Call, Flow, From, Step, Unrepeated};
use crate::walk::world::World;
use futures::FutureExt;
use pullyard_emulator::ecs::Outcome;
use serde_json::json;
use std::time::Duration;

/// The ticket tool reports a ticket in the trigger status.
pub(super) fn told() -> Step {
    let event = json!({
        "event_id": "e1", "occurred_at": "2026-11-20T12:01:00Z", "project": "acme", "actor": "ana",
        "ticket": { "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": TRIGGER },
    });
    let call = post("/v1/tickets/events", event).to("tickets");
    let call = call.keeping(|world, decision| world.note("job", decision["job"].clone()));
    Step::request("a ticket is told", call).unrepeated(Unrepeated::AllOrNothing)
}

/// The ticket tool sends an unreadable event, which is refused and recorded.
fn told_badly() -> Step {
    let unreadable = post("/v1/tickets/events", json!({ "project": "acme" })).to("tickets");
    Step::request("something is told that can't be read", unreadable).refused("4")
}

pub(in crate::walk) fn unreadable() -> Flow {
    flow("what can't be read is written down", &[], vec![told_badly()])
}

pub(super) fn cancelled() -> Step {
    let make = |world: &World| Some(post(format!("/v1/jobs/{}/cancel", world.noted("job")?), json!({})).into());
    Step::call("somebody cancels it", make).unrepeated(Unrepeated::AllOrNothing)
}

fn stopped() -> Step {
    Step::call("its container died", |world| {
        let event = json!({
            "detail-type": "ECS Task State Change", "source": "aws.ecs",
            "detail": {
                "taskArn": world.noted("task")?, "lastStatus": "STOPPED", "startedBy": world.noted("job")?,
                "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
                "containers": [{ "exitCode": 1 }],
            },
        });
        Some(Call { function: "tasks", event, from: From::Aws, keep: |_, _| {} })
    })
}

/// Steps until a task works on the ticket's job.
pub(super) fn until_it_works() -> Vec<Step> {
    vec![told(), Step::messages(), attempt::begins(), attempt::claims(), attempt::prepares(), attempt::executes()]
}

fn from_there(name: &'static str, ends: &'static [&'static str], more: Vec<Step>) -> Flow {
    flow(name, ends, until_it_works().into_iter().chain(more).collect())
}

pub(in crate::walk) fn completed() -> Flow {
    let more =
        vec![attempt::tells(), attempt::asks_for_its_token(), attempt::syncs(), attempt::completes(), Step::messages()];
    from_there("a ticket's job completes", &["completed"], more)
}

pub(in crate::walk) fn failed() -> Flow {
    from_there("a ticket's job fails", &["failed"], vec![attempt::fails(), Step::messages()])
}

pub(in crate::walk) fn cancelled_while_it_works() -> Flow {
    let more = vec![cancelled(), attempt::tells(), attempt::stops(), Step::messages()];
    from_there("a job is cancelled while it works", &["cancelled"], more)
}

pub(in crate::walk) fn cancelled_before_it_is_claimed() -> Flow {
    let steps = vec![told(), Step::messages(), attempt::begins(), cancelled(), Step::messages()];
    flow("a job is cancelled before it is claimed", &["cancelled"], steps)
}

/// The same, until the task has died.
pub(super) fn until_its_task_died() -> Vec<Step> {
    let more =
        [stopped(), Step::wait(Duration::from_secs(20)), Step::sweep("the sweeper goes round"), Step::messages()];
    until_it_works().into_iter().chain(more).collect()
}

pub(in crate::walk) fn died() -> Flow {
    flow("a task dies under its job", &["failed"], until_its_task_died())
}

pub(in crate::walk) fn started_when_there_is_room() -> Flow {
    let steps = vec![
        told(),
        Step::act("there is no capacity", |world| {
            world.aws.ecs().script(vec![Outcome::CapacityUnavailable]);
            async { true }.boxed()
        }),
        Step::messages(),
        Step::act("time passes while no task is on its way", |world| {
            async {
                if world.tasks().await.is_empty() {
                    world.clock.advance(Duration::from_secs(600));
                }
                true
            }
            .boxed()
        }),
        Step::sweep("the sweeper goes round"),
        Step::messages(),
        attempt::begins(),
        attempt::claims(),
        attempt::fails(),
        Step::messages(),
    ];
    flow("a task is started when there is room", &["failed"], steps)
}
