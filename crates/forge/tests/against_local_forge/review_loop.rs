//! A review from its submission to the reply, with webhooks and API of the local forge.

use std::sync::{Arc, Mutex};

use crate::prelude::*;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::review::pull_request::MergeMethod;
use pullyard_forge::{
    BaseRepository, CommitState, CommitStatus, Error, ErrorKind, Forge, HookScope, HookSettings, Lines, NewLineComment,
    NewReview, NewState, PullRequest, PullRequestState, ReviewState, Side, Verdict,
    webhook::{self, Event, PullRequestAction, RepositoryChange, ReviewAction, Secret},
};
use pullyard_local_forge::{AccountKind, Role, User};

use crate::exchanges;
use crate::world::{World, actor, call_api, new_pull_request};

const ANN: u64 = 9_007_199_254_740_997;
const ANNS_TOKEN: &str = "ghp_ann";
const BRANCH: &str = "pullyard/acme/app-17-1";

async fn with_pull_request() -> (World, Forge, PullRequest) {
    let world = World::new().await;
    let ann = User { login: "ann".to_owned(), id: ANN, token: ANNS_TOKEN.to_owned() };
    world.demo.add_user(ann, AccountKind::User).await.unwrap();
    world.demo.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    world.push_branch(BRANCH).await;
    let forge = world.forge();
    let pull = forge.create_pull_request(REPOSITORY, &new_pull_request(BRANCH)).await.unwrap();
    (world, forge, pull)
}

async fn request_changes(world: &World, pull: &PullRequest) -> u64 {
    let body = json!({
        "event": "REQUEST_CHANGES", "body": "Not yet.",
        "comments": [
            {"path": "change.txt", "line": 1, "side": "RIGHT", "body": "Rename it."},
            {"path": "change.txt", "line": 1, "side": "RIGHT", "body": "And say why."},
        ],
    });
    call_as_ann(world, "POST", &format!("pulls/{}/reviews", pull.number), body).await["id"].as_u64().unwrap()
}

async fn call_as_ann(world: &World, method: &str, path: &str, body: Value) -> Value {
    let address = format!("{}/repos/{REPOSITORY}/{path}", world.demo.api_url());
    call_api(method, address, ANNS_TOKEN, body).await
}

#[tokio::test]
async fn review_is_read_with_comments_and_threads_and_answered() {
    let (world, forge, pull) = with_pull_request().await;
    let id = request_changes(&world, &pull).await;
    let reviews = forge.reviews(REPOSITORY, pull.number).await.unwrap().items;
    assert_eq!(reviews.len(), 1);
    assert_eq!(reviews[0], forge.review(REPOSITORY, pull.number, id).await.unwrap());
    assert_eq!(
        (reviews[0].id, reviews[0].state, reviews[0].body.as_str()),
        (id, ReviewState::ChangesRequested, "Not yet.")
    );
    assert_eq!(reviews[0].author.as_ref().map(|author| (author.id, author.is_bot)), Some((ANN, false)));

    let comments = forge.review_comments(REPOSITORY, pull.number, id).await.unwrap();
    assert!(!comments.truncated);
    let comments = comments.items;
    let bodies: Vec<_> = comments.iter().map(|comment| comment.body.as_str()).collect();
    assert_eq!(bodies, ["Rename it.", "And say why."]);
    assert_eq!((comments[0].path.as_str(), comments[0].side), ("change.txt", Side::Right));
    assert_eq!(comments[0].lines, Lines::Current { start: None, end: 1 });
    assert_eq!(forge.comments(REPOSITORY, pull.number).await.unwrap().items, comments);

    let threads = forge.threads(REPOSITORY, pull.number).await.unwrap().items;
    assert_eq!(threads.len(), 2);
    let thread = threads.iter().find(|thread| thread.comments == [comments[0].id]).unwrap();
    forge.reply(&thread.id, "Renamed.").await.unwrap();
    let all = forge.comments(REPOSITORY, pull.number).await.unwrap().items;
    let written = all.iter().find(|comment| comment.body == "Renamed.").unwrap();
    assert_eq!(written.in_reply_to, Some(comments[0].id));
    assert_eq!(forge.reply("PRRT_none", "x").await.unwrap_err().kind(), ErrorKind::Missing);

    // A reply creates a review of its own, without a body.
    let verdicts: Vec<_> =
        forge.reviews(REPOSITORY, pull.number).await.unwrap().items.iter().map(|review| review.state).collect();
    assert_eq!(verdicts, [ReviewState::ChangesRequested, ReviewState::Commented]);
}

