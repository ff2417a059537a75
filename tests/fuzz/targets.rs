//! The fuzz targets: valid seeds, and the invariants for all other inputs.

use crate::prelude::*;
use axum::body::Body;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullyard_domain::kinds::prompt::review::{
    FrozenComment, FrozenReview, MAX_REVIEWS_CHARS, ReviewContext, ReviewedPullRequest,
};
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::report::review_output::Side;
use pullyard_domain::text::untrusted::{fence, remove_hidden, to_single_line, truncate_with_count};
use pullyard_entry::{http, limits, strict};
use pullyard_protocol::ticket::TicketEvent;
use std::hash::{DefaultHasher, Hash, Hasher};

pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) seeds: fn() -> Vec<Vec<u8>>,
    pub(super) words: &'static [&'static str],
    /// Panics if an invariant is violated, else returns a hash of the kind of answer.
    pub(super) run: fn(&[u8]) -> u64,
}

pub(super) const TARGETS: [Target; 3] = [
    Target {
        name: "envelope",
        seeds: envelopes,
        words: &[
            "\"isBase64Encoded\":true,",
            "\"isBase64Encoded\":false,",
            "\"body\":\"e30=\",",
            "\"body\":null,",
            "==",
            "%2e%2e/",
            "/webhooks/github/",
            "/webhooks/bitbucket/",
            "\"cookies\":[\"\"],",
            "x-github-event",
            "\"rawPath\":\"\",",
            "\"2.0\"",
            "\"1.0\"",
        ],
        run: |input| kind(&envelope(input)),
    },
    Target {
        name: "ticket_event",
        seeds: ticket_events,
        words: &[
            "\"event_id\":",
            "\"ticket\":{",
            "\"labels\":[",
            "\"__proto__\":1,",
            "~1~0",
            "2026-11-20T12:00:00Z",
            "acme/app",
        ],
        run: |input| kind(&ticket_event(input)),
    },
    Target {
        name: "review_text",
        seeds: review_texts,
        words: &[
            "```",
            "````",
            "`",
            "~~~",
            "<!--",
            "-->",
            "--!>",
            "<!-->",
            "[//]: # (",
            "[x]: <",
            "\n\n",
            "    ",
            "\u{1e}",
            "INJECTED",
            "\u{200b}",
            "\u{e0041}",
            "<!-- pullyard:status -->",
            "text\n",
        ],
        run: |input| kind(&review_text(input)),
    },
];

fn kind(answer: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    answer.hash(&mut hasher);
    hasher.finish()
}

fn size(of: usize) -> u32 {
    of.checked_ilog2().unwrap_or(0)
}

fn file(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn envelopes() -> Vec<Vec<u8>> {
    let mut event: Value =
        serde_json::from_slice(&file(&root().join("events/webhook.unknown_hook_base64.json"))).unwrap();
    let encoded = event.to_string().into_bytes();
    event["body"] = json!("{\"zen\": \"ü\"}");
    event["isBase64Encoded"] = json!(false);
    vec![encoded, event.to_string().into_bytes()]
}

static RUNTIME: LazyLock<tokio::runtime::Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());

/// Receives a delivery like the webhook function, and returns its bytes and headers.
async fn echo(headers: HeaderMap, request: Request) -> Result<Body, pullyard_entry::Problem> {
    let body = strict::read(request.into_body(), 4 * 1024 * 1024).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    let names = ["x-github-event", "x-github-delivery", "x-hub-signature-256"].map(header);
    Ok(Body::from(json!({ "body": STANDARD.encode(&body), "headers": names }).to_string()))
}

