//! Folds neighbouring calls of tools that only read, and equal calls of other tools.
//! Commands, edits, questions and failures never fold. Run it on the rows of a page, after their number is limited.

use super::{Entry, RowContent};
use crate::text::{SafeText, line};
use pullyard_protocol::event::Event;

const MIN_ROWS: usize = 3;
const MAX_NAMES: usize = 2;
const MAX_NAME_CHARS: usize = 80;

pub(crate) struct FoldHead {
    pub(crate) icon: &'static str,
    /// `Read 5 files`.
    pub(crate) text: SafeText,
    /// `src/a.rs, src/b.rs and 3 more`.
    pub(crate) named: SafeText,
}

/// The verb of a call that only reads, otherwise its tool.
pub(super) fn kind(event: &Event) -> String {
    let name = event.name.as_deref().unwrap_or_default();
    let (_, verb) = super::content::tool_verb(name);
    if verb.is_empty() { name.to_owned() } else { verb.to_owned() }
}

pub(crate) fn fold(entries: &mut [Entry]) {
    let is_neighbour = |a: &Entry, b: &Entry| !a.failed && !b.failed && a.kind.is_some() && a.kind == b.kind;
    for rows in entries.chunk_by_mut(is_neighbour) {
        if rows.len() < MIN_ROWS {
            continue;
        }
        let head = head(rows);
        if let (Some(head), [first, .., last]) = (head, rows) {
            (first.opens, last.closes) = (Some(head), true);
        }
    }
}

fn head(rows: &[Entry]) -> Option<FoldHead> {
    let first = rows.first()?;
    let kind = first.kind.as_deref()?;
    let subject = |row: &Entry| match &row.content {
        RowContent::Step { target, .. } => target.to_string().chars().take(MAX_NAME_CHARS).collect(),
        _ => String::new(),
    };
    let unit = if kind == "Read" { "files" } else { "times" };
    let named = rows.iter().take(MAX_NAMES).map(subject).collect::<Vec<_>>().join(", ");
    let rest = rows.len().saturating_sub(MAX_NAMES);
    Some(FoldHead {
        icon: first.icon(),
        text: line(&format!("{kind} {} {unit}", rows.len())),
        named: line(&format!("{named} and {rest} more")),
    })
}
