//! Reads the model and the tokens from a provider's answer while it streams.

use serde_json::Value;

/// Longest line of a stream, or document, that is parsed. Units: bytes.
const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub model: Option<String>,
    /// Input tokens, including the cached ones.
    pub input: u64,
    /// Input tokens that the provider read from its cache.
    pub cached: u64,
    /// Input tokens that the provider stored in its cache.
    pub cache_write: u64,
    /// Those of `cache_write` that it stores for an hour, which costs more.
    pub long_cache_write: u64,
    /// Output tokens, including reasoning.
    pub output: u64,
}

impl Usage {
    /// Sets each number to the larger of both, because later events of an answer repeat the totals of earlier events.
    fn merge(&mut self, other: Self) {
        self.model = other.model.or(self.model.take());
        self.input = self.input.max(other.input);
        self.cached = self.cached.max(other.cached);
        self.cache_write = self.cache_write.max(other.cache_write);
        self.long_cache_write = self.long_cache_write.max(other.long_cache_write);
        self.output = self.output.max(other.output);
    }
}

/// Text per estimated token. Units: bytes.
const BYTES_PER_TOKEN: u64 = 4;

/// Collects the usage of one answer: server-sent events, or one JSON document. Providers report the output tokens in the
/// last event, and OpenAI the input tokens too. Until then, the output is estimated from the text.
#[derive(Default)]
pub(super) struct UsageReader {
    /// The current line of a stream, or the document so far.
    line: Vec<u8>,
    /// `None` until a byte that is no white space. A stream never begins with a brace, a document always.
    is_document: Option<bool>,
    reported: Usage,
    /// Length of the answer's text. Units: bytes.
    text_bytes: u64,
    has_ended: bool,
    is_too_long: bool,
}

