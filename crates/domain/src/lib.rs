//! The rules of Pullyard as plain data and pure functions.
//! Contains ids, times, guards, decisions, the job's state machine, matching, failures, the outcome of a job for its
//! ticket, and the time when each item is due next. No IO: no clock (`now` is an argument), random numbers or async.

pub mod access;
pub mod address;
pub mod agent;
pub mod agent_check;
pub mod analysis;
pub mod artifact;
pub mod breaker;
pub mod budget;
pub mod checks;
pub mod code;
pub mod commands;
pub mod comment;
pub mod commits;
pub mod dead_letter;
pub mod decision;
pub mod delivery;
pub mod denial;
pub mod diagnosis;
pub mod due;
pub mod egress;
pub mod event;
pub mod explanation;
pub mod facts;
pub mod failure;
pub mod fleet;
pub mod forge;
pub mod guard;
pub mod guard_steps;
pub mod hook;
pub mod host;
pub mod id;
pub mod job;
pub mod key_of;
pub mod kinds;
pub mod limit;
pub mod listing;
pub mod naming;
pub mod nearest;
pub mod notice;
pub mod outcome;
pub mod output;
pub mod plan;
pub mod project;
pub mod prompt;
pub mod published;
pub mod pull_request;
pub mod pull_request_id;
pub mod removal;
pub mod report;
pub mod review;
pub mod run;
pub mod runner;
pub mod schedule;
pub mod secret;
pub mod select;
pub mod self_check;
pub mod setting_fault;
pub mod spending;
pub mod sweep;
pub mod task;
pub mod task_stop;
pub mod template;
pub mod text;
pub mod ticket;
pub mod ticket_look;
pub mod time;
pub mod token;
pub mod trace;
pub mod tracker;
pub mod usage;
pub mod wait;
pub mod wakeup;

#[cfg(test)]
mod fixtures;

#[cfg(test)]
#[path = "../../../tests/generated_docs/generated.rs"]
#[expect(clippy::disallowed_methods, reason = "the tests that verify the pages also write them")]
mod generated;
