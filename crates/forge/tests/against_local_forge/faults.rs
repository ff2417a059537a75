//! Forges and networks that fail: retries, refusals and errors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::prelude::*;
use axum::{Json, Router, http::HeaderMap, serve::ListenerExt};
use pullyard_forge::{Connections, Error};

use crate::scripted_forge::{ScriptLine, ScriptedExchange, ok};
use crate::world::{REPOSITORY, TOKEN, forge_at, new_pull_request};

fn user() -> ScriptLine {
    (200, &[], json!({"id": u64::MAX, "login": "bot"}).to_string())
}

fn fault(status: u16) -> ScriptLine {
    (status, &[], json!({"message": "Oh no."}).to_string())
}

fn pull() -> serde_json::Value {
    json!({
        "number": 7, "html_url": "http://forge/7", "title": "T", "state": "open", "merged_at": null,
        "updated_at": "2026-11-20T12:00:00Z", "user": null,
        "head": {"ref": "job", "sha": "a"}, "base": {"ref": "main", "sha": "b"},
    })
}

fn pulls(found: &[serde_json::Value]) -> ScriptLine {
    (200, &[], json!(found).to_string())
}

async fn get_account<const N: usize>(lines: [ScriptLine; N]) -> (Result<u64, Error>, usize) {
    let scripted = ScriptedExchange::start(lines).await;
    let outcome = forge_at(&scripted.url, TOKEN).account().await;
    (outcome.map(|account| account.id), scripted.requests().len())
}

#[tokio::test]
async fn read_is_retried_after_a_transient_fault() {
    for status in [202, 408, 425, 500, 502, 503, 504] {
        assert_eq!(get_account([fault(status), user()]).await, (Ok(u64::MAX), 2), "{status}");
    }
    let (outcome, requests) = get_account([fault(502), fault(503), fault(504), user()]).await;
    let error = Error::Unexpected { status: 504, message: "Oh no.".to_owned() };
    assert!(error.is_transient());
    assert_eq!((outcome, requests), (Err(error), 3));
}

#[tokio::test]
async fn permanent_fault_is_not_retried() {
    for status in [400, 401, 403, 404, 409, 422, 501] {
        let (outcome, requests) = get_account([fault(status), user()]).await;
        assert_eq!(requests, 1, "{status}");
        assert!(!outcome.unwrap_err().is_transient(), "{status}");
    }
}

