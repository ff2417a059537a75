//! What the API is sent: everything that can't be used is refused with its place, nothing of it breaks
//! anything, and every call of a ticket tool is in the ledger.

use crate::story::{REPOSITORY, Setup, Story, TRIGGER, Task};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use pullyard_domain::id::{IntegrationId, ProjectId, RepositoryName};
use pullyard_domain::project::{Agent, Settings};
use pullyard_local::Hints;
use pullyard_protocol::decision::Decision;
use pullyard_protocol::project::AddRepository;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

type Answer = (u16, HeaderMap, Value);

fn good() -> Value {
    json!({
        "event_id": "e1", "occurred_at": "2026-11-20T12:04:01Z", "project": "acme", "actor": "ana",
        "previous_status": "Todo",
        "ticket": {
            "key": "APP-1", "title": "About APP-1", "description": "Do it.", "status": "Blocked",
            "labels": ["small"], "url": "https://tickets.example/APP-1", "repository": REPOSITORY,
        },
    })
}

/// A good event with one value replaced or added.
fn with(pointer: &str, value: impl Into<Value>) -> Vec<u8> {
    let mut event = good();
    put(&mut event, pointer, value.into());
    event.to_string().into_bytes()
}

fn put(event: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap()[name] = value;
}

fn without(pointer: &str) -> Vec<u8> {
    let mut event = good();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    event.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    event.to_string().into_bytes()
}

async fn quiet() -> Story {
    Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await
}

impl Story {
    async fn tool(&self, body: Vec<u8>) -> Answer {
        self.raw(Method::POST, "/v1/tickets/events", Some(self.local.admin_token()), body).await
    }

    async fn asked(&self, method: Method, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.raw(method, path, Some(self.local.admin_token()), body.into()).await
    }

