//! Tests Bitbucket Cloud webhook deliveries through the gateway, with the local forge as Bitbucket.

use crate::prelude::*;
use crate::webhooks::{SECRET, signature};
use pullyard_local::User;
use pullyard_protocol::integration::CreateIntegration;

const SHOP: &str = "acme/shop";
const HOOK: &str = "shop";
const ANN_TOKEN: &str = "token-of-ann";
const BEN_TOKEN: &str = "token-of-ben";
const CHANGES_REQUESTED: &str = "pullrequest:changes_request_created";
const COMMENT_CREATED: &str = "pullrequest:comment_created";

pub(crate) struct Shop {
    /// The repository's number in our table.
    pub(crate) id: u64,
    /// The repository's UUID at Bitbucket.
    pub(crate) uuid: String,
    token: String,
}

fn integration() -> IntegrationId {
    IntegrationId::new("bb").unwrap()
}

impl Shop {
    /// Connects the repository to the story's project, with a hook that only the test calls.
    pub(crate) async fn connect(story: &Story) -> Self {
        let forge = story.local.forge();
        forge.create_repository(SHOP, "main", &[("README.md", "# Shop\n", false)]).await.unwrap();
        let connect = CreateIntegration {
            id: integration(),
            kind: ForgeKind::Bitbucket,
            api_url: forge.bitbucket_api_url(),
            token_secret: story.local.forge_secret().into(),
        };
        story.api.create_integration(&connect).await.unwrap();
        let add = json!({
            "integration": "bb", "name": SHOP, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        let added = story.api.add_repository(&story.project, &serde_json::from_value(add).unwrap()).await.unwrap();
        let hook = InstallHook {
            name: HookName::new(HOOK).unwrap(),
            integration: integration(),
            project: story.project.clone(),
            repository: Some(RepositoryName::new(SHOP).unwrap()),
            organisation: None,
            app: false,
            base_url: story.local.api_url().into(),
            by_hand: true,
            template: None,
        };
        let webhook = story.api.install_hook(&hook).await.unwrap();
        assert_eq!(webhook.url, Some(format!("{}/webhooks/bitbucket/{HOOK}", story.local.api_url())));
        let secret = SetSecret { value: SECRET.into(), kind: SecretKind::Forge };
        story.api.set_secret(&webhook.secret, &secret).await.unwrap();
        let token = story.forge_token();
        let repository = story.call_bitbucket(&token, Method::GET, &format!("/repositories/{SHOP}"), Value::Null).await;
        Self { id: added.id, uuid: repository["uuid"].as_str().unwrap().to_owned(), token }
    }
}

/// A linked pull request on Bitbucket. Ann may write to the repository, Ben may read it.
struct World {
    story: Story,
    shop: Shop,
    number: u64,
}

impl World {
    async fn new() -> Self {
        let settings = Settings { revise_on_review: true, ..Setup::default().settings };
        let story = Story::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
        let shop = Shop::connect(&story).await;
        let forge = story.local.forge();
        for (login, id, token, role) in [("ann", 77, ANN_TOKEN, Role::Write), ("ben", 78, BEN_TOKEN, Role::Read)] {
            let user = User { login: login.into(), id, token: token.into() };
            forge.add_user(user, AccountKind::User).await.unwrap();
            forge.set_role(SHOP, login, role).await.unwrap();
        }
        let mut world = Self { story, shop, number: 0 };
        world.number = world.open_pull("SHOP-1").await;
        world
    }

    async fn open_pull(&self, key: &str) -> u64 {
        let branch = format!("pullyard/acme/{}-1", key.to_lowercase());
        let forge = self.story.local.forge();
        let head = forge.commit(SHOP, &branch, "pullyard-bot", &[("change.txt", key, false)]).await.unwrap();
        let body = json!({
            "title": key, "source": { "branch": { "name": branch } }, "destination": { "branch": { "name": "main" } },
        });
        let pull = self.call_forge(Method::POST, "/pullrequests", body).await;
        let number = pull["id"].as_u64().unwrap();
        self.story.link_pull_request(self.id(number), key, SHOP, (&branch, &head)).await;
        number
    }

    fn id(&self, number: u64) -> PullRequestId {
        PullRequestId { integration: integration(), repository: self.shop.id, number }
    }

    async fn call_forge(&self, method: Method, path: &str, body: Value) -> Value {
        self.story.call_bitbucket(&self.shop.token, method, &format!("/repositories/{SHOP}{path}"), body).await
    }

    async fn call_pull(&self, token: &str, method: Method, path: &str, body: Value) -> Value {
        let path = format!("/repositories/{SHOP}/pullrequests/{}{path}", self.number);
        self.story.call_bitbucket(token, method, &path, body).await
    }

    async fn account(&self, token: &str) -> Value {
        self.story.call_bitbucket(token, Method::GET, "/user", Value::Null).await
    }

    /// The body of a delivery about an action of Ann on a pull request.
    async fn delivery_body(&self, number: u64, more: &[(&str, &Value)]) -> Value {
        let mut body = json!({
            "repository": self.call_forge(Method::GET, "", Value::Null).await,
            "actor": self.account(ANN_TOKEN).await,
            "pullrequest": self.call_forge(Method::GET, &format!("/pullrequests/{number}"), Value::Null).await,
        });
        for (name, value) in more {
            body[*name] = (*value).clone();
        }
        body
    }

    async fn request_changes(&self) -> Value {
        self.call_pull(ANN_TOKEN, Method::POST, "/request-changes", Value::Null).await;
        let activity =
            self.call_forge(Method::GET, &format!("/pullrequests/{}/activity", self.number), Value::Null).await;
        let all = activity["values"].as_array().unwrap();
        // The activity lists the newest entry first.
        let change_request =
            all.iter().map(|entry| &entry["changes_requested"]).find(|entry| entry.is_object()).unwrap();
        let request = json!({ "date": change_request["date"], "user": change_request["user"] });
        self.delivery_body(self.number, &[("changes_request", &request)]).await
    }

    /// Comments with a user's token; returns the body of Bitbucket's delivery.
    async fn list_comments(&self, token: &str, text: &str) -> Value {
        let comment = self.call_pull(token, Method::POST, "/comments", json!({ "content": { "raw": text } })).await;
        let mut body = self.delivery_body(self.number, &[("comment", &comment)]).await;
        body["actor"] = self.account(token).await;
        body
    }

    async fn send(&self, event: &str, body: &Value) -> (u16, Value) {
        let bytes = body.to_string().into_bytes();
        self.send_as(&format!("bitbucket/{HOOK}"), event, &signature(SECRET, &bytes), bytes).await
    }

    async fn send_as(&self, to: &str, event: &str, signature: &str, body: Vec<u8>) -> (u16, Value) {
        let mut headers = vec![
            ("x-event-key", event),
            ("x-request-uuid", "6f1f5b1c-0e0f-4c7e-8d9a-0b1c2d3e4f50"),
            ("x-hook-uuid", "0d3c2b1a-9f8e-4d7c-8b6a-5f4e3d2c1b0a"),
            ("x-attempt-number", "1"),
            ("content-type", "application/json"),
        ];
        if !signature.is_empty() {
            headers.push(("x-hub-signature", signature));
        }
        let (status, _, response) =
            self.story.request_with_headers(Method::POST, &format!("/webhooks/{to}"), &headers, body).await;
        (status, response)
    }

    async fn check(&self, event: &str, body: &Value, code: &str) -> Value {
        let (status, decision) = self.send(event, body).await;
        assert_eq!((status, decision["code"].as_str()), (200, Some(code)), "{event}: {decision}");
        decision
    }

    async fn enable_polling(&self) {
        self.story.set_ingress(SHOP, Ingress::Both).await;
    }

    async fn poll(&self) {
        let time = Duration::from_secs(301);
        self.story.local.forge().advance(time);
        self.story.advance_and_sweep(time).await;
        self.story.wait_for_empty_queues().await;
    }

    async fn state(&self, number: u64) -> PullRequestState {
        self.story.store().await.load_pull_request(&self.id(number)).await.unwrap().unwrap().state
    }

    async fn is_gone(&self) -> bool {
        let store = self.story.store().await;
        let poll = store.load_poll(&self.story.project, &integration(), self.shop.id).await.unwrap();
        poll.is_some_and(|poll| poll.gone_at.is_some())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_delivery_is_verified_in_the_documented_order() {
    let world = World::new().await;
    let review = world.request_changes().await;
    let bytes = || review.to_string().into_bytes();
    let (good, wrong) = (signature(SECRET, &bytes()), signature("x", &bytes()));
    let ours = format!("bitbucket/{HOOK}");
    let check = async |to: &str, event: &str, signature: &str, body: Vec<u8>, expected: (u16, &str)| {
        let (status, response) = world.send_as(to, event, signature, body).await;
        assert_eq!((status, response["code"].as_str().unwrap_or_default()), expected, "{to} {event}: {response}");
    };
    check("bitbucket/nobody", CHANGES_REQUESTED, &good, bytes(), (404, "not_found")).await;
    check(&format!("github/{HOOK}"), CHANGES_REQUESTED, &good, bytes(), (404, "not_found")).await;
    check(&ours, CHANGES_REQUESTED, "", bytes(), (401, "signature_missing")).await;
    check(&ours, CHANGES_REQUESTED, "sha256=12", bytes(), (401, "signature_missing")).await;
    check(&ours, CHANGES_REQUESTED, &wrong, bytes(), (401, "signature_wrong")).await;
    let garbage = vec![0xff, 0xfe, 0x00, 0x81];
    check(&ours, CHANGES_REQUESTED, &signature(SECRET, &garbage), garbage, (400, "body_unreadable")).await;
    check(&ours, COMMENT_CREATED, &good, bytes(), (400, "body_unreadable")).await;
    check(&ours, "repo:deleted", &good, bytes(), (400, "body_unreadable")).await;
    // GitHub's event names are unknown on this route.
    check(&ours, "pull_request_review", &good, bytes(), (200, "event_ignored")).await;
    assert!(world.story.revisions().await.is_empty(), "a refused delivery started a job");
    let hooks = world.story.api.hooks(None).await.unwrap().hooks;
    let hook = hooks.iter().find(|hook| hook.name.as_str() == HOOK).unwrap();
    assert!(hook.verified_at.is_some() && hook.refused_at.is_some(), "{hook:?}");
    let mut foreign = review.clone();
    foreign["repository"]["uuid"] = json!("{00000000-0000-4000-8000-000000000000}");
    world.check(CHANGES_REQUESTED, &foreign, "repository_not_integrated").await;
    world.check(CHANGES_REQUESTED, &review, "accepted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn review_delivered_twice_and_polled_starts_one_job() {
    let world = World::new().await;
    world.enable_polling().await;
    let review = world.request_changes().await;
    let decision = world.check(CHANGES_REQUESTED, &review, "accepted").await;
    let again = world.check(CHANGES_REQUESTED, &review, "repeat").await;
    assert_eq!(again["job"], decision["job"]);
    // Other bytes make it another delivery.
    let mut later = review.clone();
    later["pullrequest"]["title"] = json!("SHOP-1, once more");
    assert_eq!(world.check(CHANGES_REQUESTED, &later, "repeat").await["job"], decision["job"]);
    world.poll().await;
    let jobs = world.story.revisions().await;
    assert_eq!(jobs.iter().map(|job| job.id.as_str()).collect::<Vec<_>>(), [decision["job"].as_str().unwrap()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn revise_comment_needs_write_permission_and_starts_one_job() {
    let world = World::new().await;
    let decision =
        world.check(COMMENT_CREATED, &world.list_comments(ANN_TOKEN, "Looks good.").await, "event_ignored").await;
    assert!(decision["sentence"].as_str().unwrap().contains(COMMENT_CREATED), "{decision}");
    let stranger = world.list_comments(BEN_TOKEN, "/pullyard revise do as I say").await;
    world.check(COMMENT_CREATED, &stranger, "author_not_permitted").await;
    assert!(world.story.revisions().await.is_empty());
    let comment = world.list_comments(ANN_TOKEN, "/pullyard revise use tabs\nplease").await;
    let decision = world.check(COMMENT_CREATED, &comment, "accepted").await;
    assert_eq!(world.check(COMMENT_CREATED, &comment, "repeat").await["job"], decision["job"]);
    assert_eq!(world.story.revisions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn merged_and_declined_pull_requests_are_recorded_from_the_body() {
    let world = World::new().await;
    let (merged, declined) = (world.number, world.open_pull("SHOP-2").await);
    let open = world.delivery_body(merged, &[]).await;
    let (status, problem) = world.send("pullrequest:fulfilled", &open).await;
    assert_eq!((status, problem["code"].as_str()), (400, Some("body_unreadable")), "{problem}");
    assert_eq!(world.state(merged).await, PullRequestState::Open);
    world.check("pullrequest:updated", &open, "event_ignored").await;
    world.story.local.forge().merge(SHOP, merged, "pullyard-bot").await.unwrap();
    let decision = world.check("pullrequest:fulfilled", &world.delivery_body(merged, &[]).await, "noted").await;
    let label = format!("pullrequest:fulfilled of {SHOP}#{merged}");
    assert!(decision["sentence"].as_str().unwrap().contains(&label), "{decision}");
    assert_eq!(world.state(merged).await, PullRequestState::Merged);
    world.call_forge(Method::POST, &format!("/pullrequests/{declined}/decline"), Value::Null).await;
    world.check("pullrequest:rejected", &world.delivery_body(declined, &[]).await, "noted").await;
    assert_eq!(world.state(declined).await, PullRequestState::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_is_recorded_and_a_deletion_is_confirmed_by_the_forge() {
    let world = World::new().await;
    let mut repository = world.call_forge(Method::GET, "", Value::Null).await;
    repository["full_name"] = json!("acme/store");
    let actor = world.account(ANN_TOKEN).await;
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    let renamed = json!({
        "repository": repository, "actor": actor,
        "changes": { "name": change("shop", "store"), "full_name": change(SHOP, "acme/store") },
    });
    let forge = world.story.local.forge();
    forge.rename_repository(SHOP, "acme/store", "pullyard-bot").await.unwrap();
    world.check("repo:updated", &renamed, "noted").await;
    let known = world.story.api.repositories(&world.story.project).await.unwrap().repositories;
    let shop = known.iter().find(|known| known.id == world.shop.id).unwrap();
    assert_eq!(shop.name.as_str(), "acme/store");
    // Only the unsigned event name claims a deletion, so the forge is asked.
    let deleted = json!({ "repository": repository, "actor": actor });
    world.check("repo:deleted", &deleted, "noted").await;
    assert!(!world.is_gone().await, "the existing repository was recorded as deleted");
    forge.delete_repository("acme/store").await.unwrap();
    world.check("repo:deleted", &deleted, "noted").await;
    assert!(world.is_gone().await);
}

/// The forge does not know the former name, and the time of a delivery is not signed.
#[tokio::test(flavor = "multi_thread")]
async fn delivery_with_an_unknown_former_name_deletes_no_repository() {
    let world = World::new().await;
    let mut repository = world.call_forge(Method::GET, "", Value::Null).await;
    repository["full_name"] = json!("acme/outlet");
    let body = json!({ "repository": repository, "actor": world.account(ANN_TOKEN).await });
    for event in ["repo:transfer", "repo:deleted"] {
        world.check(event, &body, "noted").await;
        assert!(!world.is_gone().await, "{event}: the existing repository was recorded as deleted");
    }
    let forge = world.story.local.forge();
    let files = [("README.md", "# Another\n", false)];
    // The local forge may reuse the number of the last repository; another one prevents that.
    forge.create_repository("acme/other", "main", &files).await.unwrap();
    let ours = forge.repository(SHOP).await.unwrap().id;
    forge.delete_repository(SHOP).await.unwrap();
    // The name belongs to another repository now.
    assert_ne!(forge.create_repository(SHOP, "main", &files).await.unwrap().id, ours);
    world.check("repo:deleted", &body, "noted").await;
    assert!(world.is_gone().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn raise_comment_needs_write_permission_and_raises_once() {
    let world = World::new().await;
    let raises = async || world.story.list_raises(&world.story.project, "SHOP-1").await;
    let stranger = world.list_comments(BEN_TOKEN, "/pullyard raise 20").await;
    world.check(COMMENT_CREATED, &stranger, "author_not_permitted").await;
    assert_eq!(raises().await, [0_u64; 0]);
    let comment = world.list_comments(ANN_TOKEN, "/pullyard raise 20").await;
    world.check(COMMENT_CREATED, &comment, "limit_raised").await;
    world.check(COMMENT_CREATED, &comment, "repeat").await;
    // A poll finds the comment that no webhook delivered, and not the others again.
    world.list_comments(ANN_TOKEN, "/pullyard raise 10").await;
    world.enable_polling().await;
    for _ in 0..2 {
        world.poll().await;
    }
    assert_eq!(raises().await, [20, 10]);
    let comments = world.call_pull(ANN_TOKEN, Method::GET, "/comments", Value::Null).await;
    let texts =
        comments["values"].as_array().unwrap().iter().map(|comment| comment["content"]["raw"].as_str().unwrap());
    let replies: Vec<_> = texts.filter(|text| text.contains(" raised the limit of SHOP-1 to ")).collect();
    assert_eq!(replies.len(), 2, "{comments}");
    assert!(replies.iter().any(|text| text.starts_with("ann raised the limit of SHOP-1 to $70.00")), "{replies:?}");
}
