//! Tests webhooks that a command installs on Bitbucket Cloud: install, verify, repair, missed events, remove.

use crate::prelude::*;
use pullyard_domain::review::delivery::Source;

const SHOP: &str = "acme/shop";
const SHOP_HOOKS_PATH: &str = "/repositories/acme/shop/hooks";
const ANN_TOKEN: &str = "ATCTT3x-ann";
const BRANCH: &str = "pullyard/acme/bb-1-1";

struct World {
    story: Story,
    user: User,
    token: String,
}

impl World {
    async fn new() -> Self {
        let setup = Setup::default();
        let settings = Settings { revise_on_review: true, ..setup.settings };
        let story = Story::start_with(Setup { task: Task::Waiting, settings, ..setup }).await;
        let token = story.forge_token();
        let forge = story.local.forge();
        forge.create_repository(SHOP, "main", &[("README.md", "# Shop\n", false)]).await.unwrap();
        let ann = pullyard_local::User { login: "ann".into(), id: 9_007_199_254_740_997, token: ANN_TOKEN.into() };
        forge.add_user(ann, AccountKind::User).await.unwrap();
        forge.set_role(SHOP, "ann", Role::Write).await.unwrap();
        let api = forge.bitbucket_api_url();
        let user = User::of(&story);
        user.run_with(&["secrets", "set", "bitbucket"], &token).await.assert_success();
        let add = ["integrations", "add", "bb", "--kind", "bitbucket", "--api-url", &api];
        user.ok(&[&add[..], &["--token-secret", "pullyard/user/bitbucket"]].concat()).await;
        user.ok(&["repos", "add", SHOP, "--integration", "bb", "--agent-command", "./agent.sh"]).await;
        Self { story, user, token }
    }

    async fn list_hooks(&self, path: &str) -> Vec<Value> {
        let page = self.story.call_bitbucket(&self.token, Method::GET, path, Value::Null).await;
        page["values"].as_array().unwrap().clone()
    }

