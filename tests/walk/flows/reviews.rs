//! Flows of reviews: changes are requested on a pull request of a ticket.

use super::prepared;
use crate::story::{REPOSITORY, TODO};
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::World;
use crate::webhooks::{ANN, ANNS_TOKEN, SECRET, signed};
use futures::FutureExt;
use futures::future::BoxFuture;
use pullyard_fake_forge::{DeliveryFault, TestForge as _};
use pullyard_local::{AccountKind, Role, User};
use serde_json::{Value, json};
use std::time::Duration;

const BRANCH: &str = "feature";
const HOUR: Duration = Duration::from_secs(3_600);

/// An open pull request of a ticket with a review of Ann, without a webhook.
async fn pull_request(world: &World) {
    linked(world).await;
    asks_for_changes(world, "review 1").await;
}

/// An open pull request that is linked to a ticket.
async fn linked(world: &World) {
    opened(world).await;
    base::must(world, post("/v1/pulls/link", link(world)).put()).await;
}

pub(super) fn link(world: &World) -> Value {
    json!({ "project": "acme", "repository": REPOSITORY, "number": number(world, "number"), "ticket": "APP-1" })
}

/// An open pull request and a ticket that are not linked.
pub(super) async fn opened(world: &World) {
    let forge = world.forge.as_ref().unwrap();
    let ann = User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
    forge.add_user(ann, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ann", Role::Write).await.unwrap();
    let head = forge.commit(REPOSITORY, BRANCH, "ann", &[("change.txt", "one\n", false)]).await.unwrap();
    let pull = json!({ "title": "APP-1", "head": BRANCH, "base": "main", "body": "" });
    let pull = forge::asks(world, "/pulls", pull).await;
    let number = pull["number"].as_u64().unwrap();
    world.note("forge", true);
    world.note("branch", BRANCH);
    world.note("head", head);
    world.note("number", number);
    world.note("repository", pull["base"]["repo"]["id"].clone());
    base::done(world, "/v1/tickets", json!({ "project": "acme", "key": "APP-1", "title": "t", "status": TODO })).await;
}

async fn asks_for_changes(world: &World, name: &str) {
    let forge = world.forge.as_ref().unwrap();
    let review = forge.request_changes(REPOSITORY, number(world, "number"), "ann", "Not yet.", &[]).await.unwrap();
    world.note(name, review);
}

pub(super) async fn hooked(world: &World) {
    pull_request(world).await;
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test", "by_hand": true,
    });
    let made = base::done(world, "/v1/hooks", hook).await;
    world.note("hook secret", made["secret"].clone());
}

/// A hook whose delivery of Ann's comment failed. Polling the pull request does not return the comment.
async fn lost(world: &World) {
    linked(world).await;
    let forge = world.forge.as_ref().unwrap();
    // Otherwise the ping is redelivered too, in random order.
    forge.order_delivery_fault(1, DeliveryFault::Forgotten);
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    });
    let made = base::done(world, "/v1/hooks", hook).await;
    world.note("hook secret", made["secret"].clone());
    world.note("forge hook", made["forge_id"].clone());
    let comment = json!({ "body": "/pullyard revise use tabs" });
    forge::says(world, ANNS_TOKEN, &format!("/issues/{}/comments", number(world, "number")), comment).await;
    // The forge calls only this machine, so the delivery fails.
    forge.deliveries_settled().await;
}

pub(super) async fn twice_asked(world: &World) {
    hooked(world).await;
    asks_for_changes(world, "review 2").await;
}

/// Two reviews of Ann, without a webhook and without polling.
async fn untold(world: &World) {
    pull_request(world).await;
    asks_for_changes(world, "review 2").await;
}

