//! Decides for each finding of a review where it is posted.

use super::diff::{Diff, Hunk, split_line};
use super::finding::{SuggestionForm, render_finding};
use super::finding_marker::{FindingMarker, Fingerprint};
use super::review_output::{Finding, Severity, Side};
use crate::project::forge::ForgeKind;
use crate::review::published::marker::Marker;
use crate::text::id::JobId;
use crate::text::untrusted::{HIDDEN_PLACEHOLDER, remove_hidden};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Further comments would bury the important ones.
pub const MAX_INLINE_FINDINGS: usize = 20;

const MIN_SEVERITY: Severity = Severity::Low;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Inline(InlineComment),
    /// In the text of the review.
    InText,
    /// Our account has already posted it.
    Repeated,
    Dropped(DropReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    BelowMinSeverity,
}

/// A comment on lines that the diff shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InlineComment {
    pub path: String,
    pub side: Side,
    /// The first of several lines, in the hunk of `line`.
    pub start_line: Option<u32>,
    pub line: u32,
    /// Markdown that ends with the marker.
    pub body: String,
    pub fingerprint: Fingerprint,
}

pub struct PlaceRules<'a> {
    pub forge: ForgeKind,
    pub job: &'a JobId,
    /// Fingerprints in comments by our account for earlier jobs, in open and in resolved threads. A comment of this job is
    /// no repeat: after a lost answer of the forge, the caller omits it from the next request.
    pub posted: &'a BTreeSet<Fingerprint>,
    /// Whether the reviewed commit has a file with this path.
    pub is_in_tree: &'a dyn Fn(&str) -> bool,
}

/// Returns one place for each finding, in the order of the findings. `diff`: the whole pull request.
pub fn place(findings: &[Finding], diff: &Diff<'_>, rules: &PlaceRules<'_>) -> Vec<Place> {
    let mut places: Vec<Place> = findings.iter().map(|finding| place_alone(finding, diff, rules)).collect();
    let mut by_severity: Vec<_> = findings.iter().zip(&mut places).collect();
    by_severity.sort_by_key(|(finding, _)| Reverse(finding.severity));
    let mut fingerprints = BTreeSet::new();
    for (_, place) in by_severity {
        let Place::Inline(comment) = &*place else { continue };
        // Equal lines have one fingerprint. After a lost answer of the forge, a second comment would look posted.
        if fingerprints.len() == MAX_INLINE_FINDINGS || !fingerprints.insert(comment.fingerprint.clone()) {
            *place = Place::InText;
        }
    }
    places
}

fn place_alone(finding: &Finding, diff: &Diff<'_>, rules: &PlaceRules<'_>) -> Place {
    if finding.severity < MIN_SEVERITY {
        return Place::Dropped(DropReason::BelowMinSeverity);
    }
    let is_exact =
        diff.contains_file(&finding.path) || is_plain_path(&finding.path) && (rules.is_in_tree)(&finding.path);
    let found = if is_exact { Some(finding.path.as_str()) } else { diff.find_file(&finding.path) };
    // A finding was paid for: without its file, it is still shown.
    let Some(path) = found else { return Place::InText };
    let line = finding.line.or_else(|| split_line(finding.path.trim()).1.filter(|_| !is_exact));
    let finding = &Finding { path: path.to_owned(), line, ..finding.clone() };
    let shown = finding.line.and_then(|line| Some((line, diff.find_hunk(path, finding.side, line)?)));
    let Some((line, hunk)) = shown else { return Place::InText };
    let lines = hunk.lines(finding.side);
    let fingerprint = Fingerprint::new(finding, lines.get(&line).copied().unwrap_or_default());
    if rules.posted.contains(&fingerprint) {
        return Place::Repeated;
    }
    let is_whole_range_shown = finding.start_line.is_none_or(|start| lines.contains_key(&start));
    let suggestion = match is_whole_range_shown && can_apply(finding, hunk, line, rules.forge) {
        true => SuggestionForm::Block,
        false => SuggestionForm::Code,
    };
    let (job, severity) = (rules.job.clone(), finding.severity);
    let marker = Marker::Finding(FindingMarker { job, fingerprint: fingerprint.clone(), severity });
    Place::Inline(InlineComment {
        path: path.to_owned(),
        side: finding.side,
        start_line: finding.start_line.filter(|_| is_whole_range_shown),
        line,
        body: marker.append_to(rules.forge, &render_finding(finding, None, suggestion)),
        fingerprint,
    })
}

fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.chars().any(char::is_control)
}

/// Whether the forge can replace the lines of the finding, all of which are in the hunk, by its suggestion.
fn can_apply(finding: &Finding, hunk: &Hunk<'_>, line: u32, forge: ForgeKind) -> bool {
    let Some(suggestion) = &finding.suggestion else { return false };
    let replaced = hunk.lines(Side::Right).range(finding.start_line.unwrap_or(line)..=line);
    // A suggestion that lost a part would damage the file.
    let is_complete = !suggestion.contains(HIDDEN_PLACEHOLDER) && remove_hidden(suggestion) == *suggestion;
    forge.spec().suggestion_blocks
        && finding.side == Side::Right
        && is_complete
        && !suggestion.lines().eq(replaced.map(|(_, text)| *text))
}

#[cfg(test)]
mod tests;
