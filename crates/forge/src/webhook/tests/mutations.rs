//! Truncated, malformed and random bodies and signatures.

use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};

use super::{Sample, bitbucket_samples, github_sample, github_samples};
use crate::webhook::{Secret, parse, verify};
use pullyard_domain::project::forge::ForgeKind::{self, Bitbucket, GitHub};

fn collect_pointers(value: &Value, at: String, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| collect_pointers(value, format!("{at}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| collect_pointers(value, format!("{at}/{index}"), found));
        }
        _ => {}
    }
    found.push(at);
}

fn all_samples() -> Vec<(ForgeKind, Sample)> {
    let github = github_samples().into_iter().map(|sample| (GitHub, sample));
    github.chain(bitbucket_samples().into_iter().map(|sample| (Bitbucket, sample))).collect()
}

#[test]
fn truncated_body_is_rejected() {
    for (language, sample) in all_samples() {
        let end = sample.body.trim_ascii_end().len();
        for end in (0..end).step_by(97) {
            assert!(parse(language, &sample.event, &sample.body[..end]).is_err(), "{} to {end}", sample.name);
        }
    }
}

#[test]
fn fault_names_the_place_and_not_the_value() {
    let sample = github_sample("pull_request_review.changes_requested");
    let check = |at: &str, value: Value, pointer: &str, fault: &str| {
        let mut body: Value = serde_json::from_slice(&sample.body).unwrap();
        *body.pointer_mut(at).unwrap() = value;
        let unreadable = parse(GitHub, &sample.event, body.to_string().as_bytes()).unwrap_err();
        assert_eq!((unreadable.pointer.as_str(), unreadable.fault.as_str()), (pointer, fault));
    };
    check("/review/id", json!("secret"), "/review/id", "it is not a whole number");
    check("/review/id", json!(-1), "/review/id", "it is not a whole number");
    check("/review/id", json!(1.5), "/review/id", "it is not a whole number");
    check("/review/state", json!(1), "/review/state", "it is not a string");
    check("/review/submitted_at", json!("secret"), "/review/submitted_at", "it is not a time as RFC 3339 text");
    check("/pull_request/state", json!("secret"), "/pull_request/state", "it is not `open` or `closed`");
    check("/review", json!(null), "/review", "it is not an object");
    check("/pull_request", json!({}), "/pull_request/number", "it is missing");
    check("/repository", json!("secret"), "/repository", "it is not an object");
    check("/action", json!(true), "/action", "it is not a string");
}

#[test]
fn invalid_delivery_names_its_fault() {
    let check = |event: &str, body: &[u8], expected: &str| {
        assert_eq!(parse(GitHub, event, body).unwrap_err().fault, expected);
    };
    check("ping", b"payload=%7B%7D", "it is a form; set the webhook's content type to application/json");
    check("ping", b"", "it is not JSON");
    check("ping", b"[]", "it is not an object");
    check("ping", b"{}", "it is missing");
    check("", b"{}", "the header has no event");
    check("a\nb", b"{}", "the header has no event");
    check(&"a".repeat(65), b"{}", "the header has no event");
    check("ping", &b"[".repeat(100_000), "it is not JSON");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn signature_verifies_only_with_its_secret(
        key in vec(any::<u8>(), 1..80), other in vec(any::<u8>(), 1..80), body in vec(any::<u8>(), 0..200),
    ) {
        let signature = Secret::new(key.clone()).sign(&body);
        prop_assert_eq!(verify(&[Secret::new(key.clone())], &body, Some(&signature)), Ok(0));
        // HMAC pads keys with zeros, so trailing zeros change nothing.
        let padded = |key: &[u8]| { let end = key.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1); key[..end].to_vec() };
        if key.len() <= 64 && other.len() <= 64 && padded(&key) != padded(&other) {
            prop_assert!(verify(&[Secret::new(other)], &body, Some(&signature)).is_err());
        }
    }

    #[test]
    fn parsing_a_changed_field_never_panics(
        which in any::<prop::sample::Index>(), place in any::<prop::sample::Index>(),
        replacement in 0..7_u8, is_removed in any::<bool>(),
    ) {
        let samples = all_samples();
        let (language, sample) = which.get(&samples);
        let mut body: Value = serde_json::from_slice(&sample.body).unwrap();
        let mut found = Vec::new();
        collect_pointers(&body, String::new(), &mut found);
        let at = place.get(&found);
        let (above, name) = at.rsplit_once('/').unwrap_or(("", ""));
        match body.pointer_mut(above) {
            Some(Value::Object(fields)) if is_removed => { fields.remove(name); }
            _ => {
                let values = [json!(null), json!(1), json!(-1.5), json!("x"), json!([]), json!({}), json!(true)];
                *body.pointer_mut(at).unwrap() = values[usize::from(replacement)].clone();
            }
        }
        if let Err(fault) = parse(*language, &sample.event, body.to_string().as_bytes()) {
            prop_assert!(!fault.fault.is_empty());
        }
    }

}
