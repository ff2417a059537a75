//! The output of an analysis, and the file that its agent writes. All their texts are hostile.

use super::{AnalysisCounts, ItemKind, Signals, Staleness};
use crate::review::output::OutputFault;
use crate::review::report::review_output::check_text;
use crate::text::code::coded_enum;
use crate::text::time::{Timestamp, WireTime};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Further open items are only counted.
pub const MAX_ITEMS: usize = 300;
/// Further summaries are not written. Units: bytes of JSON, which a table item of 400 KB must hold.
pub const MAX_REPORT_BYTES: usize = 320 * 1024;
pub const MAX_TITLE_CHARS: usize = 120;
pub const MAX_URL_BYTES: usize = 500;
const HASH_CHARS: usize = 16;
/// Sentence about an item of which an agent wrote no correct summary.
pub const NOT_SUMMARISED: &str = "Not summarised, because the agent wrote no correct summary of this text.";
pub const MAX_SUMMARY_CHARS: usize = 300;
pub const MAX_NEXT_STEP_CHARS: usize = 120;
/// In a report, of characters with up to 4 bytes.
pub const MAX_SUMMARY_BYTES: usize = 4 * (MAX_SUMMARY_CHARS + MAX_NEXT_STEP_CHARS) + 150;

/// The open pull requests and issues of a repository. Runners receive the last report and refuse unknown fields, so a
/// further field needs a new protocol version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysisReport {
    /// What was read, and when. An analysis of pull requests alone keeps the issues of the one before.
    pub lists: BTreeMap<ItemKind, ItemList>,
    /// The forge refused to list the issues, which no user had named.
    #[serde(default)]
    pub issues_refused: bool,
    /// Newest first.
    #[schemars(length(max = MAX_ITEMS))]
    pub items: Vec<AnalysedItem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemList {
    /// When it was read.
    #[serde(with = "WireTime")]
    pub as_of: Timestamp,
    /// Number of open items, at least: at most ten pages are read.
    pub open: u32,
}

/// An open pull request or issue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnalysedItem {
    pub kind: ItemKind,
    /// Number at the forge.
    pub number: u64,
    /// One line.
    pub title: String,
    /// Page at the forge.
    pub url: String,
    /// Login of the author, if the account exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Last change, according to the forge.
    #[serde(with = "WireTime")]
    pub updated: Timestamp,
    /// When its comments and reviews were read.
    #[serde(with = "WireTime")]
    pub read: Timestamp,
    pub signals: Signals,
    /// Hash of the text that a summary is about.
    pub hash: String,
    /// `hash` of the text of which an agent wrote no correct summary. No agent reads that text again, unless a user
    /// names the kinds of item.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// Absent until an agent wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<ItemSummary>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ItemSummary {
    /// In a sentence or two.
    pub text: String,
    /// The next thing to do.
    pub next_step: String,
    pub risk: Risk,
    /// When it was written.
    #[serde(with = "WireTime")]
    pub at: Timestamp,
    /// `hash` of the item at that time. Another one now: the summary is outdated.
    pub of: String,
}

coded_enum! {
    /// What could go wrong without attention.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
    pub enum Risk {
        Low = "low";
        Medium = "medium";
        High = "high";
    }
}

/// `output.json` of an agent that summarises items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SummaryOutput {
    /// One entry for each input file. Unknown numbers are dropped.
    pub items: Vec<NewSummary>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSummary {
    /// Number of the pull request or issue.
    pub number: u64,
    /// In a sentence or two. One paragraph without Markdown.
    #[schemars(length(min = 1, max = MAX_SUMMARY_CHARS))]
    pub summary: String,
    /// The next thing to do, and for whom.
    #[schemars(length(min = 1, max = MAX_NEXT_STEP_CHARS))]
    pub next_step: String,
    pub risk: Risk,
}

impl SummaryOutput {
    /// Checks the limits that the types cannot express. Errors: the first fault.
    pub fn check(&self) -> Result<(), OutputFault> {
        for (n, item) in self.items.iter().enumerate() {
            check_text(&format!("/items/{n}/summary"), &item.summary, 1, MAX_SUMMARY_CHARS)?;
            check_text(&format!("/items/{n}/next_step"), &item.next_step, 1, MAX_NEXT_STEP_CHARS)?;
        }
        Ok(())
    }

    /// Changes every text, for example to redact it.
    #[must_use]
    pub fn map_texts(mut self, change: impl Fn(&str) -> String) -> Self {
        for item in &mut self.items {
            item.summary = change(&item.summary);
            item.next_step = change(&item.next_step);
        }
        self
    }
}

impl AnalysedItem {
    pub fn has_current_summary(&self) -> bool {
        self.summary.as_ref().is_some_and(|summary| summary.of == self.hash)
    }

    /// Whether the last agent that read this text wrote no correct summary.
    pub fn is_failed(&self) -> bool {
        self.failed.as_ref() == Some(&self.hash)
    }
}