#[tokio::test]
async fn short_rate_limit_is_awaited_and_a_long_one_returned() {
    let short: ScriptLine = (429, &[("retry-after", "0")], "{}".to_owned());
    assert_eq!(get_account([short, user()]).await, (Ok(u64::MAX), 2));

    for (status, headers, expected) in [
        (429, &[("retry-after", "90")][..], 90),
        (403, &[("retry-after", "90")], 90),
        (429, &[], 60),
        (403, &[("x-ratelimit-remaining", "0")], 60),
        // The reset counts only without remaining calls; `retry-after` has priority over both.
        (429, &[("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "4102444800")], 60),
        (403, &[("retry-after", "9"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "4102444800")], 9),
    ] {
        let (outcome, requests) = get_account([(status, headers, "{}".to_owned()), user()]).await;
        let Err(Error::RateLimited { retry_after, .. }) = outcome else {
            panic!("{status} {headers:?}: {outcome:?}");
        };
        assert_eq!((retry_after, requests), (Duration::from_secs(expected), 1));
    }
    let secondary = json!({"message": "You have exceeded a secondary rate limit."}).to_string();
    let date: &[_] = &[("date", "Fri, 20 Nov 2026 12:00:00 GMT"), ("retry-after", "Fri, 20 Nov 2026 12:02:00 GMT")];
    for (headers, expected) in [(&[][..], 60), (&[("retry-after", "120")], 120), (date, 120)] {
        let (outcome, _) = get_account([(403, headers, secondary.clone())]).await;
        let Err(Error::RateLimited { retry_after, .. }) = outcome else { panic!("{headers:?}: {outcome:?}") };
        assert_eq!(retry_after, Duration::from_secs(expected));
    }
    // A limit of new content is among the reasons of a refusal.
    let entry = json!({"resource": "PullRequest", "code": "custom", "message": "was submitted too quickly"});
    for (errors, headers, expected) in [
        (json!([entry]), &[][..], 60),
        (json!("was submitted too quickly"), &[], 60),
        (json!([entry]), &[("retry-after", "120")], 120),
    ] {
        let refusal = json!({"message": "Validation Failed", "errors": errors}).to_string();
        let (outcome, requests) = get_account([(422, headers, refusal)]).await;
        let Err(Error::RateLimited { retry_after, .. }) = outcome else { panic!("{headers:?}: {outcome:?}") };
        assert_eq!((retry_after, requests), (Duration::from_secs(expected), 1));
    }
    // The year 2100: the header has the time of the reset, not a duration.
    let reset: &[_] = &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "4102444800")];
    let (outcome, _) = get_account([(403, reset, "{}".to_owned())]).await;
    let Err(Error::RateLimited { retry_after, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(retry_after > Duration::from_secs(3600));
}

#[tokio::test]
async fn missing_permission_quotes_the_forge() {
    let body = json!({"message": "Resource not accessible by integration"}).to_string();
    let scripted = ScriptedExchange::start([(403, &[] as &[_], body)]).await;
    let error = forge_at(&scripted.url, TOKEN).repository(REPOSITORY).await.unwrap_err();
    assert_eq!(error.to_string(), "get permission for acme/app: Resource not accessible by integration");
}

#[tokio::test]
async fn write_to_a_renamed_repository_is_repeated() {
    for status in [307, 308] {
        let moved: ScriptLine = (status, &[("location", "/repositories/1/pulls")], "{}".to_owned());
        let scripted = ScriptedExchange::start([moved, (201, &[], pull().to_string())]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let opened = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
        assert_eq!(opened.number, 7);
        assert_eq!(scripted.requests(), ["POST /repos/acme/app/pulls", "POST /repositories/1/pulls"]);
        assert_eq!(scripted.bodies()[0], scripted.bodies()[1]);
    }
}

#[tokio::test]
async fn write_after_301_is_repeated_at_the_new_name() {
    for status in [301, 302] {
        let moved: ScriptLine = (status, &[("location", "/elsewhere")], "{}".to_owned());
        let repository = || ok(json!({ "full_name": "acme/shop" }));
        let read_moved: ScriptLine = (301, &[("location", "/repositories/1")], "{}".to_owned());
        let scripted = ScriptedExchange::start([moved, read_moved, repository(), (201, &[], pull().to_string())]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let opened = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
        assert_eq!(opened.number, 7);
        let requests =
            ["POST /repos/acme/app/pulls", "GET /repos/acme/app", "GET /repositories/1", "POST /repos/acme/shop/pulls"];
        assert_eq!(scripted.requests(), requests);
        assert_eq!(scripted.bodies()[0], scripted.bodies()[3]);
    }
}

#[tokio::test]
async fn write_after_301_fails_without_another_name() {
    let message = "it redirects; was the repository renamed?".to_owned();
    let same = Error::Unexpected { status: 301, message };
    let missing = Error::NotFound { resource: REPOSITORY.to_owned(), message: "Not Found".to_owned() };
    for (answer, expected) in [
        (ok(json!({ "full_name": REPOSITORY })), same),
        ((404, &[] as &[_], json!({ "message": "Not Found" }).to_string()), missing),
    ] {
        let moved: ScriptLine = (301, &[("location", "/repositories/1/pulls")], "{}".to_owned());
        let scripted = ScriptedExchange::start([moved, answer]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let error = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(scripted.requests(), ["POST /repos/acme/app/pulls", "GET /repos/acme/app"]);
    }
}

#[tokio::test]
async fn write_is_not_repeated_at_another_host() {
    for (status, target, message) in [
        (301, "http://127.0.0.1:1/repositories/1/pulls", "it redirects to another host"),
        (307, "http://127.0.0.1:1/repositories/1/pulls", "it redirects to another host"),
    ] {
        let headers: &'static [_] = Box::leak(Box::new([("location", target)]));
        let scripted = ScriptedExchange::start([(status, headers, "{}".to_owned())]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let error = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
        assert_eq!(error, Error::Unexpected { status, message: message.to_owned() });
        assert_eq!(scripted.requests().len(), 1);
    }
}

#[tokio::test]
async fn redirect_loops_and_other_hosts_are_not_followed() {
    let circle = || -> ScriptLine { (302, &[("location", "/user")], String::new()) };
    let (outcome, requests) = get_account::<9>(std::array::from_fn(|_| circle())).await;
    assert!(matches!(outcome, Err(Error::Unexpected { status: 302, .. })), "{outcome:?}");
    assert_eq!(requests, 4);

    // Another port is another host.
    for target in ["http://127.0.0.1:1/user", "https://example.com/", "//example.com/", "file:///"] {
        let target: &'static str = target;
        let headers: &'static [_] = Box::leak(Box::new([("location", target)]));
        let (outcome, requests) = get_account([(302, headers, String::new())]).await;
        let message = "it redirects to another host".to_owned();
        assert_eq!(outcome, Err(Error::Unexpected { status: 302, message }), "{target}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn pull_request_creation_is_not_retried() {
    for status in [500, 502, 503, 429] {
        let scripted = ScriptedExchange::start([fault(status), fault(status)]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let error = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
        assert!(error.is_transient());
        assert_eq!(scripted.requests(), ["POST /repos/acme/app/pulls"]);
    }
}

#[tokio::test]
async fn pull_request_is_found_after_a_lost_response() {
    for status in [500, 502] {
        let scripted = ScriptedExchange::start([pulls(&[]), fault(status), pulls(&[pull()])]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let found = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
        assert_eq!(found.number, 7);
        let look = "GET /repos/acme/app/pulls?state=open&head=acme%3Ajob&per_page=100";
        assert_eq!(scripted.requests(), [look, "POST /repos/acme/app/pulls", look]);
    }
}

#[tokio::test]
async fn failed_creation_is_repeated_if_nothing_exists() {
    let created: ScriptLine = (201, &[], pull().to_string());
    let scripted = ScriptedExchange::start([pulls(&[]), fault(500), pulls(&[]), created]).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let found = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
    assert_eq!((found.number, scripted.requests().len()), (7, 4));
}

#[tokio::test]
async fn unseen_head_and_unreadable_creation_are_retried() {
    let refusal = |errors: serde_json::Value| -> ScriptLine {
        (422, &[], json!({"message": "Validation Failed", "errors": errors}).to_string())
    };
    let invalid = json!([{"resource": "PullRequest", "field": "head", "code": "invalid"}]);
    for fault in [
        refusal(invalid.clone()),
        refusal(json!([{"resource": "PullRequest", "code": "custom", "message": "Head sha can't be blank"}])),
        (201, &[], String::new()),
        (201, &[], "<html>".to_owned()),
    ] {
        let created: ScriptLine = (201, &[], pull().to_string());
        let scripted = ScriptedExchange::start([pulls(&[]), fault, pulls(&[]), created]).await;
        let forge = forge_at(&scripted.url, TOKEN);
        let found = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
        assert_eq!((found.number, scripted.requests().len()), (7, 4));
    }
    let scripted = ScriptedExchange::start((0..3).flat_map(|_| [pulls(&[]), refusal(invalid.clone())])).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let error = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
    assert_eq!(error, Error::NotVisibleYet { reason: "head is invalid".to_owned() });
}

#[tokio::test]
async fn duplicate_not_yet_listed_is_awaited() {
    let twin = || -> ScriptLine {
        let message = "A pull request already exists for acme:job.";
        let errors = json!([{"resource": "PullRequest", "code": "custom", "message": message}]);
        (422, &[], json!({"message": "Validation Failed", "errors": errors}).to_string())
    };
    let none = || pulls(&[]);
    let lines = [none(), twin(), none(), none(), twin(), pulls(&[pull()])];
    let scripted = ScriptedExchange::start(lines).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let found = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
    assert_eq!((found.number, scripted.requests().len()), (7, 6));

    // The other pull request never appears: after three rounds and a search by the current name, the refusal is returned.
    let repository = |name: &str| -> ScriptLine {
        let body = json!({"id": 7, "full_name": name, "default_branch": "main", "clone_url": "http://forge/x.git"});
        (200, &[], body.to_string())
    };
    let rounds = || (0..3).flat_map(|_| [none(), twin(), none()]);
    let scripted = ScriptedExchange::start(rounds().chain([repository(REPOSITORY), none()])).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let error = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    assert_eq!(scripted.requests().len(), 11);
    // The repository was transferred, and the search filters by its owner.
    let scripted = ScriptedExchange::start(rounds().chain([repository("shop/app"), pulls(&[pull()])])).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let found = forge.find_or_create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap();
    assert_eq!(found.number, 7);
    assert_eq!(scripted.requests()[10], "GET /repos/shop/app/pulls?state=open&head=shop%3Ajob&per_page=100");
}

#[tokio::test]
async fn pull_request_of_another_branch_is_ignored() {
    let mut other = pull();
    other["head"]["ref"] = json!("someone-elses");
    let mut retargeted = pull();
    retargeted["base"]["ref"] = json!("release");
    let scripted = ScriptedExchange::start([pulls(&[other, retargeted.clone(), pull()]), pulls(&[retargeted])]).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let find = async || {
        let new = new_pull_request("job");
        forge.find_or_create_pull_request(REPOSITORY, &new).await.unwrap().base_branch
    };
    assert_eq!(find().await, "main");
    // A user changed the base of the branch's pull request.
    assert_eq!(find().await, "release");
}

#[tokio::test]
async fn same_branch_name_in_a_fork_is_ignored() {
    let from = |number: u64, head: serde_json::Value| {
        let mut pull = pull();
        pull["number"] = json!(number);
        pull["head"]["repo"] = head;
        pull["base"]["repo"] = json!({ "id": 7 });
        pull
    };
    let (fork, orphan, ours) = (from(1, json!({ "id": 8 })), from(2, json!(null)), from(3, json!({ "id": 7 })));
    let scripted =
        ScriptedExchange::start([pulls(&[fork.clone(), orphan.clone(), ours]), pulls(&[fork, orphan])]).await;
    let forge = forge_at(&scripted.url, TOKEN);
    let mut found = Vec::new();
    for _ in 0..2 {
        found.push(forge.open_pull_request(REPOSITORY, "job").await.unwrap().map(|pull| pull.number));
    }
    assert_eq!(found, [Some(3), None]);
}

#[tokio::test]
async fn unreadable_response_is_retried() {
    let json = ["", "[]", r#"{"id": 7, "lo"#, r#"{"id": 1.5, "login": "x"}"#, r#"{"id": -1, "login": "x"}"#];
    for (body, reason) in json.map(|body| (body, "unexpected JSON")).into_iter().chain([("\n<html>", "a web page")]) {
        let unreadable = || -> ScriptLine { (200, &[], body.to_owned()) };
        assert_eq!(get_account([unreadable(), user()]).await, (Ok(u64::MAX), 2), "{body:?}");
        let (outcome, requests) = get_account([unreadable(), unreadable(), unreadable(), user()]).await;
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Unreadable { status: 200, .. }) && error.is_transient(), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
        assert_eq!(requests, 3);
    }
}

#[tokio::test]
async fn foreign_body_is_no_decision_of_the_forge() {
    let foreign = ["", "upstream not found", "{}", r#"["message"]"#, r#"{"error":{"message":"Forbidden"}}"#];
    let bodies = foreign.map(|body| (body, "it is no error of the API"));
    for (body, reason) in bodies.into_iter().chain([("<!DOCTYPE html>", "it is a web page")]) {
        for status in [400, 401, 403, 404, 405, 407, 408, 409, 410, 422] {
            let answer = || -> ScriptLine { (status, &[], body.to_owned()) };
            assert_eq!(get_account([answer(), user()]).await, (Ok(u64::MAX), 2), "{status} {body}");
            let scripted = ScriptedExchange::start([answer()]).await;
            let forge = forge_at(&scripted.url, TOKEN);
            let error = forge.create_pull_request(REPOSITORY, &new_pull_request("job")).await.unwrap_err();
            assert_eq!(error, Error::Unreadable { status, reason: reason.to_owned() }, "{body}");
            assert_eq!(scripted.requests().len(), 1);
        }
    }
}

#[tokio::test]
async fn oversized_response_is_an_error() {
    let (outcome, _) = get_account([(200, &[] as &[_], " ".repeat(9 * 1024 * 1024))]).await;
    assert!(outcome.unwrap_err().to_string().contains("too large"));
}

#[tokio::test]
async fn echoed_token_is_redacted() {
    for status in [400, 401, 403, 404, 422] {
        let body = json!({"message": format!("Who is {TOKEN}?"), "errors": [TOKEN]}).to_string();
        let (outcome, _) = get_account([(status, &[] as &[_], body)]).await;
        let error = outcome.unwrap_err();
        assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    }
    let body = json!({"id": TOKEN, "login": "x"}).to_string();
    let (outcome, _) = get_account([(200, &[] as &[_], body)]).await;
    assert!(!format!("{outcome:?}").contains(TOKEN), "{outcome:?}");
    assert!(!format!("{:?}", forge_at("https://api.github.com", TOKEN)).contains(TOKEN));
}

#[tokio::test]
async fn closed_connection_is_unreachable_after_three_tries() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            drop(connection);
        }
    });
    let error = forge_at(&format!("http://{address}"), TOKEN).account().await.unwrap_err();
    assert!(error.is_transient());
    let Error::Unreachable { host, reason } = error else { panic!("{error:?}") };
    assert_eq!(host, address.to_string());
    assert!(!reason.is_empty());
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn invalid_settings_are_rejected() {
    let new = |api_url: &str, token: &str| GitHub::new(Endpoint::new(api_url), Token::new(token));
    for bad in ["", "api.github.com", "ftp://forge", "https://user:pw@forge", "file:///etc"] {
        let error = new(bad, TOKEN).unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{bad}: {error:?}");
    }
    assert!(matches!(new("https://forge", "a\nb").unwrap_err(), Error::Settings { .. }));
    assert!(new("https://api.github.com", TOKEN).is_ok());
}

#[tokio::test]
async fn clients_share_connections_but_not_tokens() {
    const CLIENTS: usize = 20;
    let (opened, authorizations) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (opens, asks) = (opened.clone(), authorizations.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let account = async move |headers: HeaderMap| {
        asks.lock().unwrap().push(headers["authorization"].to_str().unwrap().to_owned());
        Json(json!({ "id": 7, "login": "pullyard-bot" }))
    };
    let counted = listener.tap_io(move |_| {
        opens.fetch_add(1, Ordering::SeqCst);
    });
    tokio::spawn(async move { axum::serve(counted, Router::new().fallback(account)).await });
    let connections = Connections::default();
    let client = |connections: &Connections, token: &str| {
        let endpoint = Endpoint { api_url: url.clone(), connections: connections.clone() };
        GitHub::new(endpoint, Token::new(token)).unwrap()
    };
    for number in 0..CLIENTS {
        client(&connections, &format!("token-{number}")).account().await.unwrap();
    }
    let shared = opened.load(Ordering::SeqCst);
    // A connection may still be busy when the next call starts.
    assert!(shared <= CLIENTS / 2, "{shared} connections");
    let expected: Vec<_> = (0..CLIENTS).map(|number| format!("Bearer token-{number}")).collect();
    assert_eq!(*authorizations.lock().unwrap(), expected);
    client(&Connections::default(), "another").account().await.unwrap();
    assert_eq!(opened.load(Ordering::SeqCst), shared + 1);
}
