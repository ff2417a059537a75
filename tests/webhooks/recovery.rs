//! What a hook should have told, where the forge lists much of it, or fails in between.

use super::{ANNS_TOKEN, World, name};
use crate::story::REPOSITORY;
use pullyard_local::{Calls, DeliveryFault, Fault};
use pullyard_protocol::hook::{RecoverHook, Recovered};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    /// With a hook at the forge, whose first ping has come.
    async fn hooked() -> Self {
        let world = Self::make().await;
        world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
        world.story.local.forge().deliveries_settled().await;
        world
    }

    /// One round of looking for what a hook should have told, now.
    async fn recovered(&self, hook: &str) -> Recovered {
        let found = self.story.api.recover_hook(&name(hook), &RecoverHook::default()).await.unwrap();
        self.story.local.forge().deliveries_settled().await;
        found
    }

    /// How often each delivery that has not arrived was asked for again, fewest first.
    async fn tries(&self, hook: &str) -> Vec<u8> {
        let hook = self.story.store().await.hook(&name(hook)).await.unwrap().unwrap();
        let mut tries: Vec<u8> = hook.recovery.missing.values().map(|missing| missing.asked).collect();
        tries.sort_unstable();
        tries
    }

    /// We write below the pull request, at the forge itself.
    async fn we_write(&self, words: &str) {
        self.story.forge(Method::POST, &format!("/issues/{}/comments", self.number), json!({ "body": words })).await;
    }

    /// Ann does.
    async fn ann_writes(&self, words: &str) {
        let api = self.story.local.forge().api_url();
        let url = format!("{api}/repos/{REPOSITORY}/issues/{}/comments", self.number);
        let body = json!({ "body": words }).to_string();
        let answer = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_a_pull_request_that_one_round_could_not_read_is_found_by_the_next() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let whole = world.recovered("acme").await;
    assert_eq!((whole.pull_requests, whole.reviews, whole.problems), (1, 0, vec![]));
    forge.order_delivery_fault(1, DeliveryFault::Forgotten);
    world.asks().await;
    // Longer than the clocks of a forge and of ours may be apart.
    world.story.clock.advance(HOUR);
    let reading = Calls { method: Some("GET".into()), path: format!("/pulls/{}", world.number) };
    forge.order_fault(reading, 1, Fault::status(500));
    let failed = world.recovered("acme").await;
    assert_eq!((failed.pull_requests, failed.reviews, failed.problems.len()), (1, 0, 1), "{:?}", failed.problems);
    let found = world.recovered("acme").await;
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_never_came_is_asked_for_again_from_behind_a_whole_page_of_newer_ones() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    let hook = world.story.api.hook(&name("acme")).await.unwrap().forge_id.unwrap();
    let deliveries = format!("/hooks/{hook}/deliveries");
    let ping = world.story.forge(Method::GET, &deliveries, Value::Null).await[0]["id"].clone();
    forge.order_delivery_fault(1, DeliveryFault::NotSent);
    // No comparison with the pull request finds what is asked in a comment.
    world.ann_writes("/pullyard revise use tabs").await;
    // What has come is sent again, as often as there are rows on a page.
    for _ in 0..100 {
        world.story.forge(Method::POST, &format!("{deliveries}/{ping}/attempts"), Value::Null).await;
    }
    forge.deliveries_settled().await;
    assert!(world.revisions().await.is_empty(), "nobody told us");
    let found = world.recovered("acme").await;
    assert_eq!(found.looked_at, 102, "a page, and on the next one Ann's comment and the ping: {found:?}");
    assert_eq!((found.asked, found.missing, found.problems), (1, 1, vec![]));
    world.revised().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_not_asked_for_since_another_one_met_an_error_uses_up_no_try() {
    let world = World::hooked().await;
    let forge = world.story.local.forge();
    forge.order_delivery_fault(2, DeliveryFault::NotSent);
    world.we_write("Looks good.").await;
    world.we_write("Looks better.").await;
    forge.deliveries_settled().await;
    let asking = Calls { method: Some("POST".into()), path: "/attempts".into() };
    forge.order_fault(asking, 1, Fault::status(503));
    let stopped = world.recovered("acme").await;
    assert_eq!((stopped.asked, stopped.missing), (0, 2));
    assert_eq!(world.tries("acme").await, [0, 1], "the one that met the error may have been taken all the same");
    // The one that met it rests for an hour, the other one does not.
    let next = world.recovered("acme").await;
    assert_eq!((next.asked, next.missing), (1, 2));
    assert_eq!(world.tries("acme").await, [1, 1]);
    let resting = world.recovered("acme").await;
    assert_eq!((resting.asked, resting.missing), (0, 1));
    world.story.clock.advance(HOUR);
    let rested = world.recovered("acme").await;
    assert_eq!((rested.asked, rested.missing), (1, 1));
    let done = world.recovered("acme").await;
    assert_eq!((done.asked, done.missing, done.given_up), (0, 0, 0));
    world.story.end().await;
}
