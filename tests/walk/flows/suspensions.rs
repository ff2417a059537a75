//! A flow in which a job is suspended by a question and by a pause, and resumes.

use super::{flow_after, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

pub(super) fn answer_question() -> Step {
    let make = |world: &World| {
        let path = format!("/v1/jobs/{}/answer", world.note_value("job")?);
        Some(post(path, json!({ "text": "The empty one." })).header("idempotency-key", "key-1").into())
    };
    Step::call("somebody answers", make).without_repeat(WithoutRepeat::AllOrNothing)
}

fn pause_job() -> Step {
    let make = |world: &World| {
        world.note_value("lease")?;
        Some(post(format!("/v1/jobs/{}/pause", world.note_value("job")?), json!({})).into())
    };
    Step::call("somebody pauses it", make).without_repeat(WithoutRepeat::AllOrNothing)
}

fn continue_job() -> Step {
    let make = |world: &World| {
        let heeded = world.note_value("lease").is_none() && world.note_value("want")? == "pause";
        let job = world.note_value("job").filter(|_| heeded)?;
        Some(post(format!("/v1/jobs/{job}/continue"), json!({})).into())
    };
    Step::call("somebody continues it", make).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn question_pause_and_resume() -> Flow {
    let mut steps: Vec<_> = tickets::steps_until_executing().into_iter().map(Step::broken_elsewhere).collect();
    steps.extend([attempt::ask_question(), attempt::stop_task(), Step::messages()]);
    steps.extend([answer_question(), Step::messages(), attempt::start_task(), attempt::claim()]);
    steps.extend([
        pause_job(),
        attempt::post_no_events(),
        attempt::yield_paused(),
        attempt::stop_task(),
        Step::messages(),
    ]);
    steps.extend([continue_job(), Step::messages(), attempt::start_task(), attempt::claim()]);
    steps.extend([attempt::finish_failed(), Step::messages()].map(Step::broken_elsewhere));
    let name = "a job that asks, is answered, is paused and continued";
    flow_after(name, &["failed"], |world| limit_input_wait(world).boxed(), steps)
}

/// A suspended job ends after an hour without an answer.
pub(super) async fn limit_input_wait(world: &World) {
    base::change_settings(world, |settings| settings.limits.input_secs = 3_600).await;
}
