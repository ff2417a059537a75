//! Issues as tickets: their labels, state and changes.

use crate::prelude::*;
use crate::scripted_forge::{ok, script_forge};
use crate::world::{TOKEN, World, call_api};
use pullyard_forge::{Error, IssueChangeKind, IssueClient};

const NUMBER: u64 = 1_001;
const LABEL: &str = "AI Processing";

async fn with_issue() -> (World, IssueClient) {
    let world = World::new().await;
    let address = format!("{}/repos/{REPOSITORY}/issues", world.demo.api_url());
    call_api("POST", address, TOKEN, json!({ "title": "Greet", "body": "Say hello." })).await;
    let client = world.forge().into_issue_client().unwrap();
    (world, client)
}

#[tokio::test]
async fn issue_is_read_with_the_changes_of_its_labels_and_state() {
    let (_world, client) = with_issue().await;
    let issue = client.issue(REPOSITORY, NUMBER).await.unwrap();
    assert_eq!((issue.title.as_str(), issue.body.as_str(), issue.is_open), ("Greet", "Say hello.", true));
    for _ in 0..2 {
        client.add_label(REPOSITORY, NUMBER, LABEL).await.unwrap();
    }
    client.set_issue_open(REPOSITORY, NUMBER, false).await.unwrap();
    let issue = client.issue(REPOSITORY, NUMBER).await.unwrap();
    assert_eq!((issue.labels, issue.is_open), (vec![LABEL.to_owned()], false));
    for _ in 0..2 {
        client.remove_label(REPOSITORY, NUMBER, LABEL).await.unwrap();
    }
    let changes = client.issue_changes(REPOSITORY, NUMBER).await.unwrap().items;
    let kinds: Vec<_> = changes.into_iter().map(|change| change.kind).collect();
    let label = LABEL.to_owned();
    let (added, removed) = (IssueChangeKind::Labeled { label: label.clone() }, IssueChangeKind::Unlabeled { label });
    assert_eq!(kinds, [added, IssueChangeKind::Closed, removed]);
    let changed = client.changed_issues(REPOSITORY, "2026-01-01T00:00:00Z").await.unwrap();
    assert_eq!(changed, [NUMBER]);
    let missing = client.issue(REPOSITORY, NUMBER + 1).await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn comment_on_an_issue_is_found_again() {
    let (_world, client) = with_issue().await;
    client.create_comment(REPOSITORY, NUMBER, "It failed.").await.unwrap();
    let comments = client.issue_comments(REPOSITORY, NUMBER).await.unwrap().items;
    assert_eq!(comments.len(), 1);
    assert_eq!(comments[0].body, "It failed.");
}

#[tokio::test]
async fn changed_comments_are_listed_with_their_issue() {
    let (_world, client) = with_issue().await;
    client.create_comment(REPOSITORY, NUMBER, "/pullyard raise 20").await.unwrap();
    let found = client.changed_comments(REPOSITORY, "2020-01-01T00:00:00.000Z").await.unwrap();
    let [changed] = &found.items[..] else { panic!("{found:?}") };
    assert_eq!((changed.issue, changed.comment.body.as_str()), (Some(NUMBER), "/pullyard raise 20"));
    assert!(!found.truncated);
    let later = client.changed_comments(REPOSITORY, "2990-01-01T00:00:00.000Z").await.unwrap();
    assert_eq!(later.items, []);
}

#[tokio::test]
async fn changed_comment_on_a_pull_request_has_no_issue() {
    let time = "2026-11-20T12:04:01Z";
    let comment = |kind: &str| {
        let page = format!("https://github.com/acme/app/{kind}/7#issuecomment-3");
        json!({ "id": 3, "body": "a", "user": null, "created_at": time, "updated_at": time, "html_url": page })
    };
    let (forge, scripted) = script_forge([ok(json!([comment("pull"), comment("issues")]))]).await;
    let client = forge.into_issue_client().unwrap();
    let found = client.changed_comments(REPOSITORY, "2026-11-20T12:00:00.000Z").await.unwrap().items;
    assert_eq!(found.iter().map(|changed| changed.issue).collect::<Vec<_>>(), [None, Some(7)]);
    let path = "/repos/acme/app/issues/comments?sort=updated&direction=asc&since=2026-11-20T12%3A00%3A00.000Z";
    assert_eq!(scripted.requests(), [format!("GET {path}&per_page=100")]);
}
