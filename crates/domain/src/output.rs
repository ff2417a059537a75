//! The output of a job that publishes nothing: its agent's answer, from the output file or the last message.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Folder of the files that an agent leaves for Pullyard, relative to the worktree.
pub const PULLYARD_FOLDER: &str = ".pullyard";

/// File in which the agent of a `read` job writes its answer, relative to the worktree. Never committed.
pub const OUTPUT_FILE: &str = ".pullyard/output.json";

/// A larger file is refused. Units: bytes.
pub const MAX_OUTPUT_BYTES: u64 = 128 * 1024;

/// Units: characters.
pub const MAX_ANSWER_CHARS: usize = 32_000;

/// The output is deleted this long after the end of its job.
pub const RETENTION: Duration = Duration::from_secs(90 * 24 * 3_600);

/// The validated and redacted output of a job, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Output")]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobOutput {
    /// The answer of a job of kind `read`.
    Read(Answer),
}

/// An agent's answer. It is hostile text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// Markdown.
    #[schemars(length(min = 1, max = MAX_ANSWER_CHARS))]
    pub text: String,
}

/// Why an output is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFault {
    /// JSON pointer into the file; empty for the whole file.
    pub pointer: String,
    pub fault: String,
}

impl OutputFault {
    pub fn missing() -> Self {
        Self { pointer: String::new(), fault: "the file does not exist".into() }
    }
}

impl std::fmt::Display for OutputFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.fault),
            pointer => write!(f, "{} at `{pointer}`", self.fault),
        }
    }
}

impl JobOutput {
    /// Checks the limits that the types cannot express.
    pub fn check(&self) -> Result<(), OutputFault> {
        let Self::Read(Answer { text }) = self;
        let fault = match text.chars().count() {
            _ if text.trim().is_empty() => "it is empty".to_owned(),
            count if count > MAX_ANSWER_CHARS => format!("it has {count} characters; {MAX_ANSWER_CHARS} are allowed"),
            _ => return Ok(()),
        };
        Err(OutputFault { pointer: "/text".into(), fault })
    }

    #[must_use]
    pub fn map_texts(self, mut change: impl FnMut(&str) -> String) -> Self {
        let Self::Read(Answer { text }) = self;
        Self::Read(Answer { text: change(&text) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_has_a_text_of_limited_length() {
        let check = |text: String| JobOutput::Read(Answer { text }).check().map_err(|error| error.fault);
        assert_eq!(check("ä".repeat(MAX_ANSWER_CHARS)), Ok(()));
        let long = check("ä".repeat(MAX_ANSWER_CHARS + 1)).unwrap_err();
        assert_eq!(long, "it has 32001 characters; 32000 are allowed");
        assert_eq!(check(" \n".into()).unwrap_err(), "it is empty");
    }
}
