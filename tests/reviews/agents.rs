//! Which agent works on a revision. The test speaks as the runner.

use super::desk::{Begin, Desk};
use crate::story::{REPOSITORY, Task};
use pullyard_domain::agent::Agent;
use pullyard_domain::checks::OwnCommands;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{FinishId, IntegrationId, JobId, RepositoryName};
use pullyard_domain::job::Kind;
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::project::AddRepository;

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
    let add = AddRepository {
        integration: IntegrationId::new("gh1").unwrap(),
        name: RepositoryName::new(REPOSITORY).unwrap(),
        agent: Agent::of_project(),
        workflows: false,
        commands: OwnCommands::default(),
    };
    desk.story.api.add_repository(&desk.story.project, &add).await.unwrap();
    desk.ask("Not yet.", &[]).await;
    let job = desk.revision().await;
    let client = desk.claimed(&job.id, "c1").await;
    let failed = FinishRequest {
        finish_id: FinishId::new("f1").unwrap(),
        outcome: FinishOutcome::Failed,
        failure: Some(Failure::NoChanges {}),
        result: None,
        spent_usd_micros: None,
        work: None,
    };
    client.finish(&failed).await.unwrap();
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
