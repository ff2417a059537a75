//! The output of an agent that reviewed a pull request. All its texts are hostile.

use crate::review::output::OutputFault;
use crate::text::code::coded_enum;
use serde::{Deserialize, Serialize};

pub const MAX_FINDINGS: usize = 50;
pub const MAX_SUMMARY_CHARS: usize = 4_000;
/// Longer paths are refused.
pub const MAX_PATH_CHARS: usize = 1_000;
pub const MAX_TITLE_CHARS: usize = 120;
pub const MAX_BODY_CHARS: usize = 4_000;
pub const MAX_SUGGESTION_CHARS: usize = 4_000;
pub const MAX_VERDICT_CHARS: usize = 600;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewOutput {
    /// The review in a few sentences. Markdown.
    #[schemars(length(min = 1, max = MAX_SUMMARY_CHARS))]
    pub summary: String,
    /// Empty if there is nothing to report.
    #[schemars(length(max = MAX_FINDINGS))]
    pub findings: Vec<Finding>,
    /// One entry for each of our threads. A thread without an entry is open.
    #[serde(default)]
    pub threads: Vec<ThreadVerdict>,
}

/// A version of a changed file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Left,
    Right,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Path in the repository, with `/`.
    #[schemars(length(min = 1, max = MAX_PATH_CHARS))]
    pub path: String,
    /// The last line. Absent: the finding is about the whole file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub line: Option<u32>,
    /// The first of several lines, before `line`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub start_line: Option<u32>,
    /// `right` counts lines after the change, `left` before it.
    #[serde(default = "right")]
    pub side: Side,
    pub severity: Severity,
    pub category: Category,
    /// One line, without Markdown.
    #[schemars(length(min = 1, max = MAX_TITLE_CHARS))]
    pub title: String,
    /// What is wrong, and what follows from it. Markdown.
    #[schemars(length(min = 1, max = MAX_BODY_CHARS))]
    pub body: String,
    /// Replaces the lines from `start_line` to `line`. Empty: deletes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_SUGGESTION_CHARS))]
    pub suggestion: Option<String>,
}

impl Finding {
    /// `src/retry.rs:38-41`
    pub fn location(&self) -> String {
        let Self { path, line, start_line, side, .. } = self;
        let start = start_line.map(|start| format!("{start}-")).unwrap_or_default();
        let line = line.map(|line| format!(":{start}{line}")).unwrap_or_default();
        let side = if *side == Side::Left { " before the change" } else { "" };
        format!("{path}{line}{side}")
    }

    pub fn deletes_lines(&self) -> bool {
        self.suggestion.as_ref().is_some_and(|code| code.trim().is_empty())
    }
}

/// What became of an earlier finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ThreadVerdict {
    /// The thread's id in `threads.json`.
    pub id: u64,
    pub verdict: ThreadState,
    /// The reason, in a sentence.
    #[serde(default)]
    #[schemars(length(max = MAX_VERDICT_CHARS))]
    pub text: String,
}

coded_enum! {
    /// From the least to the most severe.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Severity {
        Nit = "nit";
        Low = "low";
        Medium = "medium";
        High = "high";
        Critical = "critical";
    }
}

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Category {
        Bug = "bug";
        Security = "security";
        Performance = "performance";
        Tests = "tests";
        Docs = "docs";
        Style = "style";
    }
}

coded_enum! {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum ThreadState {
        Fixed = "fixed";
        Open = "open";
        /// The finding was wrong.
        Withdrawn = "withdrawn";
    }
}

fn right() -> Side {
    Side::Right
}

impl ReviewOutput {
    /// Checks the limits that the types cannot express. Errors: the first fault.
    pub fn check(&self) -> Result<(), OutputFault> {
        check_text("/summary", &self.summary, 1, MAX_SUMMARY_CHARS)?;
        if self.findings.len() > MAX_FINDINGS {
            let count = self.findings.len();
            return fault("/findings", format!("it has {count} findings; at most {MAX_FINDINGS} are allowed"));
        }
        for (n, finding) in self.findings.iter().enumerate() {
            finding.check(&format!("/findings/{n}"))?;
        }
        for (n, thread) in self.threads.iter().enumerate() {
            check_text(&format!("/threads/{n}/text"), &thread.text, 0, MAX_VERDICT_CHARS)?;
        }
        Ok(())
    }

    /// Changes every text, for example to redact it. A suggestion that would change is removed: it would damage the file.
    #[must_use]
    pub fn map_texts(mut self, mut change: impl FnMut(&str) -> String) -> Self {
        self.summary = change(&self.summary);
        for finding in &mut self.findings {
            finding.path = change(&finding.path);
            finding.title = change(&finding.title);
            finding.body = change(&finding.body);
            finding.suggestion = finding.suggestion.take().filter(|code| change(code) == *code);
        }
        for thread in &mut self.threads {
            thread.text = change(&thread.text);
        }
        self
    }
}

impl Finding {
    fn check(&self, at: &str) -> Result<(), OutputFault> {
        check_text(&format!("{at}/path"), &self.path, 1, MAX_PATH_CHARS)?;
        check_text(&format!("{at}/title"), &self.title, 1, MAX_TITLE_CHARS)?;
        check_text(&format!("{at}/body"), &self.body, 1, MAX_BODY_CHARS)?;
        let suggestion = self.suggestion.as_deref().unwrap_or_default();
        check_text(&format!("{at}/suggestion"), suggestion, 0, MAX_SUGGESTION_CHARS)?;
        match (self.start_line, self.line) {
            (_, Some(0)) => fault(&format!("{at}/line"), "lines are counted from 1"),
            (Some(0), _) => fault(&format!("{at}/start_line"), "lines are counted from 1"),
            (Some(_), None) => fault(&format!("{at}/start_line"), "it needs `line`, the last line"),
            (Some(start), Some(line)) if start >= line => {
                fault(&format!("{at}/start_line"), format!("it must be less than `line`, which is {line}"))
            }
            _ => Ok(()),
        }
    }
}

