//! Tests how failed answers of a tool are classified.

use crate::world::{KINDS, World, connection, http};
use pullyard_domain::text::time::Timestamp;
use pullyard_fake_tracker::Kind;
use pullyard_tracker::{Applied, Error, Jira, Linear};
use serde_json::{Value, json};
use std::time::Duration;

fn resting(secs: u64) -> Error {
    Error::Resting { after: Duration::from_secs(secs) }
}

fn unreachable(status: u16) -> Error {
    Error::Unreachable { reason: format!("status {status}") }
}

fn refused(status: u16, reason: &str) -> Error {
    Error::Refused { status, reason: reason.to_owned() }
}

#[tokio::test]
async fn statuses_mean_the_same_at_both_tools() {
    let retry = |value: &str| vec![("retry-after", value.to_owned())];
    for (status, headers, expected) in [
        (429, retry("90"), resting(90)),
        (429, retry("86400"), resting(3600)),
        (429, Vec::new(), resting(60)),
        (503, retry("5"), resting(5)),
        (503, Vec::new(), unreachable(503)),
        (500, Vec::new(), unreachable(500)),
        (502, Vec::new(), unreachable(502)),
        (408, Vec::new(), unreachable(408)),
        (425, Vec::new(), unreachable(425)),
        (409, Vec::new(), Error::TicketBusy { reason: "the tool is changing it" }),
        (404, Vec::new(), unreachable(404)),
    ] {
        for kind in KINDS {
            let world = World::new(kind).await;
            world.fake.answer(world.reading(), (status, headers.clone(), json!({})));
            assert_eq!(world.read().await, Err(expected.clone()), "{kind:?} {status}");
            assert!(world.read().await.is_ok());
        }
    }
}

/// A suspended site and a wrong address answer so. A missing ticket would lose its connection for good.
#[tokio::test]
async fn missing_site_is_no_missing_ticket() {
    for body in [json!({ "errorMessage": "Site temporarily unavailable" }), json!("<html>"), Value::Null] {
        for kind in KINDS {
            let world = World::new(kind).await;
            for call in [world.reading(), if kind == Kind::Jira { "GET" } else { "query Ticket" }] {
                world.fake.answer(call, (404, Vec::new(), body.clone()));
            }
            assert_eq!(world.read().await, Err(unreachable(404)), "{kind:?} {body}");
            assert_eq!(world.apply(&world.failed()).await, Err(unreachable(404)), "{kind:?} {body}");
        }
    }
}

#[tokio::test]
async fn only_linears_message_makes_a_ticket_missing() {
    for (message, expected) in [
        ("Entity not found: Issue", Error::NotFound),
        ("Query too complex", Error::Unexpected { reason: "Sorry.".to_owned() }),
        ("Argument Validation Error", Error::Unexpected { reason: "Sorry.".to_owned() }),
    ] {
        let world = World::new(Kind::Linear).await;
        let extensions = json!({ "code": "INPUT_ERROR", "userPresentableMessage": "Sorry." });
        let body = json!({ "errors": [{ "message": message, "extensions": extensions }], "data": null });
        for call in ["query Read", "query Ticket"] {
            world.fake.answer(call, (200, Vec::new(), body.clone()));
        }
        assert_eq!(world.read().await, Err(expected.clone()), "{message}");
        assert_eq!(world.apply(&world.failed()).await, Err(expected), "{message}");
    }
}

#[tokio::test]
async fn time_of_all_calls_is_limited() {
    for kind in KINDS {
        let world = World::new(kind).await.without_time();
        let late = Error::Unreachable { reason: "it did not answer all calls within 0 s".to_owned() };
        assert!(late.is_transient());
        world.fake.hang(world.reading());
        assert_eq!(world.read().await, Err(late.clone()));
        world.fake.hang(if kind == Kind::Jira { "GET" } else { "query Ticket" });
        assert_eq!(world.apply(&world.failed()).await, Err(late));
    }
}

#[tokio::test]
async fn redirect_names_the_new_address() {
    for (location, named) in [("https://new.atlassian.net/login", "new.atlassian.net"), ("/login", "another path")] {
        for kind in KINDS {
            let world = World::new(kind).await;
            world.fake.answer(world.reading(), (302, vec![("location", location.to_owned())], Value::Null));
            let read = world.read().await.unwrap_err();
            assert!(!read.is_transient() && read.to_string().contains(named), "{read}");
        }
    }
}

#[tokio::test]
async fn long_texts_of_a_tool_are_cut() {
    let long = "é".repeat(5000);
    let world = World::new(Kind::Jira).await;
    let body = json!({ "errorMessages": [], "errors": { "field": long } });
    world.fake.answer("POST /rest/api/3/issue/PRJ-7/transitions", (400, Vec::new(), body));
    assert_eq!(world.apply(&world.failed()).await, Err(Error::TransitionRefused { reason: "é".repeat(300) }));
    let body = json!({ "key": "PRJ-7", "fields": { "status": { "id": long }, "labels": [] } });
    world.fake.answer("GET", (200, Vec::new(), body));
    let reason = "the id of a status is too long".to_owned();
    assert_eq!(world.apply(&world.failed()).await, Err(Error::Unexpected { reason }));
}

