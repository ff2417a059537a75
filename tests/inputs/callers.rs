//! Tests wrong or hostile paths, cursors, versions and runner calls.

use super::{check, noise, story_without_hints, valid_event};
use crate::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_parameters_return_problems() {
    let story = story_without_hints().await;
    let job = format!("job_{}", "a".repeat(26));
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
        (Method::GET, "/v1/deliveries", 400, "bad_parameter"),
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
        let answer = story.call_as_admin(method.clone(), path, "{}").await;
        check(&format!("{method} {path}"), &answer, status, code, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_cursor_is_refused() {
    let story = story_without_hints().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let long = format!("1|{}|x", "y".repeat(3_000));
    for after in ["", "x", "|", "||", "1|2|3|4|5", "a|b|c", "000000000000001|JOB%23x|JOB", &long] {
        for list in ["jobs?project=acme&", "deliveries?project=acme&", "tickets?project=acme&", "projects?"] {
            let path = format!("/v1/{list}after={after}");
            check(&path, &story.call_as_admin(Method::GET, &path, "").await, 400, "bad_parameter", None);
        }
    }
    for after in ["", "x", "1", "1.", ".1", "1.2.3", "-1.0", "1.-1", "99999999999.1", "1.99999999999999999999"] {
        let path = format!("/v1/jobs/{job}/events?after={after}");
        check(&path, &story.call_as_admin(Method::GET, &path, "").await, 400, "bad_parameter", None);
    }
    for after in ["0.0", "1.18446744073709551615", "4294967295.18446744073709551615"] {
        let (status, _, page) =
            story.call_as_admin(Method::GET, &format!("/v1/jobs/{job}/events?after={after}"), "").await;
        assert_eq!((status, &page["events"]), (200, &json!([])), "{after}: {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn older_protocol_version_is_refused() {
    let story = story_without_hints().await;
    for path in ["/v1/version", "/v1/jobs?project=acme"] {
        for version in ["0", "", "one", "-1", "1.0"] {
            let answer =
                story.request_with_headers(Method::GET, path, &[("pullyard-version", version)], Vec::new()).await;
            check(&format!("{path} {version}"), &answer, 426, "runner_too_old", None);
            assert!(answer.2["help"].as_str().unwrap().contains("`sh install.sh --runner`"), "{}", answer.2);
        }
    }
    for version in ["1", "2"] {
        let (status, _, response) =
            story.request_with_headers(Method::GET, "/v1/version", &[("pullyard-version", version)], Vec::new()).await;
        assert_eq!((status, &response["protocol"]), (200, &json!(5)), "{response}");
    }
    let answer = story
        .request_with_headers(
            Method::POST,
            "/v1/tickets/events",
            &[("pullyard-version", "0")],
            valid_event().to_string().into(),
        )
        .await;
    check("the ticket call", &answer, 426, "runner_too_old", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_runner_input_is_refused_or_truncated() {
    let (story, job) = Story::with_job().await;
    let (assignment, client) = story.claim(&job, "c1").await.unwrap();
    let call = async |endpoint: &str, body: String| {
        let path = format!("/v1/jobs/{job}/attempts/1/{endpoint}");
        story.request(Method::POST, &path, Some(&assignment.lease), body.into_bytes()).await
    };
    let event = |seq: u64, text: &str| json!({ "seq": seq, "age_ms": 0, "kind": "text", "text": text });
    let batch = |first: u64, events: Vec<Value>| json!({ "first_seq": first, "events": events }).to_string();
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    let deep = format!(r#"{{"first_seq":1,"events":[{{"seq":1,"age_ms":0,"kind":"raw","data":{deep}}}]}}"#);
    for (body, pointer) in [
        (batch(0, vec![]), Some("/first_seq")),
        (batch(1, vec![event(2, "x")]), Some("/events/0/seq")),
        (batch(1, vec![event(1, "x"), event(1, "x")]), Some("/events/1/seq")),
        (batch(1, vec![json!({ "seq": 1, "age_ms": 0, "kind": "magic" })]), Some("/events/0/kind")),
        (batch(1, vec![json!({ "seq": -1, "age_ms": 0, "kind": "text" })]), Some("/events/0/seq")),
        (deep, None),
    ] {
        check(&body[..body.len().min(200)], &call("events", body.clone()).await, 400, "body_unreadable", pointer);
    }
    check("2 MB", &call("events", batch(1, vec![event(1, &"x".repeat(2 << 20))])).await, 413, "body_too_large", None);
    let loud = (1..=900).map(|seq| event(seq, &noise(1_000))).collect();
    let (status, _, response) = call("events", batch(1, loud)).await;
    assert!(status < 500, "900 KB of noise: {status} {response}");
    for far in [1_000_000_001, u64::MAX] {
        let answer = call("events", batch(far, vec![event(far, "x")])).await;
        check("a number too high", &answer, 400, "body_unreadable", Some("/first_seq"));
    }
    let old = json!({ "seq": 1_000_000_000, "age_ms": u64::MAX, "kind": "text" });
    let (status, _, response) = call("events", batch(1_000_000_000, vec![old])).await;
    assert_eq!(status, 200, "the highest number and the oldest age: {response}");
    assert!(story.api.events(&job, None).await.unwrap().events.len() <= 1_000);

    client.status(&serde_json::from_value(json!({ "status": "preparing" })).unwrap()).await.unwrap();
    for (body, pointer) in [
        (json!({ "finish_id": "f1", "outcome": "failed", "failure": { "code": "magic" } }), None),
        (json!({ "finish_id": "a/b", "outcome": "cancelled" }), Some("/finish_id")),
    ] {
        check(&body.to_string(), &call("finish", body.to_string()).await, 400, "body_unreadable", pointer);
    }
    let text = format!("\u{1b}[31m{}", noise(200_000));
    let failure = json!({ "code": "agent_failed", "agent": text, "exit": text[..9_000], "last_words": text[..9_000] });
    let finish = json!({ "finish_id": "f1", "outcome": "failed", "failure": failure }).to_string();
    let (status, _, response) = call("finish", finish).await;
    assert_eq!(status, 200, "{response}");
    let failure = story.wait_for_end(&job).await.failure.unwrap();
    assert!(failure.facts.to_string().len() < 1_000, "{} bytes are kept", failure.facts.to_string().len());
    assert!(failure.sentence.chars().count() <= 200 && !failure.sentence.contains('\u{1b}'), "{}", failure.sentence);
}
