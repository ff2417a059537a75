//! Tests the runner program with a real git remote, a REST API and a scripted control plane. Tests wait for events and
//! not for time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod agent;
mod agent_reviews;
mod agents;
mod analyses;
mod answers;
mod api;
mod api_crash_points;
mod artifacts;
mod attempt_ends;
mod bitbucket;
mod checkpoints;
mod checks;
mod conflicts;
mod containers;
mod crash_walk;
mod daemon;
mod daemon_mailbox;
mod daemon_orders;
mod daemon_points;
mod daemon_shutdown;
mod daemon_start;
mod daemon_updates;
mod forge_outages;
mod forge_points;
mod gate;
mod git_points;
mod hostile;
mod inherited_environment;
mod kills;
mod left_out;
mod lost_answers;
mod nested;
mod outages;
mod planted_files;
mod prelude;
mod protected;
mod publish;
mod pushes;
mod questions;
mod real_agents;
mod renewals;
mod replies;
mod required_sessions;
mod resolve;
mod resumes;
mod review_api;
mod revise;
mod runner_api;
mod sandbox;
mod secrets;
mod sessions;
mod setup;
mod signing;
mod sources;
mod steering;
mod steps;
mod stops;
#[path = "../../../../tests/token_gate.rs"]
mod token_gate;
mod tokens;
mod world;
mod yields;
