//! The names that most routes use.

pub(crate) use super::page::{CursorQuery, PAGE_SIZE, ProjectPageQuery};
pub(crate) use crate::wire;
pub(crate) use axum::Json;
pub(crate) use axum::extract::State;
pub(crate) use pullyard_control::{self as control, Context, Error};
pub(crate) use pullyard_domain::id::ProjectId;
pub(crate) use pullyard_entry::{
    Caller, IdempotencyKey, Path, Problem, ProjectCaller, Query, StrictJson, limits, scope,
};
pub(crate) use schemars::JsonSchema;
pub(crate) use serde::Deserialize;
