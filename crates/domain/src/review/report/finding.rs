//! Renders a finding of a review.

use super::markdown::{defuse, defuse_line};
use super::review_output::{Finding, MAX_TITLE_CHARS};
use crate::text::untrusted::{fence, fence_lines, remove_hidden};
use std::fmt::Write;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuggestionForm {
    /// A block that the forge can apply.
    Block,
    Code,
}

/// `location` is Markdown; `None` in a comment at the finding's line.
pub(super) fn render_finding(finding: &Finding, location: Option<&str>, form: SuggestionForm) -> String {
    let (severity, category) = (finding.severity.as_str(), finding.category.as_str());
    let location = location.map(|location| format!(" {location}")).unwrap_or_default();
    let title = defuse_line(&finding.title, MAX_TITLE_CHARS);
    let mut text = format!("**{severity}, {category}:**{location} {title}\n\n{}\n", defuse(&finding.body));
    match (&finding.suggestion, form) {
        (None, _) => {}
        (Some(code), SuggestionForm::Block) => {
            // An empty block deletes the lines; an empty line would replace them.
            let lines = if code.is_empty() || code.ends_with('\n') { code.clone() } else { format!("{code}\n") };
            let _ = write!(text, "\n{}", fence_lines("suggestion", &lines));
        }
        (Some(code), SuggestionForm::Code) if code.trim().is_empty() => {
            text.push_str("\nSuggested: delete the lines.\n")
        }
        (Some(code), SuggestionForm::Code) => {
            let _ = write!(text, "\nSuggested instead:\n\n{}", fence(remove_hidden(code).trim_matches('\n')));
        }
    }
    text
}
