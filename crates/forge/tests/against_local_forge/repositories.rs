//! Accounts and repositories, and refusals of wrong tokens and names.

use pullyard_forge::{Account, Error};
use pullyard_local_forge::Error as DemoError;

use crate::prelude::*;
use crate::world::{self, USER_ID, World};

#[tokio::test]
async fn account_of_the_token_is_returned() {
    let world = World::new().await;
    let account = world.forge().account().await.unwrap();
    assert_eq!(account, Account { id: USER_ID, login: "pullyard-bot".to_owned() });
}

#[tokio::test]
async fn repository_id_exceeds_double_precision() {
    let world = World::new().await;
    let repository = world.forge().repository(REPOSITORY).await.unwrap();
    assert_eq!(repository.id, world.repository.id);
    assert_ne!(repository.id as f64 as u64, repository.id);
    assert_eq!(repository.full_name, REPOSITORY);
    assert_eq!(repository.default_branch, "main");
    assert_eq!(repository.clone_url, world.repository.clone_url);
}

#[tokio::test]
async fn branch_is_found_by_its_whole_name() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    let forge = world.forge();
    for (branch, exists) in
        [("main", true), ("feature/a", true), ("feature", false), ("feature/a/b", false), ("a b", false)]
    {
        assert_eq!(forge.has_branch(REPOSITORY, branch).await, Ok(exists), "{branch}");
    }
    assert_eq!(forge.has_branch("acme/none", "main").await, Ok(false));
    let denied = world.forge_with("ghs_wrong").has_branch(REPOSITORY, "main").await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
}

#[tokio::test]
async fn unknown_repository_is_not_found() {
    let world = World::new().await;
    let forge = world.forge();
    for unknown in ["acme/none", "other/app", "acme", "../..", "acme/..", "acme/app/pulls", "a b/c"] {
        let error = forge.repository(unknown).await.unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{unknown}: {error:?}");
    }
}

#[tokio::test]
async fn wrong_token_is_denied_in_every_call() {
    let world = World::new().await;
    let forge = world.forge_with("ghs_wrong");
    let errors = [
        forge.account().await.unwrap_err(),
        forge.repository(REPOSITORY).await.unwrap_err(),
        forge.repository("acme/none").await.unwrap_err(),
        forge.open_pull_request(REPOSITORY, "x").await.unwrap_err(),
        forge.create_pull_request(REPOSITORY, &world::new_pull_request("x")).await.unwrap_err(),
        forge.find_or_create_pull_request(REPOSITORY, &world::new_pull_request("x")).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, Error::Denied { .. }), "{error:?}");
        assert!(error.to_string().ends_with("Bad credentials"), "{error}");
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn private_repository_is_404_without_a_token() {
    let world = World::new().await;
    let api = world.demo.api_url();
    for (path, expected) in [("user", 401), ("repos/acme/app", 404), ("nothing", 404)] {
        let answer = http().get(format!("{api}/{path}")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert!(body["message"].is_string() && body["documentation_url"].is_string(), "{body}");
    }
}

#[tokio::test]
async fn repository_is_created_once_with_a_plain_name() {
    let world = World::new().await;
    let create = |name| world.demo.create_repository(name, "main", world::FILES);
    assert!(matches!(create("ACME/app").await, Err(DemoError::RepositoryExists { .. })));
    for bad in ["acme", "../up", "acme/..", "acme/x.git", "api/v3"] {
        assert!(matches!(create(bad).await, Err(DemoError::InvalidName { .. })), "{bad}");
    }
    assert_eq!(create("acme/other").await.unwrap().id, world.repository.id + 1);
}
