//! Tests reviews that start by the project's setting.

use super::world::{FAULT_LINE, World, finding};
use crate::pages::Browser;
use crate::prelude::*;
use crate::webhooks;
use pullyard_domain::project::ReviewWhen;
use pullyard_domain::review::delivery::Source;

/// The repository has no hook: polls find the pull request and its commits.
#[tokio::test(flavor = "multi_thread")]
async fn opened_pull_request_is_reviewed_without_a_request() {
    let world = World::new().await;
    world.set_findings(&[finding(FAULT_LINE, "It overflows")]);
    world.user.ok(&["settings", "set", "review.when=opened"]).await;
    let poll = async || {
        world.story.advance_and_sweep(Duration::from_secs(61)).await;
        world.story.wait_for_empty_queues().await;
    };
    poll().await;
    let label = world.label();
    let sentence = format!("An agent reviews {label} in ");
    let why = world.user.ok(&["why", &label]).await;
    assert!(why.contains(&sentence), "{why}");
    let listed = world.user.json(&["pulls"]).await["pulls"][0].clone();
    assert!(listed["reviews"]["next_at"].is_string(), "{listed}");
    let browser = Browser::admin(&world.story).await;
    let repository = world.story.local.forge().repository(REPOSITORY).await.unwrap().id;
    let address = format!("/pulls/gh1/{repository}/{}", world.number);
    assert!(browser.get(&address).await.body.contains(&sentence));
    assert!(world.story.jobs().await.is_empty());
    poll().await;
    poll().await;
    let jobs = world.story.jobs().await;
    assert_eq!(jobs.len(), 1);
    let job = world.story.wait_for_end(&jobs[0].id).await;
    assert_eq!((job.kind, job.status), (JobKind::Review, JobStatus::Completed), "{job:?}");
    assert_eq!((world.reviews().await.len(), world.comments().await.len()), (1, 1));
    let entries = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    let entry = entries.iter().find(|entry| entry.job.as_ref() == Some(&job.id)).unwrap();
    assert_eq!(entry.source, Source::Automatic);

    world.commit("src/other.rs", "fn other() {}\n").await;
    for _ in 0..4 {
        poll().await;
    }
    assert_eq!(world.story.jobs().await.len(), 1, "once per pull request");
}

impl webhooks::World {
    async fn report(&self, action: &str) {
        let path = format!("/pulls/{}", self.number);
        let pull_request = self.story.call_forge(Method::GET, &path, Value::Null).await;
        let body = json!({
            "action": action, "number": self.number, "pull_request": pull_request,
            "repository": { "id": self.repository, "full_name": REPOSITORY },
        });
        let (status, response) = self.send("acme", "pull_request", &body).await;
        assert_eq!((status, response["code"].as_str()), (200, Some("noted")), "{response}");
    }

    async fn pass(&self, secs: u64) {
        self.story.advance_and_sweep(Duration::from_secs(secs)).await;
        self.story.wait_for_empty_queues().await;
    }

    async fn wanted(&self) -> Option<Timestamp> {
        let id = PullRequestId {
            integration: IntegrationId::new("gh1").unwrap(),
            repository: self.repository,
            number: self.number,
        };
        self.story.store().await.load_pull_request(&id).await.unwrap().unwrap().review_wanted_at()
    }
}

async fn with_pushed_commit() -> webhooks::World {
    let world = webhooks::World::with_hook().await;
    world.story.update_settings(|settings| settings.review.when = ReviewWhen::Pushed).await;
    world.report("synchronize").await;
    assert!(world.wanted().await.is_some());
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn held_project_reviews_a_commit_after_its_release() {
    let world = with_pushed_commit().await;
    let user = User::of(&world.story);
    user.ok(&["hold", "--reason", "a freeze."]).await;
    world.pass(125).await;
    assert!(world.story.jobs().await.is_empty());
    assert!(world.wanted().await.is_some());
    let why = user.ok(&["pulls"]).await;
    assert!(why.contains("on hold"), "{why}");
    user.ok(&["release"]).await;
    world.pass(3_601).await;
    let jobs = world.story.jobs().await;
    assert_eq!(jobs.iter().map(|job| job.kind).collect::<Vec<_>>(), [JobKind::Review]);
    assert_eq!(world.wanted().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_is_not_reviewed_once_the_setting_is_off() {
    let world = with_pushed_commit().await;
    world.story.update_settings(|settings| settings.review.when = ReviewWhen::Asked).await;
    world.pass(125).await;
    assert_eq!((world.story.jobs().await.len(), world.wanted().await), (0, None));
}

/// A stranger's commits must not cost money.
#[tokio::test(flavor = "multi_thread")]
async fn pull_request_of_a_reader_is_not_reviewed_automatically() {
    let mut world = webhooks::World::with_hook().await;
    world.add_reader().await;
    let forge = world.story.local.forge();
    forge.set_role(REPOSITORY, "ben", Role::Write).await.unwrap();
    forge.commit(REPOSITORY, "bens", "pullyard-bot", &[("ben.txt", "one\n", false)]).await.unwrap();
    let url = format!("{}/repos/{REPOSITORY}/pulls", forge.api_url());
    let body = json!({ "title": "Ben", "head": "bens", "base": "main", "body": "" });
    let call = reqwest::Client::new().post(url).bearer_auth("ghp_ben").body(body.to_string());
    let pull: Value = call.send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    world.number = pull["number"].as_u64().unwrap();
    forge.set_role(REPOSITORY, "ben", Role::Read).await.unwrap();
    world.story.update_settings(|settings| settings.review.when = ReviewWhen::Opened).await;
    world.report("opened").await;
    world.pass(125).await;
    assert_eq!((world.story.jobs().await.len(), world.wanted().await), (0, None));
    let entries = world.story.api.deliveries(&world.story.project, None).await.unwrap().deliveries;
    assert!(entries.iter().any(|entry| entry.code == "author_not_permitted"), "{entries:?}");
}
