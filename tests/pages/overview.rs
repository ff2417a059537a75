//! Tests the overview: "Needs you", the tiles, and the numbers of 30 days.

use super::Browser;
use super::job_pages::{Agent, HOSTILE, assert_harmless};
use crate::prelude::*;
use crate::webhooks::{World, signature};

async fn failed_job(story: &Story, key: &str) -> JobId {
    let job = story.create_job(&format!("event of {key}"), key, 1).await;
    let agent = Agent::start_executing(story, &job).await;
    agent.client.finish(&failed_finish("f1")).await.unwrap();
    story.wait_for_settled_ticket(key).await;
    job
}

async fn asking_job(story: &Story, key: &str, question: &str) -> JobId {
    let job = story.create_job(&format!("event of {key}"), key, 1).await;
    let agent = Agent::start_executing(story, &job).await;
    let yield_body = yield_request(Some(question), 0);
    agent.client.yield_job(&yield_body).await.unwrap();
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_lists_questions_failures_and_waiting_jobs() {
    let (story, browser) = Story::with_browser().await;
    assert!(browser.get("/").await.contains("No job yet"));
    let failed = failed_job(&story, "APP-1").await;
    let asking = asking_job(&story, "APP-2", &format!("Which **list**? {HOSTILE}")).await;
    let waiting = story.create_job("event of APP-3", "APP-3", 1).await;
    let page = browser.get("/?project=acme").await;
    assert_harmless(&page);
    assert!(page.contains("Question: “Which list? &#60;script&#62;"), "{}", page.body);
    assert!(page.contains(&format!(r#"href="/jobs/{asking}#text""#)), "{}", page.body);
    browser.get("/board").await.assert_contains(&[r#"<span class="cut">Which list? &#60;script&#62;"#]);
    let title = |job: &JobId| format!(r#"<a class="title" href="/jobs/{job}""#);
    assert!(page.contains(&title(&failed)) && page.contains(&title(&waiting)), "{}", page.body);
    assert!(page.contains("without changing a file") && page.contains("No changes"), "{}", page.body);
    assert!(page.contains("0 completed and 1 failed in 30 days"), "{}", page.body);

    let retried = browser.post(&format!("/jobs/{failed}/retry"), &[("form_key", "form-1")]).await;
    assert_eq!(retried.status, 303);
    let page = browser.get("/?project=acme").await;
    assert!(!page.contains(&title(&failed)), "a failure that is being retried needs nobody: {}", page.body);
    assert!(page.contains(&format!(r#"<a class="title" href="{}""#, retried.redirect().1)), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn job_that_fails_before_its_agent_works_is_shown() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    story.wait_for_settled_ticket("APP-1").await;
    assert_eq!(story.ticket("APP-1").await.last_job, None);
    browser.get("/").await.assert_contains(&["Needs you", &format!(r#"<a class="title" href="/jobs/{job}""#)]);
    let board = browser.get("/board").await;
    board.assert_contains(&["AI Failed", &format!(r#"href="/jobs/{job}""#), r#"<p class="why">"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_shows_pull_requests_and_spending() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    enter_phases(&client, Phase::Syncing).await;
    let mut finish = completed_finish("f1", 7);
    finish.spent_usd_micros = Some(1_250_000);
    client.finish(&finish).await.unwrap();
    let page = browser.get("/").await;
    assert!(page.contains(r#"href="https://forge.test/acme/app/pull/7""#) && page.contains("#7"), "{}", page.body);
    assert!(page.contains("1 completed and 0 failed in 30 days"), "{}", page.body);
    assert!(page.contains(r#"<span class="value">$1.25 <small>no limit</small>"#), "{}", page.body);
    assert!(page.contains(r#"<span class="value">1 <small>0 merged</small>"#), "{}", page.body);
    assert!(page.contains("No job runs or waits."), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_names_the_hold_and_failing_webhooks() {
    let world = World::new().await;
    let story = &world.story;
    let browser = Browser::admin(story).await;
    world.install_by_hand("acme").await;
    let body = json!({}).to_string().into_bytes();
    let refused = world.send_as("acme", "star", "g", &signature("another", &body), body).await;
    assert_eq!(refused.0, 401);
    let form = [("project", "acme"), ("reason", "a <b>freeze</b>")];
    assert_eq!(browser.post("/hold", &form).await.status, 303);
    let page = browser.get("/").await;
    assert!(page.contains("Acme is on hold") && page.contains(": a &#60;b&#62;freeze&#60;/b&#62;."), "{}", page.body);
    assert!(page.contains(r#"action="/release""#), "{}", page.body);
    assert!(page.contains("webhook acme") && page.contains("signatures were wrong"), "{}", page.body);
    let reader = Browser::with(story, &[Scope::Read], None).await;
    let page = reader.get("/").await;
    assert!(page.contains("Acme is on hold") && !page.contains("/release"), "{}", page.body);
    assert!(!page.contains("webhook acme") && !page.contains("New ticket"), "{}", page.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn overview_without_a_project_opens_the_first_run() {
    let story = Story::start_with_waiting_tasks().await;
    let browser = Browser::with(&story, &[Scope::Read], Some(&["other"])).await;
    assert_eq!(browser.get("/").await.redirect(), (303, "/setup/start"));
    assert_eq!(browser.get("/?project=acme").await.status, 403);
}
