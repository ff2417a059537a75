//! Tests which agent works on a revision; the test acts as the runner.

use super::world::{ReviewSetup, ReviewWorld};
use crate::prelude::*;

impl ReviewWorld {
    async fn claim_with_codex(&self, job: &JobId, claim: &str) -> AttemptClient {
        let (assignment, client) = self.story.claim(job, claim).await.unwrap();
        assert_eq!(assignment.kind, JobKind::Revise);
        assert_eq!((assignment.agent.capability.as_str(), assignment.agent.model.as_deref()), ("codex", Some("gpt-5")));
        client
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_uses_the_projects_agent_and_its_retry_keeps_it() {
    let begin = ReviewSetup {
        task: || Task::Waiting,
        settings: |settings| {
            settings.agent = Some("codex".into());
            settings.model = Some("gpt-5".into());
        },
        ..ReviewSetup::default()
    };
    let desk = ReviewWorld::start(begin).await;
    desk.story.connect_repository(Agent::project_default()).await;
    desk.request_changes("Not yet.", &[]).await;
    let job = desk.revision().await;
    let client = desk.claim_with_codex(&job.id, "c1").await;
    client.finish(&failed_finish("f1")).await.unwrap();
    desk.wait_for_synced_ticket().await;
    desk.story
        .update_settings(|settings| {
            settings.agent = Some("claude_code".into());
            settings.model = None;
        })
        .await;
    let again = desk.story.api.retry_job(&job.id, None).await.unwrap().job.unwrap();
    desk.claim_with_codex(&again, "c2").await;
    desk.end().await;
}
