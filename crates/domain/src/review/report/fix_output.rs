//! The output of an agent that fixed the findings of a review. All its texts are hostile.

use super::review_output::{
    Finding, MAX_BODY_CHARS, MAX_SUMMARY_CHARS, MAX_TITLE_CHARS, MAX_VERDICT_CHARS, ReviewOutput, Severity, ThreadState,
};
use crate::review::output::EarlierFinding;
use crate::review::published::short_commit;
use crate::text::{truncate, truncate_lines};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Input file with the findings to fix.
pub const FINDINGS_FILE: &str = "findings.json";
/// The agent's division of its work into commits. Relative to the worktree; never committed.
pub const COMMITS_FILE: &str = ".pullyard/commits.json";
pub const MAX_COMMITS: usize = 10;
/// The longest reason of a fixed finding in the summary.
const MAX_FIXED_CHARS: usize = 100;
/// Less severe findings are only posted.
pub const MIN_FIXED_SEVERITY: Severity = Severity::Medium;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixOutput {
    /// A finding without an entry is not done.
    pub findings: Vec<FixVerdict>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FixVerdict {
    /// Its `index` in `findings.json`.
    pub index: usize,
    pub verdict: FixState,
    /// The reason; cut after 600 characters.
    #[serde(default)]
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    Fixed,
    /// The finding is wrong.
    Declined,
    NotDone,
}

impl FixOutput {
    /// Adds the verdicts to the texts of the findings, and moves fixed findings to the summary.
    /// The indexes count the findings of the review first, then the earlier ones.
    /// Without a `commit`, no finding counts as fixed. Returns the URLs of the earlier findings that are fixed.
    pub fn apply(
        &self,
        commit: Option<&str>,
        review: &mut ReviewOutput,
        earlier: &mut [EarlierFinding],
    ) -> BTreeSet<String> {
        let mut indexes = 0..;
        let mut fixed = Vec::new();
        let mut replied = BTreeSet::new();
        review.findings.retain_mut(|finding| {
            let (verdict, text) = self.verdict(indexes.next());
            let lead = match verdict {
                _ if finding.severity < MIN_FIXED_SEVERITY => return true,
                FixState::Fixed if commit.is_some() => {
                    let Finding { severity, path, title, .. } = finding;
                    let text = truncate(&text, MAX_FIXED_CHARS);
                    fixed.push(format!(
                        "- {}, {path}: {} {text}\n",
                        severity.as_str(),
                        truncate(title, MAX_TITLE_CHARS)
                    ));
                    return false;
                }
                FixState::Declined => "Not changed.",
                FixState::Fixed | FixState::NotDone => "Not fixed.",
            };
            let body = truncate_lines(&finding.body, MAX_BODY_CHARS - MAX_VERDICT_CHARS - 100);
            finding.body = format!("{body}\n\n{lead} {text}").trim_end().to_owned();
            true
        });
        for finding in earlier {
            let (verdict, text) = self.verdict(indexes.next());
            let is_open = finding.verdict == ThreadState::Open;
            if is_open && verdict == FixState::Fixed && commit.is_some() {
                (finding.verdict, finding.text) = (ThreadState::Fixed, text);
                replied.insert(finding.url.clone());
            }
        }
        if let Some(commit) = commit.filter(|_| !fixed.is_empty()) {
            let mut chars = 0;
            let fits = |line: &&String| {
                chars += line.chars().count();
                chars <= MAX_SUMMARY_CHARS / 2
            };
            let shown = fixed.iter().take_while(fits).count();
            let mut list: String = fixed.iter().take(shown).map(String::as_str).collect();
            if shown < fixed.len() {
                list.push_str(&format!("- and {} more\n", fixed.len() - shown));
            }
            let summary = format!("Fixed in {}:\n\n{list}\n{}", short_commit(commit), review.summary);
            review.summary = truncate_lines(&summary, MAX_SUMMARY_CHARS);
        }
        replied
    }

    fn verdict(&self, index: Option<usize>) -> (FixState, String) {
        let found = self.findings.iter().find(|verdict| Some(verdict.index) == index);
        found.map_or((FixState::NotDone, String::new()), |found| {
            (found.verdict, truncate_lines(&found.text, MAX_VERDICT_CHARS))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::report::review_output::MAX_FINDINGS;
    use serde_json::json;

    #[test]
    fn verdicts_become_part_of_the_findings() {
        let finding = |severity: &str| json!({ "path": "a.rs", "line": 3, "severity": severity, "category": "bug", "title": "T", "body": "B", "suggestion": "x" });
        let findings = ["high", "low", "medium", "critical"].map(finding);
        let review = json!({ "summary": "S", "findings": findings });
        let open = |severity: Severity| EarlierFinding {
            url: "https://x".into(),
            path: "a.rs".into(),
            line: None,
            severity,
            verdict: ThreadState::Open,
            text: "Still there.".into(),
        };
        let fix = json!({ "findings": [
            { "index": 0, "verdict": "fixed", "text": "Limited." }, { "index": 1, "verdict": "fixed" },
            { "index": 2, "verdict": "declined", "text": "It is intended." },
            { "index": 4, "verdict": "fixed", "text": "Too." }, { "index": 5, "verdict": "declined" },
        ] });
        let fix: FixOutput = serde_json::from_value(fix).unwrap();
        let apply = |commit: Option<&str>| {
            let mut review: ReviewOutput = serde_json::from_value(review.clone()).unwrap();
            let mut earlier = [open(Severity::High), open(Severity::Low)];
            fix.apply(commit, &mut review, &mut earlier);
            review.check().unwrap();
            let bodies: Vec<String> = review.findings.iter().map(|finding| finding.body.clone()).collect();
            (review.summary, bodies, earlier.map(|finding| (finding.verdict, finding.text)))
        };
        let (summary, bodies, earlier) = apply(Some(&"c".repeat(40)));
        assert_eq!(summary, "Fixed in cccccccccc:\n\n- high, a.rs: T Limited.\n\nS");
        assert_eq!(bodies, ["B", "B\n\nNot changed. It is intended.", "B\n\nNot fixed."]);
        let still_there = || (ThreadState::Open, "Still there.".to_owned());
        assert_eq!(earlier, [(ThreadState::Fixed, "Too.".into()), still_there()]);
        let (summary, bodies, earlier) = apply(None);
        assert_eq!((summary.as_str(), bodies[0].as_str()), ("S", "B\n\nNot fixed. Limited."));
        assert_eq!(earlier, [still_there(), still_there()], "without a commit");
    }

    #[test]
    fn fixed_findings_are_listed_until_half_of_the_summary() {
        let finding =
            json!({ "path": "a.rs", "line": 3, "severity": "high", "category": "bug", "title": "T", "body": "B" });
        let review = json!({ "summary": "S", "findings": vec![finding; MAX_FINDINGS] });
        let mut review: ReviewOutput = serde_json::from_value(review).unwrap();
        let verdict = |index| FixVerdict { index, verdict: FixState::Fixed, text: "It\nis. ".repeat(40) };
        let fix = FixOutput { findings: (0..MAX_FINDINGS).map(verdict).collect() };
        fix.apply(Some(&"c".repeat(40)), &mut review, &mut []);
        let lines: Vec<&str> = review.summary.lines().collect();
        let [.., last, "", "S"] = lines.as_slice() else { panic!("{lines:?}") };
        let shown = lines.iter().filter(|line| line.starts_with("- high, a.rs: T It is. It is.")).count();
        assert_eq!(*last, format!("- and {} more", MAX_FINDINGS - shown));
        assert!((10..20).contains(&shown), "{shown}");
    }
}
