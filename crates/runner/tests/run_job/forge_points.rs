//! A runner's calls of its forge's API are numbered: it is killed before the first of them, before the first that may
//! change something, and right after each that may, and the next attempt leaves what an undisturbed one does.
//!
//! A runner that dies before a call leaves what one leaves that dies after the call before it, and a call that only reads
//! leaves nothing. Its calls of git are in `git_points`.

use crate::world::{BRANCH, World};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, StreamExt};
use pullyard_demo_forge::{AccountKind, Remark, Role, User};
use pullyard_domain::id::JobId;
use pullyard_domain::job::{Kind, Replies};
use pullyard_domain::marker::Marker;
use pullyard_protocol::attempt::{FinishOutcome, RevisedComment, RevisedReview, Revises};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

const REPOSITORY: &str = "acme/app";
/// Says how often it has worked.
const ROUNDS: &str = "cat > /dev/null; echo x >> greeting.txt; echo \"Round $(grep -c x greeting.txt).\"";
/// Walks at the same time: each is a program, and most of it waits.
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(90);

/// What an attempt does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The first job of a ticket, which opens a pull request.
    First,
    /// It answers a review of that one.
    Revision,
}

/// Where the runner is killed, by the number of a call, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Killed {
    Never,
    /// The forge never has it.
    Before(usize),
    /// It had its effect, and nobody is told.
    After(usize),
}

/// The forge by another address, where its calls are counted.
struct Gate {
    /// Its own host and port.
    forge: String,
    http: reqwest::Client,
    killed: Killed,
    calls: Mutex<Vec<String>>,
    /// The call has come at which the runner is killed. It is held, and never answered.
    reached: watch::Sender<bool>,
}

impl Gate {
    /// The world's job calls the forge by it from now on.
    async fn before(world: &World, killed: Killed) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = listener.local_addr().unwrap().to_string();
        let url = world.forge.api_url();
        let forge = url.split('/').nth(2).unwrap().to_owned();
        world.api.assign(|job| job.repository.api_url = url.replacen(&forge, &ours, 1));
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (calls, reached) = (Mutex::default(), watch::Sender::new(false));
        let gate = Arc::new(Self { forge, http, killed, calls, reached });
        let routes = Router::new().fallback(passed).with_state(gate.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        gate
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// The number of this call.
    fn noted(&self, call: String) -> usize {
        let mut calls = self.calls.lock().unwrap();
        calls.push(call);
        calls.len()
    }

    async fn asked(&self, method: Method, uri: &Uri, mut headers: HeaderMap, body: Bytes) -> Response {
        // These are of one connection.
        headers.remove("host");
        headers.remove("content-length");
        let call = self.http.request(method, format!("http://{}{uri}", self.forge)).headers(headers).body(body);
        let answer = call.send().await.unwrap();
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        for name in ["connection", "content-length", "transfer-encoding"] {
            headers.remove(name);
        }
        (status, headers, Body::from(answer.bytes().await.unwrap())).into_response()
    }

    async fn held(&self) -> Response {
        self.reached.send_replace(true);
        std::future::pending().await
    }
}

async fn passed(State(gate): State<Arc<Gate>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let number = gate.noted(format!("{method} {}", uri.path()));
    if gate.killed == Killed::Before(number) {
        return gate.held().await;
    }
    let answer = gate.asked(method, &uri, headers, body).await;
    if gate.killed == Killed::After(number) {
        return gate.held().await;
    }
    answer
}

/// What an attempt leaves at the forge, and here.
#[derive(Debug, PartialEq, Eq)]
struct End {
    outcome: FinishOutcome,
    replies: Option<Replies>,
    commits: String,
    has_another: bool,
    /// The text says which commit is the newest, in so many lines of ours.
    says_newest: (bool, usize),
    answers: usize,
    requested: BTreeSet<String>,
    worktrees: usize,
}

/// The end of the newest attempt.
async fn end(world: &World) -> End {
    let finish = world.api.finishes().pop().unwrap();
    let number = world.open_pull_request(BRANCH).await.unwrap().number;
    let look = world.forge.look(REPOSITORY, number).await.unwrap().unwrap();
    let text = world.rest().pull_request_text(REPOSITORY, number).await.unwrap();
    let mark = Some(Marker::Job(world.api.assignment().job));
    End {
        outcome: finish.outcome,
        replies: finish.result.and_then(|result| result.replies),
        commits: world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]),
        has_another: world.forge.look(REPOSITORY, number + 1).await.unwrap().is_some(),
        says_newest: (text.contains(&world.head(BRANCH).unwrap()), text.matches("pullyard:newest").count()),
        answers: look.comments.iter().filter(|(_, words)| Marker::of(words) == mark).count(),
        requested: look.requested.into_iter().collect(),
        worktrees: world.worktrees().len(),
    }
}

