//! The output of a job that reports: its agent's answer, or the review that it posted.

mod fault;

pub use crate::agent::files::{INPUT_FOLDER, OUTPUT_FILE, PULLYARD_FOLDER};
use crate::project::plan::SpawnRequest;
use crate::review::analysis::AnalysisReport;
use crate::review::published::short_commit;
use crate::review::report::review_output::{Finding, MAX_VERDICT_CHARS, ReviewOutput, Severity, ThreadState};
use crate::text::code::coded_enum;
use crate::text::format_count;
pub use fault::OutputFault;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::time::Duration;

/// A larger file is refused. Units: bytes.
pub const MAX_OUTPUT_BYTES: u64 = 128 * 1024;

/// Units: characters.
const MAX_OUTCOME_CHARS: usize = 40;

/// Units: characters.
pub const MAX_ANSWER_CHARS: usize = 32_000;

/// More open findings of earlier reviews are not given to the agent.
pub const MAX_EARLIER_FINDINGS: usize = 50;

/// The output is deleted this long after the end of its job.
pub const RETENTION: Duration = Duration::from_secs(90 * 24 * 3_600);

/// The validated and redacted output of a job, by its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[schemars(rename = "Output")]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobOutput {
    /// The answer of a job of kind `read`, or of a run's step.
    Read(Answer),
    /// The posted review of a job of kind `review` or `resolve`.
    Review(PostedReview),
    /// The items that a job of kind `analysis` read.
    Analysis(AnalysisReport),
}

/// An agent's answer. It is hostile text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// One of the outcomes of a run's step; absent for other jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = MAX_OUTCOME_CHARS))]
    pub outcome: Option<String>,
    /// Markdown.
    #[schemars(length(min = 1, max = MAX_ANSWER_CHARS))]
    pub text: String,
    /// Steps that a manager adds to its run; absent for other jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spawn: Vec<SpawnRequest>,
}

/// A review as it was posted. Its texts are hostile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostedReview {
    /// The reviewed commit.
    pub head: String,
    /// The commit after which the review begins; absent for one of the whole change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The branch that the pull request targets.
    #[serde(default)]
    pub base: String,
    /// An earlier attempt posted the review, and only the forge has its findings.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// Number of new findings that a job of kind `resolve` fixed, which are not in `review`.
    #[serde(default)]
    pub fixed: u32,
    /// The report of the agent, without the verdicts on earlier findings.
    pub review: ReviewOutput,
    /// The place of each finding, in the same order.
    pub places: Vec<FindingPlace>,
    /// The findings of earlier reviews that were open before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_EARLIER_FINDINGS))]
    pub earlier: Vec<EarlierFinding>,
}

/// A finding of an earlier review, with the verdict of this one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlierFinding {
    /// The comment's page at the forge.
    pub url: String,
    /// Path in the repository.
    pub path: String,
    /// Its line in the newest commit, if it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// As it was reported.
    pub severity: Severity,
    /// Whether it still applies.
    pub verdict: ThreadState,
    /// The agent's reason; empty without one.
    #[schemars(length(max = MAX_VERDICT_CHARS))]
    pub text: String,
}

impl EarlierFinding {
    /// `src/retry.rs:41`
    pub fn location(&self) -> String {
        let line = self.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}", self.path)
    }
}

coded_enum! {
    /// Where a finding of a review is.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum FindingPlace {
        /// In a comment at its line.
        Inline = "inline", "inline";
        /// In the text of the review.
        InText = "in_text", "in the text";
        /// An earlier review of ours has posted it.
        Repeated = "repeated", "posted before";
        /// Its severity is too low.
        Dropped = "dropped", "left out";
    }
}

