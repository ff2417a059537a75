//! Extracts path and query parameters; an invalid one is refused with a problem document.

use crate::Problem;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use pullyard_domain::text::id::TicketKey;
use pullyard_domain::text::truncate;
use serde::de::DeserializeOwned;

/// An invalid value gets 404, because no item can have that name.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// A missing, unknown or invalid value gets 400 with its name.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

const KEY_IN_QUERY: &str = "-";

/// The ticket's key from the path, or from the query if a path cannot contain it ([`TicketKey::is_path_segment`]).
/// Errors: 404 when the two differ.
pub fn resolve_ticket_key(path: TicketKey, query: Option<TicketKey>) -> Result<TicketKey, Problem> {
    match query {
        None => Ok(path),
        Some(key) if path == key || path.as_str() == KEY_IN_QUERY => Ok(key),
        Some(_) => Err(Problem::not_found("The path names another ticket than `key`: write - there.")),
    }
}

/// Limit for the parser's message in a response. Units: characters.
const MAX_FAULT_CHARS: usize = 200;

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let result = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        result.map(|axum::extract::Path(value)| Self(value)).map_err(|rejection| path_problem(&rejection))
    }
}

fn path_problem(rejection: &PathRejection) -> Problem {
    let fault = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
            ErrorKind::DeserializeError { message, .. } | ErrorKind::Message(message) => message,
            ErrorKind::InvalidUtf8InPathParam { .. } => "it is not UTF-8",
            _ => "it has the wrong form",
        },
        _ => "it has the wrong form",
    };
    Problem::not_found(format!("There is nothing of that name: {}.", truncate(fault, MAX_FAULT_CHARS)))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let result = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        result.map(|axum::extract::Query(value)| Self(value)).map_err(|rejection| query_problem(&rejection.body_text()))
    }
}

/// Axum's message is `Failed to deserialize query string: `, then `NAME: FAULT` or a fault that quotes the name.
fn query_problem(text: &str) -> Problem {
    let text = text.split_once("query string: ").map_or(text, |(_, fault)| fault);
    let quoted = |start: &str| text.split_once(start).and_then(|(_, rest)| rest.split('`').next());
    let field = ["missing field `", "unknown field `", "duplicate field `"].iter().find_map(|start| quoted(start));
    let (name, fault) = match (field, text.split_once(": ")) {
        (Some(field), _) => (field, text.split_once(": ").map_or(text, |(_, fault)| fault)),
        (None, Some((name, fault))) => (name, fault),
        (None, None) => ("query", text),
    };
    Problem::bad_parameter(&truncate(name, MAX_FAULT_CHARS), &truncate(fault, MAX_FAULT_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_key_in_path_and_query_must_agree() {
        let key = |key: &str| TicketKey::new(key).unwrap();
        let resolve = |path: &str, query: Option<&str>| resolve_ticket_key(key(path), query.map(key));
        assert_eq!(resolve("APP-1", None).unwrap(), key("APP-1"));
        assert_eq!(resolve("-", Some("acme/app#12")).unwrap(), key("acme/app#12"));
        assert_eq!(resolve("-", None).unwrap(), key("-"), "a ticket may be called that");
        assert_eq!(resolve("APP-1", Some("APP-1")).unwrap(), key("APP-1"));
        assert!(resolve("APP-1", Some("APP-2")).is_err());
    }
}
