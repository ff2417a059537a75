//! Flows of webhooks that the forge sends once, to a process that dies.
//! The hook's missed deliveries are not listed, so only polling and time lead on.

use super::flow_after;
use super::reviews::{
    broken_elsewhere, close_at_forge, deliver_close, deliver_review, deliver_second_review, flow_with_hook, forge_step,
    publish, start_job, with_two_reviews,
};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::step::{Flow, Step, WithoutRepeat};

/// Longer than the time between two polls of a hook.
const POLL_INTERVAL: Duration = Duration::from_secs(360);

/// The forge does not deliver again; polling finds the lost events.
fn without_second_delivery(step: Step) -> Step {
    step.without_repeat(WithoutRepeat::FoundByPolling)
}

fn poll() -> impl Iterator<Item = Step> {
    broken_elsewhere([Step::wait(POLL_INTERVAL), Step::sweep("the sweeper goes round"), Step::messages()])
}

pub(in crate::walk) fn lost_review_during_job() -> Flow {
    let mut steps = start_job();
    steps.push(without_second_delivery(deliver_second_review()));
    steps.extend(broken_elsewhere([Step::messages()]).chain(poll()));
    steps.extend(broken_elsewhere([attempt::finish_failed(), Step::messages()]));
    let name = "a review is delivered once while a job works, which fails";
    flow_after(name, &["failed"], |world| with_two_reviews(world).boxed(), steps)
}

pub(in crate::walk) fn lost_close() -> Flow {
    let mut steps: Vec<_> = broken_elsewhere([
        deliver_review("a review is delivered", "review 1"),
        Step::messages(),
        attempt::start_task(),
    ])
    .collect();
    steps.push(forge_step("its pull request is closed", |world| close_at_forge(world).boxed()));
    steps.push(without_second_delivery(deliver_close()));
    steps.extend(broken_elsewhere([Step::messages()]));
    flow_with_hook("the close of a pull request is delivered once before its job is claimed", &["cancelled"], steps)
}

/// The deferred review is decided at once, or after its hour if the process died in between.
pub(in crate::walk) fn lost_close_with_deferred_review() -> Flow {
    let mut steps = start_job();
    steps.extend(broken_elsewhere(
        [deliver_second_review(), Step::messages()].into_iter().chain(publish("one.txt")).chain([Step::messages()]),
    ));
    steps.push(forge_step("its pull request is closed", |world| close_at_forge(world).boxed()));
    steps.push(without_second_delivery(deliver_close()));
    steps.extend(broken_elsewhere([Step::messages()]).chain(poll()));
    let name = "the close of a pull request is delivered once while a review waits for its hour";
    flow_after(name, &["completed"], |world| with_two_reviews(world).boxed(), steps)
}
