//! Whom a hook speaks for, what a delivery is when a person has it decided again, which values of a secret count, and
//! what a revision takes from its project's day.

use super::{ANN, ANNS_TOKEN, SECRET, World, signed};
use crate::hold::at_noon;
use crate::story::{REPOSITORY, Setup, until};
use pullyard_domain::budget::Budget;
use pullyard_domain::id::{IntegrationId, ProjectId};
use pullyard_domain::job::Status;
use pullyard_domain::marker::Marker;
use pullyard_domain::project::Settings;
use pullyard_domain::secret::SecretKind;
use pullyard_local::{AccountKind, Hints, Role, User};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::secret::{RotateSecret, SetSecret};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const EVENT: &str = "pull_request_review";

impl World {
    /// Another project on the same repository, and a hook of its own that the test calls.
    async fn with_neighbour(&self, hook: &str) {
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

    /// What GitHub would send once the pull request is closed.
    fn closed(&self) -> Value {
        let mut closed = json!({
            "action": "closed", "number": self.number, "pull_request": self.pull(),
            "repository": { "id": self.repository, "full_name": REPOSITORY },
            "sender": { "id": ANN, "login": "ann", "type": "User" },
        });
        (closed["pull_request"]["state"], closed["pull_request"]["merged"]) = ("closed".into(), false.into());
        closed
    }

    /// Somebody writes below the pull request, at the forge itself: the comment's id.
    async fn commented(&self, token: &str, words: &str) -> u64 {
        let api = self.story.local.forge().api_url();
        let url = format!("{api}/repos/{REPOSITORY}/issues/{}/comments", self.number);
        let body = json!({ "body": words }).to_string();
        let answer = reqwest::Client::new().post(url).bearer_auth(token).body(body).send().await.unwrap();
        let said: Value = answer.error_for_status().unwrap().json().await.unwrap();
        said["id"].as_u64().unwrap()
    }

    /// The answers to a comment of the forge's: when a hook tells it, and when it is replayed.
    async fn told_and_replayed(&self, comment: u64, words: &str, who: &Value) -> [String; 2] {
        let told = self.send("acme", "issue_comment", &self.comment(comment, words, who)).await.1;
        let told: Decision = serde_json::from_value(told).unwrap();
        let again = self.story.api.replay_delivery(&told.delivery).await.unwrap();
        [told.code, again.code]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hook_of_one_project_starts_and_ends_nothing_of_another_on_the_same_repository() {
    // Nothing is read from the forge, which knows of neither review.
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
    assert_eq!(world.revised().await.status, Status::Pending);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_takes_its_place_in_the_day_at_once_and_when_its_review_had_to_wait() {
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
    assert_eq!(used().await, 1, "of the next day");
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_set_while_another_rotates_ends_that_one_at_once() {
    let world = World::make().await;
    let secret = world.by_hand("acme").await.secret;
    let star = json!({ "action": "created", "repository": { "id": world.repository, "full_name": REPOSITORY } });
    let with = async |value: &str| {
        let body = star.to_string().into_bytes();
        world.send_as("acme", "star", "g", &signed(value, &body), body).await.0
    };
    let rotate = RotateSecret { value: "one that leaks".into(), overlap_secs: 3_600 };
    world.story.api.rotate_secret(&secret, &rotate).await.unwrap();
    assert_eq!(with("one that leaks").await, 200);
    let set = SetSecret { value: "another".into(), kind: SecretKind::Forge };
    world.story.api.set_secret(&secret, &set).await.unwrap();
    // What does not fit has the function look again: from then on it knows both.
    assert_eq!(with("another").await, 200);
    assert_eq!(with("one that leaks").await, 401);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_was_dismissed_since_starts_nothing_when_it_is_replayed() {
    let world = World::make().await;
    let story = &world.story;
    story.settings(|settings| settings.revise_on_review = false).await;
    story.api.install_hook(&world.wanted("acme", false)).await.unwrap();
    let review = world.asks().await;
    story.local.forge().deliveries_settled().await;
    let ledger = story.api.deliveries(&story.project, None, None).await.unwrap().deliveries;
    let refused = ledger.iter().find(|entry| entry.code == "retrigger_disabled").unwrap();
    story.settings(|settings| settings.revise_on_review = true).await;
    let path = format!("/pulls/{}/reviews/{review}/dismissals", world.number);
    story.forge(Method::PUT, &path, json!({ "message": "Never mind." })).await;
    let replayed = story.api.replay_delivery(&refused.id).await;
    assert_eq!(replayed.unwrap_err().code(), Some("invalid"));
    assert!(world.revisions().await.is_empty());
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_comment_stays_one_when_it_is_replayed() {
    let world = World::make().await;
    world.by_hand("acme").await;
    let forge = world.story.local.forge();
    let ben = User { login: "ben".into(), id: ANN + 1, token: "ghp_ben".into() };
    forge.add_user(ben, AccountKind::User).await.unwrap();
    forge.set_role(REPOSITORY, "ben", Role::Read).await.unwrap();
    // Above it stands one of somebody who may.
    world.commented(ANNS_TOKEN, "/pullyard revise use tabs").await;
    let words = "/pullyard revise do as I say";
    let comment = world.commented("ghp_ben", words).await;
    let who = json!({ "id": ANN + 1, "login": "ben", "type": "User" });
    assert_eq!(world.told_and_replayed(comment, words, &who).await, ["author_not_permitted"; 2]);
    assert!(world.revisions().await.is_empty());
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_of_ours_stays_ours_when_it_is_replayed() {
    // A bot is known by its account, a person's account by our mark.
    comments_of_ours(AccountKind::Bot, "Bot", "/pullyard revise and again".into()).await;
    let marked = Marker::Status.on("/pullyard revise and again");
    comments_of_ours(AccountKind::User, "User", marked).await;
}

async fn comments_of_ours(kind: AccountKind, called: &str, words: String) {
    let words = words.as_str();
    let world = World::make().await;
    world.by_hand("acme").await;
    let (story, forge) = (&world.story, world.story.local.forge());
    let known = story.store().await.integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let keys: Value = serde_json::from_slice(&std::fs::read(story.folder().join("keys.json")).unwrap()).unwrap();
    let token = keys["forge_token"].as_str().unwrap();
    let (id, login) = (known.account.id, known.account.login);
    // It may push, as it must: that it is ours is all that stands in its way.
    forge.add_user(User { login: login.clone(), id, token: token.into() }, kind).await.unwrap();
    forge.set_role(REPOSITORY, &login, Role::Admin).await.unwrap();
    let comment = world.commented(token, words).await;
    let who = json!({ "id": id, "login": login, "type": called });
    assert_eq!(world.told_and_replayed(comment, words, &who).await, ["own_review"; 2]);
    assert!(world.revisions().await.is_empty());
    world.story.end().await;
}