impl AnalysisReport {
    /// Checks the limits that the types cannot express.
    pub fn check(&self) -> Result<(), OutputFault> {
        if self.items.len() > MAX_ITEMS {
            let fault = format!("it has {} items; at most {MAX_ITEMS} are allowed", self.items.len());
            return Err(OutputFault { pointer: "/items".into(), fault });
        }
        for (n, item) in self.items.iter().enumerate() {
            check_text(&format!("/items/{n}/title"), &item.title, 0, MAX_TITLE_CHARS)?;
            check_text(&format!("/items/{n}/url"), &item.url, 0, MAX_URL_BYTES)?;
            check_text(&format!("/items/{n}/author"), item.author.as_deref().unwrap_or_default(), 0, MAX_TITLE_CHARS)?;
            check_text(&format!("/items/{n}/hash"), &item.hash, 0, HASH_CHARS)?;
            check_text(&format!("/items/{n}/failed"), item.failed.as_deref().unwrap_or_default(), 0, HASH_CHARS)?;
            if let Some(ItemSummary { text, next_step, of, .. }) = &item.summary {
                check_text(&format!("/items/{n}/summary/of"), of, 0, HASH_CHARS)?;
                check_text(&format!("/items/{n}/summary/text"), text, 0, MAX_SUMMARY_CHARS)?;
                check_text(&format!("/items/{n}/summary/next_step"), next_step, 0, MAX_NEXT_STEP_CHARS)?;
            }
        }
        Ok(())
    }

    /// Sorts the items, and keeps the newest that have room. `size` is that of the JSON, in bytes.
    #[must_use]
    pub fn keep_newest(mut self, size: impl Fn(&Self) -> usize) -> Self {
        self.items.sort_by_key(|item| Reverse((item.updated, item.number)));
        self.items.truncate(MAX_ITEMS);
        while size(&self) > MAX_REPORT_BYTES && self.items.pop().is_some() {}
        self
    }

    /// The highest score first.
    pub fn by_score(&self) -> Vec<&AnalysedItem> {
        let mut items: Vec<_> = self.items.iter().collect();
        items.sort_by_key(|item| Reverse(item.signals.score()));
        items
    }

    /// The counts at the time of the report, as a sentence.
    pub fn sentence(&self) -> String {
        let now = self.lists.values().map(|list| list.as_of).max().unwrap_or_default();
        self.counts(now).sentence()
    }

    pub fn counts(&self, now: Timestamp) -> AnalysisCounts {
        let open = |kind| self.lists.get(&kind).map(|list| list.open);
        let count = |is: &dyn Fn(&AnalysedItem) -> bool| {
            u32::try_from(self.items.iter().filter(|item| is(item)).count()).unwrap_or(u32::MAX)
        };
        let (pulls, issues) = (open(ItemKind::Pulls), open(ItemKind::Issues));
        AnalysisCounts {
            pulls,
            issues,
            issues_refused: self.issues_refused,
            stale: count(&|item| item.signals.staleness(now) == Staleness::Stale),
            abandoned: count(&|item| item.signals.staleness(now) == Staleness::Abandoned),
            not_listed: pulls.unwrap_or(0).saturating_add(issues.unwrap_or(0)).saturating_sub(count(&|_| true)),
            not_summarised: count(&|item| !item.has_current_summary()),
        }
    }
}

/// Hash of the texts that a summary is about.
pub fn content_hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    data_encoding::HEXLOWER.encode(hash.finalize().get(..8).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::analysis::Opened;

    fn item(number: u64, text: &str) -> AnalysedItem {
        let at = Timestamp::from_millis(i64::try_from(number).unwrap());
        let summary = ItemSummary { text: text.into(), next_step: "x".into(), risk: Risk::Low, at, of: "h".into() };
        AnalysedItem {
            kind: ItemKind::Issues,
            number,
            title: "t".into(),
            url: "u".into(),
            author: None,
            updated: at,
            read: at,
            signals: Signals::compute(&Opened { author: None, at, draft: false, reactions: 0 }, &[]),
            hash: "h".into(),
            failed: None,
            summary: Some(summary),
        }
    }

    #[test]
    fn report_keeps_the_newest_items_within_its_bounds() {
        let report = |text: &str| {
            let items = (1..=400).map(|number| item(number, text)).collect();
            AnalysisReport { items, ..AnalysisReport::default() }
        };
        let size = |report: &AnalysisReport| serde_json::to_vec(report).unwrap().len();
        let text = "s".repeat(MAX_SUMMARY_CHARS);
        assert!(report(&text).check().is_err());
        let kept = report(&text).keep_newest(size);
        assert_eq!((kept.check(), kept.items.len(), kept.items[0].number), (Ok(()), MAX_ITEMS, 400));
        let kept = report(&"\u{1f600}".repeat(MAX_SUMMARY_CHARS)).keep_newest(size);
        assert!(size(&kept) <= MAX_REPORT_BYTES && (100..MAX_ITEMS).contains(&kept.items.len()));
        let with_fault = |change: fn(&mut AnalysedItem)| {
            let mut report = report("s").keep_newest(size);
            change(&mut report.items[1]);
            report.check().unwrap_err().pointer
        };
        assert_eq!(with_fault(|item| item.title = "t".repeat(121)), "/items/1/title");
        assert_eq!(with_fault(|item| item.author = Some("a".repeat(121))), "/items/1/author");
        assert_eq!(with_fault(|item| item.hash = "h".repeat(17)), "/items/1/hash");
        assert_eq!(with_fault(|item| item.summary.as_mut().unwrap().text = "t".repeat(301)), "/items/1/summary/text");
    }
}
