//! What is found at the forge that nobody told.

use super::{ANN, ANNS_TOKEN, SECRET, World, name};
use crate::cli::User;
use crate::story::REPOSITORY;
use pullyard_domain::hook::Ingress;
use pullyard_domain::id::{IntegrationId, RepositoryName};
use pullyard_domain::project::{Integration, Repository};
use pullyard_domain::pull_request::{PullRequest, PullRequestId, PullRequestState};
use pullyard_fake_forge::{Calls, DeliveryFault, Fault, TestForge as _};
use pullyard_local::{AccountKind, Clock, Role};
use pullyard_protocol::hook::{RecoverHook, SetIngress};
use pullyard_store::Write;
use reqwest::Method;
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_never_came_is_asked_for_again_by_the_sweeper() {
    let world = World::make().await;
    world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
    world.story.local.forge().deliveries_settled().await;
    world.story.local.forge().order_delivery_fault(1, DeliveryFault::NotSent);
    world.asks().await;
    world.story.local.forge().deliveries_settled().await;
    assert!(world.revisions().await.is_empty(), "nobody told us");
    world.story.pass(Duration::from_secs(301)).await;
    world.revised().await;
    world.story.quiet().await;
    world.story.local.forge().deliveries_settled().await;
    let found = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.asked, found.missing, found.problems), (0, 0, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_the_forge_forgot_to_tell_is_found_at_the_forge() {
    let world = World::make().await;
    world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
    world.story.local.forge().deliveries_settled().await;
    world.story.local.forge().order_delivery_fault(1, DeliveryFault::Forgotten);
    world.asks().await;
    let found = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    let again = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!(again.reviews, 0, "what was answered is not decided again");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_comment_is_found_and_makes_one_job() {
    let world = World::make().await;
    world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
    let forge = world.story.local.forge();
    forge.deliveries_settled().await;
    forge.order_delivery_fault(2, DeliveryFault::Forgotten);
    world.commented(ANNS_TOKEN, "Not a command.").await;
    let comment = world.commented(ANNS_TOKEN, "/pullyard revise use tabs").await;
    let found = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    let again = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!(again.reviews, 0, "an answered comment is not decided again");
    // The webhook comes late.
    let who = json!({ "id": ANN, "login": "ann", "type": "User" });
    world.send("acme", "issue_comment", &world.comment(comment, "/pullyard revise use tabs", &who)).await;
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_is_found_in_a_repository_without_a_hook() {
    let world = World::make().await;
    let set = SetIngress { repository: RepositoryName::new(REPOSITORY).unwrap(), ingress: Ingress::Poll };
    world.story.api.set_ingress(&world.story.project, &set).await.unwrap();
    world.commented(ANNS_TOKEN, "/pullyard revise").await;
    world.story.pass(Duration::from_secs(61)).await;
    world.revised().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_a_hook_is_looked_at_every_minute() {
    let world = World::make().await;
    let set = SetIngress { repository: RepositoryName::new(REPOSITORY).unwrap(), ingress: Ingress::Poll };
    world.story.api.set_ingress(&world.story.project, &set).await.unwrap();
    world.asks().await;
    world.story.pass(Duration::from_secs(61)).await;
    let job = world.revised().await;
    world.story.quiet().await;
    let ledger = world.story.api.deliveries(&world.story.project, None, None).await.unwrap().deliveries;
    let told = ledger.iter().find(|entry| entry.job.as_ref() == Some(&job.id)).unwrap();
    assert_eq!(serde_json::to_value(told.source).unwrap(), json!("poll"));
    let listed = world.story.api.ingresses(&world.story.project).await.unwrap().repositories;
    assert_eq!((listed[0].ingress, listed[0].problem.clone()), (Ingress::Poll, None));
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_approved_after_asking_is_not_heard_by_a_look_and_who_only_commented_since_is() {
    let world = World::make().await;
    let set = SetIngress { repository: RepositoryName::new(REPOSITORY).unwrap(), ingress: Ingress::Poll };
    world.story.api.set_ingress(&world.story.project, &set).await.unwrap();
    let (forge, bens_token) = (world.story.local.forge(), "ghp_ben");
    let ben = pullyard_local::User { login: "ben".into(), id: ANN + 1, token: bens_token.into() };
    forge.add_user(ben, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ben", Role::Write).await.unwrap();
    let url = format!("{}/repos/{REPOSITORY}/pulls/{}/reviews", forge.api_url(), world.number);
    for (token, event) in [
        (bens_token, "REQUEST_CHANGES"),
        (ANNS_TOKEN, "REQUEST_CHANGES"),
        (ANNS_TOKEN, "APPROVE"),
        (bens_token, "COMMENT"),
    ] {
        let body = json!({ "event": event, "body": "Not yet." });
        let call = reqwest::Client::new().post(url.as_str()).bearer_auth(token).body(body.to_string());
        let answer = call.send().await.unwrap();
        let (status, said) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{event}: {said}");
        // It tells the time in whole seconds.
        forge.advance(Duration::from_secs(2));
    }
    world.story.pass(Duration::from_secs(61)).await;
    world.revised().await;
    world.story.quiet().await;
    let ledger = world.story.api.deliveries(&world.story.project, None, None).await.unwrap().deliveries;
    let heard: Vec<_> = ledger.iter().filter_map(|entry| entry.review.as_ref()).map(|of| of.author.as_str()).collect();
    assert_eq!(heard, ["ben"]);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_nobody_told_was_opened_again_is_looked_at_again() {
    let world = World::make().await;
    let set = SetIngress { repository: RepositoryName::new(REPOSITORY).unwrap(), ingress: Ingress::Poll };
    world.story.api.set_ingress(&world.story.project, &set).await.unwrap();
    let store = world.story.store().await;
    let id = PullRequestId {
        integration: IntegrationId::new("gh1").unwrap(),
        repository: world.repository,
        number: world.number,
    };
    // It is looked at every minute, and what its forge lists every five.
    for (state, secs, expected) in [("closed", 61, PullRequestState::Closed), ("open", 301, PullRequestState::Open)] {
        world.story.forge(Method::PATCH, &format!("/pulls/{}", world.number), json!({ "state": state })).await;
        world.story.pass(Duration::from_secs(secs)).await;
        world.story.quiet().await;
        assert_eq!(store.pull_request(&id).await.unwrap().unwrap().state, expected);
    }
    world.asks().await;
    world.story.pass(Duration::from_secs(61)).await;
    world.revised().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_on_a_pull_request_that_was_opened_again_is_found_by_the_same_look() {
    let world = World::make().await;
    let forge = world.story.local.forge();
    world.story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
    forge.deliveries_settled().await;
    let pull = format!("/pulls/{}", world.number);
    world.story.forge(Method::PATCH, &pull, json!({ "state": "closed" })).await;
    forge.deliveries_settled().await;
    forge.order_delivery_fault(2, DeliveryFault::Forgotten);
    world.story.forge(Method::PATCH, &pull, json!({ "state": "open" })).await;
    world.asks().await;
    let found = world.story.api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}

/// Two that call our address, of which the one is switched off: the forge takes no two alike.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_made_by_hand_whose_ping_was_lost_is_found_by_its_address_and_what_it_lost_is_asked_for() {
    let world = World::make().await;
    let (api, forge) = (&world.story.api, world.story.local.forge());
    let url = world.by_hand("acme").await.url.unwrap();
    forge.order_delivery_fault(3, DeliveryFault::Forgotten);
    let config = |url: &str| json!({ "url": url, "content_type": "json", "secret": SECRET, "insecure_ssl": "0" });
    for (url, active, events) in [
        (format!("{url}/more"), true, ["pull_request_review"]),
        (url.clone(), false, ["push"]),
        (url.clone(), true, ["pull_request_review"]),
    ] {
        let asked = json!({ "name": "web", "active": active, "events": events, "config": config(&url) });
        world.story.forge(Method::POST, "/hooks", asked).await;
    }
    forge.deliveries_settled().await;
    let there = world.story.forge(Method::GET, "/hooks", serde_json::Value::Null).await;
    let ours = there.as_array().unwrap().iter().find(|hook| hook["active"] == true && hook["config"]["url"] == url);
    let ours = ours.unwrap()["id"].as_u64();
    assert_eq!(api.hook(&name("acme")).await.unwrap().forge_id, None, "nobody told us");
    // The one that calls another address has it, too.
    forge.order_delivery_fault(2, DeliveryFault::NotSent);
    world.asks().await;
    forge.deliveries_settled().await;
    let found = api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.looked_at, found.asked, found.problems), (1, 1, vec![]));
    assert_eq!(api.hook(&name("acme")).await.unwrap().forge_id, ours);
    world.revised().await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_whose_forge_does_not_let_us_see_its_hooks_says_so_and_pull_requests_are_compared() {
    let world = World::make().await;
    let (api, forge) = (&world.story.api, world.story.local.forge());
    world.by_hand("acme").await;
    let listing = Calls { method: Some("GET".into()), path: "/hooks".into() };
    forge.order_fault(listing, 1, Fault::status(403));
    let found = api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.problems.len()), (1, 1), "{:?}", found.problems);
    assert!(found.problems[0].contains("get permission for the hooks of"), "{:?}", found.problems);
    let user = User::of(&world.story);
    let listed = user.run(&["hooks", "list"]).await.done();
    assert!(listed.contains(&format!("\tThe last look at its forge: {}.\n", found.problems[0])), "{listed}");
    // Nobody has made it there yet, which is no problem.
    let found = api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.problems), (1, vec![]));
    assert_eq!(api.hook(&name("acme")).await.unwrap().forge_id, None);
    let listed = user.run(&["hooks", "list"]).await.done();
    assert!(listed.starts_with("acme\t") && !listed.contains("The last look"), "{listed}");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_that_nobody_told_is_learnt_from_what_a_look_reads() {
    let world = World::make().await;
    let set = SetIngress { repository: RepositoryName::new(REPOSITORY).unwrap(), ingress: Ingress::Poll };
    world.story.api.set_ingress(&world.story.project, &set).await.unwrap();
    let forge = world.story.local.forge();
    forge.rename_repository(REPOSITORY, "acme/renamed", "pullyard-bot").await.unwrap();
    world.story.pass(Duration::from_secs(61)).await;
    world.story.quiet().await;
    let known = world.story.api.repositories(&world.story.project).await.unwrap().repositories;
    assert_eq!((known.len(), known[0].name.as_str(), known[0].id), (1, "acme/renamed", world.repository));
    assert_eq!(known[0].clone_url, format!("{}/acme/renamed.git", forge.url()));
    let listed = world.story.api.ingresses(&world.story.project).await.unwrap().repositories;
    assert_eq!((listed[0].ingress, listed[0].problem.clone()), (Ingress::Poll, None));
    world.story.end().await;
}

/// A forge that takes so long for a pull request that a round has time for one, and knows none of them.
async fn slow_forge(clock: Clock, asked: Arc<Mutex<Vec<String>>>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = async move |request: axum::extract::Request| {
        let last = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        // The list of those that are open, of which it knows none either, takes none of a round's time.
        if last != "pulls" {
            clock.advance(Duration::from_secs(20));
            asked.lock().unwrap().push(last);
        }
        (axum::http::StatusCode::NOT_FOUND, r#"{"message":"Not Found"}"#)
    };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_at_a_slow_forge_goes_on_where_its_time_was_over() {
    let world = World::make().await;
    let (story, store) = (&world.story, world.story.store().await);
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let slow = IntegrationId::new("slow").unwrap();
    let known = store.integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let api_url = slow_forge(story.clock.clone(), asked.clone()).await;
    store.put_integration(&Integration { id: slow.clone(), api_url, ..known.clone() }).await.unwrap();
    let here = store.repository(&story.project, &known.id, world.repository).await.unwrap().unwrap();
    let name = RepositoryName::new("acme/slow").unwrap();
    let there = Repository { integration: slow.clone(), id: 77, name: name.clone(), ..here };
    store.put_repository(&there).await.unwrap();
    for number in 1..=3 {
        let id = PullRequestId { integration: slow.clone(), repository: 77, number };
        let linked = PullRequest::linked(id, story.project.clone(), None, None);
        assert_eq!(store.update_pull_request(&linked).await.unwrap(), Write::Applied);
    }
    story.api.set_ingress(&story.project, &SetIngress { repository: name, ingress: Ingress::Poll }).await.unwrap();
    for round in 1..=4 {
        story.pass(Duration::from_secs(61)).await;
        story.quiet().await;
        let seen = asked.lock().unwrap().clone();
        assert_eq!(seen.len(), round, "each round has time for one, and writes down that it was compared: {seen:?}");
    }
    assert_eq!(*asked.lock().unwrap(), ["1", "2", "3", "1"], "each in its turn, and then the first again");
    world.story.end().await;
}
