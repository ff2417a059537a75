//! A flow in which the refused ticket of a held project starts when the project is released.

use super::{flow, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};

fn hold_project() -> Step {
    let hold = post("/v1/projects/acme/hold", json!({ "reason": "a freeze" }));
    Step::request("somebody holds the project", hold).without_repeat(WithoutRepeat::AllOrNothing)
}

fn release_project() -> Step {
    let release = post("/v1/projects/acme/release", json!({}));
    Step::request("somebody releases it", release).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn hold_and_release() -> Flow {
    let steps = vec![
        hold_project(),
        tickets::send_ticket_event(),
        release_project(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::finish_failed(),
        Step::messages(),
    ];
    flow("a held project's ticket starts when it is released", &["failed"], steps)
}
