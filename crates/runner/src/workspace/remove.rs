//! Removing a folder that an agent wrote in, whatever it did to the permissions.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Removes everything in and under it; never follows a link.
pub(super) fn tree(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // Module caches make their folders read-only.
            unlock(dir);
            fs::remove_dir_all(dir)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes whatever stands there, if anything does; never what a link leads to.
pub(crate) fn entry(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_dir() => tree(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn unlock(dir: &Path) {
    if !fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir()) {
        return;
    }
    // What can't be unlocked is found when it is removed.
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    let Ok(listing) = fs::read_dir(dir) else {
        return;
    };
    for entry in listing.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_only_folder_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("cache/inner")).unwrap();
        fs::write(root.join("cache/inner/file"), "").unwrap();
        fs::set_permissions(root.join("cache"), Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(root.join("cache/inner"), Permissions::from_mode(0o000)).unwrap();
        tree(&root).unwrap();
        assert!(!root.exists());
        tree(&root).unwrap();
    }

    #[test]
    fn a_link_in_it_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let [root, outside] = ["root", "outside"].map(|name| dir.path().join(name));
        for folder in [&root, &outside] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        unlock(&root);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o755);
        tree(&root).unwrap();
        assert!(!root.exists() && outside.join("file").exists());
    }
}
