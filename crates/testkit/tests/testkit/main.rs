//! Tests the Lambda Runtime API with real processes, and taps before the embedded AWS.
#![expect(clippy::unwrap_used, reason = "helpers of tests may fail the test as the tests themselves do")]

mod lambda;
mod observe;
mod support;
