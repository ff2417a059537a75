//! Tests of the hooks of two projects on one repository, and of a project's daily budget.

use super::{ANN, SECRET, World};
use crate::hold::at_noon;
use crate::story::{REPOSITORY, Setup, until};
use pullyard_domain::budget::Budget;
use pullyard_domain::id::{IntegrationId, ProjectId, ReviewId};
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Settings;
use pullyard_domain::pull_request::PullRequestId;
use pullyard_domain::secret::SecretKind;
use pullyard_local::Hints;
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::secret::SetSecret;
use serde_json::{Value, json};
use std::time::Duration;

const EVENT: &str = "pull_request_review";

impl World {
    /// Another project on the same repository, with its own hook.
    pub(crate) async fn with_neighbour(&self, hook: &str) {
        let other = ProjectId::new("other").unwrap();
        let settings = Settings { revise_on_review: true, ..Settings::default() };
        let create = CreateProject { id: other.clone(), name: "Other".into(), settings };
        self.story.api.create_project(&create).await.unwrap();
        let add = json!({
            "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        self.story.api.add_repository(&other, &serde_json::from_value(add).unwrap()).await.unwrap();
        let wanted = InstallHook { project: other, ..self.wanted(hook, true) };
        let made = self.story.api.install_hook(&wanted).await.unwrap();
        let set = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&made.secret, &set).await.unwrap();
    }

    /// GitHub's webhook body for the closed pull request.
    fn closed(&self) -> Value {
        let mut closed = json!({
            "action": "closed", "number": self.number, "pull_request": self.pull(),
            "repository": { "id": self.repository, "full_name": REPOSITORY },
            "sender": { "id": ANN, "login": "ann", "type": "User" },
        });
        (closed["pull_request"]["state"], closed["pull_request"]["merged"]) = ("closed".into(), false.into());
        closed
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hook_of_one_project_does_not_affect_another_project() {
    // Without hints the forge, which has neither review, is not read.
    let world = World::of(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    world.by_hand("acme").await;
    world.with_neighbour("other").await;
    let said = world.send("other", EVENT, &world.review(80, "submitted", "changes_requested")).await.1;
    assert_eq!(said["code"], "no_linked_ticket", "{said}");
    assert!(world.revisions().await.is_empty());

    let said = world.send("acme", EVENT, &world.review(81, "submitted", "changes_requested")).await.1;
    assert_eq!(said["code"], "accepted", "{said}");
    let said = world.send("other", "pull_request", &world.closed()).await.1;
    assert_eq!(said["code"], "event_ignored", "{said}");
    assert_eq!(world.revised().await.status, JobStatus::Pending);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn edit_of_a_review_is_stored_only_by_its_projects_hook() {
    let world = World::of(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    world.by_hand("acme").await;
    world.with_neighbour("other").await;
    let said = world.send("acme", EVENT, &world.review(80, "submitted", "changes_requested")).await.1;
    assert_eq!(said["code"], "accepted", "{said}");
    let (store, integration) = (world.story.store().await, IntegrationId::new("gh1").unwrap());
    let id = PullRequestId { integration, repository: world.repository, number: world.number };
    for (hook, is_noted) in [("other", false), ("acme", true)] {
        let said = world.send(hook, EVENT, &world.review(80, "edited", "changes_requested")).await.1;
        assert_eq!(said["code"], "edited_review", "{said}");
        let review = store.review(&id, &ReviewId::new("80").unwrap()).await.unwrap().unwrap();
        assert_eq!(review.edited, is_noted, "{hook}");
    }
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_counts_in_the_budget_of_the_day_it_starts() {
    let setup = Setup { hints: Hints::AreLost, ..Setup::default() };
    let budget = Budget { jobs_per_day: Some(1), ..Budget::default() };
    let settings = Settings { budget, ..setup.settings };
    let world = World::of(Setup { settings, ..setup }).await;
    let world = World { story: at_noon(world.story), ..world };
    world.by_hand("acme").await;
    let story = &world.story;
    let used = async || story.api.budget(&story.project).await.unwrap().jobs;
    let said = world.send("acme", EVENT, &world.review(80, "submitted", "changes_requested")).await.1;
    assert_eq!((said["code"].as_str(), used().await), (Some("accepted"), 1), "{said}");

    let other = world.number + 1;
    world.link(other, "APP-2", "feature", &"b".repeat(40)).await;
    let mut second = world.review(81, "submitted", "changes_requested");
    second["pull_request"]["number"] = json!(other);
    let said = world.send("acme", EVENT, &second).await.1;
    assert_eq!(said["code"], "budget_exhausted", "{said}");
    assert_eq!(world.revisions().await.len(), 1);
    story.pass(Duration::from_secs(24 * 3_600)).await;
    until("the review that waited gets its job", async || {
        let jobs = world.revisions().await.len();
        if jobs == 2 { Ok(()) } else { Err(format!("{jobs} jobs")) }
    })
    .await;
    assert_eq!(used().await, 1, "counted on the next day");
    world.story.end().await;
}
