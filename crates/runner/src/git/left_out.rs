//! Reports the folders that are excluded from the work.

use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::git::nested::LeftOut;
use crate::git::workspace::Workspace;
use pullyard_domain::prompt::untrusted::remove_hidden;
use pullyard_domain::published::left_out::{NestedRepository, render_sentence};
use pullyard_protocol::event::EventKind;

/// Returns the excluded folders. If they changed since the last call and are not empty, also adds an event.
pub(crate) fn tell(this: &Attempt<'_>, workspace: &Workspace) -> Vec<NestedRepository> {
    let folder = |left: &LeftOut| {
        // Redact the whole path, before it is cut.
        let path = this.redactor.text(&remove_hidden(&left.folder.to_string_lossy())).into_owned();
        NestedRepository { path, kind: left.what }
    };
    let folders: Vec<NestedRepository> = workspace.left_out().iter().map(folder).collect();
    if workspace.leaves_out_others() && !folders.is_empty() {
        let words = this.redactor.text(&render_sentence(&folders)).into_owned();
        this.events.add(Said::words(EventKind::Log, words));
    }
    folders
}
