//! Flows on Bitbucket, where a verdict has no text and no id, hooks have no ping, and deliveries are not listed.
//!
//! The delivered webhook is a recorded call of the forge, so that it names the request as the API does.

use super::hooks::{removed, repaired, verified};
use super::prepared;
use super::reviews::{at_the_forge, attempted, known, link, number, opened, published};
use crate::story::REPOSITORY;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge::{self, TOKEN};
use crate::walk::http::{post, signed};
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use crate::webhooks::{ANNS_TOKEN, SECRET};
use futures::FutureExt;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const PATH: &str = "/webhooks/bitbucket/acme";
const HOUR: Duration = Duration::from_secs(3_600);

async fn connected(world: &World) {
    base::is_on_bitbucket(world).await;
    world.note("forge", true);
}

/// An open pull request that is linked to a ticket.
async fn linked(world: &World) {
    connected(world).await;
    opened(world).await;
    base::must(world, post("/v1/pulls/link", link(world)).put()).await;
}

async fn ann(world: &World, path: &str, body: Value) {
    let path = format!("/pullrequests/{}{path}", number(world, "number"));
    forge::on_bitbucket(world, ANNS_TOKEN, Method::POST, &path, body).await;
}

async fn writes(world: &World) {
    ann(world, "/comments", json!({ "content": { "raw": "Not yet." } })).await;
}

async fn asks(world: &World) {
    ann(world, "/request-changes", Value::Null).await;
}

fn wanted() -> Value {
    json!({
        "name": "acme", "integration": "bb1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    })
}

/// A hook that only the walk calls, and the recorded webhook of Ann's request for changes.
async fn asked(world: &World) {
    let mut hook = wanted();
    hook["by_hand"] = true.into();
    let made = base::done(world, "/v1/hooks", hook).await;
    world.note("hook secret", made["secret"].clone());
    let there = json!({
        "description": "walk", "url": format!("{}{PATH}", world.inbox.url()), "active": true, "secret": SECRET,
        "events": ["pullrequest:changes_request_created"],
    });
    let there = forge::on_bitbucket(world, TOKEN, Method::POST, "/hooks", there).await;
    asks(world).await;
    world.note("told", forge::heard(world).await);
    let own = format!("/hooks/{}", there["uuid"].as_str().unwrap());
    forge::on_bitbucket(world, TOKEN, Method::DELETE, &own, Value::Null).await;
}

async fn reviewed(world: &World) {
    linked(world).await;
    writes(world).await;
    asked(world).await;
}

/// Ann requests changes an hour after the walk begins and before she comments. Only our clock then limits the wait for
/// her comment, and the hook is polled later.
async fn without_words(world: &World) {
    linked(world).await;
    world.forge.as_ref().unwrap().advance(HOUR);
    world.clock.advance(HOUR);
    asked(world).await;
}

/// No webhook arrives, and the repository is polled.
async fn polled(world: &World) {
    linked(world).await;
    writes(world).await;
    asks(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::must(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

/// The forge sends the review's webhook, and repeats the same bytes until it is answered.
fn told() -> Step {
    Step::call("a review is told", |world| {
        let told: Value = serde_json::from_str(&world.noted("told")?).unwrap();
        let call = signed(PATH, told["body"].as_str()?.to_owned());
        let headers = told["headers"].as_object()?;
        let call = headers.iter().fold(call, |call, (name, value)| call.with(name, value.clone()));
        Some(call.into())
    })
}

fn worked() -> impl Iterator<Item = Step> {
    known(attempted().into_iter().chain(published("one.txt")))
}

pub(in crate::walk) fn told_and_revised() -> Flow {
    let mut steps = vec![told(), Step::messages()];
    steps.extend(worked());
    steps.push(Step::messages());
    let name = "a review on Bitbucket is told and answered";
    prepared(name, &["completed"], |world| reviewed(world).boxed(), steps)
}

/// The process that receives the webhook dies, and the forge does not repeat it: a poll finds the review.
pub(in crate::walk) fn told_once() -> Flow {
    let mut steps = vec![told().unrepeated(Unrepeated::Told)];
    steps.extend(known([Step::messages()]));
    steps.extend(worked());
    steps.extend(known([Step::messages()]));
    let name = "a review on Bitbucket is told once and answered";
    prepared(name, &["completed"], |world| reviewed(world).boxed(), steps)
}

pub(in crate::walk) fn looked_for() -> Flow {
    let mut steps = vec![Step::wait(HOUR / 30), Step::sweep("the sweeper goes round").walked_elsewhere()];
    steps.push(Step::messages());
    steps.extend(worked());
    steps.extend(known([Step::messages()]));
    let name = "a repository on Bitbucket is looked at, and a review is found";
    prepared(name, &["completed"], |world| polled(world).boxed(), steps)
}

/// Ann comments after her request, also by the forge's clock.
async fn writes_later(world: &World) {
    world.forge.as_ref().unwrap().advance(2 * HOUR);
    writes(world).await;
}

/// The job is created and waits; a sweep reads the review again.
pub(in crate::walk) fn words_come_later() -> Flow {
    let mut steps = vec![told().walked_elsewhere(), Step::messages()];
    steps.push(at_the_forge("Ann writes what for", |world| writes_later(world).boxed()));
    steps.extend([Step::wait(HOUR / 20), Step::sweep("the sweeper goes round"), Step::messages()]);
    steps.extend(known(attempted().into_iter().chain([attempt::fails(), Step::messages()])));
    let name = "a review on Bitbucket says what for only later";
    prepared(name, &["failed"], |world| without_words(world).boxed(), steps)
}

fn installed() -> Step {
    let install = post("/v1/hooks", wanted()).keeping(|world, _| world.note("installed", true));
    Step::request("somebody installs a hook", install)
}

/// A user at the forge changes the hook's URL and removes its secret.
fn spoiled() -> Step {
    Step::act("somebody spoils it at the forge", |world| {
        async {
            if world.noted("installed").is_none() {
                return false;
            }
            let there = forge::on_bitbucket(world, TOKEN, Method::GET, "/hooks", Value::Null).await;
            let own = format!("/hooks/{}", there["values"][0]["uuid"].as_str().unwrap());
            let spoiled = json!({
                "url": "https://elsewhere.test", "active": false, "secret": null, "events": ["repo:push"],
                "skip_cert_verification": true,
            });
            forge::on_bitbucket(world, TOKEN, Method::PUT, &own, spoiled).await;
            true
        }
        .boxed()
    })
}

pub(in crate::walk) fn installed_and_repaired() -> Flow {
    let steps = vec![installed(), spoiled(), verified(), repaired()];
    prepared("a hook on Bitbucket is installed and repaired", &[], |world| connected(world).boxed(), steps)
}

async fn has_a_hook(world: &World) {
    connected(world).await;
    let made = base::done(world, "/v1/hooks", wanted()).await;
    world.note("hook secret", made["secret"].clone());
}

pub(in crate::walk) fn removed_everywhere() -> Flow {
    prepared("a hook on Bitbucket is removed", &[], |world| has_a_hook(world).boxed(), vec![removed()])
}