impl UsageReader {
    pub(super) fn read(&mut self, part: &[u8]) -> Option<Usage> {
        let before = self.usage();
        if self.is_document.is_none() {
            self.is_document = part.trim_ascii_start().first().map(|byte| *byte == b'{');
        }
        let is_stream = self.is_document == Some(false);
        for piece in part.split_inclusive(|byte| *byte == b'\n') {
            if self.line.len() + piece.len() > MAX_LINE_BYTES {
                self.is_too_long = true;
                self.line.clear();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            if is_stream && piece.ends_with(b"\n") {
                self.take_line();
                self.line.clear();
                self.is_too_long = false;
            }
        }
        // OpenAI's documents have many lines. An incomplete document does not parse.
        if !is_stream && self.line.trim_ascii_end().ends_with(b"}") {
            self.take_line();
        }
        Some(self.usage()).filter(|usage| *usage != before)
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The usage of an interrupted answer. Estimates the numbers that the provider did not report.
    pub(super) fn estimate(&self, likely_input: u64) -> Usage {
        let mut usage = self.usage();
        if usage.input == 0 {
            usage.input = likely_input;
        }
        usage
    }

    pub(super) fn usage(&self) -> Usage {
        let mut usage = self.reported.clone();
        if !self.has_ended {
            usage.output = usage.output.max(self.text_bytes / BYTES_PER_TOKEN);
        }
        usage
    }

    fn take_line(&mut self) {
        let line = self.line.trim_ascii();
        let data = line.strip_prefix(b"data:").unwrap_or(line);
        let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
        self.text_bytes = self.text_bytes.saturating_add(text_bytes(&value));
        // Anthropic: `message_start` has a message, `message_delta` and documents have the usage itself. OpenAI:
        // `response.completed` has a response, documents have the usage itself.
        let holders = [(value.get("message"), false), (value.get("response"), true), (Some(&value), true)];
        for (holder, is_end) in holders {
            let Some(holder) = holder else { continue };
            if let Some(usage) = holder.get("usage").filter(|usage| usage.is_object()) {
                self.reported.merge(parse(holder, usage));
                self.has_ended |= is_end;
            }
        }
        if let Some("response.failed" | "error") = value.get("type").and_then(Value::as_str) {
            // The provider bills only answers that it sends.
            self.reported.output = self.usage().output;
            self.has_ended = true;
        }
    }
}

fn text_bytes(event: &Value) -> u64 {
    let Some(delta) = event.get("delta") else { return 0 };
    let texts = [Some(delta), delta.get("text"), delta.get("thinking"), delta.get("partial_json")];
    let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX);
    texts.into_iter().flatten().filter_map(Value::as_str).map(length).fold(0, u64::saturating_add)
}

fn parse(holder: &Value, usage: &Value) -> Usage {
    let number = |name: &str| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
    let (read, cache_write) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    let pointer_number = |path: &str| usage.pointer(path).and_then(Value::as_u64).unwrap_or_default();
    let cached = pointer_number("/input_tokens_details/cached_tokens");
    Usage {
        model: holder.get("model").and_then(Value::as_str).map(|model| model.chars().take(100).collect()),
        // Anthropic reports cached input separately, OpenAI as part of the input.
        input: number("input_tokens").saturating_add(read).saturating_add(cache_write),
        cached: read.max(cached),
        cache_write,
        long_cache_write: pointer_number("/cache_creation/ephemeral_1h_input_tokens"),
        output: number("output_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLAUDE: &str = r#"event: message_start
data: {"type":"message_start","message":{"model":"claude-opus-4-8","usage":{"input_tokens":3,"cache_creation_input_tokens":10,"cache_read_input_tokens":200,"cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":1}}}

event: message_delta
data: {"type":"message_delta","delta":{},"usage":{"output_tokens":42}}

"#;
    const CODEX: &str = r#"event: response.completed
data: {"type":"response.completed","response":{"model":"gpt-5.5","usage":{"input_tokens":300,"input_tokens_details":{"cached_tokens":250},"output_tokens":7}}}

"#;

    fn read(answer: &str, part: usize) -> Usage {
        let mut reader = UsageReader::default();
        for piece in answer.as_bytes().chunks(part) {
            reader.read(piece);
        }
        reader.usage()
    }

    #[test]
    fn usage_of_both_providers_is_read_in_any_parts() {
        let of = |model: &str| Usage { model: Some(model.into()), ..Usage::default() };
        let claude = Usage {
            input: 213,
            cached: 200,
            cache_write: 10,
            long_cache_write: 4,
            output: 42,
            ..of("claude-opus-4-8")
        };
        let codex = Usage { input: 300, cached: 250, output: 7, ..of("gpt-5.5") };
        for part in [1, 7, 64, 4096] {
            assert_eq!(read(CLAUDE, part), claude, "{part}");
            assert_eq!(read(CODEX, part), codex, "{part}");
        }
        let document = r#"{"model":"m","usage":{"input_tokens":5,"output_tokens":6}}"#;
        let plain = Usage { input: 5, output: 6, ..of("m") };
        let lines =
            "\n{\n  \"model\": \"m\",\n  \"usage\": {\n    \"input_tokens\": 5,\n    \"output_tokens\": 6\n  }\n}\n";
        for part in [1, 9, 4096] {
            assert_eq!(read(document, part), plain, "{part}");
            assert_eq!(read(lines, part), plain, "{part}");
        }
    }

    #[test]
    fn output_is_estimated_until_the_provider_reports_it() {
        let mut reader = UsageReader::default();
        let [start, end] = CLAUDE.split_inclusive("\n\n").collect::<Vec<_>>().try_into().unwrap();
        let delta = r#"data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"TEXT"}}"#;
        let long = format!("{}\n\n", delta.replace("TEXT", &"x".repeat(4_000)));
        assert_eq!(reader.read(start.as_bytes()).unwrap().output, 1);
        assert_eq!(reader.read(long.as_bytes()).unwrap().output, 1_000);
        assert!(!reader.has_ended());
        assert_eq!(reader.read(end.as_bytes()).unwrap().output, 42);
        assert!(reader.has_ended());
        let mut codex = UsageReader::default();
        let delta = r#"data: {"type":"response.output_text.delta","delta":"twelve bytes"}"#;
        codex.read(format!("{delta}\n").as_bytes());
        let interrupted = codex.estimate(100);
        assert_eq!((interrupted.input, interrupted.output), (100, 3));
    }

    #[test]
    fn hostile_answers_have_no_usage() {
        for answer in ["", "{}", "data: [DONE]\n", "{\"usage\":7}", "{\"usage\":{\"input_tokens\":-1}}", "data: {\n\n"]
        {
            assert_eq!(read(answer, 3), Usage::default(), "{answer}");
        }
    }
}
