//! Tests the operations page: paused model accounts and dead letters.

use super::Browser;
use crate::dead_letters::send_message;
use crate::prelude::*;
use pullyard_domain::breaker::{AttemptRef, Breaker, BreakerCause};

#[tokio::test(flavor = "multi_thread")]
async fn operations_page_resumes_accounts_and_moves_dead_letters() {
    let (story, job) = Story::with_job().await;
    let browser = Browser::admin(&story).await;
    browser.get("/setup/operations").await.assert_contains(&["No model account is paused.", "queue is empty."]);

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
    assert!(page.contains("No model account is paused."), "{}", page.body);
    let deleted = browser.post("/setup/operations/delete", &[("message", &first)]).await;
    assert_eq!(deleted.redirect(), (303, "/setup/operations?deleted=1&left=0"));
    assert_eq!(browser.post("/setup/operations/delete", &[("x", "y")]).await.status, 422);

    for (scopes, projects) in [(&[Scope::Read, Scope::Jobs][..], None), (&[Scope::Admin], Some(&["acme"][..]))] {
        let other = Browser::with(&story, scopes, projects).await;
        assert_eq!(other.get("/setup/operations").await.status, 403);
        assert_eq!(other.post("/setup/operations/delete", &[("message", &second)]).await.status, 403);
    }
}
