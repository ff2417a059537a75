//! What whole flows ask of AWS: request units and invocations. docs/capacity.md is computed from the bounds here, and
//! a flow that costs more fails.

use super::meter::Meter;
use crate::story::{Setup, Story, is};
use pullyard_domain::job::Status;
use reqwest::Method;
use serde_json::json;

/// What a flow costs at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// Units: write request units.
    pub(crate) written: f64,
    /// Units: read request units.
    pub(crate) read: f64,
    /// Requests to the API, each one invocation.
    pub(crate) requests: f64,
    /// Invocations by queues and events; each message is sent, received and deleted.
    pub(crate) messages: f64,
}

/// Reads of further batches of events, which the runner sends when the machine is slow.
pub(crate) const READS_OF_BATCHES: f64 = 3.0;

/// An implement job on Fargate whose agent says nothing, from its ticket's move to the settled ticket; its patch is
/// kept. `steps` says how much of it each step takes.
pub(crate) const IMPLEMENT: Flow = Flow { written: 34.0, read: 25.5, requests: 14.0, messages: 8.0 };
/// A revise job, from its delivery to the settled ticket, whose patch is kept; `figures.rs` holds its units. `steps`
/// says how much of it each step takes.
pub(crate) const REVISE: Flow = Flow { written: 43.0, read: 40.5, requests: 14.0, messages: 9.0 };
/// A heartbeat of an attempt whose agent says nothing; `steps` holds it.
pub(crate) const BEAT: Flow = Flow { written: 0.0, read: 1.0, requests: 1.0, messages: 0.0 };
/// An idle runner's heartbeat.
pub(crate) const HEARTBEAT: Flow = Flow { written: 1.0, read: 2.0, requests: 1.0, messages: 0.0 };
/// A claim that finds no job.
pub(crate) const EMPTY_CLAIM: Flow = Flow { written: 0.0, read: 4.5, requests: 1.0, messages: 0.0 };
/// A round of the sweeper that finds nothing, a minute after the last.
pub(crate) const SWEEP: Flow = Flow { written: 1.0, read: 25.0, requests: 0.0, messages: 0.0 };

#[track_caller]
fn holds(name: &str, meter: &Meter, bound: Flow, requests: u64, messages: u64) {
    let units = meter.units();
    println!("{name}: {units}, {requests} requests, {messages} messages\n{}\n{}", meter.writes(), meter.calls());
    let within = units.written <= bound.written && units.read <= bound.read + READS_OF_BATCHES;
    let calls = requests as f64 <= bound.requests && messages as f64 <= bound.messages;
    assert!(
        within && calls,
        "{name}: {units}, {requests} requests, {messages} messages; at most {bound:?}\n{}",
        meter.calls()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_and_an_idle_minute_cost_is_known() {
    let meter = Meter::start().await;
    let story = Story::with(Setup { before_dynamodb: Some(meter.between()), ..Setup::default() }).await;
    // The first of a minute also notes the token's use.
    story.tell("e0", "APP-0", "Blocked", 1).await;
    story.quiet().await;
    meter.reset();
    let before = story.local.invocations();
    let job = story.job_for("e1", "APP-1", 1).await;
    // Looking costs as well, so it is looked at past the meter.
    crate::story::until("the job is done", async || {
        let stored = story.stored(&job).await;
        if stored["status"] == "completed" { Ok(()) } else { Err(stored.to_string()) }
    })
    .await;
    story.quiet().await;
    crate::story::until("its ticket shows it", async || {
        let ticket = story.item("TICKET#acme#APP-1", "TICKET").await;
        if ticket.get("wk").is_none() && ticket["active_job"].is_null() { Ok(()) } else { Err(ticket.to_string()) }
    })
    .await;
    // Its task ends last, and the end is heard by a function that reads the job once more: nothing counts it out, so
    // that it is waited for until nobody has called for a while.
    let still = std::cell::Cell::new(0);
    crate::story::until("its task's end is heard", async || match story.local.running_tasks().await {
        0 if meter.is_still() && still.replace(still.get() + 1) >= 20 => Ok(()),
        running => Err(format!("{running} run")),
    })
    .await;
    story.quiet().await;
    let after = story.local.invocations();
    let messages = |seen: &pullyard_local::Invocations| seen.dispatcher + seen.effects + seen.tasks;
    holds("an implement job", &meter, IMPLEMENT, after.http - before.http, messages(&after) - messages(&before));
    story.job_until(&job, is(Status::Completed)).await;

    let token = story.runner_token("idle", None, None).await;
    let runner = story.runner(&token, "kite", "i1").await.id;
    let ask = async |path: &str, body: serde_json::Value| {
        let path = format!("/v1/runners/{runner}/{path}");
        let (status, _, said) = story.raw(Method::POST, &path, Some(&token), body.to_string().into_bytes()).await;
        assert_eq!(status, 200, "{said}");
    };
    let beat = json!({ "instance": "i1", "active": [] });
    ask("heartbeat", beat.clone()).await;
    meter.reset();
    ask("heartbeat", beat).await;
    holds("a heartbeat", &meter, HEARTBEAT, 1, 0);
    meter.reset();
    ask("claim", json!({ "instance": "i1", "claim_id": "c1" })).await;
    holds("an empty claim", &meter, EMPTY_CLAIM, 1, 0);

    story.local.sweep().await.unwrap();
    story.clock.advance(std::time::Duration::from_secs(20));
    meter.reset();
    story.local.sweep().await.unwrap();
    holds("an idle sweep", &meter, SWEEP, 0, 0);
    story.end().await;
}
