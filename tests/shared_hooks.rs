//! A hook that serves several projects: what it tells of is decided for the one that has the repository, at once or in
//! its turn.

use crate::functions::invoke;
use crate::story::Setup;
use crate::webhooks::{SECRET, World, signed};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::Settings;
use pullyard_domain::secret::SecretKind;
use pullyard_domain::wakeup::QueuedReview;
use pullyard_emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
use pullyard_entry::config;
use pullyard_local::Hints;
use pullyard_protocol::hook::InstallHook;
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::secret::SetSecret;
use pullyard_testkit::{Fault, Wire};
use serde_json::{Value, json};

const EVENT: &str = "pull_request_review";
const HOOK: &str = "shared";

/// A project without any repository.
fn home() -> ProjectId {
    ProjectId::new("other").unwrap()
}

impl World {
    /// A hook whose home has no repository, and that serves the project that has one as well.
    async fn shared(&self) {
        let create = CreateProject { id: home(), name: "Other".into(), settings: Settings::default() };
        self.story.api.create_project(&create).await.unwrap();
        let others = vec![self.story.project.clone()];
        let wanted = InstallHook { project: home(), others, ..self.wanted(HOOK, true) };
        let made = self.story.api.install_hook(&wanted).await.unwrap();
        assert_eq!((&made.project, &made.others), (&home(), &wanted.others));
        let set = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        self.story.api.set_secret(&made.secret, &set).await.unwrap();
    }

    /// The answers in a project's ledger.
    async fn codes(&self, project: &ProjectId) -> Vec<String> {
        let ledger = self.story.api.deliveries(project, None, None).await.unwrap().deliveries;
        ledger.into_iter().map(|entry| entry.code).collect()
    }

    /// Each of these is in the ledger of the project that has the repository, and nothing in the home's.
    async fn is_recorded_where_it_belongs(&self, codes: &[&str]) {
        let recorded = self.codes(&self.story.project).await;
        assert!(codes.iter().all(|code| recorded.iter().any(|there| there == code)), "{recorded:?}");
        assert_eq!(self.codes(&home()).await, [""; 0]);
    }
}

/// A delivery as API Gateway hands it to the function.
fn delivered(body: &str) -> Value {
    let path = format!("/webhooks/github/{HOOK}");
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "",
        "headers": {
            "content-type": "application/json", "x-github-event": EVENT, "x-github-delivery": "guid-1",
            "x-hub-signature-256": signed(SECRET, body.as_bytes()),
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
async fn a_review_is_decided_for_the_one_of_its_hooks_projects_that_has_the_repository() {
    let world = World::make().await;
    world.shared().await;
    let code = async |review: &Value| world.send(HOOK, EVENT, review).await.1["code"].clone();
    // Of a pull request that nobody has linked: whoever could link it reads so.
    let mut unlinked = world.review(79, "submitted", "changes_requested");
    unlinked["pull_request"]["number"] = json!(world.number + 1);
    assert_eq!(code(&unlinked).await, "no_linked_ticket");
    assert_eq!(code(&world.review(80, "submitted", "changes_requested")).await, "accepted");
    assert_eq!(world.revisions().await.len(), 1);
    world.is_recorded_where_it_belongs(&["no_linked_ticket", "accepted"]).await;
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_review_that_is_decided_in_its_turn_is_decided_for_the_same_projects() {
    let world = World::of(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    world.shared().await;
    let story = &world.story;
    // As this instance sees it, others write the same items all the time.
    let wire = Wire::default();
    wire.always("TransactWriteItems", Fault::cancelled(&["TransactionConflict"]));
    let plain = config::embedded(REGION, ACCESS_KEY_ID, SECRET_ACCESS_KEY).await;
    let sdk = plain.to_builder().http_client(wire).build();
    let crowded = story.config("lost", "lost.fifo").await.context(&sdk, story.clock.clone());
    let review = world.review(80, "submitted", "changes_requested").to_string();
    let answer = invoke(&crowded, "webhook", delivered(&review)).await.unwrap();
    let said: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
    assert_eq!((&answer["statusCode"], &said["code"]), (&json!(202), &json!("queued")), "{answer}");
    assert!(world.revisions().await.is_empty());

    let asked = json!({ "QueueUrl": story.queue("lost.fifo").await, "MaxNumberOfMessages": 10 });
    let waiting = story.local.aws().sqs().call("ReceiveMessage", &asked).await.unwrap();
    let bodies = waiting["Messages"].as_array().unwrap().iter().map(|message| message["Body"].as_str().unwrap());
    let queued: Vec<&str> = bodies.filter(|body| serde_json::from_str::<QueuedReview>(body).is_ok()).collect();
    assert_eq!(queued.len(), 1, "{waiting}");
    let turn = json!({ "Records": [{ "messageId": "m1", "body": queued[0], "attributes": {} }] });
    let done = invoke(&story.instance("lost", "lost.fifo").await, "effects", turn).await.unwrap();
    assert_eq!(done["batchItemFailures"], json!([]), "{done}");
    assert_eq!(world.revisions().await.len(), 1);
    world.is_recorded_where_it_belongs(&["accepted"]).await;
    world.story.end().await;
}
