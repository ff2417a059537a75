//! The faults that a call to AWS can meet.

use serde_json::{Value, json};
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// No effect: the connection is refused.
    NeverSent,
    /// The call takes effect, and the connection breaks before its answer.
    LostAnswer,
    ErrorAfterEffect(u16, Value),
    /// No effect; the call returns this error.
    Refused(u16, Value),
    /// `BatchGetItem` only: the answer covers half of the keys and names the rest as unprocessed.
    Half,
    /// `Query` only: the page ends after one item, as at the size limit, and returns the key of the next page.
    ShortPage,
    /// The caller dies before the call: no effect and no answer.
    StopBefore,
    /// The caller dies after the call took effect: no answer.
    StopAfter,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = |body: &Value| {
            let name = body["__type"].as_str().and_then(|name| name.rsplit('#').next()).unwrap_or_default().to_owned();
            let reasons = body["CancellationReasons"].as_array().into_iter().flatten();
            let reasons: Vec<_> = reasons.filter_map(|reason| reason["Code"].as_str()).collect();
            if reasons.is_empty() { name } else { format!("{name} [{}]", reasons.join(", ")) }
        };
        match self {
            Self::NeverSent => f.write_str("never sent"),
            Self::LostAnswer => f.write_str("took effect, its answer was lost"),
            Self::ErrorAfterEffect(status, body) => write!(f, "took effect, answered with {status} {}", code(body)),
            Self::Refused(status, body) => write!(f, "{status} {}", code(body)),
            Self::Half => f.write_str("half of it was left out"),
            Self::ShortPage => f.write_str("its page was one item long"),
            Self::StopBefore => f.write_str("its caller died before"),
            Self::StopAfter => f.write_str("took effect, its caller died"),
        }
    }
}

impl Fault {
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Self::Refused(status, error(code))
    }

    /// DynamoDB applies the call and returns an internal error.
    #[must_use]
    pub fn internal_error_after_effect() -> Self {
        Self::ErrorAfterEffect(500, error("InternalServerError"))
    }

    #[must_use]
    pub fn cancelled(reasons: &[&str]) -> Self {
        let mut body = error("TransactionCanceledException");
        body["CancellationReasons"] = reasons.iter().map(|code| json!({ "Code": code })).collect();
        Self::Refused(400, body)
    }

    pub(crate) fn has_effect(&self) -> bool {
        !matches!(self, Self::NeverSent | Self::Refused(..) | Self::StopBefore)
    }
}

fn error(code: &str) -> Value {
    json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "injected" })
}
