//! Tests the DynamoDB request units of a delivery and a revision, as the embedded DynamoDB returns them.

pub(crate) mod flows;
mod meter;

use crate::prelude::*;
use crate::webhooks::{ANNS_TOKEN, World};
use flows::{EVENT_BATCH_READS, REVISE};
use meter::{Meter, Units};
use pullyard_local::User;

const EVENT: &str = "pull_request_review";

/// Requests changes as Ann, with a comment on a line of this file; returns the review's id.
async fn request_changes(story: &Story, number: u64, path: &str) -> u64 {
    let url = format!("{}/repos/{REPOSITORY}/pulls/{number}/reviews", story.local.forge().api_url());
    let review = json!({
        "event": "REQUEST_CHANGES", "body": "Not yet.",
        "comments": [{ "path": path, "line": 1, "side": "RIGHT", "body": "Say more." }],
    });
    let call = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(review.to_string());
    let response: Value = call.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    response["id"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_stays_within_its_request_units() {
    let meter = Meter::start().await;
    let setup = Setup { hints: HintDelivery::Drop, before_dynamodb: Some(meter.between()), ..Setup::default() };
    let world = World::with_setup(setup).await;
    world.install_by_hand("acme").await;
    let change_request = |id: u64| world.review(id, "submitted", "changes_requested");
    // Warm up: the first delivery of a minute also records that the hook is alive.
    let approved = world.review(1, "submitted", "approved");
    world.send("acme", EVENT, &approved).await;
    let cost = async |body: &Value, expected: &str| {
        meter.reset();
        let (_, decision) = world.send("acme", EVENT, body).await;
        assert_eq!(decision["code"], expected, "{decision}");
        let units = meter.units();
        println!("{expected}: {units}\n{}", meter.calls());
        units
    };
    let most = |units: Units, written: f64, read: f64| {
        let is_within = units.written <= written && units.read <= read && units.refused == 0;
        assert!(is_within, "{units}, not {written} and {read}\n{}", meter.calls());
    };
    most(cost(&world.review(2, "submitted", "approved"), "event_ignored").await, 2.0, 2.0);
    most(cost(&change_request(10), "accepted").await, 16.0, 11.0);
    most(cost(&change_request(10), "repeat").await, 1.0, 9.0);
    most(cost(&change_request(11), "held_for_job").await, 8.0, 11.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_job_stays_within_its_request_units() {
    let meter = Meter::start().await;
    let setup = Setup { task: Task::Runner, before_dynamodb: Some(meter.between()), ..Setup::default() };
    let settings = Settings { revise_on_review: true, ..setup.settings };
    let story = Story::start_with(Setup { settings, ..setup }).await;
    let forge = story.local.forge();
    let ann = User { login: "ann".into(), id: crate::webhooks::ANN, token: ANNS_TOKEN.into() };
    forge.add_user(ann, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ann", Role::Write).await.unwrap();
    let job = story.create_job("e1", "APP-1", 1).await;
    story.wait_for_job(&job, has_status(JobStatus::Completed)).await;
    story.wait_for_settled_ticket("APP-1").await;
    let pull = story.pull_requests().await.remove(0);
    let number = pull["number"].as_u64().unwrap();
    let review = request_changes(&story, number, "work.txt").await;
    let world = World { number, repository: pull["base"]["repo"]["id"].as_u64().unwrap(), story };
    world.install_by_hand("acme").await;
    world.story.wait_for_empty_queues().await;
    let mut body = world.review(review, "submitted", "changes_requested");
    body["pull_request"]["head"] = pull["head"].clone();
    meter.reset();
    let (_, decision) = world.send("acme", EVENT, &body).await;
    assert_eq!(decision["code"], "accepted", "{decision}");
    let revision = JobId::new(decision["job"].as_str().unwrap()).unwrap();
    // Poll past the meter, because polling costs units as well.
    crate::story::wait_until("the revision is done", async || {
        let job = world.story.load_job_item(&revision).await;
        if job["status"] == "completed" { Ok(()) } else { Err(job.to_string()) }
    })
    .await;
    world.story.wait_for_empty_queues().await;
    crate::story::wait_until("its ticket shows it", async || {
        let ticket = world.story.load_item("TICKET#acme#APP-1", "TICKET").await;
        if ticket.get("wk").is_none() && ticket["active_job"].is_null() { Ok(()) } else { Err(ticket.to_string()) }
    })
    .await;
    world.story.wait_for_empty_queues().await;
    let pull_request = format!("PR#gh1#{}#{number}", world.repository);
    crate::story::wait_until("its pull request says so", async || {
        let item = world.story.load_item(&pull_request, "PR").await;
        let is_noted = item["note_version"] == 2 && item["noted_version"] == 2;
        if is_noted { Ok(()) } else { Err(item.to_string()) }
    })
    .await;
    let units = meter.units();
    let all = format!("a whole revise job: {units}\n{}", meter.calls());
    println!("{all}");
    assert!(
        units.written <= REVISE.written && units.read <= REVISE.read + EVENT_BATCH_READS && units.refused == 0,
        "{all}"
    );
}
