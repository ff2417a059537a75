//! Bitbucket's reviews against the demo forge.

use pullyard_fake_forge::TestForge as _;
use pullyard_forge::{Forge, Lines, Meaning, PullRequest, Review, ReviewState, Side};
use serde_json::{Value, json};

use crate::{
    bitbucket::{ANNS_TOKEN, bitbucket, call, opened},
    world::{REPOSITORY, World, http},
};

async fn says(world: &World, words: &str) -> u64 {
    commented(world, json!({ "content": { "raw": words } })).await
}

async fn remarks(world: &World, words: &str) -> u64 {
    commented(world, json!({ "content": { "raw": words }, "inline": { "path": "change.txt", "to": 1 } })).await
}

async fn commented(world: &World, body: Value) -> u64 {
    call(world, ANNS_TOKEN, "POST", "pullrequests/1/comments", body).await["id"].as_u64().unwrap()
}

async fn requests_changes(world: &World) {
    call(world, ANNS_TOKEN, "POST", "pullrequests/1/request-changes", json!({})).await;
}

async fn takes_back(world: &World, path: &str) {
    let address = format!("{}/repositories/{REPOSITORY}/{path}", world.demo.bitbucket_api_url());
    let answer = http().delete(address).bearer_auth(ANNS_TOKEN).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
}

async fn reviews(forge: &Forge, pull: &PullRequest) -> Vec<Review> {
    forge.reviews(REPOSITORY, pull.number).await.unwrap().found
}

async fn states(forge: &Forge, pull: &PullRequest) -> Vec<ReviewState> {
    reviews(forge, pull).await.iter().map(|review| review.state).collect()
}

async fn on_lines(forge: &Forge, pull: &PullRequest, review: u64) -> Vec<u64> {
    let found = forge.review_comments(REPOSITORY, pull.number, review).await.unwrap();
    assert!(!found.more);
    found.found.iter().map(|comment| comment.id).collect()
}

#[tokio::test]
async fn change_request_collects_its_authors_comments() {
    let (world, forge, pull) = opened().await;
    assert!(reviews(&forge, &pull).await.is_empty());
    let first = remarks(&world, "Rename it.").await;
    says(&world, "Not yet.").await;
    requests_changes(&world).await;
    says(&world, "And say why.").await;
    let more = commented(&world, json!({ "content": { "raw": "Please." }, "parent": { "id": first } })).await;
    forge.create_comment(REPOSITORY, pull.number, "Started.").await.unwrap();

    let ann = bitbucket(&world, ANNS_TOKEN).account().await.unwrap();
    let told = reviews(&forge, &pull).await;
    assert_eq!(told.len(), 1);
    let review = forge.review(REPOSITORY, pull.number, told[0].id).await.unwrap();
    assert_eq!((review.id, review.state), (told[0].id, ReviewState::ChangesRequested));
    assert_eq!(review.author.as_ref().map(|author| (author.id, author.login.as_str())), Some((ann.id, "ann")));
    assert_eq!((review.submitted_at, review.url.as_str()), (told[0].submitted_at, pull.url.as_str()));
    assert_eq!(review.body, "Not yet.\n\nAnd say why.");

    let comments = forge.review_comments(REPOSITORY, pull.number, review.id).await.unwrap().found;
    let told: Vec<_> = comments.iter().map(|one| (one.id, one.in_reply_to, one.body.as_str())).collect();
    assert_eq!(told, [(first, None, "Rename it."), (more, Some(first), "Please.")]);
    assert_eq!((comments[0].path.as_str(), comments[0].side), ("change.txt", Side::Right));
    assert_eq!(comments[0].lines, Lines::Current { start: None, end: 1 });
    assert!(comments.iter().all(|one| one.review == Some(review.id)));
    let forgotten = forge.review(REPOSITORY, pull.number, 1).await.unwrap();
    assert_eq!(forgotten.state, ReviewState::Dismissed, "a review absent from the activity is dismissed");
    assert_eq!(forge.reviews(REPOSITORY, 99).await.unwrap_err().meaning(), Meaning::Missing);
}

#[tokio::test]
async fn withdrawn_or_approved_request_is_dismissed() {
    let (world, forge, pull) = opened().await;
    says(&world, "Not yet.").await;
    requests_changes(&world).await;
    let first = reviews(&forge, &pull).await[0].id;
    takes_back(&world, "pullrequests/1/request-changes").await;
    assert!(!states(&forge, &pull).await.contains(&ReviewState::ChangesRequested));

    let remark = remarks(&world, "Rename it.").await;
    requests_changes(&world).await;
    let newest = reviews(&forge, &pull).await.pop().unwrap();
    assert_eq!(newest.state, ReviewState::ChangesRequested);
    assert_ne!(newest.id, first);
    assert_eq!(on_lines(&forge, &pull, newest.id).await, [remark]);

    call(&world, ANNS_TOKEN, "POST", "pullrequests/1/approve", json!({})).await;
    let all = states(&forge, &pull).await;
    assert_eq!(all.last(), Some(&ReviewState::Approved));
    assert!(!all.contains(&ReviewState::ChangesRequested));
    takes_back(&world, "pullrequests/1/approve").await;
    assert!(states(&forge, &pull).await.iter().all(|state| *state == ReviewState::Dismissed));
}
