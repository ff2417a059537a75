//! Tests repository changes at the forge: renames, clone hosts, and removal of repositories and integrations.

use crate::apps::create_app;
use crate::pages::Browser;
use crate::prelude::*;
use crate::webhooks::{ANN, World};
use axum::http::Uri;
use pullyard_domain::project::Repository as Stored;
use pullyard_domain::project::forge::Integration;
use pullyard_protocol::project::Repository;
use pullyard_protocol::pull_request::PullRequestQuery;
use pullyard_store::RepositoryRemoval;

impl World {
    async fn send_rename(&self, name: &str) {
        let body = json!({
            "action": "renamed", "changes": { "repository": { "name": { "from": "app" } } },
            "repository": { "id": self.repository, "full_name": name },
            "sender": { "id": ANN, "login": "ann", "type": "User" },
        });
        let (status, response) = self.send("acme", "repository", &body).await;
        assert_eq!((status, response["code"].as_str()), (200, Some("noted")), "{response}");
    }

    async fn connected_repository(&self) -> Repository {
        let mut known = self.story.api.repositories(&self.story.project).await.unwrap().repositories;
        assert_eq!(known.len(), 1, "{known:?}");
        known.remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rename_to_another_repositorys_name_is_ignored() {
    let world = World::with_hook().await;
    let before = world.connected_repository().await;
    let files = [("README.md", "# Site\n", false)];
    world.story.local.forge().create_repository("acme/site", "main", &files).await.unwrap();
    world.send_rename("acme/site").await;
    assert_eq!(world.connected_repository().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn renamed_repository_is_cloned_from_new_name_at_same_host() {
    let world = World::with_hook().await;
    let (story, store) = (&world.story, world.story.store().await);
    let forge = story.local.forge();
    forge.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    world.send_rename("acme/shop").await;
    let shop = world.connected_repository().await;
    assert_eq!((shop.name.as_str(), shop.clone_url), ("acme/shop", format!("{}/acme/shop.git", forge.url())));

    // Store a clone URL of another host, as if the forge had moved.
    let elsewhere = "http://127.0.0.1:1/acme/shop.git";
    let stored = store.load_repository(&story.project, &IntegrationId::new("gh1").unwrap(), world.repository).await;
    let there = Stored { clone_url: elsewhere.into(), ..stored.unwrap().unwrap() };
    assert_eq!(store.put_repository(&there, None).await.unwrap(), Write::Applied);
    forge.rename_repository("acme/shop", "acme/store", "pullyard-bot").await.unwrap();
    world.send_rename("acme/store").await;
    let moved = world.connected_repository().await;
    assert_eq!((moved.name.as_str(), moved.clone_url.as_str()), ("acme/store", elsewhere));
}

/// Proxies the forge at another address; clone URLs in its answers name the original host.
async fn start_forge_proxy(forge: String) -> String {
    serve(Router::new().fallback(forward).with_state(forge)).await
}

async fn forward(State(forge): State<String>, headers: HeaderMap, uri: Uri) -> (StatusCode, String) {
    let call = reqwest::Client::new().get(format!("{forge}{uri}"));
    let answer = call.header("authorization", headers["authorization"].clone()).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_with_a_foreign_clone_host_is_not_connected() {
    let story = Story::start_with_waiting_tasks().await;
    let store = story.store().await;
    let known = store.load_integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let api_url = format!("{}/api/v3", start_forge_proxy(story.local.forge().url()).await);
    let elsewhere = Integration { id: IntegrationId::new("gh2").unwrap(), api_url, ..known };
    assert_eq!(store.put_integration(&elsewhere).await.unwrap(), Write::Applied);
    let add = json!({
        "integration": "gh2", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
    });
    let path = "/v1/projects/acme/repositories";
    let (status, _, problem) =
        story.request(Method::POST, path, Some(story.local.admin_token()), add.to_string().into_bytes()).await;
    assert_eq!((status, &problem["code"], &problem["pointer"]), (422, &json!("invalid"), &json!("/name")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("clone URL is on another host"), "{problem}");
    assert_eq!(story.api.repositories(&story.project).await.unwrap().repositories.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn repos_test_reports_no_missing_permission() {
    let (_story, user) = Story::with_user().await;
    let tested = user.run(&["repos", "test", REPOSITORY]).await;
    assert_eq!(tested.err, format!("No missing permission was found in {REPOSITORY}.\n"), "stderr has no further help");
    let table = tested.assert_success();
    assert!(table.contains("unknown\tpush\tcontents: write\t") && !table.contains("missing\t"), "{table}");
}

fn name() -> RepositoryName {
    RepositoryName::new(REPOSITORY).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_removal_names_blocking_job_pr_or_webhook() {
    let world = World::new().await;
    let hook = world.install_by_hand("acme").await;
    let (story, number) = (&world.story, world.number);
    let user = User::of(story);
    let request = json!({ "project": "acme", "prompt": "Do it.", "repository": REPOSITORY });
    let job = story.api.create_job(&serde_json::from_value(request).unwrap(), None).await.unwrap().job.unwrap();
    let refused = async || {
        let (status, code, sentence) = problem_of(story.api.remove_repository(&story.project, &name()).await);
        assert_eq!(story.api.repositories(&story.project).await.unwrap().repositories.len(), 1, "{sentence}");
        (status, code, sentence)
    };

    let expected = format!("Job {} is for {REPOSITORY} and has not ended.", short(&job));
    assert_eq!(refused().await, (409, "job_in_repository".to_owned(), expected));
    user.ok(&["jobs", "cancel", job.as_str(), "--yes"]).await;
    story.wait_for_end(&job).await;

    let expected = format!("{REPOSITORY}#{number} is open and linked to APP-1.");
    assert_eq!(refused().await, (409, "pull_request_open".to_owned(), expected));
    let (project, integration) = (story.project.clone(), None);
    story
        .api
        .unlink_pull_request(&PullRequestQuery { project, repository: name(), number, integration })
        .await
        .unwrap();

    let expected = format!("The hook acme serves only {REPOSITORY}.");
    assert_eq!(refused().await, (409, "hook_of_repository".to_owned(), expected));
    story.api.remove_hook(&hook.name, true).await.unwrap();

    let removed = story.api.remove_repository(&story.project, &name()).await.unwrap();
    assert_eq!((removed.name, removed.integration.as_str(), removed.was_default), (name(), "gh1", true));
    assert!(story.api.repositories(&story.project).await.unwrap().repositories.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn removed_repository_starts_no_jobs_and_can_be_reconnected() {
    let (story, user) = Story::with_user().await;
    user.ok(&["repos", "ingress", REPOSITORY, "poll"]).await;
    assert_eq!(user.ok(&["repos", "ingress", REPOSITORY]).await, "poll\n");
    user.run(&["repos", "ingress", "acme/none"]).await.assert_exit(5, "has no repository acme/none");
    user.run(&["repos", "delete", REPOSITORY]).await.assert_exit(2, "--yes");
    user.run(&["repos", "delete", "acme/none", "--yes"]).await.assert_exit(5, "there is no repository acme/none");
    let ran = user.run(&["repos", "delete", &REPOSITORY.to_uppercase(), "--yes"]).await;
    assert!(ran.err.contains("from acme") && ran.err.contains("settings set default_repository="), "{ran:?}");
    ran.assert_success();
    user.run(&["repos", "delete", REPOSITORY, "--yes"]).await.assert_exit(5, "there is no repository");

    let project = story.api.project(&story.project).await.unwrap();
    assert_eq!(project.settings.default_repository, None);
    let request = json!({ "project": "acme", "prompt": "Do it.", "repository": REPOSITORY });
    let refused = problem_of(story.api.create_job(&serde_json::from_value(request).unwrap(), None).await);
    assert_eq!((refused.0, refused.1.as_str()), (409, "repository_not_integrated"));

    let add = ["repos", "add", REPOSITORY, "--integration", "gh1", "--agent-command", "./agent.sh"];
    user.ok(&add).await;
    let removed = user.json(&["repos", "delete", REPOSITORY, "--yes"]).await;
    let expected = json!({ "integration": "gh1", "name": REPOSITORY, "was_default": true });
    assert_eq!(removed, expected, "the only repository became the default again");
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_removal_names_blocking_repository_hook_or_job() {
    let world = World::new().await;
    let hook = world.install_by_hand("acme").await;
    let (story, gh1) = (&world.story, IntegrationId::new("gh1").unwrap());
    let request = json!({ "project": "acme", "prompt": "Do it.", "repository": REPOSITORY });
    let job = story.api.create_job(&serde_json::from_value(request).unwrap(), None).await.unwrap().job.unwrap();
    let refused = async || {
        let (status, code, sentence) = problem_of(story.api.remove_integration(&gh1).await);
        assert!(story.api.integration(&gh1).await.is_ok(), "{sentence}");
        (status, code, sentence)
    };

    let expected = format!("{REPOSITORY} of acme is connected through gh1.");
    assert_eq!(refused().await, (409, "repository_of_integration".to_owned(), expected));
    let store = story.store().await;
    let repository = store.load_repository_by_name(&story.project, &name()).await.unwrap().unwrap();
    let names = store.list_repository_names(&repository).await.unwrap();
    let poll = store.load_poll(&story.project, &gh1, repository.id).await.unwrap();
    let removal = RepositoryRemoval {
        repository: &repository,
        names: &names,
        poll: poll.as_ref(),
        analysis: None,
        project: None,
    };
    assert_eq!(store.remove_repository(&removal).await.unwrap(), Write::Applied);

    assert_eq!(refused().await, (409, "hook_of_integration".to_owned(), "The hook acme belongs to gh1.".to_owned()));
    let hook = store.load_hook(&hook.name).await.unwrap().unwrap();
    assert_eq!(store.delete_hook(&hook).await.unwrap(), Write::Applied);

    let expected = format!("Job {} works at gh1 and has not ended.", short(&job));
    assert_eq!(refused().await, (409, "job_at_integration".to_owned(), expected));
    story.api.cancel_job(&job, &CancelJob::default()).await.unwrap();
    story.wait_for_end(&job).await;

    let removed = story.api.remove_integration(&gh1).await.unwrap();
    assert_eq!((removed.id, removed.secrets), (gh1.clone(), vec![story.local.forge_secret().to_owned()]));
    let again = problem_of(story.api.remove_integration(&gh1).await);
    assert_eq!((again.0, again.1.as_str()), (404, "not_found"));
    // A repository that still refers to gh1 works again once the same forge is connected as gh1.
    assert_eq!(store.put_repository(&repository, None).await.unwrap(), Write::Applied);
    let api_url = story.local.forge().api_url();
    let add = ["integrations", "add", "gh1", "--api-url", &api_url, "--token-secret", story.local.forge_secret()];
    User::of(story).ok(&add).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn integration_removal_needs_yes_and_names_its_secret() {
    let (story, user) = Story::with_user().await;
    user.run(&["integrations", "delete", "gh1"]).await.assert_exit(2, "--yes");
    user.run(&["integrations", "delete", "none", "--yes"]).await.assert_exit(5, "there is no integration none");
    let ran = user.run(&["integrations", "delete", "gh1", "--yes"]).await.assert_exit(3, "(repository_of_integration)");
    assert!(ran.err.contains("pullyard repos delete acme/app --project acme"), "{ran:?}");
    user.ok(&["repos", "delete", REPOSITORY, "--yes"]).await;
    let secret = story.local.forge_secret();
    let ran = user.run(&["integrations", "delete", "gh1", "--yes"]).await;
    assert!(ran.err.contains("Deleted gh1") && ran.err.contains(&format!("its secret {secret} stays")), "{ran:?}");
    assert!(!ran.err.contains("secrets delete"), "the secret of the embedded forge cannot be deleted: {ran:?}");
    ran.assert_success();

    let api_url = story.local.forge().api_url();
    user.ok(&["integrations", "add", "gh1", "--api-url", &api_url, "--token-secret", secret]).await;
    let removed = user.json(&["integrations", "delete", "gh1", "--yes"]).await;
    assert_eq!(removed, json!({ "id": "gh1", "secrets": [secret] }), "the name gh1 can be used again");
}

/// Stored links and ledger entries refer to an integration by name and mean its former forge.
#[tokio::test(flavor = "multi_thread")]
async fn name_of_a_removed_integration_is_reserved_for_its_forge() {
    let story = Story::start_with_waiting_tasks().await;
    let (user, secret) = (User::of(&story), story.local.forge_secret());
    user.ok(&["repos", "delete", REPOSITORY, "--yes"]).await;
    user.ok(&["integrations", "delete", "gh1", "--yes"]).await;
    let elsewhere = "http://127.0.0.1:9/api/v3";
    let token = json!({ "id": "gh1", "kind": "github", "api_url": elsewhere, "token_secret": secret });
    let app = json!({
        "id": "gh1", "api_url": elsewhere, "app_id": 7, "key_secret": secret, "webhook_secret": secret,
    });
    for (path, body) in [("/v1/integrations", token), ("/v1/github-apps", app)] {
        let admin = Some(story.local.admin_token());
        let (status, _, problem) = story.request(Method::POST, path, admin, body.to_string().into_bytes()).await;
        assert_eq!(
            (status, &problem["code"], &problem["pointer"]),
            (422, &json!("invalid"), &json!("/id")),
            "{path}: {problem}"
        );
    }
    let created = create_app(&Browser::admin(&story).await, "http://127.0.0.1:9", "gh1", "abc").await;
    assert!(created.status == 422 && created.contains("id=\"bad-id\""), "{}", created.body);
    assert!(story.api.integrations(None).await.unwrap().integrations.is_empty());
    let same = story.local.forge().api_url();
    user.ok(&["integrations", "add", "gh1", "--api-url", &same, "--token-secret", secret]).await;
}
