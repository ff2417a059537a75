//! Shared parts of all functions, such as configuration, authentication, request parsing, problems, logs and metrics.
//! A function is a library that converts its trigger to one use case; Lambda and the local system run the same one.

pub mod auth;
pub mod config;
pub mod headers;
pub mod http;
pub mod invocation;
pub mod limits;
pub mod messages;
pub mod metrics;
pub mod openapi;
pub mod params;
pub mod permissions;
pub mod problem;
pub mod runner_auth;
pub mod runner_view;
pub mod self_check;
pub mod session;
pub mod strict;
pub mod telemetry;
pub mod ticket_event;

pub use auth::{AnyTokenCaller, BootstrapCaller, Caller, LeaseCaller, ProjectCaller, scope};
pub use config::Config;
pub use headers::{IdempotencyKey, Revision};
pub use params::{Path, Query, resolve_ticket_key};
pub use problem::Problem;
pub use pullyard_control::{Clock, Context, Disk, LOCAL_FORGE, ModelUrls};
pub use runner_auth::RunnerCaller;
pub use session::Visitor;
pub use strict::StrictJson;
