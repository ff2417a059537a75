//! Bitbucket's client against the local forge's Bitbucket API.

use crate::prelude::*;
use crate::pull_requests::check_concurrent_calls_open_one;
use crate::world::{TOKEN, World, call_api, git_as, new_pull_request};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_forge::{Bitbucket, CommitState, CommitStatus, Error, ErrorKind, GitLogin, PullRequestState, git_login};
use pullyard_local_forge::{AccountKind, Role, User};

const ANNS_TOKEN: &str = "ATCTT3x-ann";

fn bitbucket(world: &World, token: &str) -> Forge {
    let endpoint = Endpoint::new(world.demo.bitbucket_api_url());
    Forge::Bitbucket(Bitbucket::new(endpoint, Token::new(token)).unwrap())
}

async fn call(world: &World, token: &str, method: &str, path: &str, body: Value) -> Value {
    let address = format!("{}/repositories/{REPOSITORY}/{path}", world.demo.bitbucket_api_url());
    call_api(method, address, token, body).await
}

#[tokio::test]
async fn both_token_kinds_give_one_account_and_others_are_denied() {
    let world = World::new().await;
    let account = bitbucket(&world, TOKEN).account().await.unwrap();
    assert_eq!(account.login, "pullyard-bot");
    assert!(account.id < 1 << 53);
    assert_eq!(bitbucket(&world, &format!("bot@acme.example:{TOKEN}")).account().await.unwrap(), account);
    for wrong in ["ATCTT3x-wrong".to_owned(), format!("{TOKEN}:wrong")] {
        let forge = bitbucket(&world, &wrong);
        for error in [forge.account().await.unwrap_err(), forge.repository(REPOSITORY).await.unwrap_err()] {
            assert!(matches!(error, Error::Denied { .. }), "{error:?}");
        }
    }
}

#[tokio::test]
async fn repository_is_read_and_cloned_with_one_secret() {
    let world = World::new().await;
    let secret = format!("bot@acme.example:{TOKEN}");
    let found = bitbucket(&world, &secret).repository(REPOSITORY).await.unwrap();
    assert_eq!((found.full_name.as_str(), found.default_branch.as_str()), (REPOSITORY, "main"));
    assert_eq!(found.clone_url, world.repository.clone_url);
    assert!(found.id < 1 << 53);
    for token in [TOKEN, &secret] {
        let GitLogin { user, password } = git_login(ForgeKind::Bitbucket, token);
        let basic = BASE64_STANDARD.encode(format!("{user}:{password}"));
        let header = format!("http.extraHeader=Authorization: Basic {basic}");
        assert_success(&git_as(world.dir.path(), None, &["-c", &header, "ls-remote", &found.clone_url], b"").await);
    }
    for unknown in ["acme/none", "other/app", "acme", "acme/..", "acme/app/pullrequests"] {
        let error = bitbucket(&world, TOKEN).repository(unknown).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{unknown}: {error:?}");
    }
}

#[tokio::test]
async fn branch_is_found_by_its_whole_name() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    let forge = bitbucket(&world, TOKEN);
    for (branch, exists) in [("main", true), ("feature/a", true), ("feature", false), ("feature/a/b", false)] {
        assert_eq!(forge.has_branch(REPOSITORY, branch).await, Ok(exists), "{branch}");
    }
}

#[tokio::test]
async fn renamed_repository_is_read_and_written_by_its_old_name() {
    let world = World::new().await;
    let clone = world.clone("old-name").await;
    for branch in ["feature/a", "feature/b"] {
        world.push_branch(branch).await;
    }
    let forge = bitbucket(&world, TOKEN);
    let before = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    world.demo.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    assert_eq!(forge.repository(REPOSITORY).await.unwrap().full_name, "acme/shop");
    forge.edit_pull_request_text(REPOSITORY, before.number, "New.").await.unwrap();
    assert_eq!(forge.pull_request_text("acme/shop", before.number).await.unwrap(), "New.");
    let opened = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("feature/b")).await.unwrap();
    assert!(opened.url.contains("acme/shop"), "{}", opened.url);
    let created = forge.create_comment(REPOSITORY, before.number, "Started.").await.unwrap();
    forge.edit_comment(REPOSITORY, before.number, created.id, "Done.").await.unwrap();
    assert_eq!(forge.issue_comments("acme/shop", before.number).await.unwrap().items[0].body, "Done.");
    let (context, description) = ("pullyard".to_owned(), "Revised as asked.".to_owned());
    let status = CommitStatus { state: CommitState::Success, context, description, target_url: None, branch: None };
    forge.set_status(REPOSITORY, &before.head_sha, &status).await.unwrap();
    assert_success(&clone.git(&["push", "-q", "origin", "HEAD:refs/heads/pushed"]).await);
}

#[tokio::test]
async fn sixteen_concurrent_calls_open_one_pull_request() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    check_concurrent_calls_open_one(|| bitbucket(&world, TOKEN)).await;
}

#[tokio::test]
async fn declined_or_merged_pull_request_allows_another() {
    let world = World::new().await;
    let ann = User { login: "ann".to_owned(), id: 9_007_199_254_740_997, token: ANNS_TOKEN.to_owned() };
    world.demo.add_user(ann, AccountKind::User).await.unwrap();
    world.demo.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    world.push_branch("feature/a").await;
    let forge = bitbucket(&world, TOKEN);
    let first = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    call(&world, ANNS_TOKEN, "POST", "pullrequests/1/decline", json!({})).await;
    assert_eq!(forge.pull_request(REPOSITORY, first.number).await.unwrap().state, PullRequestState::Closed);
    let refused = forge.edit_pull_request_text(REPOSITORY, first.number, "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert_eq!(forge.open_pull_request(REPOSITORY, "feature/a").await, Ok(None));

    let second = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap();
    assert_eq!(second.number, 2);
    call(&world, ANNS_TOKEN, "POST", "pullrequests/2/merge", json!({})).await;
    assert_eq!(forge.pull_request(REPOSITORY, second.number).await.unwrap().state, PullRequestState::Merged);
    let listed = forge.pull_requests(REPOSITORY, 1).await.unwrap().items;
    let ended = [PullRequestState::Merged, PullRequestState::Closed];
    assert!(listed.len() == 2 && listed.iter().all(|pull| ended.contains(&pull.state)), "{listed:?}");
}

#[tokio::test]
async fn pull_request_is_merged_at_the_head_that_was_seen() {
    let world = World::new().await;
    world.push_branch("feature/a").await;
    let forge = bitbucket(&world, TOKEN);
    let number = forge.create_pull_request(REPOSITORY, &new_pull_request("feature/a")).await.unwrap().number;
    let head = forge.pull_request(REPOSITORY, number).await.unwrap().head_sha;
    for (head, method, expected) in [
        (&"0".repeat(40), None, "the pull request has new commits"),
        (&head, Some(MergeMethod::Squash), "the merge strategy is not allowed for this branch"),
        (&head, Some(MergeMethod::Rebase), "the merge strategy is not allowed for this branch"),
    ] {
        let refused = forge.merge(REPOSITORY, number, head, method).await.unwrap_err();
        let Error::Refused { reason } = &refused else { panic!("{refused:?}") };
        assert!(reason.to_lowercase().contains(expected), "{reason}");
    }
    forge.merge(REPOSITORY, number, &head, Some(MergeMethod::Merge)).await.unwrap();
    assert_eq!(forge.pull_request(REPOSITORY, number).await.unwrap().state, PullRequestState::Merged);
    let refused = forge.merge(REPOSITORY, number, &head, None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused, "a repeat: {refused:?}");
}
