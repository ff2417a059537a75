use super::*;
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::RepositoryName;
use serde::Deserialize;
use serde_json::json;

fn map(json: Value) -> Attributes {
    serde_dynamo::to_item(json).unwrap()
}

fn key() -> Key {
    Key { pk: "pk".into(), sk: "sk".into() }
}

fn check(stored: Value, known: Value, next: Value, expected: Value) {
    let [stored, known, mut next, expected] = [stored, known, next, expected].map(map);
    restore(&stored, &known, &mut next);
    assert_eq!(next, expected);
}

#[test]
fn unknown_fields_return_at_each_level() {
    check(
        json!({ "a": 1, "new": 2, "inner": { "b": 1, "new": [3] }, "list": [{ "id": 1, "new": 4 }] }),
        json!({ "a": 1, "inner": { "b": 1 }, "list": [{ "id": 1 }] }),
        json!({ "a": 5, "inner": { "b": 6 }, "list": [{ "id": 1, "c": 7 }, { "id": 2 }] }),
        json!({ "a": 5, "new": 2, "inner": { "b": 6, "new": [3] }, "list": [{ "id": 1, "c": 7, "new": 4 }, { "id": 2 }] }),
    );
}

#[test]
fn removed_field_and_its_inner_fields_do_not_return() {
    check(
        json!({ "run": { "b": 1, "new": 2 }, "slots": { "job": { "c": 1, "new": 2 } } }),
        json!({ "run": { "b": 1 }, "slots": { "job": { "c": 1 } } }),
        json!({ "slots": {} }),
        json!({ "slots": {} }),
    );
}

#[test]
fn another_variant_or_element_gets_no_unknown_field() {
    check(
        json!({ "state": { "is": "started", "new": 1 }, "list": [{ "id": 1, "new": 2 }] }),
        json!({ "state": { "is": "started" }, "list": [{ "id": 1 }] }),
        json!({ "state": { "is": "refused" }, "list": [{ "id": 2 }] }),
        json!({ "state": { "is": "refused" }, "list": [{ "id": 2 }] }),
    );
}

#[test]
fn computed_attributes_are_no_unknown_fields() {
    let stored =
        json!({ "a": 1, "wk": "DUE#1", "ws": 2, "lk": "L", "ls": "l", "expires": 3, "mark": "m", "gone": true });
    assert!(!has_unknown(&map(stored.clone()), &map(json!({ "a": 1 }))));
    check(stored, json!({ "a": 1 }), json!({ "a": 2 }), json!({ "a": 2 }));
}

#[test]
fn unknown_field_is_found_at_each_level() {
    let known = map(json!({ "a": { "b": [{ "c": 1 }] } }));
    assert!(!has_unknown(&known, &known));
    for stored in [
        json!({ "new": 1, "a": { "b": [{ "c": 1 }] } }),
        json!({ "a": { "new": 1, "b": [{ "c": 1 }] } }),
        json!({ "a": { "b": [{ "c": 1, "new": 1 }] } }),
    ] {
        assert!(has_unknown(&map(stored.clone()), &known), "{stored}");
    }
}

/// Like the types that requests share with items.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    a: u32,
    #[serde(default)]
    inner: Option<Box<Strict>>,
    #[serde(default)]
    tagged: Vec<Tagged>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "is")]
enum Tagged {
    One { strict: Box<Strict> },
}

#[test]
fn strict_types_are_read_without_their_unknown_fields() {
    let strict = |inner, tagged| Strict { a: 1, inner, tagged };
    let one = || Tagged::One { strict: Box::new(strict(None, vec![])) };
    for (json, expected) in [
        (json!({ "a": 1, "x": { "a": 2 }, "y": null }), strict(None, vec![])),
        (json!({ "a": 1, "inner": { "a": 1, "x": 2, "y": 3 } }), strict(Some(Box::new(strict(None, vec![]))), vec![])),
        (json!({ "a": 1, "tagged": [{ "is": "One", "strict": { "a": 1, "x": 2 } }] }), strict(None, vec![one()])),
    ] {
        assert!(serde_json::from_value::<Strict>(json.clone()).is_err(), "the type is strict: {json}");
        assert_eq!(decode::<Strict>(&map(json.clone()), &key()).unwrap(), expected, "{json}");
        assert_eq!(decode_json::<Strict>(json.to_string().as_bytes()).unwrap(), expected, "{json}");
    }
}

/// The row of the version before this fact.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "code", deny_unknown_fields)]
enum OlderFailure {
    #[serde(rename = "source_denied")]
    SourceDenied { forge: String, repo: String },
}

#[derive(Debug, PartialEq, Deserialize)]
struct OlderItem {
    failure: OlderFailure,
}

#[test]
fn failure_with_a_new_fact_is_read_by_an_older_version() {
    let (forge, repo) = ("GitHub".to_owned(), RepositoryName::new("acme/app").unwrap());
    let failure = Failure::SourceDenied { forge, repo, reason: Quoted(Some("No.".into())) };
    let json = json!({ "failure": failure });
    let expected =
        OlderItem { failure: OlderFailure::SourceDenied { forge: "GitHub".into(), repo: "acme/app".into() } };
    assert_eq!(decode::<OlderItem>(&map(json.clone()), &key()).unwrap(), expected);
    assert_eq!(decode_json::<OlderItem>(json.to_string().as_bytes()).unwrap(), expected);
}

#[test]
fn unknown_variant_is_an_error_that_names_its_place() {
    let json = json!({ "a": 1, "x": 1, "tagged": [{ "is": "Two" }] });
    for error in [
        decode::<Strict>(&map(json.clone()), &key()).unwrap_err().to_string(),
        decode_json::<Strict>(json.to_string().as_bytes()).unwrap_err(),
    ] {
        assert!(error.contains("tagged[0]") && error.contains("unknown variant `Two`"), "{error}");
    }
}
