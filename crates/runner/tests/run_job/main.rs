//! Tests the runner program with a real git remote, a REST API and a scripted control plane. Tests wait for events and
//! not for time.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod agent;
mod agents;
mod api;
mod artifacts;
mod bitbucket;
mod checks;
mod conflicts;
mod daemon;
mod daemon_ends;
mod daemon_points;
mod daemon_start;
mod endings;
mod forge_points;
mod gate;
mod git_points;
mod given;
mod hostile;
mod kept;
mod kills;
mod ledger;
mod nested;
mod plane;
mod plane_points;
mod planted;
mod protected;
mod publish;
mod pushes;
mod questions;
mod renewals;
mod replies;
mod required;
mod rests;
mod resumes;
mod review_desk;
mod revise;
mod secrets;
mod sessions;
mod signing;
mod sources;
mod steering;
mod stops;
#[path = "../../../../tests/token_gate.rs"]
mod token_gate;
mod tokens;
mod world;
