//! Flows of a ticket that enters the trigger status and gets a job.

use super::{flow, flow_after};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Call, Flow, From, Step, WithoutRepeat};
use crate::walk::world::World;
use pullyard_domain::project::OfflinePolicy;

pub(super) fn send_ticket_event() -> Step {
    send_event_of("e1", "APP-1")
}

fn send_event_of(event: &str, key: &str) -> Step {
    let event = json!({
        "event_id": event, "occurred_at": "2026-11-20T12:01:00Z", "project": "acme", "actor": "ana",
        "ticket": { "key": key, "title": format!("About {key}"), "description": "Do it.", "status": TRIGGER },
    });
    let call = post("/v1/tickets/events", event).function("tickets");
    let call = call.on_answer(|world, decision| world.note("job", decision["job"].clone()));
    Step::request("a ticket event is sent", call).without_repeat(WithoutRepeat::AllOrNothing)
}

fn send_unreadable_event() -> Step {
    let unreadable = post("/v1/tickets/events", json!({ "project": "acme" })).function("tickets");
    Step::request("an unreadable event is sent", unreadable).always_refused("4")
}

pub(in crate::walk) fn unreadable() -> Flow {
    flow("what can't be read is written down", &[], vec![send_unreadable_event()])
}

pub(super) fn cancel_job() -> Step {
    let make = |world: &World| Some(post(format!("/v1/jobs/{}/cancel", world.note_value("job")?), json!({})).into());
    Step::call("somebody cancels it", make).without_repeat(WithoutRepeat::AllOrNothing)
}

fn task_stopped_event() -> Step {
    Step::call("its container died", |world| {
        let event = json!({
            "detail-type": "ECS Task State Change", "source": "aws.ecs",
            "detail": {
                "taskArn": world.note_value("task")?, "lastStatus": "STOPPED", "startedBy": world.note_value("job")?,
                "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
                "containers": [{ "exitCode": 1 }],
            },
        });
        Some(Call { function: "tasks", event, from: From::Aws, on_answer: |_, _| {} })
    })
}

pub(super) fn steps_until_executing() -> Vec<Step> {
    vec![
        send_ticket_event(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::report_executing(),
    ]
}

fn flow_from_working_job(name: &'static str, ends: &'static [&'static str], more: Vec<Step>) -> Flow {
    flow(name, ends, steps_until_executing().into_iter().chain(more).collect())
}

pub(in crate::walk) fn complete_job() -> Flow {
    let more = vec![
        attempt::post_no_events(),
        attempt::get_credentials(),
        attempt::report_syncing(),
        attempt::finish_completed(),
        Step::messages(),
    ];
    flow_from_working_job("a ticket's job completes", &["completed"], more)
}

pub(in crate::walk) fn fail_job() -> Flow {
    flow_from_working_job("a ticket's job fails", &["failed"], vec![attempt::finish_failed(), Step::messages()])
}

pub(in crate::walk) fn cancel_working_job() -> Flow {
    let more = vec![cancel_job(), attempt::post_no_events(), attempt::finish_cancelled(), Step::messages()];
    flow_from_working_job("a job is cancelled while it works", &["cancelled"], more)
}

pub(in crate::walk) fn cancel_unclaimed_job() -> Flow {
    let steps = vec![send_ticket_event(), Step::messages(), attempt::start_task(), cancel_job(), Step::messages()];
    flow("a job is cancelled before it is claimed", &["cancelled"], steps)
}

pub(super) fn steps_until_task_death() -> Vec<Step> {
    let more = [
        task_stopped_event(),
        Step::wait(Duration::from_secs(20)),
        Step::sweep("the sweeper goes round"),
        Step::messages(),
    ];
    steps_until_executing().into_iter().chain(more).collect()
}

pub(in crate::walk) fn task_death() -> Flow {
    flow("a task dies under its job", &["failed"], steps_until_task_death())
}

/// The sweeper watches an attempt for two minutes, and ends it.
fn steps_of_silence() -> [Step; 4] {
    [
        Step::sweeps(11),
        Step::wait(Duration::from_secs(15)),
        Step::sweep("the sweeper finds it silent"),
        Step::messages(),
    ]
}

pub(in crate::walk) fn silent_attempt() -> Flow {
    let steps = [Step::sweeps(1)].into_iter().chain(steps_until_executing()).chain(steps_of_silence());
    flow("a silent attempt fails its job", &["failed"], steps.collect())
}

pub(in crate::walk) fn requeued_silent_attempt() -> Flow {
    let begin = steps_until_executing().into_iter().map(Step::broken_elsewhere);
    let more = [attempt::start_task(), attempt::claim(), attempt::finish_failed(), Step::messages()];
    let steps = [Step::sweeps(1)].into_iter().chain(begin).chain(steps_of_silence()).chain(more).collect();
    flow_after(
        "a silent attempt's job is put back",
        &["failed"],
        |world| base::change_settings(world, |settings| settings.offline = OfflinePolicy::Requeue).boxed(),
        steps,
    )
}

pub(in crate::walk) fn limited_job() -> Flow {
    // Without one of the two events, there would be one job.
    let send = |event, key| send_event_of(event, key).without_repeat(WithoutRepeat::AlwaysRepeated);
    let steps = vec![
        send("e1", "APP-1").broken_elsewhere(),
        Step::messages(),
        send("e2", "APP-2").broken_elsewhere(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim().broken_elsewhere(),
        attempt::finish_failed(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim().broken_elsewhere(),
        attempt::finish_failed(),
        Step::messages(),
    ];
    flow_after(
        "the end of a job gives its place to another",
        &["failed", "failed"],
        |world| {
            async {
                base::change_settings(world, |settings| settings.limits.running_jobs = Some(1)).await;
                // Places are assigned after the count of the jobs that run already.
                world.clock.advance(Duration::from_secs(61));
                world.invoke(&world.sweep_event()).await;
            }
            .boxed()
        },
        steps,
    )
}

pub(in crate::walk) fn capacity_returns() -> Flow {
    let steps = vec![
        send_ticket_event(),
        Step::act("there is no capacity", |world| {
            world.aws.ecs().queue_outcomes(vec![RunTaskOutcome::Failure("Capacity is unavailable")]);
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
        attempt::start_task(),
        attempt::claim(),
        attempt::finish_failed(),
        Step::messages(),
    ];
    flow("a task is started when there is room", &["failed"], steps)
}
