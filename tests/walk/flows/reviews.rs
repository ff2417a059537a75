//! Flows of reviews: changes are requested on a pull request of a ticket.

use super::flow_after;
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;
use crate::webhooks::{ANN, ANNS_TOKEN, SECRET, signature};
use pullyard_domain::project::ReviewWhen;
use pullyard_local::User;

const BRANCH: &str = "feature";
const HOUR: Duration = Duration::from_secs(3_600);

/// An open pull request of a ticket with a review of Ann, without a webhook.
async fn pull_request(world: &World) {
    link_pull_request(world).await;
    request_changes(world, "review 1").await;
}

async fn link_pull_request(world: &World) {
    open_pull_request(world).await;
    base::call_ok(world, post("/v1/pulls/link", link_body(world)).put()).await;
}

pub(super) fn link_body(world: &World) -> Value {
    json!({ "project": "acme", "repository": REPOSITORY, "number": note_number(world, "number"), "ticket": "APP-1" })
}

pub(super) async fn open_pull_request(world: &World) {
    let forge = world.forge.as_ref().unwrap();
    let ann = User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
    forge.add_user(ann, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ann", Role::Write).await.unwrap();
    let head = forge.commit(REPOSITORY, BRANCH, "ann", &[("change.txt", "one\n", false)]).await.unwrap();
    let pull = json!({ "title": "APP-1", "head": BRANCH, "base": "main", "body": "" });
    let pull = forge::post_as_bot(world, "/pulls", pull).await;
    let number = pull["number"].as_u64().unwrap();
    world.note("forge", true);
    world.note("branch", BRANCH);
    world.note("head", head);
    world.note("number", number);
    world.note("repository", pull["base"]["repo"]["id"].clone());
    base::post_ok(world, "/v1/tickets", json!({ "project": "acme", "key": "APP-1", "title": "t", "status": TODO }))
        .await;
}

async fn request_changes(world: &World, name: &str) {
    let forge = world.forge.as_ref().unwrap();
    let review = forge.request_changes(REPOSITORY, note_number(world, "number"), "ann", "Not yet.", &[]).await.unwrap();
    world.note(name, review);
}

pub(super) async fn with_hook(world: &World) {
    pull_request(world).await;
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test", "by_hand": true,
    });
    let response = base::post_ok(world, "/v1/hooks", hook).await;
    world.note("hook secret", response["secret"].clone());
}

/// A hook whose delivery of Ann's comment failed. Polling the pull request does not return the comment.
async fn with_lost_delivery(world: &World) {
    link_pull_request(world).await;
    let forge = world.forge.as_ref().unwrap();
    // Otherwise the ping is redelivered too, in random order.
    forge.inject_delivery_fault(1, DeliveryFault::NotRecorded);
    let hook = json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    });
    let response = base::post_ok(world, "/v1/hooks", hook).await;
    world.note("hook secret", response["secret"].clone());
    world.note("forge hook", response["forge_id"].clone());
    let comment = json!({ "body": "/pullyard revise use tabs" });
    forge::post_as(world, ANNS_TOKEN, &format!("/issues/{}/comments", note_number(world, "number")), comment).await;
    // The forge calls only this machine, so the delivery fails.
    forge.wait_for_deliveries().await;
}

pub(super) async fn with_two_reviews(world: &World) {
    with_hook(world).await;
    request_changes(world, "review 2").await;
}

/// Two reviews of Ann, without a webhook and without polling.
async fn with_unreported_reviews(world: &World) {
    pull_request(world).await;
    request_changes(world, "review 2").await;
}