fn envelope(input: &[u8]) -> (String, u64) {
    let Ok(mut event) = serde_json::from_slice::<Value>(input) else { return ("no JSON".into(), 0) };
    if !set_gateway_fields(&mut event) {
        return ("no event".into(), 0);
    }
    let router = http::with_fallbacks(axum::Router::new().route("/webhooks/github/{hook}", post(echo)));
    let answer = match RUNTIME.block_on(http::invoke(router, event.clone())) {
        Ok(answer) => answer,
        // Lambda's runtime refuses these before our code runs.
        Err(error) => return (error.chars().filter(|c| c.is_ascii_alphabetic() || *c == ' ').take(60).collect(), 0),
    };
    let status = answer["statusCode"].as_u64().unwrap();
    assert!(status < 500, "{answer}");
    let Some(request_text) = answer["body"].as_str().filter(|_| status == 200) else { return (String::new(), status) };
    let request: Value = serde_json::from_str(request_text).unwrap();
    let came = STANDARD.decode(request["body"].as_str().unwrap()).unwrap();
    let raw_body = event["body"].as_str().unwrap_or_default();
    let expected = match event["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(raw_body).expect("invalid base64 was passed on"),
        _ => raw_body.as_bytes().to_vec(),
    };
    assert_eq!(came, expected, "the bytes differ from the signed ones");
    (
        request["headers"].as_array().unwrap().iter().map(|one| if one == "-" { '-' } else { 'x' }).collect(),
        status + u64::from(size(came.len())),
    )
}

