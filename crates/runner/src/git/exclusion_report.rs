//! Reports which work is excluded from the commit, and doubts about the rest.

use crate::api::calls::Calls;
use crate::git::workspace::Workspace;
use crate::stop::Stop;
use pullyard_domain::review::published::work_notes::WorkNotes;
use pullyard_domain::text::Quoted;
use pullyard_domain::text::failure::Failure;

/// Returns the exclusions. If they changed since the last call and are not empty, also adds events.
pub(crate) fn report_exclusions(attempt: &Calls<'_>, workspace: &Workspace) -> WorkNotes {
    // Redact whole paths, before they are cut.
    let notes = workspace.exclusions().to_notes(|text| attempt.redactor.redact_text(text).into_owned());
    if workspace.take_exclusion_change() {
        for sentence in notes.render_sentences() {
            attempt.events.log(attempt.redactor.redact_text(&sentence).into_owned());
        }
    }
    notes
}

/// Adds the paths that were left out to `NoChanges`.
pub(crate) fn explain_no_changes(stop: Stop, notes: &WorkNotes) -> Stop {
    match stop {
        Stop::Failure(Failure::NoChanges { .. }) => {
            let left_out = Some(notes.render_left_out()).filter(|paths| !paths.is_empty());
            Failure::NoChanges { left_out: Quoted(left_out) }.into()
        }
        stop => stop,
    }
}