async fn polled(world: &World) {
    pull_request(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::must(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

pub(super) fn number(world: &World, name: &str) -> u64 {
    world.noted(name).unwrap().parse().unwrap()
}

fn pull(world: &World, state: &str) -> Value {
    let id = number(world, "repository");
    json!({
        "number": number(world, "number"), "html_url": "https://forge.test/p", "state": state, "draft": false,
        // Old, so that the forge's own data is newer on every machine.
        "title": "APP-1", "merged_at": null, "merged": false, "updated_at": "2020-11-20T12:00:00Z",
        "head": { "ref": BRANCH, "sha": world.noted("head").unwrap(), "repo": { "id": id } },
        "base": { "ref": "main" }, "user": { "id": 41, "login": "pullyard-bot", "type": "User" },
    })
}

fn delivered(name: &'static str, event: &'static str, body: impl Fn(&World) -> Value + Send + Sync + 'static) -> Step {
    let make = move |world: &World| {
        let mut body = body(world);
        let who = json!({ "id": ANN, "login": "ann", "type": "User" });
        body["repository"] = json!({ "id": number(world, "repository"), "full_name": REPOSITORY });
        body["sender"] = who;
        let signature = signed(SECRET, body.to_string().as_bytes());
        let call = post("/webhooks/github/acme", body).to("webhook").with("x-hub-signature-256", signature);
        let call = call.keeping(|world, answer| world.note("delivery", answer["delivery"].clone()));
        Some(call.with("x-github-event", event).with("x-github-delivery", "guid-1").into())
    };
    // GitHub does not repeat a delivery; polling finds the same.
    Step::call(name, make)
}

/// The forge sends the webhook of a review.
pub(super) fn reviewed(name: &'static str, which: &'static str) -> Step {
    delivered(name, "pull_request_review", move |world| {
        json!({
            "action": "submitted",
            "review": {
                "id": number(world, which), "state": "changes_requested", "body": "Not yet.",
                "commit_id": world.noted("head").unwrap(), "submitted_at": "2026-11-20T12:00:00Z",
                "html_url": "https://forge.test/r", "author_association": "MEMBER",
                "user": { "id": ANN, "login": "ann", "type": "User" },
            },
            "pull_request": pull(world, "open"),
        })
    })
}

pub(super) fn closed() -> Step {
    delivered("the pull request is closed", "pull_request", |world| {
        let mut pull = pull(world, "closed");
        // Newer than all other data of the forge.
        pull["updated_at"] = "2099-01-01T00:00:00Z".into();
        json!({ "action": "closed", "number": number(world, "number"), "pull_request": pull })
    })
}

fn pushed(file: &'static str) -> Step {
    Step::act("its commit is pushed", move |world| {
        async move {
            if world.noted("lease").is_none() {
                return false;
            }
            let forge = world.forge.as_ref().unwrap();
            let head = forge.commit(REPOSITORY, BRANCH, "pullyard-bot", &[(file, "done\n", false)]).await.unwrap();
            world.note("head", head);
            true
        }
        .boxed()
    })
}

pub(super) fn attempted() -> [Step; 4] {
    [attempt::begins(), attempt::claims(), attempt::prepares(), attempt::executes()]
}

pub(super) fn published(file: &'static str) -> [Step; 3] {
    [attempt::syncs(), pushed(file), attempt::completes()]
}

/// Steps that [`told_and_revised`] and [`held_and_revised`] walk.
pub(super) fn known(steps: impl IntoIterator<Item = Step>) -> impl Iterator<Item = Step> {
    steps.into_iter().map(Step::walked_elsewhere)
}

fn revised(file: &'static str) -> Vec<Step> {
    let work = attempted().into_iter().chain(published(file));
    [Step::messages()].into_iter().chain(work).chain([Step::messages()]).collect()
}

pub(super) fn of_hook(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    prepared(name, ends, |world| hooked(world).boxed(), steps)
}

/// If the receiver of the webhook dies, polling must find the review before the wait for its task ends.
pub(in crate::walk) fn told_and_revised() -> Flow {
    let told = reviewed("a review is told", "review 1").unrepeated(Unrepeated::Told);
    let steps = [told].into_iter().chain(revised("one.txt")).collect();
    of_hook("a review is told and answered", &["completed"], steps)
}

/// A review arrives while the job of another one works.
fn held() -> Vec<Step> {
    let mut steps = worked_on();
    steps.extend([another(), Step::messages()]);
    steps
}

pub(super) fn worked_on() -> Vec<Step> {
    let told = [reviewed("a review is told", "review 1"), Step::messages()];
    known(told.into_iter().chain(attempted())).collect()
}

pub(super) fn another() -> Step {
    reviewed("another is told meanwhile", "review 2")
}

pub(in crate::walk) fn held_and_revised() -> Flow {
    let mut steps = held();
    steps.extend([attempt::fails(), Step::messages(), Step::wait(HOUR), Step::sweep("the sweeper goes round")]);
    steps.push(Step::messages());
    prepared("a review waits for a job, which fails", &["failed"], |world| twice_asked(world).boxed(), steps)
}

pub(in crate::walk) fn held_and_completed() -> Flow {
    let mut steps: Vec<_> = known(held()).collect();
    steps.extend(published("one.txt"));
    steps.extend([Step::messages(), Step::wait(HOUR), Step::sweep("the sweeper goes round"), Step::messages()]);
    steps.extend(known(attempted().into_iter().chain(published("two.txt")).chain([Step::messages()])));
    let ends = &["completed", "completed"];
    prepared("a review waits for a job, which completes", ends, |world| twice_asked(world).boxed(), steps)
}

/// A user requests, with an idempotency key, a revision for all open reviews.
fn asked() -> Step {
    let make = |world: &World| {
        let number = number(world, "number");
        let wish = json!({ "project": "acme", "repository": REPOSITORY, "number": number, "message": "Use tabs." });
        Some(post("/v1/pulls/revise", wish).with("idempotency-key", "key-1").into())
    };
    Step::call("a person asks for a revision", make)
}

pub(in crate::walk) fn asked_and_revised() -> Flow {
    let mut steps = vec![asked(), Step::messages()];
    steps.extend(known(attempted().into_iter().chain(published("one.txt")).chain([Step::messages()])));
    prepared("a person asks for what nobody answered", &["completed"], |world| untold(world).boxed(), steps)
}

pub(in crate::walk) fn closed_while_it_waits() -> Flow {
    let mut steps = vec![reviewed("a review is told", "review 1"), Step::messages()];
    steps.extend([attempt::begins(), closed(), Step::messages()]);
    of_hook("a pull request is closed before its job is claimed", &["cancelled"], steps)
}

pub(in crate::walk) fn looked_for() -> Flow {
    let found = [Step::wait(HOUR / 30), Step::sweep("the sweeper goes round"), Step::messages()];
    let revised = attempted().into_iter().chain(published("one.txt")).chain([Step::messages()]);
    let steps = found.into_iter().chain(known(revised)).collect();
    prepared("a repository is looked at, and a review is found", &["completed"], |world| polled(world).boxed(), steps)
}

/// Time passes, and every open pull request is compared with the forge.
fn looks() -> [Step; 3] {
    [Step::wait(HOUR / 30), Step::sweep("the sweeper goes round").walked_elsewhere(), Step::messages()]
}

pub(super) fn at_the_forge(
    name: &'static str,
    does: impl for<'a> Fn(&'a World) -> BoxFuture<'a, ()> + Send + Sync + 'static,
) -> Step {
    Step::act(name, move |world| does(world).map(|()| true).boxed())
}

/// No webhook arrives for either review. After a crash while the second is deferred, only polls follow. They must not
/// find half of it in the ledger.
pub(in crate::walk) fn looked_for_while_it_works() -> Flow {
    let mut steps: Vec<_> = known(looks().into_iter().chain(attempted())).collect();
    steps.push(at_the_forge("Ann asks for more", |world| asks_for_changes(world, "review 2").boxed()));
    steps.extend(looks());
    steps.extend(known(looks().into_iter().chain([attempt::fails(), Step::messages()])));
    let name = "a repository is looked at while a job works, and another review is found";
    prepared(name, &["failed"], |world| polled(world).boxed(), steps)
}

pub(super) async fn closes(world: &World) {
    forge::changes(world, &format!("/pulls/{}", number(world, "number")), json!({ "state": "closed" })).await;
}

/// No webhook reports the close, and polls skip pull requests that are known to be closed.
pub(in crate::walk) fn looked_for_and_closed() -> Flow {
    let mut steps: Vec<_> = known(looks().into_iter().chain([attempt::begins()])).collect();
    steps.push(at_the_forge("its pull request is closed", |world| closes(world).boxed()));
    steps.extend(looks());
    let name = "a repository is looked at, and a pull request was closed before its job is claimed";
    prepared(name, &["cancelled"], |world| polled(world).boxed(), steps)
}

pub(in crate::walk) fn found_by_polling() -> Flow {
    let mut steps = vec![Step::wait(HOUR / 6), Step::sweep("the sweeper goes round"), Step::messages(), job_is_made()];
    steps.extend(known(attempted().into_iter().chain([attempt::fails(), Step::messages()])));
    let name = "a delivery that never arrived is found by polling";
    prepared(name, &["failed"], |world| lost(world).boxed(), steps)
}

/// Polls until the job exists. A poll that died is repeated later.
fn job_is_made() -> Step {
    Step::act("its job is made", |world| {
        async {
            for _ in 0..8 {
                if world.tasks().await.iter().any(|task| task["desiredStatus"] == "RUNNING") {
                    return true;
                }
                world.pass(HOUR / 6).await;
            }
            false
        }
        .boxed()
    })
}
