//! A row of the log, as the page shows it.

use super::fold::FoldHead;
use crate::markdown::SafeHtml;
use crate::prelude::*;

pub(crate) struct Entry {
    /// The row's anchor: `e1.12`.
    pub(crate) id: String,
    /// Attempt and number of its first event.
    pub(crate) position: (u32, u64),
    pub(crate) at: String,
    pub(crate) exact: String,
    pub(crate) content: RowContent,
    /// Result and duration: `exit 1 · 2.1 s`.
    pub(crate) meta: SafeText,
    /// A failed call. Its output is open.
    pub(crate) failed: bool,
    pub(crate) call: Option<SafeText>,
    pub(crate) cut: bool,
    /// Neighbouring calls of the same kind fold: `Read`, `Searched`, or the tool's name.
    pub(super) kind: Option<String>,
    /// A fold begins before this row.
    pub(crate) opens: Option<FoldHead>,
    /// A fold ends after this row.
    pub(crate) closes: bool,
    pub(super) happened: Timestamp,
}

pub(crate) enum RowContent {
    Heading(SafeText),
    Said(SafeHtml),
    Question(SafeHtml),
    Message {
        by: SafeText,
        answers: bool,
        text: SafeText,
    },
    Step {
        icon: &'static str,
        verb: &'static str,
        target: SafeText,
        code: bool,
        /// A check or setup command of the project.
        check: bool,
        under: Option<SafeText>,
    },
    /// The result of a call from an earlier part of the log.
    ToolResult {
        name: SafeText,
        under: SafeText,
    },
    Output(SafeText),
    Note(SafeText),
    /// Events that this part leaves out.
    Gap {
        address: String,
    },
}

impl Entry {
    pub(crate) fn is_failed_check(&self) -> bool {
        self.failed && matches!(self.content, RowContent::Step { check: true, .. })
    }

    /// For the script, which folds rows that arrive later.
    pub(crate) fn fold_kind(&self) -> Option<SafeText> {
        self.kind.as_deref().filter(|_| !self.failed).map(line)
    }

    pub(crate) fn class(&self) -> &'static str {
        match &self.content {
            RowContent::Said(_) => "say",
            RowContent::Message { .. } => "message",
            RowContent::Question(_) => "asks",
            _ if self.is_failed_check() => "fails",
            _ => "",
        }
    }

    pub(crate) fn icon(&self) -> &'static str {
        match &self.content {
            RowContent::Said(_) => "i-say",
            RowContent::Question(_) => "i-ask",
            RowContent::Message { .. } | RowContent::Note(_) => "i-user",
            RowContent::Step { .. } if self.failed => "i-fail",
            RowContent::Step { icon, .. } => icon,
            RowContent::Heading(_) | RowContent::ToolResult { .. } | RowContent::Output(_) | RowContent::Gap { .. } => {
                "i-cmd"
            }
        }
    }
}
