//! What may become of one call to AWS.

use serde_json::{Value, json};

/// What becomes of one call.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It takes effect, and the connection breaks before its answer.
    LostAnswer,
    /// It takes effect, and the answer is this error.
    ErrorAfterEffect(u16, Value),
    /// It has no effect; the answer is this error.
    Refused(u16, Value),
    /// The caller dies before it is sent: no effect, and never an answer.
    StopBefore,
    /// The caller dies after it took effect: never an answer.
    StopAfter,
}

impl Fault {
    /// DynamoDB refuses with this error.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::Refused(status, error(code))
    }

    /// DynamoDB does it, and says that something went wrong inside.
    #[must_use]
    pub fn internal_error_after_effect() -> Self {
        Self::ErrorAfterEffect(500, error("InternalServerError"))
    }

    /// A transaction that was cancelled for these reasons, item by item.
    #[must_use]
    pub fn cancelled(reasons: &[&str]) -> Self {
        let mut body = error("TransactionCanceledException");
        body["CancellationReasons"] = reasons.iter().map(|code| json!({ "Code": code })).collect();
        Self::Refused(400, body)
    }

    pub(crate) fn has_effect(&self) -> bool {
        !matches!(self, Self::Refused(..) | Self::StopBefore)
    }
}

fn error(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected" })
}
