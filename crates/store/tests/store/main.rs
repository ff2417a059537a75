//! The table's promises, kept against the embedded DynamoDB through the real SDK.
//!
//! `world` is one table of its own per test, `sample` makes domain values, `faults` stands between the
//! SDK and the network. Every other module holds one topic's claims.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may fail the test as the tests themselves do"
)]

mod answers;
mod artifacts;
mod breakers;
mod budgets;
mod cancels;
mod conditions;
mod each;
mod events;
mod facts;
mod fleet;
mod hooks;
mod jobs;
mod lag;
mod ledger;
mod lists;
mod model;
mod paper;
mod races;
mod rests;
mod review_races;
mod reviews;
mod runners;
mod sample;
mod sent_anew;
mod settings;
mod shape;
mod sign_in;
mod source;
mod tickets;
mod tokens;
mod triggers;
mod world;
