//! Ends a run with the process that started it, where nobody else is left to hear of the job: `try` and `demo` have the
//! control plane in their own process, while jobs of `up` and of a runner outlive theirs.
//!
//! Looked at once a second, which needs nothing of the system: an orphan gets another parent everywhere, on a Mac as
//! well. PR_SET_PDEATHSIG is Linux's alone, and fires when the thread ends that started us.

use crate::git::workspace::remove_entry;
use crate::inputs::orders::{Order, Orders};
use std::fs;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Whether the process with this number is our parent no more.
fn is_gone(parent: u32) -> bool {
    // Its number was told by itself: it may have died before we could ask.
    parent_id() != parent
}

/// Looks until dropped; that the parent is gone is told as SIGTERM is.
pub(crate) fn watch(parent: u32, orders: Orders) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        while !is_gone(parent) {
            sleep(LOOK_EVERY).await;
        }
        tracing::info!("the process that started the runner is gone: the runner stops");
        orders.give(Order::Shutdown);
    }))
}

/// Removes the folder of a parent that is gone: a forge's token is in it, and nobody comes back for it.
pub(crate) fn remove_folder_of(parent: u32, folder: &Path) {
    if is_gone(parent) {
        remove_each(folder);
    }
}

/// Each by itself: what can't be removed of an agent's keeps no secret beside it.
fn remove_each(folder: &Path) {
    // An agent may have put a link in its place: what that leads to is not ours, and the link alone goes.
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|about| about.is_dir());
    let listing = if is_folder { fs::read_dir(folder).ok() } else { None };
    let entries = listing.into_iter().flatten().flatten().map(|entry| entry.path());
    // Another run of the same parent may have been there before.
    for path in entries.chain([folder.to_owned()]) {
        if let Err(error) = remove_entry(&path) {
            tracing::warn!(error = %error, "{} could not be removed: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("try");
        fs::create_dir_all(folder.join("work/deep")).unwrap();
        fs::write(folder.join("work/deep/file"), "x").unwrap();
        fs::write(folder.join("keys.json"), "planted").unwrap();
        fs::set_permissions(folder.join("work/deep"), fs::Permissions::from_mode(0o000)).unwrap();
        (outside, folder)
    }

    #[test]
    fn the_folder_of_a_parent_that_is_gone_is_removed_whatever_an_agent_left_in_it() {
        let (_outside, folder) = folder();
        // Nobody's child is its own parent.
        remove_folder_of(std::process::id(), &folder);
        assert!(!folder.exists());
        // Another run of the same parent comes later.
        remove_folder_of(std::process::id(), &folder);
    }

    #[test]
    fn the_folder_of_a_parent_that_lives_stays() {
        let (_outside, folder) = folder();
        remove_folder_of(parent_id(), &folder);
        assert!(folder.join("keys.json").exists());
        remove_each(&folder);
    }

    #[test]
    fn of_a_link_in_the_place_of_the_folder_nothing_goes_that_it_leads_to() {
        let (outside, folder) = folder();
        let link = outside.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        remove_folder_of(std::process::id(), &link);
        assert!(fs::symlink_metadata(&link).is_err() && folder.join("keys.json").exists());
        remove_each(&folder);
    }

    #[tokio::test]
    async fn a_parent_that_is_gone_is_an_order_to_end() {
        let orders = Orders::new();
        let _watch = watch(std::process::id(), orders.clone());
        assert_eq!(orders.any().await, Order::Shutdown);
    }
}
