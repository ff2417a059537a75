//! Tests of the hooks of two projects on one repository.

use super::{ANN, SECRET, World};
use crate::story::{REPOSITORY, Setup};
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Settings;
use pullyard_domain::secret::SecretKind;
use pullyard_local::HintDelivery;
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::secret::SetSecret;
use serde_json::{Value, json};

const EVENT: &str = "pull_request_review";

impl World {
    /// Another project on the same repository, with its own hook.
    pub(crate) async fn add_second_project(&self, hook: &str) {
        let other = ProjectId::new("other").unwrap();
        let settings = Settings { revise_on_review: true, ..Settings::default() };
        let create = CreateProject { id: other.clone(), name: "Other".into(), settings };
        self.story.api.create_project(&create).await.unwrap();
        let add = json!({
            "integration": "gh1", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        self.story.api.add_repository(&other, &serde_json::from_value(add).unwrap()).await.unwrap();
        let wanted = InstallHook { project: other, ..self.install_request(hook, true) };
        let made = self.story.api.install_hook(&wanted).await.unwrap();
        let set = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&made.secret, &set).await.unwrap();
    }

    /// GitHub's webhook body for the closed pull request.
    fn closed_event(&self) -> Value {
        let mut closed = json!({
            "action": "closed", "number": self.number, "pull_request": self.load_pull_request(),
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
    let world = World::with_setup(Setup { hints: HintDelivery::Drop, ..Setup::default() }).await;
    world.install_by_hand("acme").await;
    world.add_second_project("other").await;
    let said = world.send("other", EVENT, &world.review(80, "submitted", "changes_requested")).await.1;
    assert_eq!(said["code"], "no_linked_ticket", "{said}");
    assert!(world.revisions().await.is_empty());

    let said = world.send("acme", EVENT, &world.review(81, "submitted", "changes_requested")).await.1;
    assert_eq!(said["code"], "accepted", "{said}");
    let said = world.send("other", "pull_request", &world.closed_event()).await.1;
    assert_eq!(said["code"], "event_ignored", "{said}");
    assert_eq!(world.wait_for_revision().await.status, JobStatus::Pending);
}
