//! Names that most tests of jobs use.

pub(crate) use crate::agents::{AgentMachine, CLAUDE, CODEX};
pub(crate) use crate::api::Api;
pub(crate) use crate::checks::{pull_request, with_checks};
pub(crate) use crate::publish::install_hook;
pub(crate) use crate::revise::{commit_file, world_under_review};
pub(crate) use crate::runner_api::{DaemonMachine, job, wait_for_file};
pub(crate) use crate::world::{BRANCH, RunResult, TOKEN, WAITING_AGENT, serve, wait_for_exit};
pub(crate) use crate::yields::{input, run_on_another_machine, set_command, set_resume, unpack_checkpoint};
pub(crate) use axum::extract::State;
pub(crate) use axum::http::{HeaderMap, StatusCode};
pub(crate) use axum::response::{IntoResponse, Response};
pub(crate) use axum::{Json, Router};
pub(crate) use futures::stream::StreamExt;
pub(crate) use nix::sys::signal::Signal;
pub(crate) use pullyard_domain::agent::checks::JobCommands;
pub(crate) use pullyard_domain::job::JobKind;
pub(crate) use pullyard_domain::project::Resume as Policy;
pub(crate) use pullyard_domain::text::failure::Failure;
pub(crate) use pullyard_domain::text::id::JobId;
pub(crate) use pullyard_protocol::attempt::{
    Assignment, ContinuedPullRequest, FinishOutcome, FinishRequest, ResumeState, YieldReason,
};
pub(crate) use pullyard_protocol::event::EventKind;
pub(crate) use serde_json::{Value, json};
pub(crate) use std::collections::{BTreeMap, BTreeSet};
pub(crate) use std::os::unix::fs::PermissionsExt;
pub(crate) use std::path::Path;
pub(crate) use std::sync::{Arc, Mutex};
pub(crate) use std::time::Duration;
pub(crate) use tokio::process::{Child, Command};
