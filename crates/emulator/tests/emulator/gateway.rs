//! Translation of HTTP requests into Lambda events and back.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullyard_emulator::lambda::Function;
use pullyard_emulator::lambda::gateway::{self, Gateway, Method, Route};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{client, function};

fn prefix_route(prefix: &str, function: Function) -> Route {
    Route { method: None, prefix: prefix.to_owned(), exact: false, function, waits: false }
}

async fn serve(routes: Vec<Route>) -> (Gateway, String) {
    serve_with(gateway::Options::default(), routes).await
}

async fn serve_with(options: gateway::Options, routes: Vec<Route>) -> (Gateway, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (gateway::serve(listener, routes, options), url)
}

fn recording_function(name: &'static str) -> (Function, Arc<Mutex<Vec<Value>>>) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let shared_events = Arc::clone(&events);
    let function = function(move |event| {
        shared_events.lock().unwrap().push(event);
        async move { Ok(json!({ "statusCode": 200, "body": name, "cookies": [] })) }
    });
    (function, events)
}

async fn check_message(response: reqwest::Response, status: u16, message: &str) {
    assert_eq!(response.status(), status);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body, json!({ "message": message }));
}

#[tokio::test]
async fn text_request_becomes_a_complete_event() {
    let (function, events) = recording_function("ok");
    let (gateway, url) = serve(vec![prefix_route("/", function)]).await;
    let response = client()
        .post(format!("{url}/a/b%20c?x=1&x=2&y=%C3%A9"))
        .header("X-Twice", "one")
        .header("X-Twice", "two")
        .header("Cookie", "a=1; b=2")
        .body("héllo")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let event = events.lock().unwrap()[0].clone();
    assert_eq!(event["version"], "2.0");
    assert_eq!(event["routeKey"], "$default");
    assert_eq!(event["rawPath"], "/a/b c");
    assert_eq!(event["rawQueryString"], "x=1&x=2&y=%C3%A9");
    assert_eq!(event["queryStringParameters"], json!({ "x": "1,2", "y": "é" }));
    assert_eq!(event["headers"]["x-twice"], "one,two");
    assert_eq!(event["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(event["headers"]["content-length"], "6");
    assert!(event["headers"].get("cookie").is_none());
    assert_eq!(event["cookies"], json!(["a=1", "b=2"]));
    assert_eq!(event["body"], "héllo");
    assert_eq!(event["isBase64Encoded"], false);
    let context = &event["requestContext"];
    assert_eq!(context["http"]["method"], "POST");
    assert_eq!(context["http"]["path"], "/a/b c");
    assert!(context["requestId"].is_string());
    gateway.shutdown().await;
}

#[tokio::test]
async fn binary_body_is_unchanged_in_both_directions() {
    let bytes: Vec<u8> = (0..=255).collect();
    let echo = function(|event| async move {
        assert_eq!(event["isBase64Encoded"], true);
        Ok(json!({
            "statusCode": 201,
            "headers": { "content-type": "application/x-any", "x-both": "single" },
            "multiValueHeaders": { "x-both": ["1", "2"] },
            "cookies": ["a=1", "b=2"],
            "body": event["body"],
            "isBase64Encoded": true,
        }))
    });
    let (gateway, url) = serve(vec![prefix_route("/", echo)]).await;
    let response = client().put(&url).body(bytes.clone()).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(response.headers()["content-type"], "application/x-any");
    let several = |name: &str| -> Vec<_> {
        let values = response.headers().get_all(name);
        values.iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    };
    assert_eq!(several("x-both"), ["1", "2"]);
    assert_eq!(several("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(response.bytes().await.unwrap(), bytes);
    assert_eq!(STANDARD.encode(&bytes).len(), 344);
    gateway.shutdown().await;
}

#[tokio::test]
async fn longest_prefix_wins_and_invocations_are_counted() {
    let ((root, _), (api, _), (hook, _)) =
        (recording_function("root"), recording_function("api"), recording_function("hook"));
    let routes = vec![
        prefix_route("/api", api),
        prefix_route("/", root),
        Route { method: Some(Method::POST), prefix: "/api".to_owned(), exact: true, function: hook, waits: false },
    ];
    let (gateway, url) = serve(routes).await;
    let ask = async |method: Method, path: &str| {
        let response = client().request(method, format!("{url}{path}")).send().await.unwrap();
        response.text().await.unwrap()
    };
    assert_eq!(ask(Method::GET, "/api").await, "api");
    assert_eq!(ask(Method::GET, "/api/x").await, "api");
    assert_eq!(ask(Method::POST, "/api").await, "hook");
    assert_eq!(ask(Method::POST, "/api/x").await, "api", "an exact route matches no longer path");
    assert_eq!(ask(Method::GET, "/apix").await, "root");
    assert_eq!(ask(Method::GET, "/").await, "root");
    assert_eq!(gateway.invocations(), 6);
    gateway.shutdown().await;
}

#[tokio::test]
async fn path_without_a_route_is_not_found() {
    let (function, events) = recording_function("ok");
    let (gateway, url) = serve(vec![prefix_route("/api", function)]).await;
    let response = client().get(format!("{url}/other")).send().await.unwrap();
    check_message(response, 404, "Not Found").await;
    assert_eq!(gateway.invocations(), 0);
    assert!(events.lock().unwrap().is_empty());
    gateway.shutdown().await;
}

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn request_body_is_limited_to_ten_mebibytes() {
    let (function, events) = recording_function("ok");
    // An integration without a function has the gateway's limit only.
    let routes = vec![Route { waits: true, ..prefix_route("/", function) }];
    let (gateway, url) = serve(routes).await;
    let response = client().post(&url).body(vec![b'a'; 10 * MIB]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let response = client().post(&url).body(vec![b'a'; 10 * MIB + 1]).send().await.unwrap();
    check_message(response, 413, "Request Entity Too Large").await;
    assert_eq!(events.lock().unwrap().len(), 1);
    gateway.shutdown().await;
}

#[tokio::test]
async fn event_of_a_function_is_limited_as_json() {
    let (function, events) = recording_function("ok");
    let (gateway, url) = serve(vec![prefix_route("/", function)]).await;
    // Base64 makes a binary body a third larger; JSON makes each quote two bytes.
    for (body, is_accepted) in [
        (vec![b'a'; 5 * MIB], true),
        (vec![b'a'; 7 * MIB], false),
        (vec![b'"'; 2 * MIB], true),
        (vec![b'"'; 4 * MIB], false),
        (vec![0xff; 4 * MIB], true),
        (vec![0xff; 5 * MIB], false),
    ] {
        let (first, length) = (body[0], body.len());
        let response = client().post(&url).body(body).send().await.unwrap();
        if is_accepted {
            assert_eq!(response.status(), 200, "{first} {length}");
        } else {
            check_message(response, 413, "Request Entity Too Large").await;
        }
    }
    assert_eq!(events.lock().unwrap().len(), 3);
    // Both bodies have lengths of seven digits, so that only the body differs.
    let measured = events.lock().unwrap()[0].to_string().len();
    let longest = 5 * MIB + (6_291_456 - measured);
    let response = client().post(&url).body(vec![b'a'; longest]).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(events.lock().unwrap()[3].to_string().len(), 6_291_456);
    let response = client().post(&url).body(vec![b'a'; longest + 1]).send().await.unwrap();
    check_message(response, 413, "Request Entity Too Large").await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn answer_of_a_function_is_limited_as_json() {
    let as_json = |length: usize| json!({ "statusCode": 200, "body": "a".repeat(length), "cookies": [] });
    let answer = |length: usize| {
        let answer = as_json(length);
        function(move |_| std::future::ready(Ok(answer.clone())))
    };
    let longest = 6_291_556 - as_json(0).to_string().len();
    let (gateway, url) =
        serve(vec![prefix_route("/small", answer(longest)), prefix_route("/large", answer(longest + 1))]).await;
    let response = client().get(format!("{url}/small")).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.bytes().await.unwrap().len()), (200, longest));
    check_message(client().get(format!("{url}/large")).send().await.unwrap(), 500, "Internal Server Error").await;
    gateway.shutdown().await;
}

#[tokio::test]
async fn error_panic_or_invalid_status_is_an_internal_error() {
    let answer = |status: Value| json!({ "statusCode": status, "cookies": [] });
    let (text, unknown) = (answer(json!("x")), answer(json!(99)));
    let routes = vec![
        prefix_route("/error", function(|_| async { Err("no".to_owned()) })),
        prefix_route("/panic", function(|_| async { panic!("on purpose") })),
        prefix_route("/text", function(move |_| std::future::ready(Ok(text.clone())))),
        prefix_route("/unknown", function(move |_| std::future::ready(Ok(unknown.clone())))),
    ];
    let (gateway, url) = serve(routes).await;
    for path in ["error", "panic", "text", "unknown"] {
        let response = client().get(format!("{url}/{path}")).send().await.unwrap();
        check_message(response, 500, "Internal Server Error").await;
    }
    gateway.shutdown().await;
}

#[tokio::test]
async fn slow_function_returns_503_and_keeps_running() {
    let (let_go, wait) = tokio::sync::watch::channel(false);
    let ended = Arc::new(Mutex::new(false));
    let end = Arc::clone(&ended);
    let slow = function(move |_| {
        let (mut wait, end) = (wait.clone(), Arc::clone(&end));
        async move {
            wait.wait_for(|go| *go).await.unwrap();
            *end.lock().unwrap() = true;
            Ok(Value::Null)
        }
    });
    let options = gateway::Options { timeout: Duration::from_millis(50), ..gateway::Options::default() };
    let (gateway, url) = serve_with(options, vec![prefix_route("/", slow)]).await;
    let response = client().get(&url).send().await.unwrap();
    check_busy(response).await;
    assert!(!*ended.lock().unwrap());
    let_go.send_replace(true);
    gateway.shutdown().await;
    assert!(*ended.lock().unwrap());
}

async fn check_busy(response: reqwest::Response) {
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["code"], "unavailable", "{problem}");
}

#[tokio::test]
async fn request_beyond_the_limit_is_refused_at_once() {
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let let_go = Arc::new(tokio::sync::Semaphore::new(0));
    let permits = Arc::clone(&let_go);
    let slow = function(move |_| {
        started.send(()).unwrap();
        let permits = Arc::clone(&permits);
        async move {
            permits.acquire().await.unwrap().forget();
            Ok(json!({ "statusCode": 200, "body": "done", "cookies": [] }))
        }
    });
    let options = gateway::Options { max_running: 1, max_waiting: 0, ..gateway::Options::default() };
    let (gateway, url) = serve_with(options, vec![prefix_route("/", slow)]).await;
    let first = tokio::spawn(client().get(&url).send());
    starts.recv().await.unwrap();
    check_busy(client().get(&url).send().await.unwrap()).await;
    let_go.add_permits(2);
    assert_eq!(first.await.unwrap().unwrap().status(), 200);
    assert_eq!(client().get(&url).send().await.unwrap().status(), 200, "the place is free again");
    gateway.shutdown().await;
}

/// A connection that has sent a part of a request.
async fn connect(url: &str, part: &str) -> TcpStream {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(part.as_bytes()).await.unwrap();
    stream
}

async fn read_to_end(mut stream: TcpStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn connection_beyond_the_limit_waits_for_another_to_end() {
    let (function, events) = recording_function("ok");
    let options = gateway::Options { max_connections: 1, ..gateway::Options::default() };
    let (gateway, url) = serve_with(options, vec![prefix_route("/", function)]).await;
    let mut first = connect(&url, "GET /first HTTP/1.1\r\nHost: localhost\r\n").await;
    let second = connect(&url, "GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await;
    let second = tokio::spawn(read_to_end(second));
    first.write_all(b"Connection: close\r\n\r\n").await.unwrap();
    for answer in [read_to_end(first).await, second.await.unwrap()] {
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let paths: Vec<Value> = events.lock().unwrap().iter().map(|event| event["rawPath"].clone()).collect();
    assert_eq!(paths, ["/first", "/second"]);
    gateway.shutdown().await;
}

#[tokio::test]
async fn slow_heads_and_bodies_end_their_connections() {
    let limit = Duration::from_millis(50);
    let slow_head = gateway::Options { head_timeout: limit, ..gateway::Options::default() };
    let slow_body = gateway::Options { body_timeout: limit, ..gateway::Options::default() };
    let both = gateway::Options::default().with_time_limit(limit);
    let body = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf";
    for (options, part, status) in [
        (slow_head.clone(), "", ""),
        (both, "", ""),
        (slow_head, "GET / HTTP/1.1\r\nHost: local", ""),
        (slow_body, body, "HTTP/1.1 408 Request Timeout"),
    ] {
        let (function, events) = recording_function("ok");
        let (gateway, url) = serve_with(options, vec![prefix_route("/", function)]).await;
        let answer = read_to_end(connect(&url, part).await).await;
        assert_eq!(answer.lines().next().unwrap_or_default(), status, "{part}");
        assert!(events.lock().unwrap().is_empty());
        gateway.shutdown().await;
    }
}
