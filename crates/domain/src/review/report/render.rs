//! Renders a review: its text, and the replies in threads.

use super::finding::{SuggestionForm, render_finding};
use super::markdown::{defuse, defuse_line};
use super::place::{DropReason, Place};
use super::review_output::{Finding, ReviewOutput, ThreadState};
use crate::project::forge::ForgeKind;
use crate::review::output::EarlierFinding;
use crate::review::published::marker::Marker;
use crate::review::published::short_commit;
use crate::text::format_count;
use crate::text::id::JobId;
use crate::text::untrusted::to_code_span;
use std::cmp::Reverse;
use std::fmt::Write;

/// Reserved for the sentences about omitted findings, and the marker. Units: characters.
const END_RESERVE: usize = 600;
const MAX_PATH_CHARS: usize = 300;

/// The text of a review, above its comments on lines.
#[derive(Clone, Copy, Debug)]
pub struct ReviewText<'a> {
    pub forge: ForgeKind,
    pub job: &'a JobId,
    /// Pullyard's sentence about the reviewed commits, in Markdown.
    pub scope: &'a str,
    pub output: &'a ReviewOutput,
    /// One place for each finding.
    pub places: &'a [Place],
    pub earlier: &'a [EarlierFinding],
}

impl ReviewText<'_> {
    /// Markdown of at most `ForgeSpec::review_text_chars` characters that ends with the job's marker. Earlier findings that are not
    /// fixed come before new ones, so that an agent cannot push them out.
    pub fn render(&self) -> String {
        let mut text = format!("{}\n\n{}\n", self.scope, defuse(&self.output.summary));
        let max_chars = self.forge.spec().review_text_chars - END_RESERVE;
        let unfixed = self.earlier.iter().filter(|finding| finding.verdict != ThreadState::Fixed);
        let mut omitted = push_section((&mut text, max_chars), "Earlier findings", unfixed.map(render_earlier));
        let findings = self.output.findings.iter().zip(self.places);
        let mut in_text: Vec<&Finding> =
            findings.filter(|(_, place)| **place == Place::InText).map(|(finding, _)| finding).collect();
        in_text.sort_by_key(|finding| Reverse(finding.severity));
        let sections = in_text.into_iter().map(|finding| {
            let location = to_code_span(&finding.location(), MAX_PATH_CHARS);
            render_finding(finding, Some(&location), SuggestionForm::Code)
        });
        omitted += push_section((&mut text, max_chars), "Findings without a comment at their line", sections);
        let count = |wanted: &Place| self.places.iter().filter(|place| *place == wanted).count();
        for (count, predicate) in [
            (count(&Place::Repeated), "already posted".to_owned()),
            (count(&Place::Dropped(DropReason::BelowMinSeverity)), "of severity nit".to_owned()),
            (omitted, format!("left out for lack of room; `pullyard jobs output {}` shows all", self.job)),
        ] {
            if count > 0 {
                let count = format_count(u64::try_from(count).unwrap_or(u64::MAX), "finding");
                let _ = write!(text, "\nNot shown: {count} {predicate}.\n");
            }
        }
        Marker::Job(self.job.clone()).append_to(self.forge, &text)
    }
}

/// The reply in the thread of an earlier finding. `None` for an open one, which gets no reply.
pub fn render_thread_reply(verdict: ThreadState, commit: &str, text: &str) -> Option<String> {
    let lead = match verdict {
        ThreadState::Open => return None,
        ThreadState::Fixed => format!("Fixed in `{}`.", short_commit(commit)),
        ThreadState::Withdrawn => "Withdrawn.".to_owned(),
    };
    Some(format!("{lead}\n\n{}", defuse(text)).trim_end().to_owned())
}

fn render_earlier(finding: &EarlierFinding) -> String {
    let EarlierFinding { severity, url, verdict, text, .. } = finding;
    let (location, severity) = (to_code_span(&finding.location(), MAX_PATH_CHARS), severity.as_str());
    let line = format!("**{}, {severity}:** [{location}]({url}) {}", verdict.as_str(), defuse_line(text, usize::MAX));
    format!("{}\n", line.trim_end())
}

/// Appends the blocks that fit, and returns the number of the others.
fn push_section((text, max_chars): (&mut String, usize), title: &str, blocks: impl Iterator<Item = String>) -> usize {
    let mut omitted = 0;
    let mut title = Some(title);
    for block in blocks {
        let section = match title {
            Some(title) => format!("\n### {title}\n\n{block}"),
            None => format!("\n{block}"),
        };
        if text.chars().count() + section.chars().count() > max_chars {
            omitted += 1;
        } else {
            text.push_str(&section);
            title = None;
        }
    }
    omitted
}

#[cfg(test)]
mod tests;
