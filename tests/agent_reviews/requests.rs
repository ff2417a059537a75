//! Tests requests for reviews: comments, labels, and refusals of the CLI.

use crate::pages::Browser;
use crate::prelude::*;
use crate::pulls::{link_new_ticket, with_pull_request};
use crate::webhooks::{ANN, World};
use pullyard_domain::project::budget::Budget;

impl World {
    async fn review_jobs(&self) -> Vec<Job> {
        let jobs = self.story.jobs().await.into_iter();
        jobs.filter(|job| job.kind == JobKind::Review).collect()
    }

    async fn assert_decided(&self, event: &str, body: &Value, code: &str) {
        let (status, response) = self.send("acme", event, body).await;
        assert_eq!((status, response["code"].as_str()), (200, Some(code)), "{event}: {response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_of_a_user_with_push_starts_one_review() {
    let world = World::with_hook().await;
    let user = json!({ "id": ANN, "login": "ann", "type": "User" });
    let comment = world.comment(2, "/pullyard review full look at the loop", &user);
    world.assert_decided("issue_comment", &comment, "accepted").await;
    world.assert_decided("issue_comment", &comment, "repeat").await;
    let jobs = world.review_jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!((jobs[0].pull_request.as_ref().unwrap().number, &jobs[0].ticket), (world.number, &None));
    let prompt = world.story.api.job_context(&jobs[0].id).await.unwrap().prompt;
    assert!(prompt.contains("look at the loop") && !prompt.contains("full look"), "{prompt}");
    let label = world.label("pullyard:review", &user);
    world.assert_decided("pull_request", &label, "review_running").await;
    assert_eq!(world.review_jobs().await.len(), 1);
    assert!(world.story.revisions().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn label_starts_one_review() {
    let world = World::with_hook().await;
    let user = json!({ "id": ANN, "login": "ann", "type": "User" });
    let label = world.label("pullyard:review", &user);
    world.assert_decided("pull_request", &label, "accepted").await;
    world.assert_decided("pull_request", &label, "repeat").await;
    assert_eq!((world.review_jobs().await.len(), world.story.jobs().await.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_or_label_requests_to_resolve() {
    let user = json!({ "id": ANN, "login": "ann", "type": "User" });
    for by_comment in [true, false] {
        let world = World::with_hook().await;
        let (comment, label) =
            (world.comment(2, "/pullyard resolve add tests", &user), world.label("pullyard:resolve", &user));
        let (event, body) = if by_comment { ("issue_comment", comment) } else { ("pull_request", label) };
        world.assert_decided(event, &body, "accepted").await;
        world.assert_decided(event, &body, "repeat").await;
        let jobs = world.story.jobs().await;
        assert_eq!((jobs.len(), jobs[0].kind), (1, JobKind::Resolve));
        let prompt = world.story.api.job_context(&jobs[0].id).await.unwrap().prompt;
        assert_eq!(prompt.contains("add tests"), by_comment, "{prompt}");
    }
    let world = World::with_hook().await;
    let reader = world.add_reader().await;
    world
        .assert_decided("issue_comment", &world.comment(3, "/pullyard resolve", &reader), "author_not_permitted")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comment_or_label_of_a_stranger_starts_no_review() {
    let world = World::with_hook().await;
    let user = world.add_reader().await;
    let comment = world.comment(3, "/pullyard review", &user);
    world.assert_decided("issue_comment", &comment, "author_not_permitted").await;
    world.assert_decided("pull_request", &world.label("pullyard:review", &user), "author_not_permitted").await;
    assert!(world.story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_review_has_its_code_and_is_shown() {
    let (story, number) = with_pull_request().await;
    let user = User::of(&story);
    let label = format!("{REPOSITORY}#{number}");
    let refused = async |code: &str| {
        let ran = user.run(&["review", &label]).await.assert_exit(3, &format!("({code})"));
        assert_eq!(ran.out, "");
        let entry = user.json(&["deliveries", "--pull-request", &label]).await["deliveries"][0].clone();
        assert_eq!(entry["code"], code, "{entry}");
        let sentence = entry["sentence"].as_str().unwrap().trim_end_matches('.').to_lowercase();
        assert!(ran.err.to_lowercase().contains(&sentence), "{sentence}: {ran:?}");
    };
    story.update_settings(|settings| settings.held_by = Some("ann".into())).await;
    refused("project_held").await;
    let none = Budget { jobs_per_day: Some(0), ..Budget::default() };
    story.update_settings(move |settings| (settings.held_by, settings.budget) = (None, none)).await;
    refused("budget_exhausted").await;
    story.update_settings(|settings| settings.budget = Budget::default()).await;
    story.local.forge().set_head_fork(REPOSITORY, number, 4_711).await.unwrap();
    refused("fork_not_supported").await;
    let repository = story.local.forge().repository(REPOSITORY).await.unwrap().id;
    let page = Browser::admin(&story).await.get(&format!("/pulls/gh1/{repository}/{number}")).await;
    page.assert_contains(&["comes from a fork"]);
    assert!(!page.contains("Review by an agent"), "{}", page.body);
    story.call_forge(Method::PATCH, &format!("/pulls/{number}"), json!({ "state": "closed" })).await;
    refused("pull_request_closed").await;

    user.run(&["review", &format!("{REPOSITORY}#99")]).await.assert_exit(5, "there is no pull request");
    user.run(&["review", &label, "--agent", "nobody"]).await.assert_exit(2, "possible values");
    user.run(&["review", &label, "-m", "x", "--message-file", "-"]).await.assert_exit(2, "cannot be used with");
    let reader = User::with(&story, &story.create_token(&[Scope::Read], None).await);
    reader.run(&["review", &label]).await.assert_exit(4, "may not");
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn same_idempotency_key_is_the_same_review() {
    let (story, number) = with_pull_request().await;
    let user = User::of(&story);
    let label = format!("{REPOSITORY}#{number}");
    let request = ["review", &label, "--message-file", "-", "--idempotency-key", "k1"];
    let first = user.run_with(&request, "Is it safe?\n").await.assert_success();
    assert_eq!(user.run_with(&request, "Is it safe?\n").await.assert_success(), first);
    let jobs = story.jobs().await;
    assert_eq!((jobs.len(), jobs[0].kind), (1, JobKind::Review));
    let listed = user.ok(&["jobs", "list"]).await;
    assert!(listed.contains(first.trim_end()), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn review_of_a_linked_pull_request_explains_no_ticket() {
    let (story, number) = with_pull_request().await;
    link_new_ticket(&story, number, "APP-1").await;
    let user = User::of(&story);
    let label = format!("{REPOSITORY}#{number}");
    let before = user.ok(&["why", "APP-1"]).await;
    let out = user.ok(&["review", &label]).await;
    assert_eq!(user.ok(&["why", "APP-1"]).await, before);
    user.run(&["review", &label]).await.assert_exit(3, "(review_running)");
    assert_eq!(user.ok(&["why", "APP-1"]).await, before);
    let job = story.api.job(&out.trim_end().parse().unwrap()).await.unwrap();
    assert_eq!((job.ticket, story.ticket("APP-1").await.active_job), (None, None));
    let mut terminal = user.shown_at_terminal(&["jobs", "--color", "never"]);
    terminal.wait().await;
    assert!(terminal.text().contains(&format!("Review #{number}: feature")), "{}", terminal.text());
}
