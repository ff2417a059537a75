//! Flows of templates: a submission, a schedule and a webhook start runs, and a template is deleted.

use super::{flow, flow_after, reviews, runs, with_a_forge};
use crate::prelude::*;
use crate::walk::base;
use crate::walk::http::{Request, delete, post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::{SUBMISSIONS, World};

const TEMPLATE: &str = "/v1/templates/acme/ask";
const SCHEDULE: &str = "/v1/schedules/acme/weekly";

/// Without its user, the run ends by its time limit.
fn put() -> Request {
    let plan = json!({ "name": "ask", "started_by": ["submission", "schedule", "webhook"], "on": { "github": ["push"] },
        "limits": { "wall": "30m" }, "steps": [{ "name": "ask", "approve": "Now?" }] });
    post(TEMPLATE, json!({ "plan": plan })).put()
}

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

async fn with_two_repositories(world: &World) {
    with_a_forge(world).await;
    let files = [("README.md", "# Shop\n", false)];
    world.forge.as_ref().unwrap().create_repository("acme/shop", "main", &files).await.unwrap();
    let agent = json!({ "capability": "command", "command": ["./agent.sh"] });
    let repository = json!({ "integration": "gh1", "name": "acme/shop", "agent": agent });
    base::post_ok(world, "/v1/projects/acme/repositories", repository).await;
}

/// The sweeper repeats the starts of a due schedule, and each run has the id that it had before.
pub(in crate::walk) fn start_each_repository() -> Flow {
    let schedule = json!({ "template": "ask", "each_repository": true, "every": "1h" });
    let command = |name, command: &str| Step::request(name, post(format!("{SCHEDULE}/{command}"), json!({})));
    let run = Step::request("its runs start", post("/v1/due-schedules/run", json!({})));
    let steps = vec![
        Step::request("somebody stores the template", put()).broken_elsewhere(),
        Step::request("somebody creates a schedule", post(SCHEDULE, schedule).put()).broken_elsewhere(),
        command("somebody resumes it", "resume").broken_elsewhere(),
        Step::wait(Duration::from_secs(3_600)),
        run.without_repeat(WithoutRepeat::Heals),
        Step::messages().broken_elsewhere(),
        runs::settle(),
        command("somebody pauses it", "pause").broken_elsewhere(),
    ];
    let name = "a schedule starts a run in each repository";
    flow_after(name, &[], |world| with_two_repositories(world).boxed(), steps)
}

async fn with_hook(world: &World) {
    reviews::open_pull_request(world).await;
    base::call_ok(world, put()).await;
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test", "by_hand": true, "template": "ask",
    });
    let response = base::post_ok(world, "/v1/hooks", hook).await;
    world.note("hook secret", response["secret"].clone());
}

/// The delivery is repeated until it is answered. A lost one starts no run, because polling reads no pushes.
pub(in crate::walk) fn start_by_webhook() -> Flow {
    let push = |_: &World| json!({ "ref": "refs/heads/main", "before": "a".repeat(40), "after": "b".repeat(40) });
    let steps = vec![reviews::deliver("a commit is pushed", "push", push), Step::messages().broken_elsewhere()];
    flow_after("a webhook starts a run", &[], |world| with_hook(world).boxed(), steps)
}
