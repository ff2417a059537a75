//! The same on Bitbucket: a verdict has no words, which are comments before or after it, and no id; a hook is tried by
//! nobody, and nobody lists what it delivered.
//!
//! What the forge tells is what it told a hook there when Ann asked, so that it names her request as the API does.

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

/// Where our hook is.
const PATH: &str = "/webhooks/bitbucket/acme";
const HOUR: Duration = Duration::from_secs(3_600);

/// The repository is on Bitbucket.
async fn connected(world: &World) {
    base::is_on_bitbucket(world).await;
    world.note("forge", true);
}

/// It has an open pull request of a ticket.
async fn linked(world: &World) {
    connected(world).await;
    opened(world).await;
    base::must(world, post("/v1/pulls/link", link(world)).put()).await;
}

/// Ann, about the pull request.
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

/// A hook of ours that nobody calls but the walk, and what it is told when Ann asks for changes.
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

/// Ann asks before she says what for, an hour after the walk begins, whenever that is: our own clock alone then says how
/// long her words are waited for, and the look of the hook, which was made then, too, comes after all of it.
async fn without_words(world: &World) {
    linked(world).await;
    world.forge.as_ref().unwrap().advance(HOUR);
    world.clock.advance(HOUR);
    asked(world).await;
}

/// Nobody tells of it, and the repository is looked at.
async fn polled(world: &World) {
    linked(world).await;
    writes(world).await;
    asks(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::must(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

/// The forge tells of the review. It comes again with the same bytes where it is not answered.
fn told() -> Step {
    Step::call("a review is told", |world| {
        let told: Value = serde_json::from_str(&world.noted("told")?).unwrap();
        let call = signed(PATH, told["body"].as_str()?.to_owned());
        let headers = told["headers"].as_object()?;
        let call = headers.iter().fold(call, |call, (name, value)| call.with(name, value.clone()));
        Some(call.into())
    })
}

/// Its job does what it asks.
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

/// Whoever heard it dies, and nobody comes again: a look of the hook finds it.
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

/// Later than she asked, by the forge's clock as well.
async fn writes_later(world: &World) {
    world.forge.as_ref().unwrap().advance(2 * HOUR);
    writes(world).await;
}

/// Its job is made and waits, and is read again a minute later.
pub(in crate::walk) fn words_come_later() -> Flow {
    let mut steps = vec![told().walked_elsewhere(), Step::messages()];
    steps.push(at_the_forge("Ann writes what for", |world| writes_later(world).boxed()));
    steps.extend([Step::wait(HOUR / 20), Step::sweep("the sweeper goes round"), Step::messages()]);
    steps.extend(known(attempted().into_iter().chain([attempt::fails(), Step::messages()])));
    let name = "a review on Bitbucket says what for only later";
    prepared(name, &["failed"], |world| without_words(world).boxed(), steps)
}

fn installed() -> Step {
    Step::call("somebody installs a hook", |_| {
        Some(post("/v1/hooks", wanted()).keeping(|world, _| world.note("installed", true)).into())
    })
}

/// Somebody at the forge has it call others, without a secret.
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
