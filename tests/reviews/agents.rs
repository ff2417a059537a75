//! Tests which agent works on a revision; the test acts as the runner.

use super::desk::{Begin, Desk};
use crate::story::{Task, failed};
use pullyard_domain::agent::Agent;
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobKind;
use pullyard_protocol::client::AttemptClient;

impl Desk {
    /// Claims the revision and verifies that its assignment names Codex and the project's model.
    async fn claimed(&self, job: &JobId, claim: &str) -> AttemptClient {
        let (assignment, client) = self.story.claim(job, claim).await.unwrap();
        assert_eq!(assignment.kind, JobKind::Revise);
        assert_eq!((assignment.agent.capability.as_str(), assignment.agent.model.as_deref()), ("codex", Some("gpt-5")));
        client
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_uses_the_projects_agent_and_its_retry_keeps_it() {
    let begin = Begin {
        task: || Task::Waiting,
        settings: |settings| {
            settings.agent = Some("codex".into());
            settings.model = Some("gpt-5".into());
        },
        ..Begin::default()
    };
    let desk = Desk::begin(begin).await;
    desk.story.connect(Agent::project_default()).await;
    desk.ask("Not yet.", &[]).await;
    let job = desk.revision().await;
    let client = desk.claimed(&job.id, "c1").await;
    client.finish(&failed("f1")).await.unwrap();
    desk.shown().await;
    desk.story
        .settings(|settings| {
            settings.agent = Some("claude_code".into());
            settings.model = None;
        })
        .await;
    let again = desk.story.api.retry_job(&job.id, None).await.unwrap().job.unwrap();
    desk.claimed(&again, "c2").await;
    desk.end().await;
}
