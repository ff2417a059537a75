//! Names that most tests of the system use.

pub(crate) use crate::artifacts::store_artifact;
pub(crate) use crate::cli::User;
pub(crate) use crate::cli::{body, short};
pub(crate) use crate::story::{
    REPOSITORY, REVIEW, Setup, Story, TODO, TRIGGER, Task, enter_phases, failed_finish, has_status, serve, wait_until,
};
pub(crate) use crate::story::{WAIT_LIMIT, WORKING_AGENT, completed_finish, no_changes, problem_of, task_variable};
pub(crate) use crate::suspended_jobs::yield_request;
pub(crate) use axum::Router;
pub(crate) use axum::body::Bytes;
pub(crate) use axum::extract::Request;
pub(crate) use axum::extract::State;
pub(crate) use axum::http::{HeaderMap, StatusCode};
pub(crate) use axum::response::IntoResponse;
pub(crate) use axum::response::Response;
pub(crate) use futures::FutureExt;
pub(crate) use futures::future::BoxFuture;
pub(crate) use nix::sys::signal::Signal;
pub(crate) use nix::unistd::Pid;
pub(crate) use pullyard_domain::agent::Agent;
pub(crate) use pullyard_domain::agent::checks::CommandOverrides;
pub(crate) use pullyard_domain::job::artifact::ArtifactKind;
pub(crate) use pullyard_domain::job::{JobKind, JobStatus};
pub(crate) use pullyard_domain::project::forge::ForgeKind;
pub(crate) use pullyard_domain::project::hook::Ingress;
pub(crate) use pullyard_domain::project::secret::SecretKind;
pub(crate) use pullyard_domain::project::{Compute, Settings};
pub(crate) use pullyard_domain::review::pull_request::{PullRequest, PullRequestId, PullRequestState};
pub(crate) use pullyard_domain::text::decision::{Reason, Verdict};
pub(crate) use pullyard_domain::text::failure::Failure;
pub(crate) use pullyard_domain::text::id::{
    DeliveryId, EventId, FinishId, HookName, IntegrationId, JobId, ProjectId, RepositoryName, ReviewId, SecretName,
    TicketKey,
};
pub(crate) use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_emulator::ecs::RunTaskOutcome;
pub(crate) use pullyard_emulator::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};
pub(crate) use pullyard_entry::Context;
pub(crate) use pullyard_entry::permissions::FUNCTIONS;
pub(crate) use pullyard_fake_forge::TestForge as _;
pub(crate) use pullyard_fake_forge::{CallFilter, DeliveryFault, Fault};
pub(crate) use pullyard_local::LocalSystem;
pub(crate) use pullyard_local::{AccountKind, HintDelivery, Role};
pub(crate) use pullyard_protocol::attempt::{EventsRequest, FinishRequest, Phase, StatusRequest};
pub(crate) use pullyard_protocol::attempt::{FinishOutcome, YieldReason, YieldRequest};
pub(crate) use pullyard_protocol::client::{ApiClient, AttemptClient};
pub(crate) use pullyard_protocol::hook::InstallHook;
pub(crate) use pullyard_protocol::hook::SetIngress;
pub(crate) use pullyard_protocol::job::{CancelJob, CreateJob, Job};
pub(crate) use pullyard_protocol::project::AddRepository;
pub(crate) use pullyard_protocol::project::CreateProject;
pub(crate) use pullyard_protocol::runner_admin::RunnerStatus;
pub(crate) use pullyard_protocol::secret::SetSecret;
pub(crate) use pullyard_protocol::ticket::{CreateTicket, Ticket};
pub(crate) use pullyard_store::{Scope, TokenKind, Write};
pub(crate) use pullyard_version::COMMIT;
pub(crate) use reqwest::Method;
pub(crate) use serde_json::{Value, json};
pub(crate) use sha2::Sha256;
pub(crate) use std::collections::{BTreeMap, BTreeSet};
pub(crate) use std::fmt::Write as _;
pub(crate) use std::fs::File;
pub(crate) use std::path::{Path, PathBuf};
pub(crate) use std::process::Stdio;
pub(crate) use std::sync::LazyLock;
pub(crate) use std::sync::{Arc, Mutex};
pub(crate) use std::time::SystemTime;
pub(crate) use std::time::{Duration, Instant};
pub(crate) use tempfile::TempDir;
pub(crate) use tokio::io::{AsyncBufReadExt, BufReader};
pub(crate) use tokio::net::TcpListener;
pub(crate) use tokio::process::{Child, Command};
