//! Reports the folders that are excluded from the work.

use crate::api::attempt::Attempt;
use crate::git::nested::ExcludedRepository;
use crate::git::workspace::Workspace;
use pullyard_domain::prompt::untrusted::remove_hidden;
use pullyard_domain::published::nested_repository::{NestedRepository, render_sentence};

/// Returns the excluded folders. If they changed since the last call and are not empty, also adds an event.
pub(crate) fn report_excluded_folders(attempt: &Attempt<'_>, workspace: &Workspace) -> Vec<NestedRepository> {
    let folder = |repository: &ExcludedRepository| {
        // Redact the whole path, before it is cut.
        let path = attempt.redactor.redact_text(&remove_hidden(&repository.folder.to_string_lossy())).into_owned();
        NestedRepository { path, kind: repository.kind }
    };
    let folders: Vec<NestedRepository> = workspace.excluded_repositories().iter().map(folder).collect();
    if workspace.take_exclusion_change() && !folders.is_empty() {
        let text = attempt.redactor.redact_text(&render_sentence(&folders)).into_owned();
        attempt.events.log(text);
    }
    folders
}
