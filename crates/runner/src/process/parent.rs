//! Stops a run when the process that started it is gone.
//! `try` and `demo` contain the control plane, so their jobs must end with them. Jobs of `up` and of a runner outlive
//! that process. Checks the parent's id once a second, which works on all systems, also on macOS. PR_SET_PDEATHSIG
//! exists only on Linux, and fires when the thread ends that started this process.

use crate::git::workspace::remove_entry;
use crate::inputs::orders::{Order, Orders};
use std::fs;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::time::Duration;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

const POLL_INTERVAL: Duration = Duration::from_secs(1);

fn is_gone(parent: u32) -> bool {
    // The parent passed its own id. It may have died before this process started.
    parent_id() != parent
}

/// Checks until dropped. If the parent is gone, gives the same order as SIGTERM.
pub(crate) fn watch(parent: u32, orders: Orders) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        while !is_gone(parent) {
            sleep(POLL_INTERVAL).await;
        }
        tracing::info!("parent process exited; stopping");
        orders.set(Order::Shutdown);
    }))
}

/// Removes the folder of a dead parent. It contains a token of the forge, and no other process removes it.
pub(crate) fn remove_folder_of_dead_parent(parent: u32, folder: &Path) {
    if is_gone(parent) {
        remove_entries(folder);
    }
}

/// Removes each entry separately, so that an entry which cannot be removed does not prevent the removal of a secret.
fn remove_entries(folder: &Path) {
    // An agent may have replaced the folder by a link. Only the link is removed, not its target.
    let is_folder = fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir());
    let listing = if is_folder { fs::read_dir(folder).ok() } else { None };
    let entries = listing.into_iter().flatten().flatten().map(|entry| entry.path());
    // Another run of the same parent may have removed the folder before.
    for path in entries.chain([folder.to_owned()]) {
        if let Err(error) = remove_entry(&path) {
            tracing::warn!(error = %error, "cannot remove {}: {error}", path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn parent_folder() -> (tempfile::TempDir, std::path::PathBuf) {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("try");
        fs::create_dir_all(folder.join("work/deep")).unwrap();
        fs::write(folder.join("work/deep/file"), "x").unwrap();
        fs::write(folder.join("keys.json"), "planted").unwrap();
        fs::set_permissions(folder.join("work/deep"), fs::Permissions::from_mode(0o000)).unwrap();
        (outside, folder)
    }

    #[test]
    fn folder_of_a_dead_parent_is_removed() {
        let (_outside, folder) = parent_folder();
        // A process is never its own parent, so this parent counts as gone.
        remove_folder_of_dead_parent(std::process::id(), &folder);
        assert!(!folder.exists());
        // A second run of the same parent finds no folder.
        remove_folder_of_dead_parent(std::process::id(), &folder);
    }

    #[test]
    fn folder_of_a_living_parent_stays() {
        let (_outside, folder) = parent_folder();
        remove_folder_of_dead_parent(parent_id(), &folder);
        assert!(folder.join("keys.json").exists());
        remove_entries(&folder);
    }

    #[test]
    fn link_at_the_folder_is_removed_and_not_its_target() {
        let (outside, folder) = parent_folder();
        let link = outside.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        remove_folder_of_dead_parent(std::process::id(), &link);
        assert!(fs::symlink_metadata(&link).is_err() && folder.join("keys.json").exists());
        remove_entries(&folder);
    }

    #[tokio::test]
    async fn dead_parent_causes_a_shutdown() {
        let orders = Orders::new();
        let _watch = watch(std::process::id(), orders.clone());
        assert_eq!(orders.wait_any().await, Order::Shutdown);
    }
}
