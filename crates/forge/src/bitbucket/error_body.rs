//! Parses Bitbucket's error bodies.

use serde_json::Value;

use crate::message::{message_or_default, to_sentence_part, truncate};

pub(super) fn parse_message(body: &[u8]) -> String {
    let error = parse_error(body);
    let message = full_message(&error);
    let message = message.trim_end().trim_end_matches('.');
    match missing_scopes(&error) {
        scopes if scopes.is_empty() => message.to_owned(),
        scopes => truncate(&format!("{message} (the token needs {})", scopes.join(", "))),
    }
}

/// Whether it is an object with `error`.
pub(super) fn is_error(body: &[u8]) -> bool {
    parse_error(body).is_object()
}

fn missing_scopes(error: &Value) -> Vec<&str> {
    let granted = scopes(error, "granted");
    scopes(error, "required").into_iter().filter(|scope| !granted.contains(scope)).collect()
}

fn scopes<'a>(error: &'a Value, name: &str) -> Vec<&'a str> {
    let list = error.get("detail").and_then(|detail| detail.get(name)).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn full_message(error: &Value) -> String {
    message_or_default(error.get("message").and_then(Value::as_str))
}

pub(super) fn parse_reason(body: &[u8]) -> String {
    let error = parse_error(body);
    let message = full_message(&error);
    let mut reasons = vec![to_sentence_part(&message)];
    if let Some(Value::Object(fields)) = error.get("fields") {
        for (name, faults) in fields {
            let mut texts = Vec::new();
            collect_texts(faults, &mut texts);
            let unmentioned = texts.into_iter().filter(|fault| !message.contains(*fault));
            reasons.extend(unmentioned.map(|fault| format!("{name}: {}", to_sentence_part(fault))));
        }
    }
    // `detail` is an object if a scope is missing.
    if let Some(detail) = error.get("detail").and_then(Value::as_str).filter(|detail| !detail.trim().is_empty()) {
        reasons.push(to_sentence_part(detail));
    }
    truncate(&reasons.join("; "))
}

fn parse_error(body: &[u8]) -> Value {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    parsed.get("error").cloned().unwrap_or_default()
}

/// Collects texts recursively: a field has a list of errors or nested fields.
fn collect_texts<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(all) => all.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(all) => all.values().for_each(|item| collect_texts(item, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_drops_the_final_period() {
        assert_eq!(parse_message(br#"{"type":"error","error":{"message":"Token is invalid. "}}"#), "Token is invalid");
        assert_eq!(parse_message(b"<html>"), "no reason given");
    }

    #[test]
    fn message_names_the_missing_scopes() {
        let check = |detail: &str, expected: &str| {
            let body = format!(r#"{{"error":{{"message":"Your credentials lack scopes.","detail":{detail}}}}}"#);
            assert_eq!(parse_message(body.as_bytes()), expected);
        };
        check(
            r#"{"required":["read:webhook:bitbucket"],"granted":["read:user:bitbucket"]}"#,
            "Your credentials lack scopes (the token needs read:webhook:bitbucket)",
        );
        check(r#"{"required":["a","b","c"],"granted":["b"]}"#, "Your credentials lack scopes (the token needs a, c)");
        for nothing in [r#"{"required":["a"],"granted":["a"]}"#, r#"{"required":[7]}"#, r#""words""#, "null"] {
            check(nothing, "Your credentials lack scopes");
        }
    }

    fn check(body: &str, expected: &str) {
        assert_eq!(parse_reason(body.as_bytes()), expected);
    }

    #[test]
    fn reason_contains_message_fields_and_detail() {
        check(
            r#"{"type":"error","error":{"message":"There are no changes to be pulled"}}"#,
            "there are no changes to be pulled",
        );
        check(
            r#"{"type":"error","error":{"message":"Bad request","fields":{
                "source":{"branch":["Branch not found."]},"title":["This field is required."]}}}"#,
            "bad request; source: branch not found; title: this field is required",
        );
        check(
            r#"{"type":"error","error":{"message":"Bad request","detail":"You can only edit an open pull request."}}"#,
            "bad request; you can only edit an open pull request",
        );
    }

    #[test]
    fn field_message_is_not_repeated() {
        check(
            r#"{"type":"error","error":{"message":"key: Ensure this value has at most 40 characters (it has 48).",
                "fields":{"key":["Ensure this value has at most 40 characters (it has 48)."]}}}"#,
            "key: Ensure this value has at most 40 characters (it has 48)",
        );
    }

    #[test]
    fn malformed_error_bodies_give_a_reason() {
        for odd in
            ["<html>", "[]", "{}", r#"{"error":"no"}"#, r#"{"error":{"message":" "}}"#, r#"{"error":{"message":7}}"#]
        {
            check(odd, "no reason given");
        }
        check(r#"{"type":"error","error":{"message":"No.","detail":{"required":["account"]},"fields":[1]}}"#, "no");
        let long = format!(r#"{{"error":{{"message":"{}"}}}}"#, "ü".repeat(9_000));
        assert_eq!(parse_reason(long.as_bytes()).chars().count(), crate::message::MAX_CHARACTERS + 1);
    }
}
