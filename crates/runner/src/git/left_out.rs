//! Reports the folders that are excluded from the work.

use crate::api::attempt::Attempt;
use crate::api::said::Said;
use crate::git::nested::LeftOut;
use crate::git::workspace::Workspace;
use pullyard_domain::prompt::untrusted::visible;
use pullyard_domain::published::left_out::{Folder, in_words};
use pullyard_protocol::event::EventKind;

/// Returns the excluded folders. If they changed since the last call and are not empty, also adds an event.
pub(crate) fn tell(this: &Attempt<'_>, workspace: &Workspace) -> Vec<Folder> {
    let folder = |left: &LeftOut| {
        // Redact the whole path, before it is cut.
        let path = this.redactor.text(&visible(&left.folder.to_string_lossy())).into_owned();
        Folder { path, what: left.what }
    };
    let folders: Vec<Folder> = workspace.left_out().iter().map(folder).collect();
    if workspace.leaves_out_others() && !folders.is_empty() {
        let words = this.redactor.text(&in_words(&folders)).into_owned();
        this.events.add(Said::words(EventKind::Log, words));
    }
    folders
}