#[tokio::test]
async fn reviewer_comments_on_a_line_and_merges() {
    let (world, forge, pull) = with_pull_request().await;
    let (ann, number) = (world.forge_with(ANNS_TOKEN), pull.number);
    let comment = |line| NewLineComment::on_line("change.txt".to_owned(), line, "Rename it.".to_owned());
    let review = |line, key: &str| NewReview {
        head: pull.head_sha.clone(),
        verdict: Verdict::RequestChanges,
        body: String::new(),
        comments: vec![comment(line)],
        key: key.to_owned(),
    };
    for _ in 0..2 {
        ann.create_review(REPOSITORY, number, &review(1, "one")).await.unwrap();
        ann.create_comment_once(REPOSITORY, number, "Well.", "one").await.unwrap();
    }
    let reviews = forge.reviews(REPOSITORY, number).await.unwrap().items;
    assert_eq!(reviews.iter().map(|review| review.state).collect::<Vec<_>>(), [ReviewState::ChangesRequested]);
    assert_eq!(forge.issue_comments(REPOSITORY, number).await.unwrap().items.len(), 1);
    assert_eq!(forge.comments(REPOSITORY, number).await.unwrap().items.len(), 1);
    assert_eq!(
        forge.comments(REPOSITORY, number).await.unwrap().items[0].lines,
        Lines::Current { start: None, end: 1 }
    );

    let diff = forge.diff(REPOSITORY, number).await.unwrap();
    let worktree = world.clone("apply").await;
    std::fs::write(world.dir.path().join("change.diff"), diff).unwrap();
    assert_success(&worktree.git(&["apply", "--check", "../change.diff"]).await);

    let refusal = |result: Result<(), Error>| match result.unwrap_err() {
        Error::Refused { reason } => reason,
        error => panic!("{error:?}"),
    };
    let refused = refusal(ann.create_review(REPOSITORY, number, &review(99, "two")).await);
    assert!(refused.starts_with("line could not be resolved: the changes do not show "), "{refused}");
    ann.set_state(REPOSITORY, number, NewState::Closed).await.unwrap();
    let reason = refusal(ann.merge(REPOSITORY, number, &pull.head_sha, None).await);
    assert_eq!(reason, format!("Pull request #{number} is closed: reopen it, then merge."));
    ann.set_state(REPOSITORY, number, NewState::Open).await.unwrap();
    let reason = refusal(ann.merge(REPOSITORY, number, &"0".repeat(40), None).await);
    assert_eq!(reason, "A branch has new commits: look at the changes again, then merge.");
    let reason = refusal(ann.merge(REPOSITORY, number, &pull.head_sha, Some(MergeMethod::Squash)).await);
    assert_eq!(reason, "this forge only makes merge commits: use the method merge");
    ann.merge(REPOSITORY, number, &pull.head_sha, Some(MergeMethod::Merge)).await.unwrap();
    assert_eq!(forge.pull_request(REPOSITORY, number).await.unwrap().state, PullRequestState::Merged);
    let details = forge.pull_request_details(REPOSITORY, number).await.unwrap();
    assert_eq!((details.text.as_str(), details.commits), ("What and why.", 1));
    assert_eq!(details.author.unwrap().login, "pullyard-bot");
    assert_eq!((details.merged_by.unwrap().login.as_str(), details.merge_commit.unwrap().len()), ("ann", 40));
    let reason = refusal(ann.set_state(REPOSITORY, number, NewState::Open).await);
    assert_eq!(reason, "state cannot be changed. The pull request has been merged");
}

#[tokio::test]
async fn diff_that_is_too_large_is_refused() {
    let (world, forge, pull) = with_pull_request().await;
    let text = "line of a large file\n".repeat(250_000);
    world.demo.commit(REPOSITORY, BRANCH, "ann", &[("large.txt", &text, false)]).await.unwrap();
    let error = forge.diff(REPOSITORY, pull.number).await.unwrap_err();
    assert_eq!(error, Error::Refused { reason: "The change is too large to show.".to_owned() });
}

