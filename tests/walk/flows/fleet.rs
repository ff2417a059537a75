//! Flows of runner commands: drain and resume, restart, removal during a job, and closing a breaker.

use super::runners::{claim, post_as_runner, register, start_process, with_runners};
use super::tickets;
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

fn runner_command(name: &'static str, command: &'static str) -> Step {
    Step::call(name, move |world| {
        let path = format!("/v1/runners/{}/commands", world.note_value("runner")?);
        Some(post(path, json!({ "command": command })).into())
    })
}

fn heartbeat(draining: bool) -> Step {
    post_as_runner("it is heard", "heartbeat", move |_| {
        Some(json!({ "instance": "instance-1", "active": [], "draining": draining }))
    })
}

pub(in crate::walk) fn drain_and_resume() -> Flow {
    let steps = vec![
        register("instance-1"),
        runner_command("somebody drains it", "drain"),
        heartbeat(true),
        runner_command("somebody has it go on", "resume"),
        heartbeat(false),
        runner_command("somebody drains it once more", "drain"),
    ];
    with_runners("a runner drains, goes on and drains", &[], steps)
}

fn report_order(name: &'static str, state: &'static str) -> Step {
    post_as_runner(name, "heartbeat", move |world| {
        let order = json!({ "id": world.note_value("order")?, "state": state });
        Some(json!({ "instance": "instance-1", "active": [], "order": order }))
    })
}

pub(in crate::walk) fn restart() -> Flow {
    let steps = vec![
        register("instance-1"),
        runner_command("somebody restarts it", "restart"),
        heartbeat(false),
        report_order("it accepts the order", "accepted"),
        report_order("it has restarted", "done"),
    ];
    with_runners("a runner restarts", &[], steps)
}

/// A repeat is refused, because the runner is gone.
fn remove_runner() -> Step {
    let make = |world: &World| Some(delete(format!("/v1/runners/{}", world.note_value("runner")?)).into());
    Step::call("somebody removes the runner", make).refused_on_repeat("404")
}

pub(in crate::walk) fn remove_during_job() -> Flow {
    let known = [
        tickets::send_ticket_event(),
        claim("instance-1", "claim-1"),
        start_process("claim-1"),
        attempt::report_preparing(),
    ];
    let mut steps = vec![Step::sweeps(2), register("instance-1").broken_elsewhere()];
    steps.extend(known.map(Step::broken_elsewhere));
    steps.extend([remove_runner(), Step::sweep("the sweeper takes its job away"), Step::messages()]);
    let again = [register("instance-2"), claim("instance-2", "claim-2"), start_process("claim-2")];
    steps.extend(again.into_iter().chain([attempt::finish_failed(), Step::messages()]).map(Step::broken_elsewhere));
    with_runners("a runner is removed under its job", &["failed"], steps)
}

fn close_breaker() -> Step {
    Step::call("somebody has the model asked again", |world| {
        let account = format!("runner/{}/command", world.note_value("runner")?);
        Some(post("/v1/breakers/close", json!({ "account": account })).into())
    })
}

pub(in crate::walk) fn breaker_closed_by_user() -> Flow {
    let known = [
        tickets::send_ticket_event(),
        claim("instance-1", "claim-1"),
        start_process("claim-1"),
        attempt::report_preparing(),
    ];
    let mut steps = vec![register("instance-1").broken_elsewhere()];
    steps.extend(known.into_iter().chain([attempt::report_executing()]).map(Step::broken_elsewhere));
    steps.extend([attempt::finish_overloaded(), Step::messages(), close_breaker()]);
    let again = [claim("instance-1", "claim-2"), start_process("claim-2"), attempt::finish_failed(), Step::messages()];
    steps.extend(again.map(Step::broken_elsewhere));
    with_runners("a job waits for its model until somebody has it asked again", &["failed"], steps)
}
