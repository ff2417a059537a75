//! Flows on Bitbucket, where a verdict has no text and no id, hooks have no ping, and deliveries are not listed.
//!
//! The delivered webhook is a recorded call of the forge, so that it names the request as the API does.

use super::flow_after;
use super::hooks::{repair_hook, verify_hook};
use super::reviews::{broken_elsewhere, forge_step, link_body, note_number, open_pull_request, publish, start_attempt};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge::{self, TOKEN};
use crate::walk::http::{post, webhook_post};
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;
use crate::webhooks::{ANNS_TOKEN, SECRET};

const PATH: &str = "/webhooks/bitbucket/acme";
const HOUR: Duration = Duration::from_secs(3_600);

async fn connect(world: &World) {
    base::connect_on_bitbucket(world).await;
    world.note("forge", true);
}

async fn link_pull_request(world: &World) {
    connect(world).await;
    open_pull_request(world).await;
    base::call_ok(world, post("/v1/pulls/link", link_body(world)).put()).await;
}

async fn post_as_ann(world: &World, path: &str, body: Value) {
    let path = format!("/pullrequests/{}{path}", note_number(world, "number"));
    forge::call_bitbucket(world, ANNS_TOKEN, Method::POST, &path, body).await;
}

async fn comment(world: &World) {
    post_as_ann(world, "/comments", json!({ "content": { "raw": "Not yet." } })).await;
}

async fn request_changes(world: &World) {
    post_as_ann(world, "/request-changes", Value::Null).await;
}

fn hook_request() -> Value {
    json!({
        "name": "acme", "integration": "bb1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    })
}

/// A hook that only the walk calls, and the recorded webhook of Ann's request for changes.
async fn record_request(world: &World) {
    let mut hook = hook_request();
    hook["by_hand"] = true.into();
    let response = base::post_ok(world, "/v1/hooks", hook).await;
    world.note("hook secret", response["secret"].clone());
    let there = json!({
        "description": "walk", "url": format!("{}{PATH}", world.inbox.url()), "active": true, "secret": SECRET,
        "events": ["pullrequest:changes_request_created"],
    });
    let there = forge::call_bitbucket(world, TOKEN, Method::POST, "/hooks", there).await;
    request_changes(world).await;
    world.note("told", forge::record_webhook(world).await);
    let own = format!("/hooks/{}", there["uuid"].as_str().unwrap());
    forge::call_bitbucket(world, TOKEN, Method::DELETE, &own, Value::Null).await;
}

async fn with_review(world: &World) {
    link_pull_request(world).await;
    comment(world).await;
    record_request(world).await;
}

/// Ann requests changes an hour after the walk begins and before she comments. Only our clock then limits the wait for
/// her comment, and the hook is polled later.
async fn with_request_before_comment(world: &World) {
    link_pull_request(world).await;
    world.forge.as_ref().unwrap().advance(HOUR);
    world.clock.advance(HOUR);
    record_request(world).await;
}

async fn with_polling(world: &World) {
    link_pull_request(world).await;
    comment(world).await;
    request_changes(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::call_ok(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

/// The forge sends the review's webhook, and repeats the same bytes until it is answered.
fn deliver_review() -> Step {
    Step::call("a review is delivered", |world| {
        let delivery: Value = serde_json::from_str(&world.note_value("told")?).unwrap();
        let call = webhook_post(PATH, delivery["body"].as_str()?.to_owned());
        let headers = delivery["headers"].as_object()?;
        let call = headers.iter().fold(call, |call, (name, value)| call.header(name, value.clone()));
        Some(call.into())
    })
}

fn complete_job() -> impl Iterator<Item = Step> {
    broken_elsewhere(start_attempt().into_iter().chain(publish("one.txt")))
}

/// The process that receives the webhook dies, and the forge does not repeat it: a poll finds the review.
pub(in crate::walk) fn lost_webhook() -> Flow {
    let mut steps = vec![deliver_review().without_repeat(WithoutRepeat::FoundByPolling)];
    steps.extend(broken_elsewhere([Step::messages()]));
    steps.extend(complete_job());
    steps.extend(broken_elsewhere([Step::messages()]));
    let name = "a review on Bitbucket is delivered once and answered";
    flow_after(name, &["completed"], |world| with_review(world).boxed(), steps)
}

pub(in crate::walk) fn polled_review() -> Flow {
    let mut steps = vec![Step::wait(HOUR / 30), Step::sweep("the sweeper goes round").broken_elsewhere()];
    steps.push(Step::messages());
    steps.extend(complete_job());
    steps.extend(broken_elsewhere([Step::messages()]));
    let name = "a repository on Bitbucket is looked at, and a review is found";
    flow_after(name, &["completed"], |world| with_polling(world).boxed(), steps)
}

/// Ann comments after her request, also by the forge's clock.
async fn comment_later(world: &World) {
    world.forge.as_ref().unwrap().advance(2 * HOUR);
    comment(world).await;
}

/// The job is created and waits; a sweep reads the review again.
pub(in crate::walk) fn late_comment() -> Flow {
    let mut steps = vec![deliver_review().broken_elsewhere(), Step::messages()];
    steps.push(forge_step("Ann writes what for", |world| comment_later(world).boxed()));
    steps.extend([Step::wait(HOUR / 20), Step::sweep("the sweeper goes round"), Step::messages()]);
    steps.extend(broken_elsewhere(start_attempt().into_iter().chain([attempt::finish_failed(), Step::messages()])));
    let name = "a review on Bitbucket says what for only later";
    flow_after(name, &["failed"], |world| with_request_before_comment(world).boxed(), steps)
}

fn install_hook() -> Step {
    let install = post("/v1/hooks", hook_request()).on_answer(|world, _| world.note("installed", true));
    Step::request("somebody installs a hook", install)
}

/// A user at the forge changes the hook's URL and removes its secret.
fn break_hook() -> Step {
    Step::act("somebody spoils it at the forge", |world| {
        async {
            if world.note_value("installed").is_none() {
                return false;
            }
            let there = forge::call_bitbucket(world, TOKEN, Method::GET, "/hooks", Value::Null).await;
            let own = format!("/hooks/{}", there["values"][0]["uuid"].as_str().unwrap());
            let spoiled = json!({
                "url": "https://elsewhere.test", "active": false, "secret": null, "events": ["repo:push"],
                "skip_cert_verification": true,
            });
            forge::call_bitbucket(world, TOKEN, Method::PUT, &own, spoiled).await;
            true
        }
        .boxed()
    })
}

pub(in crate::walk) fn hook_repair() -> Flow {
    let steps = vec![install_hook(), break_hook(), verify_hook(), repair_hook()];
    flow_after("a hook on Bitbucket is installed and repaired", &[], |world| connect(world).boxed(), steps)
}
