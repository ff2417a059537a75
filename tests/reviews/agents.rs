//! Tests which agent works on a revision, and in which repository; the test acts as the runner.

use super::desk::{Begin, Desk};
use crate::story::{Task, failed};
use pullyard_domain::agent::Agent;
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::job::JobKind;
use pullyard_domain::project::Repository;
use pullyard_protocol::client::AttemptClient;
use pullyard_store::Write;

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

#[tokio::test(flavor = "multi_thread")]
async fn retried_revision_uses_the_repositorys_new_name_and_url() {
    let desk = Desk::begin(Begin { task: || Task::Waiting, ..Begin::default() }).await;
    desk.ask("Not yet.", &[]).await;
    let job = desk.revision().await;
    let (first, client) = desk.story.claim(&job.id, "c1").await.unwrap();
    client.finish(&failed("f1")).await.unwrap();
    desk.shown().await;
    let store = desk.story.store().await;
    let before = store.repositories(&desk.story.project).await.unwrap().remove(0);
    let (name, clone_url) = (RepositoryName::new("acme/shop").unwrap(), format!("{}-by-now", before.clone_url));
    let after = Repository { name, clone_url, ..before.clone() };
    assert_eq!(store.rename_repository(&before, &after).await.unwrap(), Write::Applied);
    let again = desk.story.api.retry_job(&job.id, None).await.unwrap().job.unwrap();
    let (second, _) = desk.story.claim(&again, "c2").await.unwrap();
    assert_eq!((first.repository.name, first.repository.clone_url), (before.name, before.clone_url));
    assert_eq!((second.repository.name, second.repository.clone_url), (after.name, after.clone_url));
    assert_eq!((second.kind, second.agent.capability), (JobKind::Revise, first.agent.capability));
    desk.end().await;
}