    async fn only_hook(&self, path: &str) -> Value {
        let mut all = self.list_hooks(path).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    async fn change_hook(&self, path: &str, change: Value) {
        let own = format!("{path}/{}", self.only_hook(path).await["uuid"].as_str().unwrap());
        self.story.call_bitbucket(&self.token, Method::PUT, &own, change).await;
    }

    async fn install(&self, more: &[&str]) -> crate::cli::CommandOutput {
        let install = ["hooks", "install", "--integration", "bb", "--base-url", self.story.local.api_url()];
        self.user.run(&[&install[..], more].concat()).await
    }

    async fn drifts(&self, hook: &str) -> Vec<String> {
        let check = self.story.api.verify_hook(&HookName::new(hook).unwrap()).await.unwrap();
        check.drifts.into_iter().map(|drift| drift.code).collect()
    }

    async fn open_pull(&self) -> u64 {
        let forge = self.story.local.forge();
        let head = forge.commit(SHOP, BRANCH, "pullyard-bot", &[("change.txt", "one\n", false)]).await.unwrap();
        let end = |branch: &str| json!({ "branch": { "name": branch } });
        let new = json!({ "title": "BB-1", "source": end(BRANCH), "destination": end("main") });
        let path = "/repositories/acme/shop/pullrequests";
        let number = self.story.call_bitbucket(&self.token, Method::POST, path, new).await["id"].as_u64().unwrap();
        let all = self.story.api.repositories(&self.story.project).await.unwrap().repositories;
        let repository = all.iter().find(|one| one.name.as_str() == SHOP).unwrap().id;
        let id = PullRequestId { integration: IntegrationId::new("bb").unwrap(), repository, number };
        self.story.link_pull_request(id, "BB-1", SHOP, (BRANCH, &head)).await;
        forge.wait_for_deliveries().await;
        number
    }

    async fn write_comment(&self, number: u64) {
        let path = format!("/repositories/acme/shop/pullrequests/{number}/comments");
        self.story.call_bitbucket(ANN_TOKEN, Method::POST, &path, json!({ "content": { "raw": "Not yet." } })).await;
        self.story.local.forge().wait_for_deliveries().await;
    }

    async fn request_changes(&self, number: u64) {
        self.write_comment(number).await;
        let path = format!("/repositories/acme/shop/pullrequests/{number}/request-changes");
        self.story.call_bitbucket(ANN_TOKEN, Method::POST, &path, Value::Null).await;
        self.story.local.forge().wait_for_deliveries().await;
    }

    /// Advances both clocks past the next poll. Returns how many events polls have found.
    async fn poll(&self) -> usize {
        let time = Duration::from_secs(301);
        self.story.local.forge().advance(time);
        self.story.advance_and_sweep(time).await;
        self.story.wait_for_empty_queues().await;
        let ledger = self.story.api.deliveries(&self.story.project, None).await.unwrap().deliveries;
        ledger.iter().filter(|entry| entry.source == Source::Poll).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_hook_is_installed_verified_repaired_and_removed() {
    let world = World::new().await;
    for (of, path, hook) in
        [(["--repo", SHOP], SHOP_HOOKS_PATH, "acme-shop"), (["--org", "acme"], "/workspaces/acme/hooks", "acme")]
    {
        world.install(&of).await.assert_exit(0, "Bitbucket has no test deliveries");
        let original = world.only_hook(path).await;
        world.install(&of).await.assert_success();
        assert_eq!(world.only_hook(path).await["uuid"], original["uuid"]);
        let url = format!("{}/webhooks/bitbucket/{hook}", world.story.local.api_url());
        let is_ours = |one: &Value| {
            let events: Vec<&str> = one["events"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert_eq!(events, ForgeKind::Bitbucket.spec().hook.events, "{one}");
            assert_eq!((&one["url"], &one["active"], &one["secret_set"]), (&json!(url), &json!(true), &json!(true)));
        };
        is_ours(&original);
        let hooks = world.user.json(&["hooks", "list"]).await;
        assert_eq!((&hooks[0]["forge"], &hooks[0]["url"]), (&json!("bitbucket"), &json!(url)), "{hooks}");
        let output = world.user.ok(&["hooks", "verify", hook]).await;
        assert!(output.contains("OK") && output.contains("no delivery yet"), "{output}");

        let spoiled = json!({
            "url": "http://127.0.0.1:9/elsewhere", "active": false, "events": ["repo:push"], "secret": null,
            "skip_cert_verification": true, "description": "Theirs",
        });
        world.change_hook(path, spoiled).await;
        assert_eq!(world.drifts(hook).await, ["url", "disabled", "events", "no_secret", "insecure_ssl"]);
        assert_eq!(world.user.run(&["hooks", "verify", hook]).await.code, 3);
        world.user.ok(&["hooks", "repair", hook]).await;
        let mended = world.only_hook(path).await;
        is_ours(&mended);
        assert_eq!((&mended["uuid"], &mended["description"]), (&original["uuid"], &json!("Theirs")));
        assert!(world.drifts(hook).await.is_empty());

        world.user.ok(&["hooks", "delete", hook, "--yes"]).await;
        assert_eq!(world.list_hooks(path).await, Vec::<Value>::new());
        assert_eq!(world.user.json(&["hooks"]).await, json!([]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn manually_created_bitbucket_hook_is_matched_by_url() {
    let world = World::new().await;
    let output =
        world.install(&["--repo", SHOP, "--by-hand"]).await.assert_exit(0, "the triggers pullrequest:changes_request");
    let url = format!("{}/webhooks/bitbucket/acme-shop", world.story.local.api_url());
    assert!(output.err.contains(&url) && output.err.contains("`pullyard secrets set hook-acme-shop`"), "{output:?}");
    assert!(world.list_hooks(SHOP_HOOKS_PATH).await.is_empty());
    assert_eq!(world.drifts("acme-shop").await, ["missing"]);

    world.user.run_with(&["secrets", "set", "hook-acme-shop"], "by hand").await.assert_success();
    let of_a_person = json!({
        "description": "Theirs", "url": url, "active": true, "secret": "by hand",
        "events": ForgeKind::Bitbucket.spec().hook.events,
    });
    world.story.call_bitbucket(&world.token, Method::POST, SHOP_HOOKS_PATH, of_a_person).await;
    assert!(world.drifts("acme-shop").await.is_empty());
    let number = world.open_pull().await;
    world.request_changes(number).await;
    world.story.wait_for_revision(1).await;
    world.user.ok(&["hooks", "delete", "acme-shop", "--yes"]).await;
    assert!(world.list_hooks(SHOP_HOOKS_PATH).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unsupported_bitbucket_hooks_are_refused_before_any_write() {
    let world = World::new().await;
    world.install(&["--app"]).await.assert_exit(2, "bb is on Bitbucket, which has no Apps");
    let (longest, longer) = ("k".repeat(128), "k".repeat(129));
    let fault = "the value of the secret hook-acme-shop is longer than the 128 characters that Bitbucket takes";
    world.user.run_with(&["secrets", "set", "hook-acme-shop"], &longer).await.assert_success();
    let refused = world.install(&["--repo", SHOP]).await.assert_exit(2, fault);
    assert!(!refused.err.contains("kkk"), "{refused:?}");
    assert_eq!(world.user.json(&["hooks"]).await, json!([]));
    assert!(world.list_hooks(SHOP_HOOKS_PATH).await.is_empty());

    world.user.run_with(&["secrets", "set", "hook-acme-shop"], &longest).await.assert_success();
    world.install(&["--repo", SHOP]).await.assert_success();
    let original = world.only_hook(SHOP_HOOKS_PATH).await;
    world.user.run_with(&["secrets", "rotate", "hook-acme-shop"], &longer).await.assert_success();
    for command in [&["hooks", "repair", "acme-shop"][..], &["hooks", "repair"]] {
        world.user.run(command).await.assert_exit(2, fault);
    }
    assert_eq!(world.only_hook(SHOP_HOOKS_PATH).await, original);
    world.user.ok(&["secrets", "rotate", "hook-acme-shop", "--generate"]).await;
    world.user.ok(&["hooks", "repair"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_bitbucket_secret_is_detected_by_delivery_and_repaired() {
    let world = World::new().await;
    world.install(&["--repo", SHOP]).await.assert_success();
    let number = world.open_pull().await;
    world.change_hook(SHOP_HOOKS_PATH, json!({ "secret": "another one" })).await;
    // Bitbucket does not return a hook's secret.
    assert!(world.drifts("acme-shop").await.is_empty());
    // Longer than a verified delivery counts as evidence.
    world.story.clock.advance(Duration::from_secs(120));
    world.write_comment(number).await;
    assert_eq!(world.drifts("acme-shop").await, ["secret"]);
    world.install(&["--repo", SHOP]).await.assert_success();
    assert!(world.drifts("acme-shop").await.is_empty());
    world.change_hook(SHOP_HOOKS_PATH, json!({ "secret": "another one" })).await;
    world.story.clock.advance(Duration::from_secs(120));
    world.write_comment(number).await;
    assert_eq!(world.drifts("acme-shop").await, ["secret"]);
    world.user.run(&["hooks", "repair", "acme-shop"]).await;
    assert!(world.drifts("acme-shop").await.is_empty());
    world.story.clock.advance(Duration::from_secs(120));
    world.request_changes(number).await;
    world.story.wait_for_revision(1).await;
    assert!(world.drifts("acme-shop").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn bitbucket_polling_finds_a_lost_review_and_comment() {
    let world = World::new().await;
    world.install(&["--repo", SHOP]).await.assert_success();
    let number = world.open_pull().await;
    assert_eq!(world.poll().await, 0);
    world.story.local.forge().inject_delivery_fault(1_000, DeliveryFault::NotRecorded);
    world.request_changes(number).await;
    assert!(world.story.revisions().await.is_empty());
    assert_eq!(world.poll().await, 1);
    world.story.wait_for_revision(1).await;
    let path = format!("/repositories/acme/shop/pullrequests/{number}/comments");
    let comment = json!({ "content": { "raw": "/pullyard revise use tabs" } });
    world.story.call_bitbucket(ANN_TOKEN, Method::POST, &path, comment).await;
    assert_eq!(world.poll().await, 2);
    assert_eq!(world.poll().await, 2);
    assert_eq!(world.story.revisions().await.len(), 1);
}