/// Sets what only API Gateway writes: address and base64. Lambda's runtime trusts these values and panics on invalid
/// ones, which costs a single request. Returns false for an event that the gateway cannot send.
fn set_gateway_fields(event: &mut Value) -> bool {
    if !event.is_object() {
        return false;
    }
    let Some(headers) = event["headers"].as_object_mut() else { return false };
    headers.retain(|name, _| !["host", "x-forwarded-proto"].contains(&name.to_ascii_lowercase().as_str()));
    let is_path = event["rawPath"].as_str().is_some_and(|path| path.starts_with('/'));
    let is_query =
        event["rawQueryString"].as_str().is_some_and(|query| query.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let Some(context) = event["requestContext"].as_object_mut() else { return false };
    context.insert("domainName".into(), json!("api.example"));
    context.insert("stage".into(), json!("$default"));
    let is_encoded =
        event["isBase64Encoded"] != true || STANDARD.decode(event["body"].as_str().unwrap_or_default()).is_ok();
    is_path && is_query && is_encoded
}

fn ticket_events() -> Vec<Vec<u8>> {
    let full_event = json!({
        "event_id": "e-1", "occurred_at": "2026-11-20T12:00:00Z", "project": "acme", "actor": "ana",
        "previous_status": "Todo",
        "ticket": {
            "key": "APP-1", "title": "Add it", "description": "As said.\n", "status": "AI Processing",
            "labels": ["runner:gpu", "urgent"], "url": "https://tickets.example/APP-1", "repository": "acme/app",
        },
    });
    let least = json!({
        "event_id": "e", "occurred_at": "2026-11-20T12:00:00.123456789+02:00", "project": "p",
        "ticket": { "key": "A-1", "title": "t", "status": "s" },
    });
    vec![full_event.to_string().into_bytes(), least.to_string().into_bytes()]
}

fn ticket_event(input: &[u8]) -> (String, String) {
    let now = Timestamp::from_millis(1_795_176_000_000);
    let fault = match strict::parse::<TicketEvent>(input) {
        Err(fault) => fault,
        Ok(event) => {
            let again = serde_json::to_vec(&event).unwrap();
            assert_eq!(strict::parse::<TicketEvent>(&again).unwrap(), event, "the event does not survive a round trip");
            match limits::check_event(&event, now) {
                Err(fault) => fault,
                Ok(()) => {
                    let ticket = &event.ticket;
                    let has_fields = [event.actor.is_some(), ticket.url.is_some(), ticket.repository.is_some()];
                    return (format!("{has_fields:?} {}", size(ticket.labels.len())), String::new());
                }
            }
        }
    };
    assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{fault:?}");
    assert!(fault.pointer.chars().count() <= 301 && fault.message.chars().count() <= 301, "{fault:?}");
    let known = |place: &str| place.split('/').filter(|part| !part.is_empty()).count();
    let prefix = fault.message.split(['`', '"', ':']).next().unwrap_or_default();
    (prefix.chars().filter(|c| !c.is_ascii_digit()).take(40).collect(), known(&fault.pointer).to_string())
}

fn review_texts() -> Vec<Vec<u8>> {
    let all = [
        "INJECTED summary\u{1e}src/INJECTED.rs\u{1e}INJECTED",
        "```\nINJECTED\n```\u{1e}a`b\u{1e}```text\nINJECTED\n````\u{1e}src/main.rs\n```\u{1e}x <!-- INJECTED --> y",
        "[//]: # (INJECTED)\n\nseen <!-- open\u{1e}p\u{1e}\u{202e}INJECTED\u{2066}",
        "<!<!-- -->-- INJECTED -->\u{1e}\u{1e}Done.\n\n<!-- pullyard:status -->",
    ];
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Input: fields of a pull request, a review and its comments between separators.
fn review_text(input: &[u8]) -> (u32, u32, [bool; 5]) {
    let text = String::from_utf8_lossy(input);
    let mut fields = text.split('\u{1e}');
    let summary = fields.next().unwrap_or_default();
    let rest: Vec<&str> = fields.collect();
    let comments = rest.chunks(2).zip(10_u64..).map(|(pair, id)| FrozenComment {
        id,
        thread: if id.is_multiple_of(3) { 10 } else { id },
        path: pair[0].into(),
        line: Some(id),
        original: id.is_multiple_of(2),
        start_line: None,
        side: Side::Right,
        author: pair[0].into(),
        text: (*pair.last().unwrap_or(&"")).into(),
        edited: false,
        url: pair[0].into(),
    });
    let context = ReviewContext {
        pull_request: ReviewedPullRequest {
            number: 7,
            url: summary.into(),
            title: summary.into(),
            branch: summary.into(),
            base: "main".into(),
            head: summary.into(),
        },
        reviews: vec![FrozenReview {
            id: 1,
            author: summary.into(),
            submitted_at: Timestamp::from_millis(0),
            url: summary.into(),
            summary: summary.into(),
            said: Vec::new(),
            comments: comments.collect(),
        }],
        cut: None,
    };
    let prompt = context.prompt();
    assert!(prompt.chars().count() <= MAX_REVIEWS_CHARS, "the prompt is too long");
    let outside = outside_fences(&prompt);
    assert!(!outside.contains("INJECTED") && !outside.contains('`'), "text is outside its fence: {outside}");
    assert!(outside.is_ascii(), "foreign text is outside the fences: {outside}");
    assert!(context.included_comments().len() <= context.reviews[0].comments.len());

    let seen = remove_hidden(&text);
    assert!(!seen.contains("<!--"), "an HTML comment is left: {seen:?}");
    assert_eq!(remove_hidden(&seen), seen, "`visible` is not idempotent");
    assert!(outside_fences(&fence(&text)).is_empty());
    assert!(to_single_line(&text, 30).chars().count() <= 31 && !to_single_line(&text, 30).contains(['\n', '\t']));
    assert!(
        text.starts_with(truncate_with_count(&text, 50).split("…\n(").next().unwrap_or_default())
            || text.contains("…\n(")
    );
    assert_eq!(Marker::parse(&Marker::Status.append_to(ForgeKind::GitHub, &text)), Some(Marker::Status));
    let has_markup = ["<!--", "`", "[", "\u{202e}", "pullyard:"].map(|word| text.contains(word));
    (size(prompt.len()), size(context.included_comments().len()), has_markup)
}

/// The text outside all fences. A line with at least as many backticks and nothing else closes a fence.
fn outside_fences(prompt: &str) -> String {
    let mut outside = String::new();
    let mut fence: Option<usize> = None;
    for line in prompt.split('\n') {
        let ticks = line.len() - line.trim_start_matches('`').len();
        match fence {
            None if ticks >= 3 && line.ends_with("text") && line.len() == ticks + 4 => fence = Some(ticks),
            None => outside.push_str(line),
            Some(open) if ticks >= open && line.trim_end().len() == ticks => fence = None,
            Some(_) => {}
        }
    }
    assert!(fence.is_none(), "a fence is left open");
    outside
}