/// `.ci/octokit` compares the answers with GitHub's descriptions.
#[tokio::test]
async fn local_forge_answers_the_calls_around_a_review() {
    let (world, forge, pull) = with_pull_request().await;
    let created = forge.create_comment(REPOSITORY, pull.number, "Started.").await.unwrap();
    let changed = forge.edit_comment(REPOSITORY, pull.number, created.id, "Done.").await.unwrap();
    assert_eq!(forge.issue_comments(REPOSITORY, pull.number).await.unwrap().items, [changed]);
    let (context, description) = ("pullyard".to_owned(), "Revised as asked.".to_owned());
    let status = CommitStatus { state: CommitState::Success, context, description, target_url: None, branch: None };
    forge.set_status(REPOSITORY, &pull.head_sha, &status).await.unwrap();
    assert_eq!(forge.permission(REPOSITORY, pull.number, &actor("ann")).await.unwrap().role, "maintain");
    forge.request_reviewers(REPOSITORY, pull.number, &["ann"]).await.unwrap();
    assert_eq!(forge.pull_requests(REPOSITORY, 1).await.unwrap().items[0].number, pull.number);

    let scope = HookScope::Repository(REPOSITORY.to_owned());
    let settings = HookSettings {
        url: "http://127.0.0.1:1/hook".to_owned(),
        secret: Secret::new("s3cret"),
        events: vec!["pull_request".to_owned()],
        active: true,
    };
    let hook = forge.create_hook(&scope, &settings).await.unwrap();
    world.demo.wait_for_deliveries().await;
    assert!(!forge.deliveries(&scope, hook.id).await.unwrap()[0].is_success());
    assert_eq!(forge.edit_hook(&scope, hook.id, &settings).await.unwrap().id, hook.id);
    forge.delete_hook(&scope, hook.id).await.unwrap();
}

type ReceivedDeliveries = Arc<Mutex<Vec<(String, String, String, Bytes)>>>;

#[derive(Clone)]
struct Receiver {
    url: String,
    deliveries: ReceivedDeliveries,
}

impl Receiver {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let receiver = Self { url, deliveries: ReceivedDeliveries::default() };
        let routes = Router::new().fallback(Self::receive).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        receiver
    }

    async fn receive(State(receiver): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let named = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
        let came = (named("x-github-event"), named("x-github-delivery"), named("x-hub-signature-256"), body);
        exchanges::record_delivery(&came.0, &came.3);
        receiver.deliveries.lock().unwrap().push(came);
        StatusCode::OK
    }

    fn events(&self) -> Vec<Event> {
        let secret = [Secret::new("s3cret")];
        let came = self.deliveries.lock().unwrap();
        let read = came.iter().map(|(event, _, signature, body)| {
            webhook::verify(&secret, body, Some(signature)).unwrap();
            webhook::parse(ForgeKind::GitHub, event, body).unwrap()
        });
        read.collect()
    }

    fn settings(&self) -> HookSettings {
        let events =
            ["pull_request", "pull_request_review", "pull_request_review_comment", "issue_comment", "repository"];
        let events = events.map(str::to_owned).to_vec();
        HookSettings { url: self.url.clone(), secret: Secret::new("s3cret"), events, active: true }
    }
}

#[tokio::test]
async fn every_review_event_is_signed_and_parsed() {
    let (world, forge, pull) = with_pull_request().await;
    let receiver = Receiver::start().await;
    let scope = HookScope::Repository(REPOSITORY.to_owned());
    let hook = forge.create_hook(&scope, &receiver.settings()).await.unwrap();
    assert!(hook.has_secret && hook.json && hook.active);
    assert_eq!(forge.hooks(&scope).await.unwrap().items[0].id, hook.id);

    let review = request_changes(&world, &pull).await;
    call_as_ann(&world, "PUT", &format!("pulls/{}/reviews/{review}", pull.number), json!({"body": "Not at all."}))
        .await;
    call_as_ann(&world, "POST", &format!("issues/{}/comments", pull.number), json!({"body": "/pullyard revise"})).await;
    world.demo.commit(REPOSITORY, BRANCH, "ann", &[("more.txt", "x\n", false)]).await.unwrap();
    call_as_ann(&world, "PATCH", &format!("pulls/{}", pull.number), json!({"state": "closed"})).await;
    world.demo.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    world.demo.wait_for_deliveries().await;

    let mut reviews = Vec::new();
    let mut rest = Vec::new();
    for event in receiver.events() {
        match event {
            Event::Ping => {}
            Event::Review(event) => {
                assert_eq!((event.review.id, event.repository.id), (review, world.repository.id));
                assert_eq!(event.pull_request.number, pull.number);
                reviews.push((event.action, event.review.state, event.review.body));
            }
            Event::PullRequest(event) => rest.push(format!("{:?}", event.action)),
            Event::Comment(event) => {
                assert!(event.is_pull_request && event.sender.id == ANN);
                rest.push(event.comment.body);
            }
            Event::Repository(event) => {
                assert_eq!(event.repository.full_name, "acme/shop");
                assert_eq!(event.change, RepositoryChange::Renamed);
                rest.push("renamed".to_owned());
            }
            Event::Ignored { event, .. } => assert_eq!(event, "pull_request_review_comment"),
            Event::Issue { .. } => panic!("the loop has no issue"),
        }
    }
    let state = ReviewState::ChangesRequested;
    assert_eq!(
        reviews,
        [
            (ReviewAction::Submitted, state, "Not yet.".to_owned()),
            (ReviewAction::Edited, state, "Not at all.".to_owned())
        ]
    );
    let pushed = PullRequestAction::Synchronize;
    let closed = PullRequestAction::Closed { merged: false };
    assert_eq!(
        rest,
        ["/pullyard revise".to_owned(), format!("{pushed:?}"), format!("{closed:?}"), "renamed".to_owned()]
    );
}

