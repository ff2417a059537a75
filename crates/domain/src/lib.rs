//! The rules of Pullyard as plain data and pure functions.
//! Contains ids, times, guards, decisions, the job's state machine, matching, failures, the outcome of a job for its
//! ticket, and the time when each item is due next. No IO: no clock (`now` is an argument), random numbers or async.
//!
//! A folder imports only folders below it. From the lowest to the highest:
//! - `text`: ids, times, and the sentences of decisions, waits, failures and denials
//! - `agent`: agents and their accounts, commands and runners
//! - `project`: settings, repositories, forges, ticket tools, limits of money, templates and plans
//! - `ticket`: tickets, their events and guards
//! - `job`: the state machine of a job, its place, its runner and its next step
//! - `review`: reviews and their guards, pull requests, and the outputs of agents
//! - `run`: runs of plans, notices, and when each item is due
//! - `kinds`: the prompt and the plan of each kind of job

pub mod agent;
pub mod job;
pub mod kinds;
pub mod project;
pub mod review;
pub mod run;
pub mod text;
pub mod ticket;

#[cfg(test)]
mod fixtures;

#[cfg(test)]
#[path = "../../../tests/generated_docs/generated.rs"]
#[expect(clippy::disallowed_methods, reason = "the tests that verify the pages also write them")]
mod generated;
