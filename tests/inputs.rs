//! Tests the API's handling of invalid input: refused with a pointer, and recorded in the ledger for ticket tools.

mod callers;
mod limits;
mod projects;

use crate::prelude::*;
use reqwest::header::HeaderMap;

type Answer = (u16, HeaderMap, Value);

fn valid_event() -> Value {
    json!({
        "event_id": "e1", "occurred_at": "2026-11-20T12:04:01Z", "project": "acme", "actor": "ana",
        "previous_status": "Todo",
        "ticket": {
            "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": "Blocked",
            "labels": ["small"], "url": "https://tickets.example/APP-1", "repository": REPOSITORY,
        },
    })
}

fn with(pointer: &str, value: impl Into<Value>) -> Vec<u8> {
    let mut event = valid_event();
    put(&mut event, pointer, value.into());
    event.to_string().into_bytes()
}

fn put(event: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[name] = value;
}

fn without(pointer: &str) -> Vec<u8> {
    let mut event = valid_event();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    event.to_string().into_bytes()
}

async fn story_without_hints() -> Story {
    Story::start_with(Setup { task: Task::Waiting, hints: HintDelivery::Drop, ..Setup::default() }).await
}

impl Story {
    async fn post_ticket_event(&self, body: Vec<u8>) -> Answer {
        self.request(Method::POST, "/v1/tickets/events", Some(self.local.admin_token()), body).await
    }

    async fn call_as_admin(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.request(method, path, Some(self.local.admin_token()), body.into()).await
    }

    async fn ledger(&self, project: &str) -> Vec<Value> {
        let (mut entries, mut after) = (Vec::new(), String::new());
        loop {
            let (status, _, page) =
                self.call_as_admin(Method::GET, &format!("/v1/deliveries?project={project}{after}"), "").await;
            assert_eq!(status, 200, "{page}");
            entries.extend(page["deliveries"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return entries,
            }
        }
    }
}

/// Checks the shape of a refusal: a problem document with code and sentence.
fn check_problem(case: &str, answer: &Answer) -> Result<(), String> {
    let (status, headers, body) = answer;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let claims = [
        ("it is an error of the caller", (400..500).contains(status)),
        ("it is a problem document", headers.get("content-type").is_some_and(|it| it == "application/problem+json")),
        ("it says its status", body["status"] == *status),
        ("it has a code", !text("code").is_empty() && text("code").chars().all(|c| c.is_ascii_lowercase() || c == '_')),
        ("it has a sentence", text("detail").ends_with('.') && !text("detail").ends_with("..")),
        ("the sentence is one line", !text("detail").contains(char::is_control)),
        ("the sentence is short", text("detail").chars().count() < 700),
    ];
    match claims.iter().find(|(_, is_met)| !is_met) {
        None => Ok(()),
        Some((claim, _)) => Err(format!("{case}: not so: {claim}: {status} {body}")),
    }
}

fn check(case: &str, answer: &Answer, status: u16, code: &str, pointer: Option<&str>) {
    check_problem(case, answer).unwrap();
    assert_eq!((answer.0, answer.2["code"].as_str()), (status, Some(code)), "{case}: {}", answer.2);
    if let Some(pointer) = pointer {
        assert_eq!(answer.2["pointer"].as_str(), Some(pointer), "{case}: {}", answer.2);
    }
}

fn malformed_events() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let mut all = Vec::new();
    for unknown in ["/colour", "/ticket/colour"] {
        all.push((with(unknown, "red"), Some(unknown)));
    }
    for missing in
        ["/event_id", "/occurred_at", "/project", "/ticket", "/ticket/key", "/ticket/title", "/ticket/status"]
    {
        all.push((without(missing), Some(missing)));
        all.push((with(missing, 5), Some(missing)));
        all.push((with(missing, Value::Null), Some(missing)));
    }
    let mut wrong = |pointer: &'static str, value: Value| all.push((with(pointer, value), Some(pointer)));
    for pointer in ["/actor", "/previous_status", "/ticket/description", "/ticket/url", "/ticket/repository"] {
        wrong(pointer, json!(["x"]));
    }
    wrong("/ticket/labels", json!("small"));
    for time in [
        "",
        "yesterday",
        "2026-11-20",
        "2026-13-20T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "10000-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
    ] {
        wrong("/occurred_at", json!(time));
    }
    for project in ["", "Acme", "acme!", "-acme", "a#b", &"a".repeat(41)] {
        wrong("/project", json!(project));
    }
    for key in ["", " ", " A-1", "A\n1", "A\u{0}1", &"x".repeat(65)] {
        wrong("/ticket/key", json!(key));
    }
    for id in ["", "e\t1", &"x".repeat(129)] {
        wrong("/event_id", json!(id));
    }
    for repository in ["", "app", "../app", "acme/..", "--upload-pack=touch/x", "a/b/c"] {
        wrong("/ticket/repository", json!(repository));
    }
    for title in ["", "   ", "two\nlines", "\u{1b}[31mred", "nul\u{0}", &"ü".repeat(301)] {
        wrong("/ticket/title", json!(title));
    }
    for status in ["", " ", "a\u{0}b", &"ü".repeat(65)] {
        wrong("/ticket/status", json!(status));
    }
    wrong("/ticket/description", json!("nul\u{0}"));
    wrong("/ticket/description", json!("x".repeat(200 * 1024 + 1)));
    for url in ["", "javascript:alert(1)", "https://a\nb", &format!("https://{}", "x".repeat(493))] {
        wrong("/ticket/url", json!(url));
    }
    wrong("/ticket/labels", (0..51).map(|n| n.to_string()).collect());
    for label in ["", "\u{7}", &"x".repeat(101)] {
        wrong("/ticket/labels", json!([label]));
    }
    wrong("/actor", json!("x".repeat(201)));
    wrong("/previous_status", json!("x".repeat(65)));

