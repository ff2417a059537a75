//! A flow in which the refused ticket of a held project starts when the project is released.

use super::{flow, tickets};
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use serde_json::json;

fn held() -> Step {
    let make = |_: &World| Some(post("/v1/projects/acme/hold", json!({ "reason": "a freeze" })).into());
    Step::call("somebody holds the project", make).unrepeated(Unrepeated::AllOrNothing)
}

fn released() -> Step {
    let make = |_: &World| Some(post("/v1/projects/acme/release", json!({})).into());
    Step::call("somebody releases it", make).unrepeated(Unrepeated::AllOrNothing)
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
