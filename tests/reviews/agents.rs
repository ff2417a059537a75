//! Which agent works on a revision, and where. The test speaks as the runner.

use super::desk::{Begin, Desk};
use crate::story::{Task, failed};
use pullyard_domain::agent::Agent;
use pullyard_domain::id::{JobId, RepositoryName};
use pullyard_domain::job::Kind;
use pullyard_domain::project::Repository;
use pullyard_protocol::client::AttemptClient;
use pullyard_store::Write;

impl Desk {
    /// A runner claims the revision, and is told that Codex is to work on it with the model of the project.
    async fn claimed(&self, job: &JobId, claim: &str) -> AttemptClient {
        let (assignment, client) = self.story.claim(job, claim).await.unwrap();
        assert_eq!(assignment.kind, Kind::Revise);
        assert_eq!((assignment.agent.capability.as_str(), assignment.agent.model.as_deref()), ("codex", Some("gpt-5")));
        client
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_has_the_agent_that_its_project_chooses_and_its_retry_has_it_still() {
    let begin = Begin {
        task: || Task::Waiting,
        settings: |settings| {
            settings.agent = Some("codex".into());
            settings.model = Some("gpt-5".into());
        },
        ..Begin::default()
    };
    let desk = Desk::begin(begin).await;
    desk.story.connect(Agent::of_project()).await;
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
async fn the_retry_of_a_revision_works_where_its_repository_is_by_now() {
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
    assert_eq!((second.kind, second.agent.capability), (Kind::Revise, first.agent.capability));
    desk.end().await;
}