/// Counts of a review's findings by result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewCounts {
    /// An earlier attempt posted the review, whose findings are unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// New findings that the job fixed.
    #[serde(default)]
    pub fixed: u32,
    pub inline: u32,
    pub in_text: u32,
    /// Found again; an earlier review has posted them.
    pub repeated: u32,
    /// Too minor to be posted.
    #[serde(default)]
    pub left_out: u32,
    /// Earlier findings that are fixed or were wrong.
    #[serde(default)]
    pub done: u32,
    /// Earlier findings that still apply.
    #[serde(default)]
    pub open: u32,
    /// The most severe finding that applies, new or earlier.
    pub worst: Option<Severity>,
}

impl ReviewCounts {
    /// `Fixed 1 of 4 findings. Posted 2 findings inline and 1 in the text. 1 of 2 earlier findings is done. Worst: high.`
    pub fn sentence(&self) -> String {
        if self.adopted {
            return "An earlier attempt reviewed the change.".to_owned();
        }
        let all = format_count(self.fixed + self.inline + self.in_text, "finding");
        let fixed = (self.fixed > 0).then(|| format!("Fixed {} of {all}.", self.fixed));
        let posted = match (self.inline, self.in_text) {
            (0, 0) => fixed.is_none().then(|| "Posted no finding.".to_owned()),
            (inline, 0) => Some(format!("Posted {} inline.", format_count(inline, "finding"))),
            (0, in_text) => Some(format!("Posted {} in the text.", format_count(in_text, "finding"))),
            (inline, text) => {
                Some(format!("Posted {} inline and {text} in the text.", format_count(inline, "finding")))
            }
        };
        let again = || format!("Found {} again.", format_count(self.repeated, "earlier finding"));
        let verb = if self.done == 1 { "is" } else { "are" };
        let earlier = self.done + self.open;
        let done = || format!("{} of {} {verb} done.", self.done, format_count(earlier, "earlier finding"));
        let worst = self.worst.map(|worst| format!("Worst: {}.", worst.as_str()));
        let left_out =
            (self.left_out > 0).then(|| format!("Left out {}.", format_count(self.left_out, "minor finding")));
        let parts = [fixed, posted, left_out, (self.repeated > 0).then(again), (earlier > 0).then(done), worst];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }
}

impl PostedReview {
    /// `Reviewed c04d11a, the changes since 9f3c2e1.`
    pub fn scope(&self) -> String {
        let head = short_commit(&self.head);
        match &self.since {
            Some(since) => format!("Reviewed {head}, the changes since {}.", short_commit(since)),
            None => format!("Reviewed {head}, the whole change."),
        }
    }

    /// With their places, the most severe first.
    pub fn findings(&self) -> Vec<(&Finding, FindingPlace)> {
        let mut findings: Vec<_> = self.review.findings.iter().zip(self.places.iter().copied()).collect();
        findings.sort_by_key(|(finding, _)| Reverse(finding.severity));
        findings
    }

    pub fn counts(&self) -> ReviewCounts {
        let count = |place: FindingPlace| {
            u32::try_from(self.places.iter().filter(|found| **found == place).count()).unwrap_or(u32::MAX)
        };
        let is_posted = |place: &FindingPlace| matches!(place, FindingPlace::Inline | FindingPlace::InText);
        let posted = self.review.findings.iter().zip(&self.places).filter(|(_, place)| is_posted(place));
        let open = || self.earlier.iter().filter(|earlier| earlier.verdict == ThreadState::Open);
        let earlier = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let open_severities = open().map(|earlier| earlier.severity);
        ReviewCounts {
            adopted: self.adopted,
            fixed: self.fixed,
            inline: count(FindingPlace::Inline),
            in_text: count(FindingPlace::InText),
            repeated: count(FindingPlace::Repeated),
            left_out: count(FindingPlace::Dropped),
            done: earlier(self.earlier.len() - open().count()),
            open: earlier(open().count()),
            worst: posted.map(|(finding, _)| finding.severity).chain(open_severities).max(),
        }
    }

