//! Flows of webhooks that the forge sends once, to a process that dies.
//! The hook's missed deliveries are not listed, so only polling and time lead on.

use super::prepared;
use super::reviews::{
    another, at_the_forge, closed, closes, known, of_hook, published, reviewed, twice_asked, worked_on,
};
use crate::walk::attempt;
use crate::walk::step::{Flow, Step, Unrepeated};
use futures::FutureExt;
use std::time::Duration;

/// Longer than the time between two polls of a hook.
const UNTIL_IT_LOOKS: Duration = Duration::from_secs(360);

fn once(step: Step) -> Step {
    step.unrepeated(Unrepeated::Told)
}

/// Time passes, and polling finds the missed events.
fn looks() -> impl Iterator<Item = Step> {
    known([Step::wait(UNTIL_IT_LOOKS), Step::sweep("the sweeper goes round"), Step::messages()])
}

/// A poll finds the review while the job works, so the review waits for the job.
pub(in crate::walk) fn reviewed_while_it_works() -> Flow {
    let mut steps = worked_on();
    steps.push(once(another()));
    steps.extend(known([Step::messages()]).chain(looks()));
    steps.extend(known([attempt::fails(), Step::messages()]));
    let name = "a review is told once while a job works, which fails";
    prepared(name, &["failed"], |world| twice_asked(world).boxed(), steps)
}

pub(in crate::walk) fn closed_before_it_is_claimed() -> Flow {
    let mut steps: Vec<_> =
        known([reviewed("a review is told", "review 1"), Step::messages(), attempt::begins()]).collect();
    steps.push(at_the_forge("its pull request is closed", |world| closes(world).boxed()));
    steps.push(once(closed()));
    steps.extend(known([Step::messages()]));
    of_hook("it is told once that a pull request was closed before its job is claimed", &["cancelled"], steps)
}

/// The deferred review is decided at once, or after its hour if the process died in between.
pub(in crate::walk) fn closed_while_a_review_waits() -> Flow {
    let mut steps = worked_on();
    steps
        .extend(known([another(), Step::messages()].into_iter().chain(published("one.txt")).chain([Step::messages()])));
    steps.push(at_the_forge("its pull request is closed", |world| closes(world).boxed()));
    steps.push(once(closed()));
    steps.extend(known([Step::messages()]).chain(looks()));
    let name = "it is told once that a pull request was closed while a review waits for its hour";
    prepared(name, &["completed"], |world| twice_asked(world).boxed(), steps)
}