async fn with_polling(world: &World) {
    pull_request(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::call_ok(world, post("/v1/projects/acme/ingress", polled).put()).await;
}

pub(super) fn note_number(world: &World, name: &str) -> u64 {
    world.note_value(name).unwrap().parse().unwrap()
}

fn pull(world: &World, state: &str) -> Value {
    let id = note_number(world, "repository");
    json!({
        "number": note_number(world, "number"), "html_url": "https://forge.test/p", "state": state, "draft": false,
        // Old, so that the forge's own data is newer on every machine.
        "title": "APP-1", "merged_at": null, "merged": false, "updated_at": "2020-11-20T12:00:00Z",
        "head": { "ref": BRANCH, "sha": world.note_value("head").unwrap(), "repo": { "id": id } },
        "base": { "ref": "main" }, "user": { "id": 41, "login": "pullyard-bot", "type": "User" },
    })
}

pub(super) fn deliver(
    name: &'static str,
    event: &'static str,
    body: impl Fn(&World) -> Value + Send + Sync + 'static,
) -> Step {
    let make = move |world: &World| {
        let mut body = body(world);
        let sender = json!({ "id": ANN, "login": "ann", "type": "User" });
        body["repository"] = json!({ "id": note_number(world, "repository"), "full_name": REPOSITORY });
        body["sender"] = sender;
        let signature = signature(SECRET, body.to_string().as_bytes());
        let call = post("/webhooks/github/acme", body).function("webhook").header("x-hub-signature-256", signature);
        let call = call.on_answer(|world, answer| world.note("delivery", answer["delivery"].clone()));
        Some(call.header("x-github-event", event).header("x-github-delivery", "guid-1").into())
    };
    // GitHub does not repeat a delivery; polling finds the same.
    Step::call(name, make)
}

pub(super) fn deliver_review(name: &'static str, which: &'static str) -> Step {
    deliver(name, "pull_request_review", move |world| {
        json!({
            "action": "submitted",
            "review": {
                "id": note_number(world, which), "state": "changes_requested", "body": "Not yet.",
                "commit_id": world.note_value("head").unwrap(), "submitted_at": "2026-11-20T12:00:00Z",
                "html_url": "https://forge.test/r", "author_association": "MEMBER",
                "user": { "id": ANN, "login": "ann", "type": "User" },
            },
            "pull_request": pull(world, "open"),
        })
    })
}

pub(super) fn deliver_close() -> Step {
    deliver("the pull request is closed", "pull_request", |world| {
        let mut pull = pull(world, "closed");
        // Newer than all other data of the forge.
        pull["updated_at"] = "2099-01-01T00:00:00Z".into();
        json!({ "action": "closed", "number": note_number(world, "number"), "pull_request": pull })
    })
}

fn push_commit(file: &'static str) -> Step {
    Step::act("its commit is pushed", move |world| {
        async move {
            if world.note_value("lease").is_none() {
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

pub(super) fn start_attempt() -> [Step; 4] {
    [attempt::start_task(), attempt::claim(), attempt::report_preparing(), attempt::report_executing()]
}

pub(super) fn publish(file: &'static str) -> [Step; 3] {
    [attempt::report_syncing(), push_commit(file), attempt::finish_completed()]
}

/// Steps that [`review`] and [`deferred_and_refused`] walk.
pub(super) fn broken_elsewhere(steps: impl IntoIterator<Item = Step>) -> impl Iterator<Item = Step> {
    steps.into_iter().map(Step::broken_elsewhere)
}

fn revise(file: &'static str) -> Vec<Step> {
    let work = start_attempt().into_iter().chain(publish(file));
    [Step::messages()].into_iter().chain(work).chain([Step::messages()]).collect()
}

pub(super) fn flow_with_hook(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    flow_after(name, ends, |world| with_hook(world).boxed(), steps)
}

/// If the receiver of the webhook dies, polling must find the review before the wait for its task ends.
pub(in crate::walk) fn review() -> Flow {
    let delivery = deliver_review("a review is delivered", "review 1").without_repeat(WithoutRepeat::FoundByPolling);
    let steps = [delivery].into_iter().chain(revise("one.txt")).collect();
    flow_with_hook("a review is delivered and answered", &["completed"], steps)
}

/// A review arrives while the job of another one works.
fn defer_review() -> Vec<Step> {
    let mut steps = start_job();
    steps.extend([deliver_second_review(), Step::messages()]);
    steps
}

pub(super) fn start_job() -> Vec<Step> {
    let steps = [deliver_review("a review is delivered", "review 1"), Step::messages()];
    broken_elsewhere(steps.into_iter().chain(start_attempt())).collect()
}

pub(super) fn deliver_second_review() -> Step {
    deliver_review("another review is delivered meanwhile", "review 2")
}

pub(in crate::walk) fn deferred_and_refused() -> Flow {
    let mut steps = defer_review();
    steps.extend([attempt::finish_failed(), Step::messages(), Step::wait(HOUR), Step::sweep("the sweeper goes round")]);
    steps.push(Step::messages());
    flow_after("a review waits for a job, which fails", &["failed"], |world| with_two_reviews(world).boxed(), steps)
}

pub(in crate::walk) fn deferred_and_started() -> Flow {
    let mut steps: Vec<_> = broken_elsewhere(defer_review()).collect();
    steps.extend(publish("one.txt"));
    steps.extend([Step::messages(), Step::wait(HOUR), Step::sweep("the sweeper goes round"), Step::messages()]);
    steps.extend(broken_elsewhere(start_attempt().into_iter().chain(publish("two.txt")).chain([Step::messages()])));
    let ends = &["completed", "completed"];
    flow_after("a review waits for a job, which completes", ends, |world| with_two_reviews(world).boxed(), steps)
}

fn request_revision() -> Step {
    let make = |world: &World| {
        let number = note_number(world, "number");
        let wish = json!({ "project": "acme", "repository": REPOSITORY, "number": number, "message": "Use tabs." });
        Some(post("/v1/pulls/revise", wish).header("idempotency-key", "key-1").into())
    };
    Step::call("a person asks for a revision", make)
}

pub(in crate::walk) fn requested_revision() -> Flow {
    let mut steps = vec![request_revision(), Step::messages()];
    steps.extend(broken_elsewhere(start_attempt().into_iter().chain(publish("one.txt")).chain([Step::messages()])));
    flow_after(
        "a person asks for what nobody answered",
        &["completed"],
        |world| with_unreported_reviews(world).boxed(),
        steps,
    )
}

fn request_review(route: &'static str) -> Step {
    let make = move |world: &World| {
        let number = note_number(world, "number");
        let wish = json!({ "project": "acme", "repository": REPOSITORY, "number": number });
        Some(post(route, wish).header("idempotency-key", "key-1").into())
    };
    Step::call("a person asks an agent for a review", make)
}

/// The pull request has a ticket, which the job holds.
pub(in crate::walk) fn requested_resolve() -> Flow {
    let mut steps = vec![request_review("/v1/pulls/resolve"), Step::messages()];
    steps.extend(broken_elsewhere(start_attempt()));
    steps.extend([attempt::report_syncing(), push_commit("one.txt"), attempt::finish_resolved(), Step::messages()]);
    flow_after("an agent fixes what it finds", &["completed"], |world| link_pull_request(world).boxed(), steps)
}

/// The pull request has no ticket, so the request stores it.
pub(in crate::walk) fn requested_review() -> Flow {
    let mut steps = vec![request_review("/v1/pulls/review"), Step::messages()];
    steps.extend(broken_elsewhere(start_attempt()));
    steps.extend([attempt::report_syncing(), attempt::finish_with_review(), Step::messages()]);
    flow_after("an agent reviews a pull request", &["completed"], |world| open_pull_request(world).boxed(), steps)
}

async fn with_automatic_reviews(world: &World) {
    open_pull_request(world).await;
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    base::call_ok(world, post("/v1/projects/acme/ingress", polled).put()).await;
    base::change_settings(world, |settings| settings.review.when = ReviewWhen::Pushed).await;
}

/// No webhook arrives, and no ticket exists.
pub(in crate::walk) fn automatic_review() -> Flow {
    let mut steps: Vec<_> = poll().into_iter().chain(poll()).collect();
    steps.extend(broken_elsewhere(start_attempt()));
    steps.extend([attempt::report_syncing(), attempt::finish_with_review(), Step::messages()]);
    flow_after("an agent reviews a pushed commit", &["completed"], |world| with_automatic_reviews(world).boxed(), steps)
}

pub(in crate::walk) fn close_before_claim() -> Flow {
    let mut steps = vec![deliver_review("a review is delivered", "review 1"), Step::messages()];
    steps.extend([attempt::start_task(), deliver_close(), Step::messages()]);
    flow_with_hook("a pull request is closed before its job is claimed", &["cancelled"], steps)
}

pub(in crate::walk) fn polled_review() -> Flow {
    let found = [Step::wait(HOUR / 30), Step::sweep("the sweeper goes round"), Step::messages()];
    let revised = start_attempt().into_iter().chain(publish("one.txt")).chain([Step::messages()]);
    let steps = found.into_iter().chain(broken_elsewhere(revised)).collect();
    flow_after(
        "a repository is looked at, and a review is found",
        &["completed"],
        |world| with_polling(world).boxed(),
        steps,
    )
}

fn poll() -> [Step; 3] {
    [Step::wait(HOUR / 30), Step::sweep("the sweeper goes round").broken_elsewhere(), Step::messages()]
}

pub(super) fn forge_step(
    name: &'static str,
    does: impl for<'a> Fn(&'a World) -> BoxFuture<'a, ()> + Send + Sync + 'static,
) -> Step {
    Step::act(name, move |world| does(world).map(|()| true).boxed())
}

/// No webhook arrives for either review. After a crash while the second is deferred, only polls follow. They must not
/// find a part of the deferral in the ledger.
pub(in crate::walk) fn polled_during_job() -> Flow {
    let mut steps: Vec<_> = broken_elsewhere(poll().into_iter().chain(start_attempt())).collect();
    steps.push(forge_step("Ann asks for more", |world| request_changes(world, "review 2").boxed()));
    steps.extend(poll());
    steps.extend(broken_elsewhere(poll().into_iter().chain([attempt::finish_failed(), Step::messages()])));
    let name = "a repository is looked at while a job works, and another review is found";
    flow_after(name, &["failed"], |world| with_polling(world).boxed(), steps)
}

pub(super) async fn close_at_forge(world: &World) {
    forge::patch_as_bot(world, &format!("/pulls/{}", note_number(world, "number")), json!({ "state": "closed" })).await;
}

pub(in crate::walk) fn polled_close() -> Flow {
    let mut steps: Vec<_> = broken_elsewhere(poll().into_iter().chain([attempt::start_task()])).collect();
    steps.push(forge_step("its pull request is closed", |world| close_at_forge(world).boxed()));
    steps.extend(poll());
    let name = "a repository is looked at, and a pull request was closed before its job is claimed";
    flow_after(name, &["cancelled"], |world| with_polling(world).boxed(), steps)
}

pub(in crate::walk) fn lost_delivery() -> Flow {
    let mut steps =
        vec![Step::wait(HOUR / 6), Step::sweep("the sweeper goes round"), Step::messages(), poll_until_job()];
    steps.extend(broken_elsewhere(start_attempt().into_iter().chain([attempt::finish_failed(), Step::messages()])));
    let name = "a delivery that never arrived is found by polling";
    flow_after(name, &["failed"], |world| with_lost_delivery(world).boxed(), steps)
}

fn poll_until_job() -> Step {
    Step::act("its job is made", |world| {
        async {
            for _ in 0..8 {
                if world.tasks().await.iter().any(|task| task["desiredStatus"] == "RUNNING") {
                    return true;
                }
                world.advance(HOUR / 6).await;
            }
            false
        }
        .boxed()
    })
}
