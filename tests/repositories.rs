//! Repositories as their forge tells of them: a name leads to the repository that has it now, and git goes to no host
//! but the forge's own.

use crate::cli::User;
use crate::story::{REPOSITORY, Story};
use crate::webhooks::{ANN, World};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::{Integration, Repository as Stored};
use pullyard_protocol::project::Repository;
use pullyard_store::Write;
use reqwest::Method;
use serde_json::json;
use tokio::net::TcpListener;

impl World {
    /// Whoever knows the hook's secret says that the repository has this name now.
    async fn renamed(&self, name: &str) {
        let body = json!({
            "action": "renamed", "changes": { "repository": { "name": { "from": "app" } } },
            "repository": { "id": self.repository, "full_name": name },
            "sender": { "id": ANN, "login": "ann", "type": "User" },
        });
        let (status, said) = self.send("acme", "repository", &body).await;
        assert_eq!((status, said["code"].as_str()), (200, Some("noted")), "{said}");
    }

    /// The one connected repository.
    async fn connected(&self) -> Repository {
        let mut known = self.story.api.repositories(&self.story.project).await.unwrap().repositories;
        assert_eq!(known.len(), 1, "{known:?}");
        known.remove(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_another_repository_has_by_now_is_not_given_to_the_one_that_had_it() {
    let world = World::make().await;
    world.by_hand("acme").await;
    let before = world.connected().await;
    let files = [("README.md", "# Site\n", false)];
    world.story.local.forge().create_repository("acme/site", "main", &files).await.unwrap();
    world.renamed("acme/site").await;
    assert_eq!(world.connected().await, before);
    world.story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_cloned_from_its_new_name_and_from_no_other_host_than_before() {
    let world = World::make().await;
    world.by_hand("acme").await;
    let (story, store) = (&world.story, world.story.store().await);
    let forge = story.local.forge();
    forge.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    world.renamed("acme/shop").await;
    let shop = world.connected().await;
    assert_eq!((shop.name.as_str(), shop.clone_url), ("acme/shop", format!("{}/acme/shop.git", forge.url())));

    // It was connected while its forge was at another address.
    let elsewhere = "http://127.0.0.1:1/acme/shop.git";
    let stored = store.repository(&story.project, &IntegrationId::new("gh1").unwrap(), world.repository).await;
    let there = Stored { clone_url: elsewhere.into(), ..stored.unwrap().unwrap() };
    assert_eq!(store.put_repository(&there).await.unwrap(), Write::Applied);
    forge.rename_repository("acme/shop", "acme/store", "pullyard-bot").await.unwrap();
    world.renamed("acme/store").await;
    let moved = world.connected().await;
    assert_eq!((moved.name.as_str(), moved.clone_url.as_str()), ("acme/store", elsewhere));
    world.story.end().await;
}

/// The same forge at another address: what it says of itself is where it was.
async fn behind(forge: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(passed_on).with_state(forge);
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn passed_on(State(forge): State<String>, headers: HeaderMap, uri: Uri) -> (StatusCode, String) {
    let call = reqwest::Client::new().get(format!("{forge}{uri}"));
    let answer = call.header("authorization", headers["authorization"].clone()).send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_to_be_cloned_from_another_host_than_its_forges_is_not_connected() {
    let story = Story::waiting().await;
    let store = story.store().await;
    let known = store.integration(&IntegrationId::new("gh1").unwrap()).await.unwrap().unwrap();
    let api_url = format!("{}/api/v3", behind(story.local.forge().url()).await);
    let elsewhere = Integration { id: IntegrationId::new("gh2").unwrap(), api_url, ..known };
    assert_eq!(store.put_integration(&elsewhere).await.unwrap(), Write::Applied);
    let add = json!({
        "integration": "gh2", "name": REPOSITORY, "agent": { "capability": "command", "command": ["./agent.sh"] },
    });
    let path = "/v1/projects/acme/repositories";
    let (status, _, said) =
        story.raw(Method::POST, path, Some(story.local.admin_token()), add.to_string().into_bytes()).await;
    assert_eq!((status, &said["code"], &said["pointer"]), (422, &json!("invalid"), &json!("/name")), "{said}");
    assert!(said["detail"].as_str().unwrap().contains("is not its own host"), "{said}");
    assert_eq!(story.api.repositories(&story.project).await.unwrap().repositories.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_to_be_missing_in_a_repository_that_jobs_work_in() {
    let story = Story::waiting().await;
    let user = User::of(&story);
    let tested = user.run(&["repos", "test", REPOSITORY]).await;
    assert_eq!(
        tested.err,
        format!("Nothing is missing in {REPOSITORY}, as far as can be told.\n"),
        "no help is needed"
    );
    let table = tested.done();
    assert!(table.contains("untold\tpush\tcontents: write\t") && !table.contains("missing\t"), "{table}");
    story.end().await;
}