#[tokio::test]
async fn answers_that_no_tool_gives_are_unexpected() {
    for kind in KINDS {
        for (status, body) in
            [(200, json!("<html>")), (200, json!([])), (200, Value::Null), (302, Value::Null), (400, json!({}))]
        {
            let world = World::new(kind).await;
            world.fake.answer(world.reading(), (status, Vec::new(), body.clone()));
            let read = world.read().await;
            assert!(matches!(read, Err(Error::Unexpected { .. })), "{kind:?} {status} {body}: {read:?}");
        }
    }
}

#[tokio::test]
async fn refused_credential_has_the_reason_of_jira() {
    for (status, body, reason) in [
        (401, json!({ "errorMessages": ["You are not authenticated."], "errors": {} }), "You are not authenticated"),
        (403, json!({ "errorMessages": [], "errors": { "labels": "No right." } }), "No right"),
        (403, json!("Basic auth with password is not allowed on this instance"), ""),
    ] {
        let world = World::new(Kind::Jira).await;
        world.fake.answer(world.reading(), (status, Vec::new(), body));
        assert_eq!(world.read().await, Err(refused(status, reason)));
    }
}

#[tokio::test]
async fn codes_of_linear_decide_at_any_status() {
    // The clock is Linear's own.
    let (date, now) = ("Fri, 20 Nov 2026 12:04:01 GMT", 1_795_176_241_000);
    let limit = |name: &str, left: i64, secs: i64| {
        [
            (format!("x-ratelimit-{name}-remaining"), left.to_string()),
            (format!("x-ratelimit-{name}-reset"), (now + 1000 * secs).to_string()),
        ]
    };
    for (status, code, limits, expected) in [
        (400, "RATELIMITED", vec![], resting(60)),
        (200, "RATELIMITED", vec![], resting(60)),
        (400, "RATELIMITED", vec![limit("requests", 0, 300), limit("complexity", 5, 900)], resting(300)),
        (400, "RATELIMITED", vec![limit("requests", 0, 300), limit("endpoint-requests", 0, 9000)], resting(3600)),
        (400, "RATELIMITED", vec![limit("requests", 0, -5)], resting(0)),
        (401, "AUTHENTICATION_ERROR", vec![], refused(401, "Sorry.")),
        (200, "AUTHENTICATION_ERROR", vec![], refused(401, "Sorry.")),
        (200, "FORBIDDEN", vec![], refused(403, "Sorry.")),
        (200, "INPUT_ERROR", vec![], Error::Unexpected { reason: "Sorry.".to_owned() }),
        (200, "INTERNAL_SERVER_ERROR", vec![], Error::Unreachable { reason: "Sorry.".to_owned() }),
        (503, "SOMETHING", vec![], unreachable(503)),
        (200, "SOMETHING", vec![], Error::Unexpected { reason: "Sorry.".to_owned() }),
        (400, "GRAPHQL_VALIDATION_FAILED", vec![], Error::Unexpected { reason: "status 400: Sorry.".to_owned() }),
    ] {
        let world = World::new(Kind::Linear).await;
        let limits = limits.into_iter().flatten().map(|(name, value)| (&*name.leak(), value));
        let headers = limits.chain([("date", date.to_owned())]).collect();
        let extensions = json!({ "code": code, "userPresentableMessage": "Sorry." });
        let body = json!({ "errors": [{ "message": "raw", "extensions": extensions }], "data": null });
        world.fake.answer("query Read", (status, headers, body));
        assert_eq!(world.read().await, Err(expected), "{status} {code}");
    }
}

#[tokio::test]
async fn unknown_credential_is_refused() {
    for kind in KINDS {
        let world = World::new(kind).await;
        let connection = connection(&world.fake, "nobody");
        let account = match kind {
            Kind::Jira => Jira::new(http(), connection).unwrap().account().await,
            Kind::Linear => Linear::new(http(), connection).unwrap().account().await,
        };
        assert!(matches!(account, Err(Error::Refused { status: 401, .. })), "{account:?}");
    }
}

#[tokio::test]
async fn refused_write_of_jira_has_the_reason() {
    let missing = Error::TicketBusy { reason: "the tool does not find the ticket that it returned before" };
    assert!(missing.is_transient() && missing.is_of_ticket());
    for (call, status, expected) in [
        ("PUT /rest/api/3/issue/PRJ-7", 400, Error::WriteRefused { reason: "label: status 400: No".to_owned() }),
        ("POST /rest/api/3/issue/PRJ-7/transitions", 403, refused(403, "No")),
        ("POST /rest/api/3/issue/PRJ-7/transitions", 404, missing),
        ("POST /rest/api/3/issue/PRJ-7/transitions", 400, Error::TransitionRefused { reason: "No".to_owned() }),
    ] {
        let world = World::new(Kind::Jira).await;
        world.fake.answer(call, (status, Vec::new(), json!({ "errorMessages": [], "errors": { "labels": "No." } })));
        assert_eq!(world.apply(&world.failed()).await, Err(expected));
    }
}