/// A world whose next attempt does this work.
async fn prepared(work: Work) -> World {
    let world = World::with_agent(ROUNDS).await;
    if work == Work::Revision {
        assert_eq!(world.run().await.code, Some(0));
        reviewed(&world).await;
    }
    world
}

/// Somebody makes two remarks on the pull request that is there, which the next job is to answer.
async fn reviewed(world: &World) {
    let number = world.open_pull_request(BRANCH).await.unwrap().number;
    let ann = User { login: "ann".into(), id: 8, token: "token-of-ann".into() };
    world.forge.add_user(ann, AccountKind::User).await.unwrap();
    world.forge.set_role(REPOSITORY, "ann", Role::Maintain).await.unwrap();
    let remarks = ["Red, please.", "Why?"].map(|words| Remark { path: "greeting.txt", line: 1, words });
    let review = world.forge.request_changes(REPOSITORY, number, "ann", "Please.", &remarks).await.unwrap();
    let said = world.rest().comments(REPOSITORY, number).await.unwrap().found;
    assert_eq!(said.len(), 2);
    let comment = |id| RevisedComment { id, thread: id, path: "greeting.txt".into(), line: Some(1) };
    let comments: Vec<RevisedComment> = said.iter().map(|said| comment(said.id)).collect();
    let head = world.head(BRANCH).unwrap();
    world.api.next_attempt(|job| {
        job.job = JobId::new(format!("job_{}", "b".repeat(26))).unwrap();
        (job.attempt, job.checkpoint, job.kind) = (1, false, Kind::Revise);
        job.revises = Some(Revises {
            number,
            url: format!("https://x.test/acme/app/pull/{number}"),
            branch: BRANCH.into(),
            head,
            reviews: vec![RevisedReview { id: review, author: "ann".into() }],
            comments,
            retries: Vec::new(),
        });
    });
}

/// The end of the attempt after one that was killed there.
async fn gone_on(work: Work, killed: Killed) -> End {
    let world = prepared(work).await;
    let gate = Gate::before(&world, killed).await;
    let mut runner = world.spawn(|_| ());
    let mut reached = gate.reached.subscribe();
    timeout(PATIENCE, reached.wait_for(|reached| *reached)).await.unwrap().unwrap();
    runner.kill().await.unwrap();
    world.api.assign(|job| job.attempt = 2);
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{killed:?}: {}", ran.log);
    end(&world).await
}

/// Walks through the calls of this work: there may be more than so many, and not fewer, and these are among them.
async fn walk(work: Work, least: usize, among: &[&str]) {
    let world = prepared(work).await;
    let gate = Gate::before(&world, Killed::Never).await;
    let ran = world.run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.log);
    let undisturbed = end(&world).await;
    assert_eq!(undisturbed.outcome, FinishOutcome::Completed);
    // What the others are compared with is what there should be.
    let (answers, replies) = match work {
        Work::First => (0, None),
        Work::Revision => (2, Some(Replies { answered: 2, failed: 0 })),
    };
    assert_eq!((undisturbed.answers, &undisturbed.replies), (answers, &replies));
    assert_eq!((undisturbed.has_another, undisturbed.says_newest), (false, (true, 2)));
    let calls = gate.calls();
    println!("{work:?}: {} calls of the forge: {calls:?}", calls.len());
    assert!(calls.len() >= least, "{calls:?}");
    for one in among {
        assert!(calls.iter().any(|call| call.contains(one)), "{one}: {calls:?}");
    }
    let numbered = calls.iter().enumerate().map(|(at, call)| (at + 1, call));
    let changes: Vec<usize> =
        numbered.filter(|(_, call)| !call.starts_with("GET ")).map(|(number, _)| number).collect();
    let points = [1, changes[0]].map(Killed::Before).into_iter().chain(changes.into_iter().map(Killed::After));
    let walks = points.map(|killed| async move { (killed, gone_on(work, killed).await) });
    let ends: Vec<_> = stream::iter(walks).buffer_unordered(AT_ONCE).collect().await;
    for (killed, end) in ends {
        assert_eq!(end, undisturbed, "killed {killed:?} of {calls:?}");
    }
}

#[tokio::test]
async fn a_runner_that_is_killed_around_whichever_call_opens_its_pull_request_is_gone_on_from() {
    walk(Work::First, 2, &["GET ", "POST "]).await;
}

#[tokio::test]
async fn a_runner_that_is_killed_around_whichever_call_answers_a_review_is_gone_on_from() {
    walk(Work::Revision, 7, &["GET ", "PATCH ", "graphql", "/requested_reviewers"]).await;
}
