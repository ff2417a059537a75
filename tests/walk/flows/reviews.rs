//! Somebody requests changes on a pull request of a ticket.

use super::prepared;
use crate::story::{REPOSITORY, TODO};
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use crate::webhooks::{ANN, ANNS_TOKEN, SECRET, signed};
use futures::FutureExt;
use pullyard_local::{AccountKind, Role, User};
use serde_json::{Value, json};
use std::time::Duration;

const BRANCH: &str = "feature";
const HOUR: Duration = Duration::from_secs(3_600);

/// An open pull request of a ticket, and a review of Ann's that nobody told us of.
async fn pull_request(world: &World) {
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
    asks_for_changes(world, "review 1").await;
    base::done(world, "/v1/tickets", json!({ "project": "acme", "key": "APP-1", "title": "t", "status": TODO })).await;
    let link = json!({ "project": "acme", "repository": REPOSITORY, "number": number, "ticket": "APP-1" });
    base::must(world, post("/v1/pulls/link", link).put()).await;
}

async fn asks_for_changes(world: &World, name: &str) {
    let forge = world.forge.as_ref().unwrap();
    let review = forge.request_changes(REPOSITORY, number(world, "number"), "ann", "Not yet.", &[]).await.unwrap();
    world.note(name, review);
}

async fn hooked(world: &World) {
    pull_request(world).await;
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test", "by_hand": true,
    });
    let made = base::done(world, "/v1/hooks", hook).await;
    world.note("hook secret", made["secret"].clone());
}

async fn twice_asked(world: &World) {
    hooked(world).await;
    asks_for_changes(world, "review 2").await;
}

async fn polled(world: &World) {
    pull_request(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::must(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

/// The numbers of a snapshot, as the forge tells them.
fn number(world: &World, name: &str) -> u64 {
    world.noted(name).unwrap().parse().unwrap()
}

fn pull(world: &World, state: &str) -> Value {
    let id = number(world, "repository");
    json!({
        "number": number(world, "number"), "html_url": "https://forge.test/p", "state": state, "draft": false,
        "title": "APP-1", "merged_at": null, "merged": false, "updated_at": "2026-11-20T12:00:00Z",
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
        Some(call.with("x-github-event", event).with("x-github-delivery", "guid-1").into())
    };
    // Where GitHub does not come again, its hook's recovery has it deliver the same once more.
    Step::call(name, make)
}

/// The forge tells of a review.
fn reviewed(name: &'static str, which: &'static str) -> Step {
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

fn closed() -> Step {
    delivered("the pull request is closed", "pull_request", |world| {
        let mut pull = pull(world, "closed");
        // Later than anything that the forge said of it.
        pull["updated_at"] = "2099-01-01T00:00:00Z".into();
        json!({ "action": "closed", "number": number(world, "number"), "pull_request": pull })
    })
}

/// The agent's commit is at the forge.
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

fn revised(file: &'static str) -> Vec<Step> {
    vec![
        Step::messages(),
        attempt::begins(),
        attempt::claims(),
        attempt::prepares(),
        attempt::executes(),
        attempt::syncs(),
        pushed(file),
        attempt::completes(),
        Step::messages(),
    ]
}

fn of_hook(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    prepared(name, ends, |world| hooked(world).boxed(), steps)
}

pub(in crate::walk) fn told_and_revised() -> Flow {
    let steps = [reviewed("a review is told", "review 1")].into_iter().chain(revised("one.txt")).collect();
    of_hook("a review is told and answered", &["completed"], steps)
}

pub(in crate::walk) fn held_and_revised() -> Flow {
    let mut steps = vec![reviewed("a review is told", "review 1"), Step::messages()];
    steps.extend([attempt::begins(), attempt::claims(), attempt::prepares(), attempt::executes()]);
    steps.extend([reviewed("another is told meanwhile", "review 2"), Step::messages()]);
    steps.extend([attempt::fails(), Step::messages(), Step::wait(HOUR), Step::sweep("the sweeper goes round")]);
    steps.push(Step::messages());
    prepared("a review waits for a job, which fails", &["failed"], |world| twice_asked(world).boxed(), steps)
}

pub(in crate::walk) fn closed_while_it_waits() -> Flow {
    let mut steps = vec![reviewed("a review is told", "review 1"), Step::messages()];
    steps.extend([attempt::begins(), closed(), Step::messages()]);
    of_hook("a pull request is closed before its job is claimed", &["cancelled"], steps)
}

pub(in crate::walk) fn looked_for() -> Flow {
    let found = [Step::wait(HOUR / 30), Step::sweep("the sweeper goes round")];
    let steps = found.into_iter().chain(revised("one.txt")).collect();
    prepared("a repository is looked at, and a review is found", &["completed"], |world| polled(world).boxed(), steps)
}