#[tokio::test]
async fn renamed_repository_is_read_by_its_old_name() {
    let (world, forge, pull) = with_pull_request().await;
    let review = request_changes(&world, &pull).await;
    world.demo.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    assert_eq!(forge.review(REPOSITORY, pull.number, review).await.unwrap().id, review);
    assert_eq!(forge.review_comments(REPOSITORY, pull.number, review).await.unwrap().items.len(), 2);
    assert_eq!(forge.repository(REPOSITORY).await.unwrap().full_name, "acme/shop");
    let named = BaseRepository { id: world.repository.id, full_name: Some("acme/shop".to_owned()) };
    assert_eq!(forge.pull_request(REPOSITORY, pull.number).await.unwrap().base_repository, Some(named.clone()));
    let listed = forge.pull_requests(REPOSITORY, 1).await.unwrap().items;
    assert_eq!(listed[0].base_repository, Some(named));
    // `clone` uses the old address.
    assert_success(&world.clone("old-name").await.git(&["fetch", "-q", "origin"]).await);
}

#[tokio::test]
async fn renamed_repository_is_written_by_its_old_name() {
    let (world, forge, pull) = with_pull_request().await;
    world.push_branch("job-2").await;
    world.demo.rename_repository(REPOSITORY, "acme/shop", "pullyard-bot").await.unwrap();
    let opened = forge.create_pull_request(REPOSITORY, &new_pull_request("job-2")).await.unwrap();
    assert_eq!(opened.url, format!("{}/acme/shop/pull/{}", world.demo.url(), opened.number));
    forge.edit_pull_request_text(REPOSITORY, pull.number, "New.").await.unwrap();
    assert_eq!(forge.pull_request_text(REPOSITORY, pull.number).await.unwrap(), "New.");
    let created = forge.create_comment(REPOSITORY, pull.number, "Started.").await.unwrap();
    forge.edit_comment(REPOSITORY, pull.number, created.id, "Done.").await.unwrap();
    assert_eq!(forge.issue_comments(REPOSITORY, pull.number).await.unwrap().items[0].body, "Done.");
    let (context, description) = ("pullyard".to_owned(), "Revised as asked.".to_owned());
    let status = CommitStatus { state: CommitState::Success, context, description, target_url: None, branch: None };
    forge.set_status(REPOSITORY, &pull.head_sha, &status).await.unwrap();
    forge.request_reviewers(REPOSITORY, pull.number, &["ann"]).await.unwrap();
    let scope = HookScope::Repository(REPOSITORY.to_owned());
    let settings = HookSettings {
        url: "http://127.0.0.1:1/hook".to_owned(),
        secret: Secret::new("s3cret"),
        events: vec!["pull_request".to_owned()],
        active: true,
    };
    let hook = forge.create_hook(&scope, &settings).await.unwrap();
    forge.edit_hook(&scope, hook.id, &HookSettings { active: false, ..settings }).await.unwrap();
    assert!(!forge.hooks(&scope).await.unwrap().items[0].active);
    forge.delete_hook(&scope, hook.id).await.unwrap();
    assert_eq!(forge.hooks(&scope).await.unwrap().items, []);
}
