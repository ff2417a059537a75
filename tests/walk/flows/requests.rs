//! Flows of jobs that a user requests: one is retried and cancelled, one answers a question.

use super::{flow, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::{Request, post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

fn with_key(call: Request, key: &str) -> Request {
    let call = call.header("idempotency-key", key);
    call.on_answer(|world, decision| world.note("job", decision["job"].clone()))
}

fn request_job() -> Step {
    let wish = json!({ "project": "acme", "prompt": "Do it." });
    Step::request("somebody asks for a job", with_key(post("/v1/jobs", wish), "key-1"))
        .without_repeat(WithoutRepeat::AllOrNothing)
}

fn retry_job() -> Step {
    let make = |world: &World| {
        let path = format!("/v1/jobs/{}/retry", world.note_value("job")?);
        Some(with_key(post(path, json!({})), "key-2").into())
    };
    Step::call("somebody asks for it once more", make)
}

pub(in crate::walk) fn request_retry_and_cancel() -> Flow {
    let steps = vec![
        request_job(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::finish_failed(),
        Step::messages(),
        retry_job(),
        Step::messages(),
        attempt::start_task(),
        tickets::cancel_job(),
        Step::messages(),
    ];
    flow("a job is asked for, fails, is retried and cancelled", &["failed", "cancelled"], steps)
}

fn ask() -> Step {
    let wish = json!({ "project": "acme", "kind": "read", "prompt": "How often?" });
    Step::request("somebody asks a question", with_key(post("/v1/jobs", wish), "key-1"))
        .without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn ask_and_answer() -> Flow {
    let steps = vec![
        ask(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::get_credentials(),
        attempt::report_executing(),
        attempt::report_syncing(),
        attempt::finish_with_answer(),
        Step::messages(),
    ];
    flow("a question is answered", &["completed"], steps)
}

fn request_analysis() -> Step {
    let wish = json!({ "project": "acme", "repository": REPOSITORY });
    Step::request("somebody requests an analysis", with_key(post("/v1/analyses", wish), "key-1"))
        .without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn analyse() -> Flow {
    let steps = vec![
        request_analysis(),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::get_credentials(),
        attempt::report_executing(),
        attempt::report_syncing(),
        attempt::finish_with_report(),
        Step::messages(),
    ];
    flow("a repository is analysed", &["completed"], steps)
}
