//! Tests a review with GitHub's restrictions: from "request changes" to the commit, the replies and the new request.

use crate::world::World;
use pullyard_demo_forge::{AccountKind, Role, User};
use pullyard_domain::job::{JobKind, Replies};
use pullyard_domain::marker::Marker;
use pullyard_forge::{Forge, Lines, NewPullRequest, PullRequest, Side};
use pullyard_protocol::attempt::{RevisedComment, RevisedReview, Revises};
use serde_json::{Value, json};

const REPOSITORY: &str = "acme/app";
const BRANCH: &str = "feature";
const ANNS_TOKEN: &str = "ghp_ann";
const ANN: u64 = 9_007_199_254_740_997;

async fn as_ann(world: &World, method: &str, path: &str, body: Value) -> Value {
    let address = format!("{}/repos/{REPOSITORY}/{path}", world.forge.api_url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.request(method.parse().unwrap(), address).bearer_auth(ANNS_TOKEN).json(&body).send().await;
    let answer = answer.unwrap();
    let status = answer.status();
    let said: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{status}: {said}");
    said
}

/// A pull request with a deleted line, and a review that comments on that line and on another.
async fn reviewed(script: &str) -> (World, Forge, PullRequest) {
    let world = World::with_agent(script).await;
    let ann = User { login: "ann".into(), id: ANN, token: ANNS_TOKEN.into() };
    world.forge.add_user(ann, AccountKind::User).await.unwrap();
    world.forge.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    world.commit_on(BRANCH, "Earlier work");
    let files = [("README.md", "# Another\n", false), ("new.txt", "one\ntwo\n", false)];
    world.forge.commit(REPOSITORY, BRANCH, "pullyard-bot", &files).await.unwrap();
    let new = NewPullRequest {
        title: "T".into(),
        body: String::new(),
        head: BRANCH.into(),
        base: "main".into(),
        draft: false,
    };
    let forge = world.rest();
    let pull = forge.create_pull_request(REPOSITORY, &new).await.unwrap();
    let comments = json!([
        { "path": "README.md", "line": 1, "side": "LEFT", "body": "Keep this line." },
        { "path": "new.txt", "line": 2, "side": "RIGHT", "body": "Three, please." },
    ]);
    let body = json!({ "event": "REQUEST_CHANGES", "body": "Not yet.", "comments": comments });
    let review = as_ann(&world, "POST", &format!("pulls/{}/reviews", pull.number), body).await["id"].as_u64().unwrap();
    let comments = forge.review_comments(REPOSITORY, pull.number, review).await.unwrap().found;
    assert_eq!(comments.iter().map(|comment| comment.side).collect::<Vec<_>>(), [Side::Left, Side::Right]);
    world.api.assign(|job| {
        job.kind = JobKind::Revise;
        let comments = comments.iter().map(|comment| RevisedComment {
            id: comment.id,
            thread: comment.in_reply_to.unwrap_or(comment.id),
            path: comment.path.clone(),
            line: match comment.lines {
                Lines::File => None,
                Lines::Current { end, .. } | Lines::Original { end, .. } => Some(end),
            },
        });
        job.revises = Some(Revises {
            number: pull.number,
            url: pull.url.clone(),
            branch: BRANCH.into(),
            head: pull.head_sha.clone(),
            reviews: vec![RevisedReview { id: review, author: "ann".into() }],
            comments: comments.collect(),
            retries: Vec::new(),
        });
    });
    (world, forge, pull)
}

#[tokio::test]
async fn requested_change_becomes_a_commit_with_all_replies() {
    let (world, forge, pull) = reviewed("echo three >> new.txt").await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let result = world.api.finish().result.unwrap();
    assert_eq!(result.replies, Some(Replies { answered: 2, failed: 0 }), "{}", world.api.texts());
    assert_eq!(result.pull_request.number, pull.number);
    let now = forge.pull_request(REPOSITORY, pull.number).await.unwrap();
    assert_eq!((&now.head_sha, Some(&now.head_sha)), (&result.head, world.head(BRANCH).as_ref()));
    assert_eq!(world.git_line(&["rev-parse", &format!("{}^", result.head)]), pull.head_sha);

    let mark = Some(Marker::Job(world.api.assignment().job));
    let comments = forge.comments(REPOSITORY, pull.number).await.unwrap().found;
    let ours: Vec<_> = comments.iter().filter(|comment| Marker::parse(&comment.body) == mark).collect();
    let mut threads: Vec<_> = ours.iter().filter_map(|comment| comment.in_reply_to).collect();
    threads.sort_unstable();
    let mut wanted: Vec<_> = world.api.assignment().revises.unwrap().comments.iter().map(|one| one.thread).collect();
    wanted.sort_unstable();
    assert_eq!(threads, wanted);
    assert!(forge.threads(REPOSITORY, pull.number).await.unwrap().found.iter().all(|thread| !thread.resolved));
    let asked = as_ann(&world, "GET", &format!("pulls/{}", pull.number), json!({})).await;
    assert_eq!(asked["requested_reviewers"][0]["login"], "ann", "{}", world.api.texts());

    world.api.assign(|job| job.attempt = 2);
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.finishes().pop().unwrap().result.unwrap().replies, Some(Replies { answered: 2, failed: 0 }));
    assert_eq!(forge.comments(REPOSITORY, pull.number).await.unwrap().found.len(), comments.len());
}

#[tokio::test]
async fn closed_pull_request_is_not_revised() {
    let (world, forge, pull) = reviewed("exit 1").await;
    as_ann(&world, "PATCH", &format!("pulls/{}", pull.number), json!({ "state": "closed" })).await;
    assert_eq!(world.run().await.code, Some(0));
    assert_eq!(world.api.failure(), "pull_request_closed");
    assert_eq!(world.api.statuses(), ["preparing"]);
    assert_eq!(forge.comments(REPOSITORY, pull.number).await.unwrap().found.len(), 2);
}

#[tokio::test]
async fn pull_request_closed_during_the_work_gets_its_commit() {
    let wait = "echo waiting; while [ ! -e @DIR@/go ]; do sleep 0.02; done; echo three >> new.txt";
    let (world, _, pull) = reviewed(wait).await;
    // The control plane ends such a job by a cancel. Without a cancel the work is finished.
    let path = format!("pulls/{}", pull.number);
    world.meanwhile(async || as_ann(&world, "PATCH", &path, json!({ "state": "closed" })).await).await;
    assert_eq!(Some(world.api.finish().result.unwrap().head), world.head(BRANCH));
}
