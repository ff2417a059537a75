//! Jira and Linear against their fakes: each test runs for both tools, unless it names one.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test as the tests themselves do")]

mod apply;
mod changed;
mod connect;
mod deliveries;
mod failures;
mod fakes;
mod read;
mod world;
