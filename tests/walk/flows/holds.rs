//! A flow in which the refused ticket of a held project starts when the project is released.

use super::{flow, tickets};
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, Unrepeated};
use serde_json::json;

fn held() -> Step {
    let hold = post("/v1/projects/acme/hold", json!({ "reason": "a freeze" }));
    Step::request("somebody holds the project", hold).unrepeated(Unrepeated::AllOrNothing)
}

fn released() -> Step {
    let release = post("/v1/projects/acme/release", json!({}));
    Step::request("somebody releases it", release).unrepeated(Unrepeated::AllOrNothing)
}

pub(in crate::walk) fn released_and_started() -> Flow {
    let steps = vec![
        held(),
        tickets::told(),
        released(),
        Step::messages(),
        attempt::begins(),
        attempt::claims(),
        attempt::fails(),
        Step::messages(),
    ];
    flow("a held project's ticket starts when it is released", &["failed"], steps)
}
