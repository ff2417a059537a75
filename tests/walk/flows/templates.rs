//! Flows of templates: a submission starts a run, which a user approves, and a template is deleted.

use super::flow;
use crate::prelude::*;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::SUBMISSIONS;

const TEMPLATE: &str = "/v1/templates/acme/ask";

fn put() -> Request {
    let plan = json!({ "name": "ask", "started_by": ["submission"], "limits": { "wall": "30m" },
        "steps": [{ "name": "ask", "approve": "Now?" }] });
    post(TEMPLATE, json!({ "plan": plan })).put()
}

/// Without its user, the run ends by its time limit.
pub(in crate::walk) fn submit() -> Flow {
    let submission = json!({ "id": "s1", "project": "acme", "template": "ask" });
    let steps = vec![
        Step::request("somebody stores it", put()),
        Step::request("a program starts it", post("/v1/submissions", submission)),
        Step::messages(),
    ];
    flow("a submission starts one run", &[], steps)
}

/// The same by the queue, which delivers its message again until it is handled. A program repeats itself by the API.
pub(in crate::walk) fn submit_by_queue() -> Flow {
    let submission = json!({ "id": "s1", "project": "acme", "template": "ask" });
    let body = submission.to_string();
    let send = Step::act("a program sends it", move |world| {
        let body = body.clone();
        async move {
            world.raw.send(world.aws.sqs(), SUBMISSIONS, &body).await;
            true
        }
        .boxed()
    });
    let start = Step::message("the effects function gets it", SUBMISSIONS);
    let steps = vec![
        Step::request("somebody stores it", put()).broken_elsewhere(),
        send,
        start.without_repeat(WithoutRepeat::AlwaysRepeated),
        Step::messages().broken_elsewhere(),
        Step::request("the program sends it by the API", post("/v1/submissions", submission)).broken_elsewhere(),
    ];
    flow("a submission in the queue starts one run", &[], steps)
}

pub(in crate::walk) fn delete_template() -> Flow {
    let steps = vec![
        Step::request("somebody stores it", put()).broken_elsewhere(),
        Step::request("somebody deletes it", delete(TEMPLATE)).refused_on_repeat("404"),
    ];
    flow("a template is deleted", &[], steps)
}