    let text = valid_event().to_string();
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    all.extend([
        (with("/ticket/labels", json!(["a", 5])), Some("/ticket/labels/1")),
        (with(&format!("/{}", "x".repeat(100_000)), 1), None),
        (Vec::new(), Some("")),
        (b"not json".to_vec(), Some("")),
        (b"null".to_vec(), Some("")),
        (b"{".to_vec(), Some("")),
        (b"[]".to_vec(), Some("")),
        (format!("[{text}]").into_bytes(), Some("")),
        (format!("{text} x").into_bytes(), Some("")),
        (format!("{text}{text}").into_bytes(), Some("")),
        (format!("\u{feff}{text}").into_bytes(), None),
        (text[..text.len() - 1].into(), None),
        (text.replacen("\"project\":", "\"project\":\"acme\",\"project\":", 1).into_bytes(), None),
        (text.replacen("\"title\":", "\"title\":\"a\",\"title\":", 1).into_bytes(), None),
        (text.replacen("\"small\"", &nested(100_000), 1).into_bytes(), None),
        (text.replacen("\"Do it.\"", &nested(100), 1).into_bytes(), None),
        (text.replacen("\"Do it.\"", r#""\ud800""#, 1).into_bytes(), None),
        (text.replacen("\"Do it.\"", "1e999999", 1).into_bytes(), None),
    ]);
    let mut bytes = text.into_bytes();
    let at = bytes.iter().position(|byte| *byte == b'D').unwrap();
    bytes[at] = 0xff;
    all.push((bytes, None));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_event_is_refused_with_a_pointer_and_recorded() {
    let story = story_without_hints().await;
    let all = malformed_events();
    let mut counts = std::collections::BTreeMap::<_, usize>::new();
    for (body, pointer) in &all {
        let excerpt: String = String::from_utf8_lossy(body).chars().take(300).collect();
        let answer = story.post_ticket_event(body.clone()).await;
        check(&excerpt, &answer, 400, "body_unreadable", *pointer);
        assert!(answer.2["pointer"].is_string(), "{excerpt}: {}", answer.2);
        let named = serde_json::from_slice::<Value>(body).is_ok_and(|body| body["project"] == "acme");
        *counts.entry(if named { "acme" } else { "unreadable" }).or_default() += 1;
    }
    // A repeat of the same body is the same entry.
    story.post_ticket_event(all[0].0.clone()).await;
    for (project, count) in counts {
        let entries = story.ledger(project).await;
        assert_eq!(entries.len(), count, "{project}");
        for entry in entries {
            assert_eq!((&entry["verdict"], &entry["code"]), (&json!("invalid"), &json!("body_unreadable")), "{entry}");
            assert!(entry["sentence"].as_str().unwrap().ends_with('.'), "{entry}");
            assert!(entry["job"].is_null() && entry["ticket"].is_null(), "{entry}");
        }
    }
    assert!(story.jobs().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn body_over_256_kib_is_refused() {
    let story = story_without_hints().await;
    let mut body = valid_event().to_string().into_bytes();
    body.resize(256 * 1024, b' ');
    let (status, _, decision) = story.post_ticket_event(body.clone()).await;
    assert_eq!((status, &decision["code"]), (200, &json!("not_trigger_status")), "{decision}");
    body.push(b' ');
    check("one byte more", &story.post_ticket_event(body.clone()).await, 413, "body_too_large", None);
    let entries = story.ledger("unreadable").await;
    assert_eq!((entries.len(), &entries[0]["code"]), (1, &json!("body_too_large")), "{entries:?}");
    check("a job", &story.call_as_admin(Method::POST, "/v1/jobs", body.clone()).await, 413, "body_too_large", None);
    body.resize(5 * 1024 * 1024, b' ');
    check("far more", &story.post_ticket_event(body).await, 413, "body_too_large", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_limits_hold_for_ticket_tool_and_board() {
    let story = story_without_hints().await;
    let texts = json!({
        "title": "ü".repeat(300), "status": "ü".repeat(64), "description": "x".repeat(200 * 1024),
        "labels": (0..50).map(|n| format!("{n:0>100}")).collect::<Vec<_>>(),
    });
    let mut event = valid_event();
    for (name, value) in texts.as_object().unwrap() {
        put(&mut event, &format!("/ticket/{name}"), value.clone());
    }
    put(&mut event, "/ticket/url", format!("https://{}", "x".repeat(492)).into());
    put(&mut event, "/ticket/key", "ü".repeat(64).into());
    put(&mut event, "/event_id", "ü".repeat(128).into());
    let (status, _, decision) = story.post_ticket_event(event.to_string().into_bytes()).await;
    assert_eq!((status, &decision["code"]), (200, &json!("not_trigger_status")), "{decision}");
    assert_eq!(story.ticket(&"ü".repeat(64)).await.description.len(), 200 * 1024);

    let mut ticket = texts.clone();
    ticket["project"] = "acme".into();
    ticket["key"] = "B-1".into();
    let (status, _, response) = story.call_as_admin(Method::POST, "/v1/tickets", ticket.to_string()).await;
    assert_eq!(status, 201, "{response}");
    for (name, bad) in [
        ("title", json!("")),
        ("title", json!("x".repeat(301))),
        ("title", json!("a\u{0}")),
        ("description", json!("x".repeat(200 * 1024 + 1))),
        ("description", json!("\u{0}")),
        ("labels", json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>())),
        ("labels", json!([""])),
    ] {
        let pointer = format!("/{name}");
        let mut new = json!({ "project": "acme", "key": "B-2", "title": "t" });
        new[name] = bad.clone();
        let answer = story.call_as_admin(Method::POST, "/v1/tickets", new.to_string()).await;
        check("create", &answer, 400, "body_unreadable", Some(&pointer));
        let edit = json!({ name: bad }).to_string();
        let answer = story.call_as_admin(Method::PATCH, "/v1/tickets/B-1?project=acme", edit).await;
        check("edit", &answer, 400, "body_unreadable", Some(&pointer));
    }
    for status in ["".to_owned(), " ".into(), "x".repeat(65), "a\nb".into()] {
        let to = json!({ "status": status }).to_string();
        let answer = story.call_as_admin(Method::POST, "/v1/tickets/B-1/move?project=acme", to).await;
        check("move", &answer, 400, "body_unreadable", Some("/status"));
        let new = json!({ "project": "acme", "key": "B-2", "title": "t", "status": status }).to_string();
        let answer = story.call_as_admin(Method::POST, "/v1/tickets", new).await;
        check("create", &answer, 400, "body_unreadable", Some("/status"));
    }
    let long = json!({ "project": "acme", "ticket": "B-1", "prompt": "x".repeat(100 * 1024 + 1) });
    let answer = story.call_as_admin(Method::POST, "/v1/jobs", long.to_string()).await;
    check("prompt", &answer, 400, "body_unreadable", Some("/prompt"));
    assert_eq!(story.ticket("B-1").await.title, "ü".repeat(300));
}

fn noise(bytes: usize) -> String {
    let mut state = 1u64;
    let letters = (b'0'..=b'9').chain(b'A'..=b'Z').chain(b'a'..=b'z').chain([b'-', b'_']).collect::<Vec<_>>();
    (0..bytes)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(letters[(state >> 58) as usize])
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn longest_incompressible_texts_create_a_job() {
    let story = story_without_hints().await;
    let new = json!({ "project": "acme", "key": "B-1", "title": "t", "description": noise(200 * 1024) });
    let (status, _, response) = story.call_as_admin(Method::POST, "/v1/tickets", new.to_string()).await;
    assert_eq!(status, 201, "{response}");
    let job = json!({ "project": "acme", "ticket": "B-1", "prompt": noise(100 * 1024) });
    let (status, _, response) = story.call_as_admin(Method::POST, "/v1/jobs", job.to_string()).await;
    assert_eq!(status, 201, "{response}");
}
