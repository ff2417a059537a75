//! The embedded AWS, driven over its wire protocols with plain HTTP.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test as the tests themselves do")]

mod access;
mod ecs;
mod ecs_restart;
mod ecs_stop;
mod event_source;
mod gateway;
mod s3;
mod services;
mod support;
mod triggers;
