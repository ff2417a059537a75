//! Tests repositories shared by several projects: each event is decided for the right project, and a webhook reveals no
//! data of other projects.

use crate::functions::invoke;
use crate::prelude::*;
use crate::webhooks::raises::ann;
use crate::webhooks::{ANN, SECRET, World, signature};
use pullyard_domain::run::wakeup::QueuedReview;
use pullyard_entry::config;
use pullyard_protocol::decision::Decision;
use pullyard_testkit::{Fault, Wire};

const EVENT: &str = "pull_request_review";
const HOOK: &str = "shared";
const ISSUE: &str = "acme/app#1001";

fn other_project() -> ProjectId {
    ProjectId::new("other").unwrap()
}

impl World {
    async fn create_other_project(&self, settings: Settings) {
        let create = CreateProject { id: other_project(), name: "Other".into(), settings };
        self.story.api.create_project(&create).await.unwrap();
    }

    async fn install_other_hook(&self, install: InstallHook) {
        let hook = self.story.api.install_hook(&InstallHook { project: other_project(), ..install }).await.unwrap();
        assert_eq!(hook.project, other_project());
        let set = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&hook.secret, &set).await.unwrap();
    }

    async fn install_shared_hook(&self) {
        self.create_other_project(Settings::default()).await;
        let of_all = Some("acme".to_owned());
        let request = self.install_request(HOOK, true);
        self.install_other_hook(InstallHook { repository: None, organisation: of_all, ..request }).await;
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

    async fn connect_to_other_project(&self, integration: &str) {
        let add = json!({
            "integration": integration, "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        self.story.api.add_repository(&other_project(), &serde_json::from_value(add).unwrap()).await.unwrap();
    }

    /// Two projects on one repository, each with its own webhook; `acme` has the ticket. Hints are lost, so the forge
    /// is not called.
    async fn with_two_projects() -> Self {
        let world = Self::with_setup(Setup { hints: HintDelivery::Drop, ..Setup::default() }).await;
        world.install_by_hand("acme").await;
        let settings = Settings { revise_on_review: true, ..Settings::default() };
        world.create_other_project(settings).await;
        world.connect_to_other_project("gh1").await;
        world.install_other_hook(world.install_request("other", true)).await;
        world
    }

    async fn send_review(&self, hook: &str, review: u64, action: &str) -> Decision {
        let response = self.send(hook, EVENT, &self.review(review, action, "changes_requested")).await.1;
        serde_json::from_value(response.clone()).unwrap_or_else(|error| panic!("{error}: {response}"))
    }

    async fn ledger_entry(&self, decision: &Decision) -> Value {
        serde_json::to_value(self.story.api.delivery(&decision.delivery).await.unwrap()).unwrap()
    }

    async fn link_to_other_project(&self) {
        let ticket: CreateTicket =
            serde_json::from_value(json!({ "project": "other", "key": "OTHER-1", "title": "t" })).unwrap();
        self.story.api.create_ticket(&ticket, None).await.unwrap();
        let store = self.story.store().await;
        let linked = store.load_pull_request(&self.pull_request()).await.unwrap().unwrap();
        let elsewhere = PullRequest { project: other_project(), ticket: TicketKey::new("OTHER-1").ok(), ..linked };
        assert_eq!(store.update_pull_request(&elsewhere).await.unwrap(), Write::Applied);
    }

    fn pull_request(&self) -> PullRequestId {
        let integration = IntegrationId::new("gh1").unwrap();
        PullRequestId { integration, repository: self.repository, number: self.number }
    }

    /// Verifies that `acme` recorded this code and `other` its own refusal.
    async fn assert_separate_entries(&self, code: &str) {
        let recorded = self.ledger_codes(&self.story.project).await;
        let about_the_review = |recorded_code: &&String| [code, "no_linked_ticket"].contains(&recorded_code.as_str());
        assert_eq!(recorded.iter().filter(about_the_review).collect::<Vec<_>>(), [code], "{recorded:?}");
        assert_eq!(self.ledger_codes(&other_project()).await, ["no_linked_ticket"]);
    }

    async fn ledger_codes(&self, project: &ProjectId) -> Vec<String> {
        let ledger = self.story.api.deliveries(project, None).await.unwrap().deliveries;
        ledger.into_iter().map(|entry| entry.code).collect()
    }

    async fn assert_recorded_in_acme(&self, codes: &[&str]) {
        let recorded = self.ledger_codes(&self.story.project).await;
        assert!(codes.iter().all(|code| recorded.iter().any(|there| there == code)), "{recorded:?}");
        assert_eq!(self.ledger_codes(&other_project()).await, [""; 0]);
    }
}

fn gateway_event(body: &str) -> Value {
    let path = format!("/webhooks/github/{HOOK}");
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "x-github-event": EVENT, "x-github-delivery": "guid-1",
            "x-hub-signature-256": signature(SECRET, body.as_bytes()),
        },
        "isBase64Encoded": false, "body": body,
        "requestContext": {
            "accountId": "000000000000", "apiId": "shared", "domainName": "api.test", "domainPrefix": "api",
            "requestId": "shared", "routeKey": "$default", "stage": "$default",
            "time": "20/Nov/2026:12:04:01 +0000", "timeEpoch": 1_795_176_241_000_i64,
            "http": {
                "method": "POST", "path": path, "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7", "userAgent": "test",
            },
        },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn review_is_decided_for_the_project_with_the_repository() {
    let world = World::new().await;
    world.install_shared_hook().await;
    let code = async |review: &Value| world.send(HOOK, EVENT, review).await.1["code"].clone();
    // An unlinked pull request is recorded where a user could link it.
    let mut unlinked = world.review(79, "submitted", "changes_requested");
    unlinked["pull_request"]["number"] = json!(world.number + 1);
    assert_eq!(code(&unlinked).await, "no_linked_ticket");
    assert_eq!(code(&world.review(80, "submitted", "changes_requested")).await, "accepted");
    assert_eq!(world.story.revisions().await.len(), 1);
    world.assert_recorded_in_acme(&["no_linked_ticket", "accepted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_review_is_decided_for_the_same_project() {
    let world = World::with_setup(Setup { hints: HintDelivery::Drop, ..Setup::default() }).await;
    world.install_shared_hook().await;
    let story = &world.story;
    // For this instance, every transaction conflicts with another writer.
    let wire = Wire::default();
    wire.fail_always("TransactWriteItems", Fault::cancelled(&["TransactionConflict"]));
    let plain = config::local_sdk_config(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let sdk = config::with_call_limit(plain, WAIT_LIMIT).to_builder().http_client(wire).build();
    let crowded = story.function_config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    let review = world.review(80, "submitted", "changes_requested").to_string();
    let answer = invoke(&crowded, "webhook", gateway_event(&review)).await.unwrap();
    let decision: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&answer["statusCode"], &decision["code"]), (&json!(202), &json!("queued")), "{answer}");
    assert!(world.story.revisions().await.is_empty());

    let request = json!({ "QueueUrl": story.queue_url("lost.fifo").await, "MaxNumberOfMessages": 10 });
    let waiting = story.local.aws().sqs().call("ReceiveMessage", &request).await.unwrap();
    let bodies = waiting["Messages"].as_array().unwrap().iter().map(|message| message["Body"].as_str().unwrap());
    let queued: Vec<&str> = bodies.filter(|body| serde_json::from_str::<QueuedReview>(body).is_ok()).collect();
    assert_eq!(queued.len(), 1, "{waiting}");
    let source = "arn:aws:sqs:us-east-1:000000000000:lost.fifo";
    let record = json!({ "messageId": "m1", "body": queued[0], "attributes": {}, "eventSourceARN": source });
    let turn = json!({ "Records": [record] });
    let done = invoke(&story.function_context("lost", "lost.fifo").await, "effects", turn).await.unwrap();
    assert_eq!(done["batchItemFailures"], json!([]), "{done}");
    assert_eq!(world.story.revisions().await.len(), 1);
    world.assert_recorded_in_acme(&["accepted"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhook_answer_omits_the_job_of_another_project() {
    let world = World::with_two_projects().await;
    let decision = world.send_review("acme", 80, "submitted").await;
    assert_eq!((decision.code.as_str(), decision.job.is_some()), ("accepted", true), "{}", decision.sentence);
    let before = world.ledger_entry(&decision).await;
    for _ in 0..2 {
        let other = world.send_review("other", 80, "submitted").await;
        assert_eq!((other.code.as_str(), &other.job), ("no_linked_ticket", &None), "{}", other.sentence);
        assert_ne!(other.delivery, decision.delivery);
    }
    assert_eq!(world.ledger_entry(&decision).await, before, "the ledger entry is unchanged");
    world.assert_separate_entries("accepted").await;
    assert_eq!(world.story.revisions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_webhook_of_its_project_affects_a_review() {
    let world = World::with_two_projects().await;
    assert_eq!(world.send_review("other", 79, "submitted").await.code, "no_linked_ticket");
    assert!(world.story.revisions().await.is_empty());
    assert_eq!(world.send_review("acme", 80, "submitted").await.code, "accepted");
    let response = world.send("other", "pull_request", &world.closed_event()).await.1;
    assert_eq!(response["code"], "event_ignored", "{response}");
    assert_eq!(world.story.revisions().await[0].status, JobStatus::Pending);
}

#[tokio::test(flavor = "multi_thread")]
async fn relinked_review_of_another_project_names_no_job() {
    let world = World::with_two_projects().await;
    let decision = world.send_review("acme", 80, "submitted").await;
    assert_eq!(decision.code, "accepted", "{}", decision.sentence);
    world.link_to_other_project().await;
    let other = world.send_review("other", 80, "submitted").await;
    assert_eq!((other.code.as_str(), &other.job), ("event_ignored", &None), "{}", other.sentence);
    let next = world.send_review("other", 81, "submitted").await;
    assert_eq!(next.code, "held_until", "the hour of the pull request still counts: {}", next.sentence);
}

const COMMENT: &str = "issue_comment";

#[tokio::test(flavor = "multi_thread")]
async fn raise_on_a_pull_request_reaches_only_its_project() {
    let world = World::with_two_projects().await;
    let comment = world.comment(5, "/pullyard raise 20", &ann());
    for (hook, code) in [("other", "no_linked_ticket"), ("acme", "limit_raised"), ("acme", "repeat")] {
        assert_eq!(world.send(hook, COMMENT, &comment).await.1["code"], code, "{hook}");
    }
    assert_eq!(world.send("other", COMMENT, &comment).await.1["code"], "no_linked_ticket");
    assert_eq!(world.list_raises("APP-1").await, [20]);
    assert_eq!(world.story.list_raises(&other_project(), "APP-1").await, [0_u64; 0]);
    assert_eq!(world.list_comments(world.number).await.len(), 1, "one reply");
    assert_eq!(world.ledger_codes(&other_project()).await, ["no_linked_ticket"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_on_an_issue_reaches_each_project_with_its_ticket() {
    let world = World::new().await;
    let story = &world.story;
    world.install_shared_hook().await;
    world.connect_to_other_project("gh1").await;
    let user = User::of(story);
    user.ok(&["trackers", "add", "gh1", "--kind", "github_issues", "--project", "acme"]).await;
    for project in ["acme", "other"] {
        user.ok(&["trackers", "use", "gh1", "--project", project]).await;
    }
    story.call_forge(Method::POST, "/issues", json!({ "title": "Greet in German", "body": "" })).await;
    let (issue, repository) = (json!({ "number": 1_001 }), json!({ "id": world.repository, "full_name": REPOSITORY }));
    let labelled = json!({
        "action": "labeled", "issue": issue, "label": { "name": "other" }, "repository": repository, "sender": ann(),
    });
    world.send(HOOK, "issues", &labelled).await;
    let projects = [story.project.clone(), other_project()];
    for project in &projects {
        wait_until("the issue is read", async || {
            story.api.ticket(project, &TicketKey::new(ISSUE).unwrap()).await.map_err(|error| error.to_string())
        })
        .await;
    }
    let mut comment = world.comment(5, "/pullyard raise 20", &ann());
    comment["issue"] = issue;
    assert_eq!(world.send(HOOK, COMMENT, &comment).await.1["code"], "limit_raised");
    assert_eq!(world.send(HOOK, COMMENT, &comment).await.1["code"], "repeat");
    for project in &projects {
        assert_eq!(story.list_raises(project, ISSUE).await, [20], "{project}");
        let codes = world.ledger_codes(project).await;
        assert_eq!(codes.iter().filter(|code| *code == "limit_raised").count(), 1, "{project}: {codes:?}");
    }
    assert_eq!(world.list_comments(1_001).await.len(), 2, "a reply for each project");
}
