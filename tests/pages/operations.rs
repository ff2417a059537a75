//! Tests the operations page: paused model accounts and dead letters.

use super::Browser;
use super::job_pages::Agent;
use crate::dead_letters::send_message;
use crate::prelude::*;
use pullyard_domain::agent::breaker::{AttemptRef, Breaker, BreakerCause};
use pullyard_local::Disk;

#[tokio::test(flavor = "multi_thread")]
async fn operations_page_resumes_accounts_and_moves_dead_letters() {
    let (story, job) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    let page = browser.get("/setup/operations?project=acme").await;
    page.assert_contains(&["none paused", "<dt>Dead letters</dt><dd>none", r#"href="/jobs?project=acme""#]);

    let now = story.clock.now();
    let breaker = Breaker {
        id: "project/acme/codex".parse().unwrap(),
        cause: BreakerCause::LimitReached,
        until: now.plus(Duration::from_secs(3_600)),
        times: 2,
        opened: now,
        by: AttemptRef { job: job.clone(), attempt: 1 },
        rev: 0,
    };
    assert_eq!(story.store().await.put_breaker(&breaker, None).await.unwrap(), Write::Applied);
    let first = send_message(&story, "dispatch-dead", "<b>poison</b>").await;
    let second = send_message(&story, "dispatch-dead", &json!({ "job": job }).to_string()).await;
    let page = browser.get("/setup/operations").await;
    page.assert_contains(&["project/acme/codex", "2 times in a row", "&#60;b&#62;poison", job.as_str()]);

    let resumed = browser.post("/setup/operations/resume", &[("account", "project/acme/codex")]).await;
    assert_eq!(resumed.redirect(), (303, "/setup/operations?resumed=project/acme/codex"));
    let requeued = browser.post("/setup/operations/requeue", &[("message", &first), ("message", &second)]).await;
    assert_eq!(requeued.redirect(), (303, "/setup/operations?requeued=1&left=1"), "{}", requeued.body);
    let page = browser.get(requeued.redirect().1).await;
    assert!(page.contains("Requeued 1 message. 1 message stayed: unreadable, or gone meanwhile."), "{}", page.body);
    assert!(page.contains("none paused") && page.contains(r#"id="letters""#), "{}", page.body);
    let deleted = browser.post("/setup/operations/delete", &[("message", &first)]).await;
    assert_eq!(deleted.redirect(), (303, "/setup/operations?deleted=1&left=0"));
    assert_eq!(browser.post("/setup/operations/delete", &[("x", "y")]).await.status, 422);

    for (scopes, projects) in [(&[Scope::Read, Scope::Jobs][..], None), (&[Scope::Admin], Some(&["acme"][..]))] {
        let other = Browser::with(&story, scopes, projects).await;
        assert_eq!(other.get("/setup/operations").await.status, 403);
        assert_eq!(other.post("/setup/operations/delete", &[("message", &second)]).await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_page_shows_state_and_findings() {
    let story = Story::start_with(Setup { disk: Disk::new(|| Some(5 << 30)), ..Setup::default() }).await;
    let browser = Browser::admin(&story).await;
    let page = browser.get("/setup/operations?project=acme").await;
    let version = format!("<dt>Version</dt><dd>{}</dd>", env!("CARGO_PKG_VERSION"));
    page.assert_contains(&[&version, "<dd>5 GB free</dd>", "Checked: 1 project", "The sweeper has not run yet"]);
    assert!(!page.contains("<dt>Runners</dt>"), "{}", page.body);

    story.update_settings(|settings| (settings.compute, settings.auto_create) = (Compute::Runners, false)).await;
    let token = story.runner_token("t", None, None).await;
    story.register_runner(&token, "kite-2", "i1").await;
    story.local.sweep().await.unwrap();
    browser.get("/setup/operations?project=acme").await.assert_contains(&[
        "auto-create is off.",
        "<code>auto_create=true</code> in Settings",
        r#"href="/setup/settings?project=acme">Open settings"#,
        "Agents on the runner kite-2 have all rights",
        "<dt>Waiting jobs</dt><dd>0</dd>",
        "1 online, 0 of",
    ]);
    let user = User::of(&story);
    user.ok(&["runners", "drain", "kite-2"]).await;
    browser.get("/setup/operations?project=acme").await.assert_contains(&["kite-2 is draining", "Open runners"]);
    user.ok(&["hold", "--reason", "audit", "--project", "acme"]).await;
    browser.get("/setup/operations?project=acme").await.assert_contains(&["is on hold", "“Release” on the board"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_failure_links_its_job() {
    let (story, job) = Story::with_job().await;
    let agent = Agent::claim(&story, &job).await;
    agent.finish(json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "no_changes" } })).await;
    let page = Browser::admin(&story).await.get("/setup/operations?project=acme").await;
    page.assert_contains(&[&format!("Job {}, the newest ended one of acme, failed", job.short())]);
    page.assert_contains(&[&format!("href=\"/jobs/{job}\">Open job")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_items_hide_neither_operations_nor_secrets() {
    let (story, user) = Story::with_user().await;
    let browser = Browser::admin(&story).await;
    user.run_with(&["secrets", "set", "spare"], "planted").await.assert_success();
    send_message(&story, "dispatch-dead", "poison").await;
    let repository = story.store().await.list_repositories(&story.project).await.unwrap().remove(0);
    let key = format!("REPO#{}#{}", repository.integration, repository.id);
    for (pk, sk, attribute) in [
        ("PROJECT#acme", key.as_str(), "agent"),
        ("INTEGRATION#gh1", "INTEGRATION", "auth"),
        ("SWEEPER", "SWEEPER", "gauges"),
    ] {
        story.local.sweep().await.unwrap();
        story.break_item(pk, sk, attribute).await;
        browser.get("/setup/operations").await.assert_contains(&["poison", "Findings"]);
        assert_eq!(browser.get("/setup/secrets").await.status, 200, "{pk}");
    }
    browser.get("/setup/operations").await.assert_contains(&[
        "Data of acme cannot be read.",
        "The sweeper’s state cannot be read.",
        "After a rollback, upgrade again",
    ]);
    user.run(&["secrets", "delete", "spare", "--yes"]).await.assert_exit(1, "");
    assert!(user.ok(&["secrets"]).await.contains("spare"), "deleted although an integration may use it");
}
