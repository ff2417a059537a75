//! The names that most routes use.

pub(crate) use super::page::{CursorQuery, PAGE_SIZE, ProjectPageQuery};
pub(crate) use crate::wire;
pub(crate) use axum::Json;
pub(crate) use axum::extract::State;
use axum::http::HeaderMap;
pub(crate) use pullyard_control::{self as control, Context, Error};
pub(crate) use pullyard_domain::text::id::ProjectId;
pub(crate) use pullyard_entry::{
    Caller, IdempotencyKey, Path, Problem, ProjectCaller, Query, StrictJson, limits, scope,
};
pub(crate) use pullyard_protocol::NoFields;
use pullyard_protocol::version::{HEADER, PROTOCOL};
pub(crate) use schemars::JsonSchema;
pub(crate) use serde::Deserialize;

/// The protocol version of a runner. A caller without the header is no older runner.
pub(crate) fn protocol_version(headers: &HeaderMap) -> u32 {
    headers.get(HEADER).and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(PROTOCOL)
}
