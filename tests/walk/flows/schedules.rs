//! A flow in which a due schedule starts an analysis.

use super::flow;
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step};

const NIGHTLY: &str = "/v1/schedules/acme/nightly";
const HOUR: Duration = Duration::from_secs(3_600);

fn create() -> Request {
    post(NIGHTLY, json!({ "analyse": true, "every": "1h" })).put()
}

fn command(name: &'static str, command: &str) -> Step {
    Step::request(name, post(format!("{NIGHTLY}/{command}"), json!({})))
}

pub(in crate::walk) fn run_when_due() -> Flow {
    let steps = vec![
        Step::request("somebody creates it", create()),
        command("somebody resumes it", "resume"),
        Step::wait(HOUR),
        Step::request("its analysis starts", post("/v1/due-schedules/run", json!({}))),
        command("somebody pauses it", "pause"),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::finish_failed(),
        Step::messages(),
    ];
    flow("a due schedule starts one analysis", &["failed"], steps)
}

pub(in crate::walk) fn delete_schedule() -> Flow {
    let steps = vec![
        Step::request("somebody creates it", create()).broken_elsewhere(),
        Step::request("somebody deletes it", delete(NIGHTLY)).refused_on_repeat("404"),
    ];
    flow("a schedule is deleted", &[], steps)
}
