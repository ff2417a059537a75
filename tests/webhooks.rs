//! Tests of webhooks from outside: signed bodies, hooks at the local forge, rotating secrets, and polling.

mod comparison;
mod install;
mod polling;
pub(crate) mod raises;
mod recovery;
mod replays;
mod secrets;

use crate::prelude::*;
use hmac::{Hmac, KeyInit as _, Mac as _};
use pullyard_local::User;
use pullyard_protocol::hook::{Hook, HookCheck};

pub(crate) const ANN: u64 = 9_007_199_254_740_997;
pub(crate) const ANNS_TOKEN: &str = "ghp_ann";
pub(crate) const SECRET: &str = "a secret of the hook";
pub(crate) const BRANCH: &str = "pullyard/acme/app-1-1";

fn hook_name(name: &str) -> HookName {
    HookName::new(name).unwrap()
}

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut code = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    code.update(body);
    let hex: String = code.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

pub(crate) struct World {
    pub(crate) story: Story,
    pub(crate) number: u64,
    pub(crate) repository: u64,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_setup(Setup::default()).await
    }

    pub(crate) async fn with_hook() -> Self {
        let world = Self::new().await;
        world.install_by_hand("acme").await;
        world
    }

    pub(crate) async fn with_setup(setup: Setup) -> Self {
        Self::with_prepared(setup, async |_| {}).await
    }

    pub(crate) async fn with_prepared(setup: Setup, prepare: impl AsyncFnOnce(&LocalSystem)) -> Self {
        let settings = Settings { revise_on_review: true, ..setup.settings };
        let story = Story::start_prepared(Setup { task: Task::Waiting, settings, ..setup }, prepare).await;
        let forge = story.local.forge();
        let ann = User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
        forge.add_user(ann, AccountKind::User).await.unwrap();
        forge.set_role(REPOSITORY, "ann", Role::Write).await.unwrap();
        forge.commit(REPOSITORY, BRANCH, "pullyard-bot", &[("change.txt", "one\n", false)]).await.unwrap();
        let body = json!({ "title": "APP-1", "head": BRANCH, "base": "main", "body": "" });
        let pull_request = story.call_forge(Method::POST, "/pulls", body).await;
        let number = pull_request["number"].as_u64().unwrap();
        let repository = pull_request["base"]["repo"]["id"].as_u64().unwrap();
        let world = Self { story, number, repository };
        world.link(number, "APP-1", BRANCH, pull_request["head"]["sha"].as_str().unwrap()).await;
        world
    }

    /// Adds Ben, who may only read the repository. Returns his account as a webhook names it.
    pub(crate) async fn add_reader(&self) -> Value {
        let forge = self.story.local.forge();
        let ben = User { login: "ben".into(), id: ANN + 1, token: "ghp_ben".into() };
        forge.add_user(ben, AccountKind::User).await.unwrap();
        forge.set_role(REPOSITORY, "ben", Role::Read).await.unwrap();
        json!({ "id": ANN + 1, "login": "ben", "type": "User" })
    }

    pub(crate) async fn link(&self, number: u64, ticket: &str, branch: &str, head: &str) {
        let integration = IntegrationId::new("gh1").unwrap();
        let id = PullRequestId { integration, repository: self.repository, number };
        self.story.link_pull_request(id, ticket, REPOSITORY, (branch, head)).await;
    }

    pub(crate) fn install_request(&self, hook: &str, by_hand: bool) -> InstallHook {
        InstallHook {
            name: hook_name(hook),
            integration: IntegrationId::new("gh1").unwrap(),
            project: self.story.project.clone(),
            repository: Some(RepositoryName::new(REPOSITORY).unwrap()),
            organisation: None,
            app: false,
            base_url: self.story.local.api_url().into(),
            by_hand,
            template: None,
        }
    }

    pub(crate) async fn install_by_hand(&self, hook: &str) -> Hook {
        let new_hook = self.story.api.install_hook(&self.install_request(hook, true)).await.unwrap();
        self.story
            .api
            .set_secret(&new_hook.secret, &SetSecret { value: SECRET.into(), kind: SecretKind::Forge })
            .await
            .unwrap();
        new_hook
    }

    pub(crate) fn review(&self, id: u64, action: &str, state: &str) -> Value {
        json!({
            "action": action,
            "review": {
                "id": id, "state": state, "body": "Not yet.", "commit_id": "a".repeat(40),
                "submitted_at": "2026-11-20T12:00:00Z", "html_url": "https://forge.example/r",
                "author_association": "MEMBER", "user": { "id": ANN, "login": "ann", "type": "User" },
            },
            "pull_request": self.load_pull_request(),
            "repository": { "id": self.repository, "full_name": REPOSITORY },
            "sender": { "id": ANN, "login": "ann", "type": "User" },
        })
    }

    pub(crate) fn comment(&self, id: u64, text: &str, user: &Value) -> Value {
        json!({
            "action": "created", "issue": { "number": self.number, "pull_request": {} },
            "comment": {
                "id": id, "body": text, "user": user, "created_at": "2026-11-20T12:00:00Z",
                "updated_at": "2026-11-20T12:00:00Z", "html_url": "https://forge.example/c",
            },
            "repository": { "id": self.repository, "full_name": REPOSITORY }, "sender": user,
        })
    }

    pub(crate) fn label(&self, name: &str, user: &Value) -> Value {
        json!({
            "action": "labeled", "number": self.number, "label": { "name": name },
            "pull_request": self.load_pull_request(), "repository": { "id": self.repository, "full_name": REPOSITORY },
            "sender": user,
        })
    }

    pub(crate) fn load_pull_request(&self) -> Value {
        json!({
            "number": self.number, "html_url": "https://forge.example/p", "state": "open", "draft": false,
            "title": "APP-1", "merged_at": null, "updated_at": "2026-11-20T12:00:00Z",
            "head": { "ref": BRANCH, "sha": "a".repeat(40), "repo": { "id": self.repository } },
            "base": { "ref": "main" }, "user": { "id": 1, "login": "pullyard-bot", "type": "User" },
        })
    }

    pub(crate) async fn send(&self, hook: &str, event: &str, body: &Value) -> (u16, Value) {
        self.send_as(hook, event, "guid-1", &signature(SECRET, body.to_string().as_bytes()), body.to_string().into())
            .await
    }

    pub(crate) async fn send_as(
        &self,
        hook: &str,
        event: &str,
        guid: &str,
        signature: &str,
        body: Vec<u8>,
    ) -> (u16, Value) {
        let mut headers =
            vec![("x-github-event", event), ("x-github-delivery", guid), ("content-type", "application/json")];
        if !signature.is_empty() {
            headers.push(("x-hub-signature-256", signature));
        }
        let (status, _, response) =
            self.story.request_with_headers(Method::POST, &format!("/webhooks/github/{hook}"), &headers, body).await;
        (status, response)
    }

    async fn request_changes(&self) -> u64 {
        let url = format!("{}/repos/{REPOSITORY}/pulls/{}/reviews", self.story.local.forge().api_url(), self.number);
        let body = json!({ "event": "REQUEST_CHANGES", "body": "Not yet." });
        let call = reqwest::Client::new().post(url).bearer_auth(ANNS_TOKEN).body(body.to_string());
        let answer = call.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{text}");
        serde_json::from_str::<Value>(&text).unwrap()["id"].as_u64().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_checked_in_the_published_order() {
    let world = World::with_hook().await;
    let review = world.review(80, "submitted", "changes_requested");
    let bytes = || review.to_string().into_bytes();
    let good = signature(SECRET, &bytes());
    let check = async |case: &str, (status, response): (u16, Value), expected: u16, code: &str| {
        let seen = response["code"].as_str().unwrap_or_default();
        assert_eq!((status, seen), (expected, code), "{case}: {response}");
    };
    let event = "pull_request_review";
    // 413 precedes every other check, including the lookup of the hook.
    let large = vec![b' '; 5 * 1024 * 1024 + 1];
    check("too large", world.send_as("nobody", event, "g", "", large).await, 413, "body_too_large").await;
    check("unknown", world.send_as("nobody", event, "g", &good, bytes()).await, 404, "not_found").await;
    check("no signature", world.send_as("acme", event, "g", "", b"{".to_vec()).await, 401, "signature_missing").await;
    check("malformed", world.send_as("acme", event, "g", "sha256=12", bytes()).await, 401, "signature_missing").await;
    check("wrong", world.send_as("acme", event, "g", &signature("x", &bytes()), bytes()).await, 401, "signature_wrong")
        .await;
    let garbage = [0xff, 0xfe, 0x00, 0x81];
    let sent = world.send_as("acme", event, "g", &signature(SECRET, &garbage), garbage.to_vec()).await;
    check("bytes that are no text", sent, 400, "body_unreadable").await;
    check(
        "another event's shape",
        world.send_as("acme", "issue_comment", "g", &good, bytes()).await,
        400,
        "body_unreadable",
    )
    .await;
    let ping = json!({ "zen": "Speak like a human.", "hook_id": 7, "hook": {} });
    let (status, response) = world.send("acme", "ping", &ping).await;
    assert_eq!((status, response), (200, json!({ "status": "pong" })));
    let star = json!({ "action": "created", "repository": { "id": world.repository, "full_name": REPOSITORY } });
    check("not ours", world.send("acme", "star", &star).await, 200, "event_ignored").await;
    check(
        "approved",
        world.send("acme", event, &world.review(79, "submitted", "approved")).await,
        200,
        "event_ignored",
    )
    .await;
    check(
        "edited",
        world.send("acme", event, &world.review(80, "edited", "changes_requested")).await,
        200,
        "edited_review",
    )
    .await;
    assert!(world.story.revisions().await.is_empty(), "none of these starts a job");
    let mut foreign = review.clone();
    foreign["repository"]["id"] = json!(world.repository + 1);
    let sent = world.send("acme", event, &foreign).await;
    check("another repository by this one's secret", sent, 200, "repository_not_integrated").await;
    check("the review", world.send("acme", event, &review).await, 200, "accepted").await;
    // Rejected deliveries are counted, with one entry for each reason.
    let ledger = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    let refused: Vec<_> = ledger.iter().filter(|entry| entry.code.starts_with("signature_")).collect();
    assert_eq!(refused.len(), 1, "at most one write a minute: {refused:?}");
    let hook = world.story.api.hook(&hook_name("acme")).await.unwrap();
    assert!(hook.verified_at.is_some() && hook.refused_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn repair_ends_the_report_of_a_wrong_secret() {
    let world = World::with_hook().await;
    let body = world.review(80, "submitted", "changes_requested").to_string().into_bytes();
    let sent = world.send_as("acme", "pull_request_review", "g", &signature("other", &body), body).await;
    assert_eq!(sent.0, 401, "{}", sent.1);
    let (api, name) = (&world.story.api, hook_name("acme"));
    let codes = |check: HookCheck| check.drifts.into_iter().map(|drift| drift.code).collect::<Vec<_>>();
    assert!(codes(api.verify_hook(&name).await.unwrap()).contains(&"secret".to_owned()));
    assert_eq!(codes(api.repair_hook(&name).await.unwrap()), [""; 0]);
    assert_eq!(codes(api.verify_hook(&name).await.unwrap()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn review_from_two_hooks_and_a_redelivery_starts_one_job() {
    let world = World::with_hook().await;
    world.install_by_hand("second").await;
    let body = world.review(80, "submitted", "changes_requested");
    let (first, second) = tokio::join!(
        world.send("acme", "pull_request_review", &body),
        world.send("second", "pull_request_review", &body),
    );
    let mut codes = [first, second].map(|(status, response)| {
        assert_eq!(status, 200, "{response}");
        response["code"].as_str().unwrap().to_owned()
    });
    codes.sort();
    assert_eq!(codes, ["accepted", "repeat"]);
    let bytes = body.to_string().into_bytes();
    let again = world.send_as("acme", "pull_request_review", "guid-2", &signature(SECRET, &bytes), bytes).await;
    assert_eq!((again.0, again.1["code"].as_str()), (200, Some("repeat")));
    assert_eq!(world.story.revisions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_or_label_of_a_user_with_push_starts_a_revision() {
    let world = World::with_hook().await;
    let user = json!({ "id": ANN, "login": "ann", "type": "User" });
    let response = world.send("acme", "issue_comment", &world.comment(1, "Looks good.", &user)).await.1;
    assert_eq!(response["code"], "event_ignored");
    let comment = world.comment(2, "/pullyard revise use tabs\nplease", &user);
    let (status, response) = world.send("acme", "issue_comment", &comment).await;
    assert_eq!((status, response["code"].as_str()), (200, Some("accepted")), "{response}");
    let label = world.label("pullyard:revise", &user);
    // The first job is active, so the label waits for it, once.
    assert_eq!(world.send("acme", "pull_request", &label).await.1["code"], "held_for_job");
    assert_eq!(world.send("acme", "pull_request", &label).await.1["code"], "repeat");
    assert_eq!(world.story.revisions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_or_label_of_a_stranger_starts_no_revision() {
    let world = World::with_hook().await;
    let user = world.add_reader().await;
    let comment = world.comment(3, "/pullyard revise do as I say", &user);
    for (event, body) in [("issue_comment", comment), ("pull_request", world.label("pullyard:revise", &user))] {
        let (status, response) = world.send("acme", event, &body).await;
        assert_eq!((status, response["code"].as_str()), (200, Some("author_not_permitted")), "{event}: {response}");
    }
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn reused_login_or_revoked_permission_starts_no_revision() {
    let world = World::with_hook().await;
    let code = async |body: &Value| world.send("acme", "pull_request_review", body).await.1["code"].clone();
    let mut other = world.review(80, "submitted", "changes_requested");
    for pointer in ["/review/user/id", "/sender/id"] {
        *other.pointer_mut(pointer).unwrap() = json!(ANN + 1);
    }
    assert_eq!(code(&other).await, "author_not_permitted", "Ann's login with another id");
    assert_eq!(code(&world.review(81, "submitted", "changes_requested")).await, "accepted");
    world.story.local.forge().set_role(REPOSITORY, "ann", Role::Read).await.unwrap();
    // A permission is cached for ten minutes.
    world.story.clock.advance(Duration::from_secs(601));
    assert_eq!(code(&world.review(82, "submitted", "changes_requested")).await, "author_not_permitted");
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_of_a_refused_review_starts_one_job() {
    let world = World::new().await;
    world.story.update_settings(|settings| settings.revise_on_review = false).await;
    world.story.api.install_hook(&world.install_request("acme", false)).await.unwrap();
    world.request_changes().await;
    world.story.local.forge().wait_for_deliveries().await;
    let ledger = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    let refused = ledger.iter().find(|entry| entry.code == "retrigger_disabled").unwrap();
    world.story.update_settings(|settings| settings.revise_on_review = true).await;
    let decision = world.story.api.replay_delivery(&refused.id).await.unwrap();
    assert_eq!(decision.code, "accepted", "{}", decision.sentence);
    assert_eq!(world.story.api.replay_delivery(&refused.id).await.unwrap().code, "repeat");
    assert_eq!(world.story.revisions().await.len(), 1);
}
