//! Token counts of Codex, and limits on its tracked calls.

use crate::agent::prices::Count;
use crate::agent::sign::Tokens;
use serde_json::Value;

/// Longest tracked id of a call. A proxy may store some thousand bytes in the id. Units: bytes.
pub(super) const LONGEST_CALL: usize = 16 * 1024;
/// Most tracked calls; Codex never runs more at once. With the longest ids, they take 16 MiB.
pub(super) const MOST_CALLS: usize = 1024;

/// Parses a count, which has the same form in lines and in session files.
pub(super) fn count_of(usage: &Value) -> Count {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, cached, output) = (count("input_tokens"), count("cached_input_tokens"), count("output_tokens"));
    Count { tokens: Tokens { input, cached, output }, cache_write: count("cache_write_input_tokens") }
}