    /// Today's whole ledger of a project.
    async fn ledger(&self, project: &str) -> Vec<Value> {
        let (mut entries, mut after) = (Vec::new(), String::new());
        loop {
            let (status, _, page) =
                self.asked(Method::GET, &format!("/v1/deliveries?project={project}{after}"), "").await;
            assert_eq!(status, 200, "{page}");
            entries.extend(page["deliveries"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return entries,
            }
        }
    }
}

/// A refusal as it must be, whatever it is about.
fn check_problem(what: &str, answer: &Answer) -> Result<(), String> {
    let (status, headers, body) = answer;
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let held = [
        ("it is an error of the caller", (400..500).contains(status)),
        ("it is a problem document", headers.get("content-type").is_some_and(|it| it == "application/problem+json")),
        ("it says its status", body["status"] == *status),
        ("it has a code", !text("code").is_empty() && text("code").chars().all(|c| c.is_ascii_lowercase() || c == '_')),
        ("it has a sentence", text("detail").ends_with('.') && !text("detail").ends_with("..")),
        ("the sentence is one line", !text("detail").contains(char::is_control)),
        ("the sentence is short", text("detail").chars().count() < 700),
    ];
    match held.iter().find(|(_, held)| !held) {
        None => Ok(()),
        Some((claim, _)) => Err(format!("{what}: not so: {claim}: {status} {body}")),
    }
}

fn check(what: &str, answer: &Answer, status: u16, code: &str, pointer: Option<&str>) {
    check_problem(what, answer).unwrap();
    assert_eq!((answer.0, answer.2["code"].as_str()), (status, Some(code)), "{what}: {}", answer.2);
    if let Some(pointer) = pointer {
        assert_eq!(answer.2["pointer"].as_str(), Some(pointer), "{what}: {}", answer.2);
    }
}

/// Every call that can't be read: its body, and where the fault is if it has one place.
fn malformed() -> Vec<(Vec<u8>, Option<&'static str>)> {
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

    let text = good().to_string();
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
async fn a_call_that_cannot_be_read_is_told_where_and_is_in_the_ledger() {
    let story = quiet().await;
    let all = malformed();
    let mut kept = std::collections::BTreeMap::<_, usize>::new();
    for (body, pointer) in &all {
        let what: String = String::from_utf8_lossy(body).chars().take(300).collect();
        let answer = story.tool(body.clone()).await;
        check(&what, &answer, 400, "body_unreadable", *pointer);
        assert!(answer.2["pointer"].is_string(), "{what}: {}", answer.2);
        let named = serde_json::from_slice::<Value>(body).is_ok_and(|body| body["project"] == "acme");
        *kept.entry(if named { "acme" } else { "unreadable" }).or_default() += 1;
    }
    // The same call again is the same entry.
    story.tool(all[0].0.clone()).await;
    for (project, count) in kept {
        let entries = story.ledger(project).await;
        assert_eq!(entries.len(), count, "{project}");
        for entry in entries {
            assert_eq!((&entry["verdict"], &entry["code"]), (&json!("invalid"), &json!("body_unreadable")), "{entry}");
            assert!(entry["sentence"].as_str().unwrap().ends_with('.'), "{entry}");
            assert!(entry["job"].is_null() && entry["ticket"].is_null(), "{entry}");
        }
    }
    assert!(story.jobs().await.is_empty());
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_have_256_kib_and_not_a_byte_more() {
    let story = quiet().await;
    let mut body = good().to_string().into_bytes();
    body.resize(256 * 1024, b' ');
    let (status, _, decision) = story.tool(body.clone()).await;
    assert_eq!((status, &decision["code"]), (200, &json!("not_trigger_status")), "{decision}");
    body.push(b' ');
    check("one byte more", &story.tool(body.clone()).await, 413, "body_too_large", None);
    let entries = story.ledger("unreadable").await;
    assert_eq!((entries.len(), &entries[0]["code"]), (1, &json!("body_too_large")), "{entries:?}");
    check("a job", &story.asked(Method::POST, "/v1/jobs", body.clone()).await, 413, "body_too_large", None);
    body.resize(5 * 1024 * 1024, b' ');
    check("far more", &story.tool(body).await, 413, "body_too_large", None);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_are_taken_up_to_their_limits_by_tool_and_board() {
    let story = quiet().await;
    let texts = json!({
        "title": "ü".repeat(300), "status": "ü".repeat(64), "description": "x".repeat(200 * 1024),
        "labels": (0..50).map(|n| format!("{n:0>100}")).collect::<Vec<_>>(),
    });
    let mut event = good();
    for (name, value) in texts.as_object().unwrap() {
        put(&mut event, &format!("/ticket/{name}"), value.clone());
    }
    put(&mut event, "/ticket/url", format!("https://{}", "x".repeat(492)).into());
    put(&mut event, "/ticket/key", "ü".repeat(64).into());
    put(&mut event, "/event_id", "ü".repeat(128).into());
    let (status, _, decision) = story.tool(event.to_string().into_bytes()).await;
    assert_eq!((status, &decision["code"]), (200, &json!("not_trigger_status")), "{decision}");
    assert_eq!(story.ticket(&"ü".repeat(64)).await.description.len(), 200 * 1024);

    let mut ticket = texts.clone();
    ticket["project"] = "acme".into();
    ticket["key"] = "B-1".into();
    let (status, _, said) = story.asked(Method::POST, "/v1/tickets", ticket.to_string()).await;
    assert_eq!(status, 201, "{said}");
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
        let answer = story.asked(Method::POST, "/v1/tickets", new.to_string()).await;
        check("create", &answer, 400, "body_unreadable", Some(&pointer));
        let edit = json!({ name: bad }).to_string();
        let answer = story.asked(Method::PATCH, "/v1/tickets/B-1?project=acme", edit).await;
        check("edit", &answer, 400, "body_unreadable", Some(&pointer));
    }
    for status in ["".to_owned(), " ".into(), "x".repeat(65), "a\nb".into()] {
        let to = json!({ "status": status }).to_string();
        let answer = story.asked(Method::POST, "/v1/tickets/B-1/move?project=acme", to).await;
        check("move", &answer, 400, "body_unreadable", Some("/status"));
        let new = json!({ "project": "acme", "key": "B-2", "title": "t", "status": status }).to_string();
        let answer = story.asked(Method::POST, "/v1/tickets", new).await;
        check("create", &answer, 400, "body_unreadable", Some("/status"));
    }
    let long = json!({ "project": "acme", "ticket": "B-1", "prompt": "x".repeat(100 * 1024 + 1) });
    let answer = story.asked(Method::POST, "/v1/jobs", long.to_string()).await;
    check("prompt", &answer, 400, "body_unreadable", Some("/prompt"));
    assert_eq!(story.ticket("B-1").await.title, "ü".repeat(300));
    story.end().await;
}

/// Text that nothing can compress.
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
async fn the_longest_texts_of_noise_still_make_a_job() {
    let story = quiet().await;
    let new = json!({ "project": "acme", "key": "B-1", "title": "t", "description": noise(200 * 1024) });
    let (status, _, said) = story.asked(Method::POST, "/v1/tickets", new.to_string()).await;
    assert_eq!(status, 201, "{said}");
    let job = json!({ "project": "acme", "ticket": "B-1", "prompt": noise(100 * 1024) });
    let (status, _, said) = story.asked(Method::POST, "/v1/jobs", job.to_string()).await;
    assert_eq!(status, 201, "{said}");
    story.end().await;
}

#[derive(Clone, Debug)]
enum Mutation {
    Replaced(usize, Value),
    Removed(usize),
    Added(usize, String, Value),
    Cut(usize),
    Flipped(usize, u8),
}

/// Every place of a good event.
const PLACES: [&str; 14] = [
    "/event_id",
    "/occurred_at",
    "/project",
    "/actor",
    "/previous_status",
    "/ticket",
    "/ticket/key",
    "/ticket/title",
    "/ticket/description",
    "/ticket/status",
    "/ticket/labels",
    "/ticket/labels/0",
    "/ticket/url",
    "/ticket/repository",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
        "[A-Za-z0-9#/|%:.-]{1,40}".prop_map(Value::from),
        (0usize..70_000).prop_map(|length| Value::from("x".repeat(length))),
        Just(Value::from(TRIGGER)),
        (0i64..253_402_300_799_999)
            .prop_map(|at| Value::from(pullyard_domain::time::Timestamp::from_millis(at).to_string())),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..6).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let place = 0..PLACES.len();
    prop_oneof![
        6 => (place.clone(), any_json()).prop_map(|(place, value)| Mutation::Replaced(place, value)),
        2 => place.clone().prop_map(Mutation::Removed),
        1 => (place, ".{0,20}", any_json()).prop_map(|(place, name, value)| Mutation::Added(place, name, value)),
        1 => (0usize..400).prop_map(Mutation::Cut),
        1 => (0usize..400, any::<u8>()).prop_map(|(at, byte)| Mutation::Flipped(at, byte)),
    ]
}

fn mutated(mutations: &[Mutation]) -> Vec<u8> {
    let mut event = good();
    for mutation in mutations {
        match mutation {
            Mutation::Replaced(place, value) => {
                if let Some(there) = event.pointer_mut(PLACES[*place]) {
                    *there = value.clone();
                }
            }
            Mutation::Removed(place) => {
                let (parent, name) = PLACES[*place].rsplit_once('/').unwrap();
                if let Some(Value::Object(parent)) = event.pointer_mut(parent) {
                    parent.remove(name);
                }
            }
            Mutation::Added(place, name, value) => {
                let (parent, _) = PLACES[*place].rsplit_once('/').unwrap();
                if let Some(Value::Object(parent)) = event.pointer_mut(parent) {
                    parent.insert(name.clone(), value.clone());
                }
            }
            Mutation::Cut(_) | Mutation::Flipped(..) => {}
        }
    }
    let mut body = event.to_string().into_bytes();
    for mutation in mutations {
        match mutation {
            Mutation::Cut(at) => body.truncate(*at),
            Mutation::Flipped(at, byte) => {
                if let Some(there) = body.get_mut(*at) {
                    *there = *byte;
                }
            }
            _ => {}
        }
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_ticket_tool_sends_is_a_decision_or_a_problem() {
    let story = quiet().await;
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let config = Config { cases: 300, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
        TestRunner::new(config)
            .run(&prop::collection::vec(mutation(), 1..4), |mutations| {
                let body = mutated(&mutations);
                let answer = runtime.block_on(story.tool(body.clone()));
                let told = match answer.0 {
                    200 => serde_json::from_value::<Decision>(answer.2).map(|_| ()).map_err(|error| error.to_string()),
                    _ => check_problem(&String::from_utf8_lossy(&body), &answer),
                };
                told.map_err(TestCaseError::fail)
            })
            .unwrap();
    });
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_project_cannot_have_is_refused_with_its_reason_and_recorded() {
    let story = quiet().await;
    let mut stranger = story.event("e1", "APP-1", TRIGGER, 1);
    stranger.project = ProjectId::new("nobody").unwrap();
    let decision = story.api.ticket_event(&stranger).await.unwrap();
    assert_eq!((decision.code.as_str(), decision.job), ("unknown_project", None));
    assert_eq!(story.ledger("nobody").await[0]["code"], "unknown_project");

    let mut elsewhere = story.event("e2", "APP-2", TRIGGER, 1);
    elsewhere.ticket.repository = Some(RepositoryName::new("acme/other").unwrap());
    let decision = story.api.ticket_event(&elsewhere).await.unwrap();
    assert_eq!(decision.code, "repository_not_integrated");
    assert_eq!(decision.sentence, "acme/other is not connected to acme.");

    story.settings(|settings| settings.default_repository = None).await;
    assert_eq!(story.tell("e3", "APP-3", TRIGGER, 1).await.code, "ticket_without_repository");
    story.settings(|settings| settings.held_by = Some("ana".into())).await;
    let held = story.tell("e4", "APP-4", TRIGGER, 1).await;
    assert_eq!((held.code.as_str(), held.sentence.as_str()), ("project_held", "acme is paused by ana."));

    // The cause is repaired and the very same calls come again: each is decided anew.
    story
        .settings(|settings| {
            settings.held_by = None;
            settings.default_repository = Some(RepositoryName::new(REPOSITORY).unwrap());
        })
        .await;
    for (event, key) in [("e3", "APP-3"), ("e4", "APP-4")] {
        let again = story.tell(event, key, TRIGGER, 1).await;
        assert_eq!(again.code, "accepted", "{key}: {}", again.sentence);
        assert_eq!(story.api.delivery(&again.delivery).await.unwrap().code, "accepted");
    }
    assert_eq!(story.ledger("acme").await.len(), 3);
    assert_eq!(story.jobs().await.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_auto_create_on_decides_a_redelivered_event_again() {
    let settings =
        Settings { default_repository: Some(RepositoryName::new(REPOSITORY).unwrap()), ..Settings::default() };
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, settings, ..Setup::default() }).await;
    assert_eq!(story.tell("e1", "APP-1", TRIGGER, 1).await.code, "auto_create_off");
    assert_eq!(story.tell("e1", "APP-1", TRIGGER, 1).await.code, "auto_create_off");
    let project = story.api.project(&story.project).await.unwrap();
    let on = Settings { auto_create: true, ..project.settings };
    story.api.set_settings(&story.project, &on, project.revision).await.unwrap();
    let accepted = story.tell("e1", "APP-1", TRIGGER, 1).await;
    assert_eq!(accepted.code, "accepted", "{}", accepted.sentence);
    let repeat = story.tell("e1", "APP-1", TRIGGER, 1).await;
    assert_eq!((repeat.code.as_str(), repeat.job), ("repeat", accepted.job));
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_could_not_work_are_refused_with_their_place() {
    let story = quiet().await;
    let path = "/v1/projects/acme/settings";
    let bearer = format!("Bearer {}", story.local.admin_token());
    let set = async |revision: Option<&str>, settings: Value| {
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(revision.map(|revision| ("if-match", revision)));
        story.call(Method::PUT, path, &headers, settings.to_string().into_bytes()).await
    };
    for (settings, pointer) in [
        (json!({ "statuses": { "todo": TRIGGER } }), "/statuses/todo"),
        (json!({ "statuses": { "completion": TRIGGER } }), "/statuses/completion"),
        (json!({ "statuses": { "trigger": "" } }), "/statuses/trigger"),
        (json!({ "statuses": { "trigger": "Todo" } }), "/statuses/todo"),
        (json!({ "limits": { "wall_secs": 59 } }), "/limits/wall_secs"),
        (json!({ "limits": { "wall_secs": 86_401 } }), "/limits/wall_secs"),
        (json!({ "limits": { "stall_secs": 9 } }), "/limits/stall_secs"),
        (json!({ "limits": { "requeues": 11 } }), "/limits/requeues"),
    ] {
        let answer = set(Some("\"1\""), settings.clone()).await;
        check(&settings.to_string(), &answer, 422, "invalid", Some(pointer));
        let new = json!({ "id": "other", "name": "Other", "settings": settings }).to_string();
        let answer = story.asked(Method::POST, "/v1/projects", new).await;
        check("a new project", &answer, 422, "invalid", None);
    }
    let odd = set(Some("\"1\""), json!({ "limits": { "wall_sec": 60 } })).await;
    check("an unknown setting", &odd, 400, "body_unreadable", Some("/limits/wall_sec"));
    let negative = set(Some("\"1\""), json!({ "limits": { "requeues": -1 } })).await;
    check("a negative number", &negative, 400, "body_unreadable", Some("/limits/requeues"));
    for revision in [None, Some(""), Some("\"x\""), Some("*"), Some("\"-1\"")] {
        check("no revision", &set(revision, json!({})).await, 428, "revision_missing", None);
    }
    for stale in ["\"0\"", "\"7\"", "7"] {
        check("stale", &set(Some(stale), json!({})).await, 412, "changed_meanwhile", None);
    }
    let (status, _, project) = set(Some("\"1\""), json!({ "auto_create": true })).await;
    assert_eq!((status, &project["revision"]), (200, &json!(2)), "{project}");
    check("twice", &set(Some("\"1\""), json!({})).await, 412, "changed_meanwhile", None);

    for name in ["".to_owned(), "x".repeat(201), "a\u{0}".into()] {
        let new = json!({ "id": "other", "name": name }).to_string();
        check("a name", &story.asked(Method::POST, "/v1/projects", new).await, 400, "body_unreadable", Some("/name"));
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_connected_is_refused_with_its_reason() {
    let story = quiet().await;
    let connect = json!({ "id": "gh2", "kind": "github", "api_url": story.local.forge().api_url(), "token_secret": "pullyard/user/none" });
    let changed = |name: &str, value: &str| {
        let mut connect = connect.clone();
        connect[name] = value.into();
        connect.to_string()
    };
    let ask = async |body: String| story.asked(Method::POST, "/v1/integrations", body).await;
    check("no secret", &ask(connect.to_string()).await, 422, "secret_missing", None);
    let others = ask(changed("token_secret", "production/database")).await;
    check("not people's", &others, 422, "invalid", Some("/token_secret"));
    check("plain http", &ask(changed("api_url", "http://forge.example")).await, 422, "invalid", Some("/api_url"));
    check("no address", &ask(changed("api_url", "ftp://x")).await, 422, "invalid", Some("/api_url"));
    check("no forge", &ask(changed("kind", "gitlab")).await, 400, "body_unreadable", None);
    let mut taken = connect.clone();
    (taken["id"], taken["token_secret"]) = ("gh1".into(), story.local.forge_secret().into());
    taken["api_url"] = format!("{}/", story.local.forge().api_url()).into();
    let (status, _, again) = ask(taken.to_string()).await;
    assert_eq!(status, 201, "the same again is a repeat: {again}");

    let add = |integration: &str, name: &str, capability: &str, command: &[&str]| AddRepository {
        integration: IntegrationId::new(integration).unwrap(),
        name: RepositoryName::new(name).unwrap(),
        agent: Agent { capability: capability.into(), command: command.iter().map(|word| word.to_string()).collect() },
        workflows: false,
    };
    for (request, status, code, pointer) in [
        (add("gh9", REPOSITORY, "command", &["x"]), 404, "not_found", None),
        (add("gh1", "acme/none", "command", &["x"]), 422, "forge_refused", None),
        (add("gh1", REPOSITORY, "magic", &["x"]), 422, "invalid", Some("/agent/capability")),
        (add("gh1", REPOSITORY, "command", &[]), 422, "invalid", Some("/agent/command")),
        (add("gh1", REPOSITORY, "command", &["", "x"]), 422, "invalid", Some("/agent/command")),
    ] {
        let body = serde_json::to_vec(&request).unwrap();
        let answer = story.asked(Method::POST, "/v1/projects/acme/repositories", body).await;
        check(&format!("{request:?}"), &answer, status, code, pointer);
    }
    let body = serde_json::to_vec(&add("gh1", REPOSITORY, "command", &["x"])).unwrap();
    let answer = story.asked(Method::POST, "/v1/projects/nobody/repositories", body).await;
    check("no project", &answer, 404, "not_found", None);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_lead_nowhere_are_problems_too() {
    let story = quiet().await;
    let job = format!("job_{}", "a".repeat(26));
    let start = format!("/v1/jobs/{job}/attempts/x/start");
    let long = format!("/v1/tickets/{}?project=acme", "x".repeat(65));
    let many = format!("/v1/jobs?project=acme&{}=1", "x".repeat(5_000));
    let missing = format!("/v1/jobs/{job}");
    for (method, path, status, code) in [
        (Method::GET, "/v1", 404, "not_found"),
        (Method::GET, "/v1/jobs/", 404, "not_found"),
        (Method::POST, "/v1/tickets/events/", 404, "not_found"),
        (Method::POST, "/v1/tickets/events/more", 404, "not_found"),
        (Method::DELETE, "/v1/jobs", 405, "method_not_allowed"),
        (Method::PUT, "/v1/tickets/APP-1", 405, "method_not_allowed"),
        (Method::PATCH, "/v1/tickets/events", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs?project=", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs?project=ACME", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs?project=acme&project=acme", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs?project=acme&size=5", 400, "bad_parameter"),
        (Method::GET, "/v1/jobs?project=%ff", 400, "bad_parameter"),
        (Method::GET, &many, 400, "bad_parameter"),
        (Method::GET, "/v1/jobs/nope", 404, "not_found"),
        (Method::GET, "/v1/jobs/%ff", 404, "not_found"),
        (Method::GET, &missing, 404, "not_found"),
        (Method::POST, &start, 404, "not_found"),
        (Method::GET, "/v1/deliveries", 400, "bad_parameter"),
        (Method::GET, "/v1/deliveries?project=acme&day=today", 400, "bad_parameter"),
        (Method::GET, "/v1/deliveries?project=acme&day=2026-02-30", 400, "bad_parameter"),
        (Method::GET, "/v1/deliveries?project=acme&day=2026-11-20T00:00:00Z", 400, "bad_parameter"),
        (Method::GET, "/v1/deliveries/dlv_x", 404, "not_found"),
        (Method::GET, "/v1/projects/Acme", 404, "not_found"),
        (Method::GET, "/v1/projects/nobody", 404, "not_found"),
        (Method::GET, "/v1/projects?limit=5", 400, "bad_parameter"),
        (Method::GET, "/v1/tickets", 400, "bad_parameter"),
        (Method::GET, "/v1/integrations/GH1", 404, "not_found"),
        (Method::GET, "/v1/integrations/gh9", 404, "not_found"),
        (Method::GET, "/v1/projects/nobody/repositories", 404, "not_found"),
        (Method::GET, "/v1/tickets/APP-1", 400, "bad_parameter"),
        (Method::GET, "/v1/tickets/APP-1?project=acme", 404, "not_found"),
        (Method::GET, "/v1/tickets/%20?project=acme", 404, "not_found"),
        (Method::GET, "/v1/tickets/%C3?project=acme", 404, "not_found"),
        (Method::GET, &long, 404, "not_found"),
    ] {
        let answer = story.asked(method.clone(), path, "{}").await;
        check(&format!("{method} {path}"), &answer, status, code, None);
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_no_page_gave_is_refused() {
    let story = quiet().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let long = format!("1|{}|x", "y".repeat(3_000));
    for after in ["", "x", "|", "||", "1|2|3|4|5", "a|b|c", "000000000000001|JOB%23x|JOB", &long] {
        for list in ["jobs?project=acme&", "deliveries?project=acme&", "tickets?project=acme&", "projects?"] {
            let path = format!("/v1/{list}after={after}");
            check(&path, &story.asked(Method::GET, &path, "").await, 400, "bad_parameter", None);
        }
    }
    for after in ["", "x", "1", "1.", ".1", "1.2.3", "-1.0", "1.-1", "99999999999.1", "1.99999999999999999999"] {
        let path = format!("/v1/jobs/{job}/events?after={after}");
        check(&path, &story.asked(Method::GET, &path, "").await, 400, "bad_parameter", None);
    }
    for after in ["0.0", "1.18446744073709551615", "4294967295.18446744073709551615"] {
        let (status, _, page) = story.asked(Method::GET, &format!("/v1/jobs/{job}/events?after={after}"), "").await;
        assert_eq!((status, &page["events"]), (200, &json!([])), "{after}: {page}");
    }
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_speaks_an_older_protocol_is_told_to_update() {
    let story = quiet().await;
    for path in ["/v1/version", "/v1/jobs?project=acme"] {
        for version in ["0", "", "one", "-1", "1.0"] {
            let answer = story.call(Method::GET, path, &[("pullyard-version", version)], Vec::new()).await;
            check(&format!("{path} {version}"), &answer, 426, "runner_too_old", None);
        }
    }
    for version in ["1", "2"] {
        let (status, _, said) =
            story.call(Method::GET, "/v1/version", &[("pullyard-version", version)], Vec::new()).await;
        assert_eq!((status, &said["protocol"]), (200, &json!(1)), "{said}");
    }
    let answer =
        story.call(Method::POST, "/v1/tickets/events", &[("pullyard-version", "0")], good().to_string().into()).await;
    check("the ticket call", &answer, 426, "runner_too_old", None);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_runners_words_are_refused_or_bounded() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    let call = async |what: &str, body: String| {
        let path = format!("/v1/jobs/{job}/attempts/1/{what}");
        story.raw(Method::POST, &path, Some(&assignment.lease), body.into_bytes()).await
    };
    let event = |seq: u64, text: &str| json!({ "seq": seq, "age_ms": 0, "kind": "text", "text": text });
    let batch = |first: u64, events: Vec<Value>| json!({ "first_seq": first, "events": events }).to_string();
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let deep = format!(r#"{{"first_seq":1,"events":[{{"seq":1,"age_ms":0,"kind":"raw","data":{deep}}}]}}"#);
    let many = (1..=1_001).map(|seq| event(seq, "x")).collect();
    for (body, pointer) in [
        (batch(0, vec![]), Some("/first_seq")),
        (batch(1, vec![event(2, "x")]), Some("/events/0/seq")),
        (batch(1, vec![event(1, "x"), event(1, "x")]), Some("/events/1/seq")),
        (batch(1, many), Some("/events")),
        (batch(1, vec![json!({ "seq": 1, "age_ms": 0, "kind": "magic" })]), Some("/events/0/kind")),
        (batch(1, vec![json!({ "seq": -1, "age_ms": 0, "kind": "text" })]), Some("/events/0/seq")),
        (deep, None),
    ] {
        check(&body[..body.len().min(200)], &call("events", body.clone()).await, 400, "body_unreadable", pointer);
    }
    check("2 MB", &call("events", batch(1, vec![event(1, &"x".repeat(2 << 20))])).await, 413, "body_too_large", None);
    let loud = (1..=900).map(|seq| event(seq, &noise(1_000))).collect();
    let (status, _, said) = call("events", batch(1, loud)).await;
    assert!(status < 500, "900 KB of noise: {status} {said}");
    for far in [1_000_000_001, u64::MAX] {
        let answer = call("events", batch(far, vec![event(far, "x")])).await;
        check("a number too high", &answer, 400, "body_unreadable", Some("/first_seq"));
    }
    let old = json!({ "seq": 1_000_000_000, "age_ms": u64::MAX, "kind": "text" });
    let (status, _, said) = call("events", batch(1_000_000_000, vec![old])).await;
    assert_eq!(status, 200, "the highest number and the oldest age: {said}");
    assert!(story.api.events(&job, None).await.unwrap().events.len() <= 1_000);

    client.status(&serde_json::from_value(json!({ "status": "preparing" })).unwrap()).await.unwrap();
    for (body, pointer) in [
        (json!({ "finish_id": "f1", "outcome": "completed" }), Some("/result")),
        (json!({ "finish_id": "f1", "outcome": "failed" }), Some("/failure")),
        (json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "magic" } }), None),
        (json!({ "finish_id": "a/b", "outcome": "cancelled" }), Some("/finish_id")),
        (json!({ "finish_id": "f1", "outcome": "cancelled", "failure": { "code": "no_changes" } }), Some("/failure")),
    ] {
        check(&body.to_string(), &call("finish", body.to_string()).await, 400, "body_unreadable", pointer);
    }
    let words = format!("\u{1b}[31m{}", noise(200_000));
    let failure =
        json!({ "code": "agent_failed", "agent": words, "exit": words[..9_000], "last_words": words[..9_000] });
    let finish = json!({ "finish_id": "f1", "outcome": "failed", "failure": failure }).to_string();
    let (status, _, said) = call("finish", finish).await;
    assert_eq!(status, 200, "{said}");
    let failure = story.ended(&job).await.failure.unwrap();
    assert!(failure.facts.to_string().len() < 1_000, "{} bytes are kept", failure.facts.to_string().len());
    assert!(failure.sentence.chars().count() <= 140 && !failure.sentence.contains('\u{1b}'), "{}", failure.sentence);
    story.end().await;
}
