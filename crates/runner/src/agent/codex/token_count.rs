//! Token counts of Codex, and limits on its tracked calls.

use crate::agent::agent_event::Tokens;
use crate::agent::prices::BilledTokens;
use serde_json::Value;

/// Longest tracked id of a call. A proxy may store some thousand bytes in the id. Units: bytes.
pub(super) const MAX_CALL_ID_BYTES: usize = 16 * 1024;
/// Most tracked calls; Codex never runs more at once. With the longest ids, they take 16 MiB.
pub(super) const MAX_CALLS: usize = 1024;

pub(super) fn parse_count(usage: &Value) -> BilledTokens {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, cached, output) = (count("input_tokens"), count("cached_input_tokens"), count("output_tokens"));
    BilledTokens { tokens: Tokens { input, cached, output }, cache_write: count("cache_write_input_tokens") }
}
