//! Path and query values. What can't be used is refused with a problem document, as everything else is.

use crate::Problem;
use axum::extract::FromRequestParts;
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use pullyard_domain::text::clipped;
use serde::de::DeserializeOwned;

/// Values of the path. One that can't be a name names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

/// Values of the query. One that is missing, unknown or can't be used: 400 with its name.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The most of a fault's words that is said again.
const MOST: usize = 200;

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Self(value)).map_err(|rejection| of_path(&rejection))
    }
}

fn of_path(rejection: &PathRejection) -> Problem {
    let fault = match rejection {
        PathRejection::FailedToDeserializePathParams(error) => match error.kind() {
            ErrorKind::DeserializeError { message, .. } | ErrorKind::Message(message) => message,
            ErrorKind::InvalidUtf8InPathParam { .. } => "it is not UTF-8",
            _ => "it has the wrong form",
        },
        _ => "it has the wrong form",
    };
    Problem::not_found(format!("There is nothing of that name: {}.", clipped(fault, MOST)))
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let read = axum::extract::Query::<T>::try_from_uri(&parts.uri);
        read.map(|axum::extract::Query(value)| Self(value)).map_err(|rejection| of_query(&rejection.body_text()))
    }
}

/// Axum says `Failed to deserialize query string: ` and then `NAME: FAULT`, or a fault that quotes the name.
fn of_query(said: &str) -> Problem {
    let said = said.split_once("query string: ").map_or(said, |(_, fault)| fault);
    let quoted = |start: &str| said.split_once(start).and_then(|(_, rest)| rest.split('`').next());
    let field = ["missing field `", "unknown field `", "duplicate field `"].iter().find_map(|start| quoted(start));
    let (name, fault) = match (field, said.split_once(": ")) {
        (Some(field), _) => (field, said.split_once(": ").map_or(said, |(_, fault)| fault)),
        (None, Some((name, fault))) => (name, fault),
        (None, None) => ("query", said),
    };
    Problem::bad_parameter(&clipped(name, MOST), &clipped(fault, MOST))
}
