//! Tests how a job's artifacts appear on an open page.

use super::job_pages::{Agent, text};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn job_page_lists_artifacts_and_counts_new_ones() {
    let (story, browser) = Story::with_browser().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::start_executing(&story, &job).await;
    let tab = format!("/jobs/{job}/artifacts");
    assert!(browser.get(&tab).await.contains("No attempt has stored an artifact."));
    agent.send_events(&[text("one")]).await;
    let quiet = browser.fragment(&format!("/jobs/{job}?after=1.0")).await;
    assert!(quiet.contains("one") && !quiet.contains("id=\"kept\""), "the tabs are read without need: {}", quiet.body);

    store_artifact(&agent.client, ArtifactKind::CheckOutput, "check-1.txt", b"all of it").await;
    agent.send_events(&[json!({ "kind": "phase", "name": "checking" })]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.1")).await;
    assert!(fragment.contains("<div id=\"kept\">"), "{}", fragment.body);
    assert!(fragment.contains("Artifacts<span class=\"n\">1</span>"), "{}", fragment.body);

    // The last fragment contains the same tabs as the whole page.
    store_artifact(&agent.client, ArtifactKind::Patch, "changes.patch", b"+one").await;
    agent.finish(json!({ "finish_id": "f1", "outcome": "cancelled" })).await;
    let last = browser.fragment(&format!("/jobs/{job}?after=1.2")).await;
    assert_eq!(last.header("pullyard-next"), "0");
    let tabs =
        |body: &str| body.split("<ol class=\"phases\"").nth(1).unwrap().split("</nav>").next().unwrap().to_owned();
    let page = browser.get(&format!("/jobs/{job}/log")).await;
    assert_eq!(tabs(&last.body), tabs(&page.body));
    assert!(tabs(&page.body).contains("Artifacts<span class=\"n\">2</span>"), "{}", page.body);
    let page = browser.get(&tab).await;
    page.assert_contains(&["check-1.txt</a>", "changes.patch</a>", "Patch", "4 B, attempt 1"]);
    assert!(browser.get(&format!("/jobs/{job}/attempts")).await.contains("Cancelled</span>"));
}
