//! The events of a project that its endpoints receive.

use crate::text::code::coded_enum;
use serde::{Deserialize, Serialize};

coded_enum! {
    /// An event that endpoints receive.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum NoticeEvent {
        JobFailed = "job.failed", "A job failed";
        /// It reached its time limit, or its agent was inactive.
        JobTimedOut = "job.timed_out", "A job reached a time limit";
        JobCostExceeded = "job.cost_exceeded", "A job reached its cost limit";
        JobCancelled = "job.cancelled", "A job was cancelled";
        /// Its agent waits for an answer.
        JobAsks = "job.asks", "A job asks a question";
        JobCompleted = "job.completed", "A job completed";
        RunFailed = "run.failed", "A run failed";
        RunCancelled = "run.cancelled", "A run was cancelled";
        /// A step waits until a user approves or refuses.
        RunAsked = "run.asked", "A run asks a question";
        /// Only of a plan with `on_complete: notify`.
        RunCompleted = "run.completed", "A run completed";
        /// All its starts were refused several times in a row.
        SchedulePaused = "schedule.paused", "A schedule was paused";
        /// Messages no longer reach another endpoint.
        EndpointDisabled = "endpoint.disabled", "Another endpoint was disabled";
        /// The ticket tool refused the credential.
        ToolRefused = "tool.refused", "The ticket tool refused the credential";
        /// The other notices of 15 minutes.
        Digest = "digest", "Several events";
        /// A user tests the endpoint.
        Test = "test", "A test";
    }
}

impl NoticeEvent {
    /// The events that an endpoint may choose: all but the last two.
    pub const CHOICES: [Self; 13] = match Self::ALL.first_chunk() {
        Some(choices) => *choices,
        None => unreachable!(),
    };

    /// Whether an endpoint without a choice receives it.
    pub fn is_default(self) -> bool {
        self != Self::JobCompleted
    }
}
