//! Tests how a job's artifacts appear on an open page.

use super::Browser;
use super::job_pages::{Agent, text};
use crate::artifacts::store_artifact;
use crate::story::Story;
use pullyard_domain::artifact::ArtifactKind;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn open_job_page_shows_new_artifacts() {
    let story = Story::start_with_waiting_tasks().await;
    let browser = Browser::admin(&story).await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let mut agent = Agent::start_executing(&story, &job).await;
    let page = browser.get(&format!("/jobs/{job}")).await;
    assert!(page.contains("<div id=\"kept\"></div>"), "the place for artifacts is missing: {}", page.body);
    agent.send_events(&[text("one")]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.0")).await;
    assert!(
        fragment.contains("one") && !fragment.contains("id=\"kept\""),
        "an artifact is shown before it exists: {}",
        fragment.body
    );

    store_artifact(&agent.client, ArtifactKind::AgentOutput, "output-1.txt", b"all of it").await;
    agent.send_events(&[text("two")]).await;
    let fragment = browser.fragment(&format!("/jobs/{job}?after=1.1")).await;
    assert!(fragment.contains("<div id=\"kept\">") && fragment.contains("output-1.txt</a>"), "{}", fragment.body);
    let quiet = browser.fragment(&format!("/jobs/{job}?after=1.2")).await;
    assert!(!quiet.contains("id=\"kept\""), "artifacts were read again without events: {}", quiet.body);

    // The last fragment contains all artifacts, like the whole page.
    store_artifact(&agent.client, ArtifactKind::Patch, "changes.patch", b"+one").await;
    agent.finish(json!({ "finish_id": "f1", "outcome": "cancelled" })).await;
    let last = browser.fragment(&format!("/jobs/{job}?after=1.2")).await;
    for words in ["output-1.txt</a>", "changes.patch</a>", "Attempt 1: Cancelled after"] {
        assert!(last.contains(words), "{words}: {}", last.body);
    }
    assert_eq!(last.header("pullyard-next"), "0");
    let part =
        |body: &str| body.split("<div id=\"kept\">").nth(1).unwrap().split("</section>").next().unwrap().to_owned();
    assert_eq!(part(&last.body), part(&browser.get(&format!("/jobs/{job}")).await.body));
    story.shut_down().await;
}
