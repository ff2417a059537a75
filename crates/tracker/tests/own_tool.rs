//! Tests the contract of a user's own tool: the client against receivers, and the receiver of docs/tickets.md.
#![expect(
    clippy::unwrap_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::post;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::text::time::Timestamp;
use pullyard_outbound::standard_webhooks::{SigningSecret, verify};
use pullyard_outbound::{AllowedRanges, Client};
use pullyard_tracker::{Applied, Desired, Error, Link, OwnTool, Step, Subject, check_receiver};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

const DOCUMENT: &str = include_str!("../../../docs/tickets.md");

fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A receiver with fixed answers that stores the bodies of valid messages.
struct Receiver {
    url: String,
    secret: SigningSecret,
    bodies: Arc<Mutex<Vec<serde_json::Value>>>,
}

async fn receiver(status: u16, headers: &'static [(&'static str, &'static str)], answer: &'static str) -> Receiver {
    let (secret, bodies) = (SigningSecret::generate(), Arc::<Mutex<Vec<_>>>::default());
    let (known, seen) = (secret.clone(), bodies.clone());
    let handle = async move |sent: HeaderMap, body: Bytes| {
        if verify(&[known], &sent, &body, now().millis() / 1_000).is_ok() {
            seen.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
        }
        let mut response = (StatusCode::from_u16(status).unwrap(), answer).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(*name, value.parse().unwrap());
        }
        response
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/hook", post(handle))).await });
    Receiver { url, secret, bodies }
}

fn subject() -> Subject {
    let (project, ticket, job) = ("acme".into(), "APP-17".into(), Some("job_1".into()));
    Subject { project, ticket, job, url: Some("https://pullyard.example/jobs/job_1".into()) }
}

fn desired(version: u32) -> Desired {
    Desired {
        version,
        message: "msg_1".into(),
        step: Some(Step { to: "In Review".into(), expected: "AI Processing".into() }),
        badge: None,
        badges: vec!["AI Failed".into(), "AI Waiting".into()],
        comment: Some("It failed.".into()),
        link: Some(Link {
            url: "https://forge.example/pull/4".into(),
            title: "Pull request #4".into(),
            state: Some(PullRequestState::Open),
        }),
    }
}

fn own_tool(url: &str, secret: &SigningSecret) -> OwnTool {
    OwnTool::new(Client::new(AllowedRanges::loopback()), url, [secret.expose().as_str()]).unwrap()
}

async fn apply(receiver: &Receiver) -> Result<Applied, Error> {
    own_tool(&receiver.url, &receiver.secret).apply(&subject(), &desired(6), now()).await
}