/// Jira and the apps of its workflows answer in several forms.
#[tokio::test]
async fn refused_transition_of_jira_is_about_the_ticket() {
    let sentence = json!({ "errorMessages": ["Field Resolution is required."], "errors": {} });
    for (status, body, expected) in [
        (400, sentence, Some("Field Resolution is required")),
        (400, json!({ "errorMessages": [], "errors": { "resolution": "It is required." } }), Some("It is required")),
        (400, json!("<html>Bad Request</html>"), Some("it gave no reason")),
        (400, Value::Null, Some("it gave no reason")),
        (409, json!({ "errorMessages": ["Another transition runs."] }), None),
    ] {
        let world = World::new(Kind::Jira).await;
        world.fake.answer("POST /rest/api/3/issue/PRJ-7/transitions", (status, Vec::new(), body));
        let error = world.apply(&world.failed()).await.unwrap_err();
        let refused = expected.map(|reason| Error::TransitionRefused { reason: reason.to_owned() });
        assert!(error.is_of_ticket() && refused.is_none_or(|refused| refused == error), "{error}");
    }
    let world = World::new(Kind::Jira).await;
    let html = (500, Vec::new(), json!("<html>Oops</html>"));
    world.fake.answer("POST /rest/api/3/issue/PRJ-7/transitions", html);
    let error = world.apply(&world.failed()).await.unwrap_err();
    assert!(!error.is_of_ticket() && error.is_transient(), "{error}");
}

/// An anonymous caller gets an empty list and a missing ticket.
#[tokio::test]
async fn expired_token_of_jira_is_refused_by_each_call() {
    let world = World::new(Kind::Jira).await;
    let jira = Jira::new(http(), connection(&world.fake, "bot@acme.example:expired")).unwrap();
    let expected = refused(401, "the API token is invalid or expired");
    assert_eq!(jira.account().await, Err(expected.clone()));
    assert_eq!(jira.read("PRJ-7", Timestamp::from_millis(0)).await, Err(expected.clone()));
    assert_eq!(jira.apply("PRJ-7", &world.failed()).await, Err(expected.clone()));
    let (since, now) = (Timestamp::from_millis(0), Timestamp::from_millis(world.fake.state().now()));
    assert_eq!(jira.list_changed("PRJ", since, now, 500).await, Err(expected));
}

#[tokio::test]
async fn stopped_tool_is_unreachable() {
    for kind in KINDS {
        let world = World::new(kind).await;
        world.fake.stop();
        assert!(matches!(world.read().await, Err(Error::Unreachable { .. })));
        assert!(matches!(world.apply(&world.failed()).await, Err(Error::Unreachable { .. })));
    }
}

/// An empty list instead of an unknown answer would repeat a write.
#[tokio::test]
async fn missing_list_is_no_empty_list() {
    let world = World::new(Kind::Jira).await;
    for call in ["GET /rest/api/3/issue/PRJ-7/comment", "GET /rest/api/3/issue/PRJ-7/remotelink"] {
        world.fake.answer(call, (200, Vec::new(), json!({})));
        assert!(matches!(world.apply(&world.failed()).await, Err(Error::WriteRefused { .. })), "{call}");
        world.apply(&world.failed()).await.unwrap();
        assert_eq!(world.ticket().comments().len(), 1);
    }
    for (kind, call) in [(Kind::Jira, "GET /rest/webhooks"), (Kind::Linear, "query Hooks")] {
        let world = World::new(kind).await;
        world.fake.answer(call, (200, Vec::new(), json!({ "data": { "webhooks": {} } })));
        assert!(world.install_hook("https://pullyard.example/a", "s").await.is_err());
        assert_eq!(world.fake.state().hooks().len(), 0);
    }
}

#[tokio::test]
async fn refused_comment_of_linear_is_no_repeat() {
    let world = World::new(Kind::Linear).await;
    let extensions = json!({ "code": "INPUT_ERROR", "userPresentableMessage": "The body is too long." });
    let body = json!({ "errors": [{ "message": "raw", "extensions": extensions }], "data": null });
    world.fake.answer("mutation Comment", (200, Vec::new(), body));
    let reason = "comment: The body is too long.".to_owned();
    let refused = Error::WriteRefused { reason };
    assert!(refused.is_of_ticket() && !refused.is_transient());
    assert_eq!(world.apply(&world.failed()).await, Err(refused));
    assert_eq!(world.apply(&world.failed()).await, Ok(Applied::Shown));
}