pub(crate) fn check_text(pointer: &str, text: &str, min: usize, max: usize) -> Result<(), OutputFault> {
    match text.chars().count() {
        _ if min > 0 && text.trim().is_empty() => fault(pointer, "it is empty"),
        count if count > max => fault(pointer, format!("it has {count} characters; at most {max} are allowed")),
        _ => Ok(()),
    }
}

fn fault(pointer: &str, fault: impl Into<String>) -> Result<(), OutputFault> {
    Err(OutputFault { pointer: pointer.into(), fault: fault.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn output() -> Value {
        json!({
            "summary": "Two problems.",
            "findings": [{
                "path": "src/retry.rs", "line": 41, "start_line": 38, "side": "left", "severity": "high",
                "category": "bug", "title": "The delay overflows", "body": "After 64 tries …", "suggestion": ""
            }],
            "threads": [{ "id": 11, "verdict": "fixed", "text": "The test covers it now." }]
        })
    }

    fn changed(pointer: &str, value: Value) -> Result<ReviewOutput, serde_json::Error> {
        let mut changed = output();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        serde_json::from_value(changed)
    }

    #[test]
    fn output_is_read_and_written_without_loss() {
        let read: ReviewOutput = serde_json::from_value(output()).unwrap();
        assert_eq!(read.check(), Ok(()));
        assert_eq!(serde_json::to_value(&read).unwrap(), output());
        let least = json!({"summary": "Fine.", "findings": [
            {"path": "a", "severity": "nit", "category": "style", "title": "T", "body": "B"}
        ]});
        let read: ReviewOutput = serde_json::from_value(least).unwrap();
        assert_eq!((read.findings[0].side, read.check()), (Side::Right, Ok(())));
    }

    #[test]
    fn unknown_fields_and_values_are_refused() {
        for (pointer, value) in [
            ("/verdict", json!("approve")),
            ("/findings/0/column", json!(1)),
            ("/findings/0/line", json!(-1)),
            ("/findings/0/severity", json!("fatal")),
            ("/findings/0/category", json!("naming")),
            ("/findings/0/side", json!("RIGHT")),
            ("/threads/0/verdict", json!("resolved")),
            ("/threads/0/id", json!("11")),
        ] {
            assert!(changed(pointer, value).is_err(), "{pointer}");
        }
    }

    #[test]
    fn limits_are_faults_with_their_pointer() {
        let long = |limit: usize| (json!("ü".repeat(limit)), json!("ü".repeat(limit + 1)));
        for (pointer, limit) in [
            ("/summary", MAX_SUMMARY_CHARS),
            ("/findings/0/title", MAX_TITLE_CHARS),
            ("/findings/0/body", MAX_BODY_CHARS),
            ("/findings/0/suggestion", MAX_SUGGESTION_CHARS),
            ("/threads/0/text", MAX_VERDICT_CHARS),
        ] {
            let (longest, longer) = long(limit);
            assert_eq!(changed(pointer, longest).unwrap().check(), Ok(()), "{pointer}");
            let fault = changed(pointer, longer).unwrap().check().unwrap_err();
            assert_eq!(fault.pointer, pointer);
            assert_eq!(fault.fault, format!("it has {} characters; at most {limit} are allowed", limit + 1));
        }
        for (pointer, value, expected) in [
            ("/summary", json!(" \n"), "it is empty"),
            ("/findings/0/title", json!(""), "it is empty"),
            ("/findings/0/body", json!(""), "it is empty"),
            ("/findings/0/line", json!(0), "lines are counted from 1"),
            ("/findings/0/start_line", json!(0), "lines are counted from 1"),
            ("/findings/0/start_line", json!(41), "it must be less than `line`, which is 41"),
            (
                "/findings",
                json!(vec![output()["findings"][0].clone(); 51]),
                "it has 51 findings; at most 50 are allowed",
            ),
        ] {
            let fault = changed(pointer, value).unwrap().check().unwrap_err();
            assert_eq!((fault.pointer.as_str(), fault.fault.as_str()), (pointer, expected));
        }
        let fault = changed("/findings/0/line", Value::Null).unwrap().check().unwrap_err();
        assert_eq!(fault.pointer, "/findings/0/start_line");
    }

    #[test]
    fn every_text_is_mapped_and_a_changed_suggestion_is_removed() {
        let read: ReviewOutput = serde_json::from_value(output()).unwrap();
        let same = read.clone().map_texts(str::to_owned);
        assert_eq!(same, read);
        let mapped = serde_json::to_value(read.map_texts(|text| format!("<{text}>"))).unwrap();
        let mut expected = output();
        for pointer in ["/summary", "/findings/0/path", "/findings/0/title", "/findings/0/body", "/threads/0/text"] {
            let text = expected.pointer_mut(pointer).unwrap();
            *text = json!(format!("<{}>", text.as_str().unwrap()));
        }
        expected["findings"][0].as_object_mut().unwrap().remove("suggestion");
        assert_eq!(mapped, expected);
    }
}