#[tokio::test]
async fn message_has_the_documented_form() {
    let receiver = receiver(200, &[], "").await;
    assert_eq!(apply(&receiver).await, Ok(Applied::Shown));
    let mut sent = receiver.bodies.lock().unwrap().pop().unwrap();
    assert!(sent["timestamp"].as_str().is_some_and(|at| at.ends_with('Z')), "{sent}");
    sent["timestamp"] = "now".into();
    let expected = serde_json::json!({
        "type": "ticket.wanted", "timestamp": "now",
        "data": {
            "project": "acme", "ticket": "APP-17", "version": 6, "status": "In Review",
            "expected_status": "AI Processing", "badge": null, "comment": "It failed.",
            "pull_request": { "url": "https://forge.example/pull/4", "title": "Pull request #4", "state": "open" },
            "job": "job_1", "url": "https://pullyard.example/jobs/job_1"
        }
    });
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn each_answer_has_one_meaning() {
    type Answer = (u16, &'static [(&'static str, &'static str)], &'static str);
    let unexpected = |reason: &str| Err(Error::Unexpected { reason: reason.into() });
    let unreachable = |reason: &str| Err(Error::Unreachable { reason: reason.into() });
    let resting = |secs| Err(Error::Resting { after: Duration::from_secs(secs) });
    let cases: [(Answer, Result<Applied, Error>); 10] = [
        ((204, &[], ""), Ok(Applied::Shown)),
        ((409, &[], r#"{"status":"Doing","other":1}"#), Ok(Applied::Moved { status: "Doing".into() })),
        ((409, &[], "busy"), unexpected("it answered 409 without the ticket's status in 1 to 64 printable characters")),
        (
            (302, &[("location", "http://127.0.0.1/")], ""),
            unexpected("status 302, a redirect to 127.0.0.1; connect that address"),
        ),
        ((401, &[], ""), Err(Error::Refused { status: 401, reason: "its answer to a signed message".into() })),
        ((404, &[], ""), unreachable("status 404")),
        ((429, &[("retry-after", "30")], ""), resting(30)),
        ((503, &[("retry-after", "5")], ""), resting(5)),
        ((503, &[], ""), unreachable("status 503")),
        ((500, &[], ""), unreachable("status 500")),
    ];
    for ((status, headers, answer), expected) in cases {
        assert_eq!(apply(&receiver(status, headers, answer).await).await, expected, "{status}");
    }
}

#[tokio::test]
async fn tool_in_a_private_network_gets_no_call() {
    let receiver = receiver(200, &[], "").await;
    let tool = OwnTool::new(Client::default(), &receiver.url, [receiver.secret.expose().as_str()]);
    assert!(matches!(tool, Err(Error::Unexpected { .. })), "{tool:?}");
    assert!(receiver.bodies.lock().unwrap().is_empty());
}

#[tokio::test]
async fn check_finds_a_receiver_without_a_signature_check() {
    let receiver = receiver(200, &[], "").await;
    let checks = check_receiver(&receiver.url, &receiver.secret.expose(), now()).await.unwrap();
    let failed: Vec<_> = checks.iter().filter(|check| check.fault.is_some()).map(|check| check.name).collect();
    let expected = [
        "another secret is refused",
        "a changed body is refused",
        "a message from 10 minutes ago is refused",
        "a message from 10 minutes ahead is refused",
    ];
    assert_eq!(failed, expected, "{checks:?}");
    assert!(check_receiver(&receiver.url, "whsec_short", now()).await.is_err());
}

#[tokio::test]
async fn check_names_a_redirect() {
    let receiver = receiver(308, &[("location", "http://127.0.0.1/")], "").await;
    let checks = check_receiver(&receiver.url, &receiver.secret.expose(), now()).await.unwrap();
    let fault = checks[0].fault.as_ref().unwrap();
    assert!(fault.ends_with("received 308; answer directly, because redirects are not followed"), "{fault}");
}

/// Ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Starts the receiver of the document on a free port.
fn start_documented_receiver(secret: &SigningSecret) -> (Program, String) {
    let (_, rest) = DOCUMENT.split_once("```python\n").unwrap();
    let (code, _) = rest.split_once("```").unwrap();
    let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 40, "the receiver has {lines} lines");
    let child = Command::new("python3")
        .args(["-c", code])
        .env("PULLYARD_SECRET", secret.expose())
        .env("PORT", "0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut program = Program(child.unwrap());
    let mut port = String::new();
    BufReader::new(program.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    (program, format!("http://127.0.0.1:{}/", port.trim()))
}

#[tokio::test]
async fn documented_receiver_passes_the_check() {
    let secret = SigningSecret::generate();
    let (_program, url) = start_documented_receiver(&secret);
    let checks = check_receiver(&url, &secret.expose(), now()).await.unwrap();
    assert!(checks.iter().all(|check| check.fault.is_none()), "{checks:?}");
    assert_eq!(checks.len(), 10);
}

#[tokio::test]
async fn documented_receiver_lets_a_users_move_win() {
    let secret = SigningSecret::generate();
    let (_program, url) = start_documented_receiver(&secret);
    let tool = own_tool(&url, &secret);
    assert_eq!(tool.test("acme", now()).await, Ok(()));
    assert_eq!(tool.apply(&subject(), &desired(1), now()).await, Ok(Applied::Shown));
    assert_eq!(tool.apply(&subject(), &desired(1), now()).await, Ok(Applied::Shown), "a repeat");
    let from_elsewhere =
        Desired { step: Some(Step { to: "Done".into(), expected: "AI Processing".into() }), ..desired(2) };
    let moved = Ok(Applied::Moved { status: "In Review".into() });
    assert_eq!(tool.apply(&subject(), &from_elsewhere, now()).await, moved);
    assert_eq!(tool.apply(&subject(), &from_elsewhere, now()).await, moved, "a repeat");
    assert_eq!(tool.apply(&subject(), &desired(1), now()).await, Ok(Applied::Shown), "an older version");
}
