//! Tests the webhook of a GitHub App at the local forge: its registration, missed events, drifts and repair.

use super::create_app;
use crate::pages::Browser;
use crate::prelude::*;
use crate::webhooks::{ANN, ANNS_TOKEN, BRANCH};
use pullyard_domain::project::hook::WebhookScope;
use pullyard_forge::features::WorkflowPolicy;
use pullyard_forge::{APP_EVENTS, app_permissions};
use pullyard_local::User;
use pullyard_protocol::hook::Drift;
use reqwest::header::{CONTENT_TYPE, LOCATION};

const SHOP: &str = "acme/shop";

fn name() -> HookName {
    HookName::new("github").unwrap()
}

struct World {
    story: Story,
    http: reqwest::Client,
}

impl World {
    /// A system whose forge has an App with this manifest, installed for all of acme.
    async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let settings = Settings { revise_on_review: true, ..Settings::default() };
        let story = Story::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let world = Self { story, http };
        let forge = world.story.local.forge();
        let mut manifest = json!({
            "name": "Yard", "url": "http://127.0.0.1:1/", "redirect_url": "http://127.0.0.1:1/back",
            "hook_attributes": { "url": format!("{}/webhooks/github/github", world.story.local.api_url()) },
            "default_events": APP_EVENTS, "default_permissions": app_permissions(WorkflowPolicy::Forbid),
        });
        change(&mut manifest);
        let (browser, code) = (Browser::admin(&world.story).await, world.code(&manifest).await);
        let created = create_app(&browser, &forge.url(), "github", &code).await;
        assert_eq!(created.status, 303, "{}", created.body);
        forge.install_app("yard", "acme", None).await.unwrap();
        forge.wait_for_deliveries().await;
        world
    }

    async fn code(&self, manifest: &Value) -> String {
        let mut form = reqwest::Url::parse("http://x/").unwrap();
        form.query_pairs_mut().extend_pairs([("manifest", manifest.to_string().as_str()), ("owner", "acme")]);
        let confirm = self.http.post(format!("{}/settings/apps/confirm", self.story.local.forge().url()));
        let confirm = confirm.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let response = confirm.body(form.query().unwrap().to_owned()).send().await.unwrap();
        let back = reqwest::Url::parse(response.headers()[LOCATION].to_str().unwrap()).unwrap();
        back.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    }

    fn install_request(&self, base_url: &str, by_hand: bool) -> InstallHook {
        InstallHook {
            name: name(),
            integration: IntegrationId::new("github").unwrap(),
            project: self.story.project.clone(),
            repository: None,
            organisation: None,
            app: true,
            base_url: base_url.to_owned(),
            by_hand,
            template: None,
        }
    }

    async fn install(&self) {
        let hook = self.story.api.install_hook(&self.install_request(self.story.local.api_url(), false)).await.unwrap();
        assert_eq!((hook.kind, hook.secret.as_str().ends_with("-webhook")), (WebhookScope::App {}, true));
    }

    async fn drifts(&self) -> Vec<Drift> {
        self.story.api.verify_hook(&name()).await.unwrap().drifts
    }

    async fn call_forge(&self, token: &str, path: &str, body: Value) -> Value {
        let url = format!("{}/repos/{SHOP}{path}", self.story.local.forge().api_url());
        let answer = self.http.post(url).bearer_auth(token).body(body.to_string()).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Connects a repository through the App and opens a ticket's pull request. Returns its number.
    async fn open_pull(&self) -> u64 {
        let forge = self.story.local.forge();
        let files = [("README.md", "# Shop\n", false), ("agent.sh", WORKING_AGENT, true)];
        forge.create_repository(SHOP, "main", &files).await.unwrap();
        let ann = User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
        forge.add_user(ann, AccountKind::User).await.unwrap();
        forge.set_role(SHOP, "ann", Role::Write).await.unwrap();
        let add = json!({
            "integration": "github", "name": SHOP, "agent": { "capability": "command", "command": ["./agent.sh"] },
        });
        let add: AddRepository = serde_json::from_value(add).unwrap();
        self.story.api.add_repository(&self.story.project, &add).await.unwrap();
        forge.commit(SHOP, BRANCH, "pullyard-bot", &[("change.txt", "one\n", false)]).await.unwrap();
        let open = json!({ "title": "APP-1", "head": BRANCH, "base": "main", "body": "" });
        let pull = self.call_forge(&self.story.forge_token(), "/pulls", open).await;
        let number = pull["number"].as_u64().unwrap();
        let repository = pull["base"]["repo"]["id"].as_u64().unwrap();
        let id = PullRequestId { integration: add.integration, repository, number };
        self.story.link_pull_request(id, "APP-1", SHOP, (BRANCH, pull["head"]["sha"].as_str().unwrap())).await;
        forge.wait_for_deliveries().await;
        number
    }

    async fn poll(&self) {
        self.story.advance_and_sweep(Duration::from_secs(301)).await;
        self.story.wait_for_empty_queues().await;
        self.story.local.forge().wait_for_deliveries().await;
    }
}

