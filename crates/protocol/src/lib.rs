//! What goes over the wire, one file per subject: requests, answers, problems, and the client.
//!
//! Requests refuse unknown fields; answers may grow, so their readers ignore what they don't know.
//! Times are RFC 3339 text, durations carry their unit in the name. No rule of business is here.

pub mod artifact;
pub mod attempt;
pub mod breaker;
#[cfg(feature = "client")]
pub mod client;
pub mod dead_letter;
pub mod decision;
pub mod delivery;
pub mod event;
pub mod fleet;
pub mod hook;
pub mod integration;
pub mod job;
pub mod limits;
pub mod problem;
pub mod project;
pub mod pull;
pub mod runner;
pub mod secret;
pub mod sign_in;
pub mod sweep;
pub mod ticket;
pub mod token;
pub mod version;

pub use problem::Problem;