    fn check(&self) -> Result<(), OutputFault> {
        let fault = |pointer: &str, fault: &str| Err(OutputFault::new(pointer, fault));
        if !matches!(self.head.len(), 40 | 64) || !self.head.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return fault("/head", "use 40 or 64 hex digits");
        }
        if self.places.len() != self.review.findings.len() {
            return fault("/places", "it has one place for each finding");
        }
        if self.earlier.len() > MAX_EARLIER_FINDINGS {
            return fault("/earlier", "it has too many findings");
        }
        if self.earlier.iter().any(|finding| finding.text.chars().count() > MAX_VERDICT_CHARS) {
            return fault("/earlier", "a text is too long");
        }
        let at = |fault: OutputFault| OutputFault { pointer: format!("/review{}", fault.pointer), ..fault };
        self.review.check().map_err(at)
    }
}

impl JobOutput {
    pub fn into_answer(self) -> Option<Answer> {
        match self {
            Self::Read(answer) => Some(answer),
            Self::Review(_) | Self::Analysis(_) => None,
        }
    }

    /// Checks the limits that the types cannot express.
    pub fn check(&self) -> Result<(), OutputFault> {
        match self {
            Self::Read(answer) => answer.check(),
            Self::Review(posted) => posted.check(),
            Self::Analysis(report) => report.check(),
        }
    }
}

impl Answer {
    /// Checks that the outcome is one of these words, and absent if there are none.
    pub fn check_outcome(&self, outcomes: &[String]) -> Result<(), OutputFault> {
        let fault = match &self.outcome {
            Some(outcome) if outcomes.contains(outcome) => return Ok(()),
            None if outcomes.is_empty() => return Ok(()),
            Some(_) if outcomes.is_empty() => "this job has no outcomes: leave it out".to_owned(),
            _ => format!("use one of {}", outcomes.join(", ")),
        };
        Err(OutputFault::new("/outcome", fault))
    }

    /// Checks the limits that the type cannot express.
    pub fn check(&self) -> Result<(), OutputFault> {
        if self.outcome.as_ref().is_some_and(|outcome| outcome.chars().count() > MAX_OUTCOME_CHARS) {
            let fault = format!("it has more than {MAX_OUTCOME_CHARS} characters");
            return Err(OutputFault::new("/outcome", fault));
        }
        let fault = match self.text.chars().count() {
            _ if self.text.trim().is_empty() => "it is empty".to_owned(),
            count if count > MAX_ANSWER_CHARS => format!("it has {count} characters; {MAX_ANSWER_CHARS} are allowed"),
            _ => return Ok(()),
        };
        Err(OutputFault::new("/text", fault))
    }
}

#[cfg(test)]
mod schema_files;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentence_counts_what_a_job_fixed() {
        let sentence = |fixed, inline, done| ReviewCounts { fixed, inline, done, ..ReviewCounts::default() }.sentence();
        assert_eq!(sentence(0, 0, 0), "Posted no finding.");
        let minor = ReviewCounts { left_out: 2, ..ReviewCounts::default() };
        assert_eq!(minor.sentence(), "Posted no finding. Left out 2 minor findings.");
        assert_eq!(sentence(1, 0, 0), "Fixed 1 of 1 finding.");
        assert_eq!(
            sentence(1, 2, 1),
            "Fixed 1 of 3 findings. Posted 2 findings inline. 1 of 1 earlier finding is done."
        );
    }

    #[test]
    fn answer_has_a_text_of_limited_length() {
        let check =
            |text: String| JobOutput::Read(Answer { text, ..Answer::default() }).check().map_err(|error| error.fault);
        assert_eq!(check("ä".repeat(MAX_ANSWER_CHARS)), Ok(()));
        let long = check("ä".repeat(MAX_ANSWER_CHARS + 1)).unwrap_err();
        assert_eq!(long, "it has 32001 characters; 32000 are allowed");
        assert_eq!(check(" \n".into()).unwrap_err(), "it is empty");
    }
}
