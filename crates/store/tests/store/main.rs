//! Tests of the store against the embedded DynamoDB through the real SDK.
//!
//! `world` gives each test its own table, `sample` creates domain values, and `faults` breaks calls below the SDK.
//! Every other module tests one topic.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may fail the test as the tests themselves do"
)]

mod answers;
mod artifacts;
mod breakers;
mod budgets;
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
