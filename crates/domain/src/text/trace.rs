//! The trace id, which connects the log lines of a delivery, its messages, its task and its runner's calls.
//! The job stores it, and the runner sends it back. No decision depends on it, and a caller may choose it.

use crate::text::id::{InvalidId, is_hex, text_type};
use serde::{Deserialize, Serialize};

/// The header in which API Gateway, Lambda and the runner send it.
pub const HEADER: &str = "x-amzn-trace-id";

/// A trace, as X-Ray writes it: `1-`, the time in 8 hex digits, `-`, 24 random ones.
/// Source: <https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html>.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TraceId(String);

impl TraceId {
    /// Units: seconds since 1970.
    pub fn new(secs: u32, random: u128) -> Self {
        Self(format!("1-{secs:08x}-{:024x}", random >> 32))
    }

    /// Parses a header: `Root=1-…;Parent=…;Sampled=1` in any order, or the bare id.
    pub fn from_header(header: &str) -> Option<Self> {
        let parts = || header.split(';').map(str::trim);
        let root = parts().find_map(|part| part.strip_prefix("Root=")).or_else(|| parts().next())?;
        root.to_owned().try_into().ok()
    }

    pub fn to_header(&self) -> String {
        format!("Root={}", self.0)
    }
}

impl TryFrom<String> for TraceId {
    type Error = InvalidId;

    /// Accepts only ids that X-Ray would create, because the id is written to logs and environments.
    fn try_from(text: String) -> Result<Self, InvalidId> {
        let parts: Vec<_> = text.split('-').collect();
        if matches!(parts[..], ["1", secs, random] if is_hex(secs, 8) && is_hex(random, 24)) {
            Ok(Self(text))
        } else {
            Err(InvalidId("not a trace id such as 1-67891233-abcdef012345678912345678"))
        }
    }
}

text_type!(TraceId);

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "1-67891233-abcdef012345678912345678";

    #[test]
    fn trace_root_is_found_anywhere_in_the_header() {
        for header in [
            format!("Root={ID}"),
            format!("Root={ID};Parent=53995c3f42cd8ad8;Sampled=1"),
            format!("Self=1-67891234-12456789abcdef012345678a; Root={ID}"),
            ID.to_owned(),
        ] {
            assert_eq!(TraceId::from_header(&header).unwrap().as_str(), ID, "{header}");
        }
    }

    #[test]
    fn malformed_trace_is_rejected() {
        for header in [
            "",
            "Root=",
            "Root=1-67891233-abcdef01234567891234567",
            "Root=1-67891233-ABCDEF012345678912345678",
            "Root=2-67891233-abcdef012345678912345678",
            "Root=1-67891233-abcdef012345678912345678-1",
            "Root=1-67891233-abcdef0123456789123456\"}",
            "Bearer secret",
        ] {
            assert_eq!(TraceId::from_header(header), None, "{header}");
        }
    }

    #[test]
    fn new_trace_id_is_valid() {
        for random in [0, 1, u128::MAX] {
            let trace = TraceId::new(u32::MAX, random);
            assert_eq!(TraceId::from_header(&trace.to_header()), Some(trace));
        }
    }

    #[test]
    fn trace_id_round_trips_and_its_error_has_an_example() {
        let trace: TraceId = ID.parse().unwrap();
        assert_eq!(trace.to_string(), ID);
        let stored = serde_json::to_string(&trace).unwrap();
        assert_eq!(stored, format!("\"{ID}\""));
        assert_eq!(serde_json::from_str::<TraceId>(&stored).unwrap(), trace);
        assert_eq!("none".parse::<TraceId>().unwrap_err().to_string(), format!("not a trace id such as {ID}"));
    }
}
