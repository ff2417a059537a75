//! What Codex counts, and how many of its calls are followed.

use crate::agent::prices::Count;
use crate::agent::sign::Tokens;
use serde_json::Value;

/// What a call of the model may be called: what stands between Codex and its model may keep some thousand bytes of its
/// own in there. Units: bytes.
pub(super) const LONGEST_CALL: usize = 16 * 1024;
/// More calls are never under way at once: with the longest names, that is 16 MiB.
pub(super) const MOST_CALLS: usize = 1024;

/// A count as it stands in its lines and in its files.
pub(super) fn count_of(usage: &Value) -> Count {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or(0);
    let (input, cached, output) = (count("input_tokens"), count("cached_input_tokens"), count("output_tokens"));
    Count { tokens: Tokens { input, cached, output }, cache_write: count("cache_write_input_tokens") }
}
