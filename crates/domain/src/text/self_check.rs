//! The self-check of a function's role: the event that requests it, its message to queues, and its report.

use serde::{Deserialize, Serialize};

/// The functions of a deployment. On AWS, each has the name `{stack}-{function}` and a role of its own.
pub const FUNCTIONS: [&str; 8] = ["webhook", "tickets", "api", "pages", "dispatcher", "tasks", "effects", "sweeper"];

/// The event of an invocation that checks the function's role, and the message that the check sends to a queue, which
/// every reader drops. No event of AWS has this field.
pub const SELF_CHECK: &str = r#"{"pullyard_self_check":"1"}"#;

/// The answer of a self-check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleReport {
    pub function: String,
    /// Calls that were made.
    pub calls: usize,
    /// Calls that a policy of AWS denied.
    pub denied: Vec<RefusedCall>,
    /// Calls without an answer, or whose answer says nothing about the role.
    pub unanswered: Vec<RefusedCall>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedCall {
    /// For example `dynamodb:PutItem`.
    pub action: String,
    /// The resource, or the prefix of a partition key, for example `TICKET#`.
    pub on: String,
    pub reason: String,
}