fn codes(drifts: &[Drift]) -> Vec<(&str, bool)> {
    drifts.iter().map(|drift| (drift.code.as_str(), drift.repairable)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn review_with_a_failed_delivery_creates_one_job() {
    let world = World::with(|_| ()).await;
    world.install().await;
    let number = world.open_pull().await;
    world.story.local.forge().inject_delivery_fault(1, DeliveryFault::NotSent);
    let review = json!({ "event": "REQUEST_CHANGES", "body": "Not yet." });
    world.call_forge(ANNS_TOKEN, &format!("/pulls/{number}/reviews"), review).await;
    world.story.local.forge().wait_for_deliveries().await;
    assert_eq!(world.story.revisions().await.len(), 0, "the delivery was not lost");

    world.poll().await;
    world.story.wait_for_revision(1).await;
    assert_eq!(codes(&world.drifts().await), [("failing", false)], "the failed delivery is not reported");
    world.poll().await;
    assert_eq!(world.story.revisions().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn app_hook_with_a_wrong_url_is_repaired() {
    let world = World::with(|manifest| manifest["hook_attributes"]["url"] = json!("http://127.0.0.1:1/other")).await;
    let api_url = world.story.local.api_url();
    world.story.api.install_hook(&world.install_request(api_url, true)).await.unwrap();
    let drifts = world.drifts().await;
    assert_eq!(codes(&drifts), [("url", true), ("failing", false)]);
    assert_eq!(drifts[0].sentence, "It calls http://127.0.0.1:1/other instead of Pullyard.");
    let remaining_drifts = world.story.api.repair_hook(&name()).await.unwrap().drifts;
    assert_eq!(codes(&remaining_drifts), [("failing", false)], "the failed ping is not reported");
    // Removal forgets the hook here; at GitHub it belongs to the App's owner.
    world.story.api.remove_hook(&name(), false).await.unwrap();
    world.install().await;
    assert_eq!(codes(&world.drifts().await), [("failing", false)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unrepairable_drift_names_the_settings_page() {
    let world = World::with(|manifest| {
        manifest["default_events"] = json!(["issue_comment", "pull_request"]);
        manifest["default_permissions"]["contents"] = json!("read");
    })
    .await;
    world.install().await;
    let page = format!("{}/organizations/acme/settings/apps/yard", world.story.local.forge().url());
    for drifts in [world.drifts().await, world.story.api.repair_hook(&name()).await.unwrap().drifts] {
        assert_eq!(codes(&drifts), [("events", false), ("permissions", false), ("failing", false)]);
        assert_eq!(
            drifts[0].sentence,
            format!(
                "It does not send issues, pull_request_review, repository events; select them at {page}/permissions."
            )
        );
        assert!(drifts[1].sentence.contains("contents: write; add it at"), "{drifts:?}");
    }
    world.story.shut_down().await;

    let none = World::with(|manifest| manifest["hook_attributes"] = Value::Null).await;
    let page = format!("{}/organizations/acme/settings/apps/yard", none.story.local.forge().url());
    let wanted = none.install_request(none.story.local.api_url(), false);
    let refused = none.story.api.install_hook(&wanted).await.unwrap_err();
    assert!(refused.to_string().contains(&format!("switch it on at {page}")), "{refused}");
    let drifts = none.drifts().await;
    assert_eq!(codes(&drifts), [("missing", false)]);
    assert!(drifts[0].sentence.contains(&page), "{drifts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_finds_closed_and_reopened_pulls_of_an_app() {
    let world = World::with(|_| ()).await;
    world.install().await;
    let number = world.open_pull().await;
    let (store, forge) = (world.story.store().await, world.story.local.forge());
    let repository = store.list_repositories(&world.story.project).await.unwrap();
    let repository = repository.iter().find(|one| one.name.as_str() == SHOP).unwrap();
    let id = PullRequestId { integration: repository.integration.clone(), repository: repository.id, number };
    forge.inject_delivery_fault(100, DeliveryFault::NotRecorded);
    for (state, expected) in [("closed", PullRequestState::Closed), ("open", PullRequestState::Open)] {
        let url = format!("{}/repos/{SHOP}/pulls/{number}", forge.api_url());
        let change = world.http.patch(url).bearer_auth(ANNS_TOKEN).body(json!({ "state": state }).to_string());
        change.send().await.unwrap().error_for_status().unwrap();
        world.poll().await;
        assert_eq!(store.load_pull_request(&id).await.unwrap().unwrap().state, expected);
    }
}
