//! Tests the ownership of runner names: successive processes, tokens, and deleted runners.

use super::{register_request, updatable_request};
use crate::pages::Browser;
use crate::prelude::*;
use pullyard_protocol::client::RunnerClient;
use pullyard_protocol::runner::RegisterRequest;

#[tokio::test(flavor = "multi_thread")]
async fn second_process_is_refused_until_the_first_is_silent() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    story.create_job("e2", "APP-2", 2).await;
    let (lives, client) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    let (died, _) = story.claim_and_start(&kite, "c2", Phase::Executing).await;
    let mut second = register_request("kite", "i2");
    second.active = BTreeSet::from([lives.clone()]);
    let refused = story.try_register(&token, &second).await.err().unwrap();
    assert_eq!(refused.code(), Some("runner_live"));
    assert!(refused.to_string().contains("kite"), "{refused}");
    assert_eq!(story.register_runner(&token, "kite", "i1").await.id, kite.id);
    kite.heartbeat(&[&lives, &died]).await;
    story.clock.advance(Duration::from_secs(91));
    let new = story.try_register(&token, &second).await.unwrap();
    assert_eq!(new.id, kite.id);
    assert_eq!(kite.try_heartbeat(&[], false, false).await.err().unwrap().code(), Some("runner_replaced"));
    assert_eq!(kite.try_claim_job("c3").await.err().unwrap().code(), Some("runner_replaced"));
    story.local.sweep().await.unwrap();
    assert_eq!(story.wait_for_end(&died).await.failure.unwrap().code, "runner_crashed");
    client.credentials().await.unwrap();
    new.heartbeat(&[&lives]).await;
    story.pass_in_steps(60).await;
    assert_eq!(story.api.job(&lives).await.unwrap().status, JobStatus::Executing);
    new.try_heartbeat(&[&lives], true, true).await.unwrap();
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
    let mut third = register_request("kite", "i3");
    third.active = BTreeSet::from([lives.clone()]);
    story.try_register(&token, &third).await.unwrap();
    story.pass_in_steps(60).await;
    assert_eq!(story.api.job(&lives).await.unwrap().status, JobStatus::Executing);
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_names_belong_to_one_token_and_are_validated() {
    let story = Story::with_runners().await;
    let (one, two) = (story.runner_token("one", None, None).await, story.runner_token("two", None, Some("gull")).await);
    story.register_runner(&one, "kite", "i1").await;
    let bound = story.try_register(&two, &register_request("kite", "i1")).await.err().unwrap();
    assert_eq!(bound.code(), Some("not_allowed"));
    story.register_runner(&two, "gull", "i1").await;
    let taken = story.try_register(&one, &register_request("gull", "i2")).await.err().unwrap();
    assert_eq!(taken.code(), Some("name_taken"));
    for (bad, code) in [("", "body_unreadable"), ("a b", "invalid"), ("a/b", "invalid")] {
        assert_eq!(
            story.try_register(&one, &register_request(bad, "i1")).await.err().unwrap().code(),
            Some(code),
            "{bad}"
        );
    }
    let none = RegisterRequest { capabilities: BTreeSet::new(), ..register_request("new", "i1") };
    assert_eq!(story.try_register(&one, &none).await.err().unwrap().code(), Some("invalid"));
    for slots in [0, 13] {
        let many = RegisterRequest { slots, ..register_request("new", "i1") };
        assert_eq!(story.try_register(&one, &many).await.err().unwrap().code(), Some("invalid"));
    }
    let listed = story.api.runners(None).await.unwrap().runners;
    assert_eq!(listed.iter().map(|runner| runner.name.as_str()).collect::<Vec<_>>(), ["gull", "kite"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_of_a_name_registers_nothing_and_spares_sleepers() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, Some("kite")).await;
    let client = RunnerClient::new(story.local.api_url(), &token).unwrap();
    let check = async |name: &str, instance: &str| {
        let request = RegisterRequest { check_only: true, ..register_request(name, instance) };
        client.register(&request).await.map_err(|error| error.code().unwrap_or_default().to_owned())
    };
    assert_eq!(check("kite", "i1").await.unwrap().mailbox, None);
    assert!(story.api.runners(None).await.unwrap().runners.is_empty());
    assert_eq!(check("gull", "i1").await.unwrap_err(), "not_allowed");
    let kite = story.register_runner(&token, "kite", "i1").await;
    assert_eq!(check("kite", "i2").await.unwrap_err(), "runner_live");
    kite.try_heartbeat(&[], true, true).await.unwrap();
    assert_eq!((check("kite", "i2").await.unwrap_err(), check("kite", "i1").await.is_ok()), ("name_used".into(), true));
    story.assert_runner_status("kite", RunnerStatus::Offline).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn version_names_the_oldest_runner() {
    let (story, kite) = Story::with_one_runner().await;
    let token = story.runner_token("old", None, None).await;
    let crow = story.try_register(&token, &updatable_request("crow", "0.0.9")).await.unwrap();
    kite.heartbeat(&[]).await;
    crow.heartbeat(&[]).await;
    let user = User::of(&story);
    assert_eq!(user.json(&["version"]).await["oldest_runner"], json!({ "name": "crow", "version": "0.0.9" }));
    let version = user.ok(&["version"]).await;
    assert!(version.ends_with("\nrunner\t0.0.9\n"), "{version}");
    story.clock.advance(Duration::from_secs(91));
    kite.heartbeat(&[]).await;
    assert_eq!(user.json(&["version"]).await["oldest_runner"]["name"], "kite", "crow is Offline");
    // Versions need no token.
    let version = User::with(&story, "").ok(&["version"]).await;
    assert!(version.contains("\nserver\t") && !version.contains("runner"), "{version}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runners_are_listed_in_pages() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    for number in 0..51 {
        story.register_runner(&token, &format!("kite-{number:03}"), "i1").await;
    }
    let browser = Browser::admin(&story).await;
    let page = browser.get("/setup/runners").await;
    assert_eq!(page.body.matches("class=\"title\"").count(), 50);
    page.assert_contains(&["51 of 51 online", "href=\"/setup/runners?after=kite-049&amp;project=acme\">More runners"]);
    let last = "/setup/runners?after=kite-049&project=acme";
    let first_page = "href=\"/setup/runners?project=acme\">First page";
    browser.get(last).await.assert_contains(&["51 of 51 online", "kite-050", first_page]);
    story.api.remove_runner("kite-050").await.unwrap();
    let empty = browser.get(last).await;
    empty.assert_contains(&["No more runners", first_page]);
    assert!(!empty.contains("No runner yet"), "{}", empty.body);

    // The API has longer pages, because each one reads all runners.
    for number in 50..501 {
        story.register_runner(&token, &format!("kite-{number:03}"), "i1").await;
    }
    let first = story.api.runners(None).await.unwrap();
    assert_eq!((first.runners.len(), first.next.as_deref()), (500, Some("kite-499")));
    let last = story.api.runners(first.next.as_deref()).await.unwrap();
    assert_eq!((last.runners.len(), last.runners[0].name.as_str(), last.next), (1, "kite-500", None));
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_that_cannot_be_parsed_does_not_hide_others() {
    let (story, _kite) = Story::with_one_runner().await;
    let broken = json!({ "pk": { "S": "RUNNERS#0" }, "sk": { "S": "broken" } });
    story.call_dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": broken })).await;
    let listed = story.api.runners(None).await.unwrap().runners;
    assert_eq!(listed.iter().map(|runner| runner.name.as_str()).collect::<Vec<_>>(), ["kite"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_token_stops_its_runner_and_fails_its_jobs() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, client) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    story.revoke_token(&token).await;
    assert_eq!(kite.try_heartbeat(&[&job], false, false).await.err().unwrap().code(), Some("not_signed_in"));
    assert_eq!(client.credentials().await.err().unwrap().code(), Some("lease_lost"));
    let pushing = client.status(&StatusRequest { status: Phase::Syncing, inputs: None, waits_for: None }).await;
    assert_eq!(pushing.err().unwrap().code(), Some("lease_lost"));
    story.local.sweep().await.unwrap();
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert_eq!(failure.code, "runner_removed");
    assert!(failure.sentence.contains("revoked"), "{}", failure.sentence);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_runner_loses_its_jobs_and_then_its_name() {
    let story = Story::with_runners().await;
    let token = story.runner_token("t", None, None).await;
    let kite = story.register_runner(&token, "kite", "i1").await;
    story.local.sweep().await.unwrap();
    story.create_job("e1", "APP-1", 1).await;
    let (job, _) = story.claim_and_start(&kite, "c1", Phase::Executing).await;
    assert!(!story.api.remove_runner("kite").await.unwrap().gone);
    story.assert_runner_status("kite", RunnerStatus::Deleting).await;
    assert_eq!(kite.try_heartbeat(&[&job], false, false).await.err().unwrap().code(), Some("runner_deleting"));
    assert_eq!(kite.try_claim_job("c2").await.err().unwrap().code(), Some("runner_deleting"));
    let early = story.try_register(&token, &register_request("kite", "i2")).await.err().unwrap();
    assert_eq!(early.code(), Some("runner_deleting"));
    story.local.sweep().await.unwrap();
    assert_eq!(story.wait_for_end(&job).await.failure.unwrap().code, "runner_removed");
    assert_eq!(story.api.runner("kite").await.err().unwrap().code(), Some("not_found"));
    assert_eq!(
        kite.try_heartbeat(&[], false, false).await.err().unwrap().code(),
        Some("not_found"),
        "the runner stays deleted"
    );
    let other = story.runner_token("other", None, None).await;
    story.register_runner(&other, "kite", "i1").await;
    assert!(story.api.remove_runner("kite").await.unwrap().gone);
    assert!(story.api.runners(None).await.unwrap().runners.is_empty());
}
