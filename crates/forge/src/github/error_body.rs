//! Parses GitHub's error bodies.

use serde_json::Value;

use crate::{
    Error,
    message::{message_or_default, to_sentence_part, truncate},
};

pub(super) fn parse_message(body: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    message_or_default(parsed.get("message").and_then(Value::as_str))
}

/// Whether it is an object with `message`.
pub(super) fn is_error(body: &[u8]) -> bool {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    parsed.get("message").is_some_and(Value::is_string)
}

/// Returns the reasons of a 422: the entries of `errors`, or the message without them.
pub(super) fn parse_reason(body: &[u8]) -> String {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let reasons: Vec<String> = match parsed.get("errors") {
        Some(Value::Array(faults)) => faults.iter().filter_map(parse_error_entry).collect(),
        // Some endpoints return one string instead of a list.
        Some(single) => parse_error_entry(single).into_iter().collect(),
        None => Vec::new(),
    };
    if reasons.is_empty() { to_sentence_part(&parse_message(body)) } else { truncate(&reasons.join("; ")) }
}

fn parse_error_entry(fault: &Value) -> Option<String> {
    let text = |name: &str| fault.get(name).and_then(Value::as_str);
    if let Some(message) = fault.as_str().or_else(|| text("message")) {
        let message = to_sentence_part(message);
        return (!message.is_empty()).then_some(message);
    }
    let subject = text("field").or_else(|| text("resource"))?;
    Some(match text("code") {
        Some("missing") => format!("{subject} does not exist"),
        Some("missing_field") => format!("{subject} is missing"),
        Some("invalid") => format!("{subject} is invalid"),
        Some("already_exists") => format!("{subject} already exists"),
        Some("unprocessable") => format!("{subject} can't be processed"),
        Some(code) => format!("{subject} is refused ({code})"),
        None => format!("{subject} is refused"),
    })
}

pub(crate) fn is_already_exists(error: &Error) -> bool {
    // GitHub's code is only `custom`, so check the text.
    matches!(error, Error::Refused { reason } if reason.contains("pull request already exists"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        assert_eq!(parse_reason(body.as_bytes()), expected);
    }

    #[test]
    fn reason_joins_the_message_of_each_error() {
        check(
            r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom",
                "message":"No commits between main and x"}]}"#,
            "no commits between main and x",
        );
        check(
            r#"{"message":"Validation Failed","errors":[
                {"resource":"PullRequest","field":"head","code":"invalid"},
                {"resource":"PullRequest","field":"title","code":"missing_field"}]}"#,
            "head is invalid; title is missing",
        );
    }

    #[test]
    fn malformed_error_bodies_give_a_reason() {
        check(
            r#"{"message":"Invalid request.\n\n\"head\" wasn't supplied."}"#,
            r#"invalid request. "head" wasn't supplied"#,
        );
        check(r#"{"message":"Validation Failed","errors":["Head sha can't be blank"]}"#, "head sha can't be blank");
        check(r#"{"message":"Validation Failed","errors":"Not allowed."}"#, "not allowed");
        check(r#"{"message":"Validation Failed","errors":[{}]}"#, "validation Failed");
        check("<html>", "no reason given");
        check("[]", "no reason given");
    }

    #[test]
    fn long_reason_is_cut_between_characters() {
        let body = format!(r#"{{"message":"{}"}}"#, "ü".repeat(9_000));
        assert_eq!(parse_reason(body.as_bytes()).chars().count(), crate::message::MAX_CHARACTERS + 1);
    }

    #[test]
    fn error_codes_are_worded_and_unknown_ones_quoted() {
        for (code, expected) in [
            (r#","code":"missing""#, "label does not exist"),
            (r#","code":"already_exists""#, "label already exists"),
            (r#","code":"unprocessable""#, "label can't be processed"),
            (r#","code":"new_one""#, "label is refused (new_one)"),
            ("", "label is refused"),
        ] {
            check(&format!(r#"{{"message":"Validation Failed","errors":[{{"resource":"label"{code}}}]}}"#), expected);
        }
        check(r#"{"message":"HEAD is behind."}"#, "HEAD is behind");
    }
}
