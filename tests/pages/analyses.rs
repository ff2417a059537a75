//! Tests the pages of analyses whose agent is a file of the repository.

use super::Browser;
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn analysis_without_an_agent_has_a_sentence_for_a_button() {
    let (story, browser) = Story::with_browser().await;
    let items = format!("/analyses/items?project=acme&repository={}", REPOSITORY.replace('/', "%2F"));
    let sentence = "An analysis has no checkout, so it cannot run worker.py of acme/app: name an installed program, or \
                    another agent.";
    let link = "/setup/repositories/add?project=acme&#38;repository=acme%2Fapp";
    story.set_agent_command(&["python3", "worker.py"]).await;
    let worker = Browser::with(&story, &[Scope::Read, Scope::Jobs], None).await;
    for path in ["/analyses?project=acme", &items] {
        let page = browser.get(path).await;
        page.assert_contains(&[sentence, link]);
        assert!(!page.contains("action=\"/analyses\""), "{path}: {}", page.body);
        // Only an administrator can change the agent.
        let page = worker.get(path).await;
        page.assert_contains(&[sentence]);
        assert!(!page.contains("Change its agent"), "{path}: {}", page.body);
    }
    let edit = browser.get(&link.replace("&#38;", "&")).await;
    edit.assert_contains(&["worker.py</textarea>"]);

    // A page that was loaded before the agent was changed.
    let form = [("project", "acme"), ("repository", REPOSITORY), ("form_key", "page-1")];
    let refused = browser.post("/analyses", &form).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    refused.assert_contains(&["an analysis has no checkout"]);
    assert!(story.jobs().await.is_empty());

    story.set_agent_command(&["python3", "/opt/worker.py"]).await;
    browser.get("/analyses?project=acme").await.assert_contains(&[">Analyse<", "action=\"/analyses\""]);
}
