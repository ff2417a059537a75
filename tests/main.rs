//! Tests the whole system from outside: real HTTP, real git, real child processes, embedded AWS.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that can't go on has failed; allow-unwrap-in-tests does not see helpers"
)]

mod agent_choice;
mod agent_reviews;
mod agents;
mod analyses;
mod apps;
mod artifacts;
mod attempts;
mod authorisation;
mod bitbucket;
mod bitbucket_hooks;
mod bitbucket_install;
mod board;
mod calls;
mod cancel;
mod capacity;
mod checks;
mod cli;
mod cli_doctor;
mod cli_documents;
mod cli_jobs;
mod cli_newer;
mod cli_pulls;
mod cli_tokens;
mod columns;
mod commits;
mod crate_dependencies;
mod daemon;
mod dead_letters;
mod demo;
mod functions;
mod fuzz;
mod generated_docs;
mod github_issues;
mod guarantees;
mod hold;
mod infra;
mod inputs;
mod limits;
mod loopback;
mod notifications;
mod observability;
mod openapi;
mod pages;
mod plans;
mod prelude;
mod processes;
mod pulls;
mod questions;
mod quick_start;
mod repositories;
mod requested_jobs;
mod retry;
mod reviews;
mod roles;
mod run_commands;
mod run_groups;
mod run_merges;
mod run_steps;
mod runners;
mod schedules;
mod scoped_trackers;
mod shared_hooks;
mod shelves;
mod soak;
mod stack;
mod starts;
mod storms;
mod story;
mod suspended_jobs;
mod sweeps;
mod tasks;
mod tickets;
mod token_gate;
mod tokens;
mod trackers;
mod try_job;
mod up;
mod walk;
mod webhooks;
