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
mod comments;
mod conditions;
mod events;
mod every_item;
mod fleet;
mod hooks;
mod jobs;
mod lag;
mod ledger;
mod lists;
mod model;
mod prelude;
mod races;
mod reference;
mod retries;
mod review_races;
mod reviews;
mod rollback;
mod runners;
mod sample;
mod secrets;
mod settings;
mod shape;
mod sign_in;
mod source;
mod spending;
mod suspensions;
mod tickets;
mod tokens;
mod triggers;
mod world;
