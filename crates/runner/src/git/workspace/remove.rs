//! Removes folders that an agent wrote, of any depth and with any permissions, and files on which git would block.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Whether a folder is at this path. False for a link, because an agent may have created it.
pub(crate) fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Deeper folders are moved up before removal, because removal needs an open file and stack space for each level.
const MAX_DEPTH: usize = 64;
/// `make_removable` moves a longer path up, `remove_special_files` removes it. Units: bytes.
const MAX_PATH_BYTES: usize = 512;

pub(super) fn remove_tree(dir: &Path) -> io::Result<()> {
    make_removable(dir);
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the entry at this path, if there is one. Never removes the target of a link.
pub(crate) fn remove_entry(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => remove_tree(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes entries under a folder that are neither files nor folders, because git would block on a pipe or a link to
/// one. Also removes `dir` itself if it is no folder, and folders with longer paths than git needs: a path that is too
/// long cannot be opened.
/// Idempotent: a repeated call continues.
pub(crate) fn remove_special_files(dir: &Path) -> io::Result<()> {
    if !is_folder(dir) {
        return remove_entry(dir);
    }
    let longest = dir.as_os_str().len() + MAX_PATH_BYTES;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.as_os_str().len() > longest {
            remove_tree(&folder)?;
            continue;
        }
        // An agent may have removed the permissions of the folder.
        restore_permissions(&folder);
        let listing = match fs::read_dir(&folder) {
            // Another process uses the folder too, and may have removed the entry.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listing => listing?,
        };
        for entry in listing {
            let entry = entry?;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() {
                self::remove_entry(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Changes `dir` and its content so that they can be removed. Reports no errors: the removal fails later.
fn make_removable(dir: &Path) {
    if !is_folder(dir) {
        return;
    }
    let longest = dir.as_os_str().len() + MAX_PATH_BYTES;
    let (mut folders, mut number) = (vec![(dir.to_owned(), 0)], 0_usize);
    while let Some((mut folder, mut depth)) = folders.pop() {
        restore_permissions(&folder);
        if depth >= MAX_DEPTH || folder.as_os_str().len() > longest {
            let mut target = dir.join(number.to_string());
            while fs::symlink_metadata(&target).is_ok() {
                number += 1;
                target = dir.join(number.to_string());
            }
            if fs::rename(&folder, &target).is_ok() {
                (folder, depth) = (target, 1);
            }
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push((entry.path(), depth + 1));
            }
        }
    }
}

/// Module caches make their folders read-only.
fn restore_permissions(folder: &Path) {
    let Ok(metadata) = fs::symlink_metadata(folder) else { return };
    if metadata.is_dir() && metadata.permissions().mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn read_only_folder_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("cache/inner")).unwrap();
        fs::write(root.join("cache/inner/file"), "").unwrap();
        fs::set_permissions(root.join("cache"), Permissions::from_mode(0o500)).unwrap();
        fs::set_permissions(root.join("cache/inner"), Permissions::from_mode(0o000)).unwrap();
        remove_tree(&root).unwrap();
        assert!(!root.exists());
        remove_tree(&root).unwrap();
    }

    #[test]
    fn folder_deeper_than_the_path_limit_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [root, next] = ["root", "next"].map(|name| dir.path().join(name));
        let chain: PathBuf = ["d"; 200].iter().collect();
        fs::create_dir_all(root.join(&chain)).unwrap();
        fs::set_permissions(root.join(&chain), Permissions::from_mode(0o000)).unwrap();
        for _ in 0..20 {
            fs::create_dir_all(next.join(&chain)).unwrap();
            // Names that the removal may use itself.
            fs::write(next.join("0"), "").unwrap();
            fs::create_dir(next.join("1")).unwrap();
            fs::rename(&root, next.join(&chain).join("d")).unwrap();
            fs::rename(&next, &root).unwrap();
        }
        remove_tree(&root).unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn special_files_are_removed_inside_the_folder_only() {
        let dir = tempfile::tempdir().unwrap();
        let [root, outside] = ["root", "outside"].map(|name| dir.path().join(name));
        for folder in [&root.join("a/b"), &outside] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), "").unwrap();
            nix::unistd::mkfifo(&folder.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        }
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        fs::set_permissions(root.join("a/b"), Permissions::from_mode(0o500)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("a/socket")).unwrap();
        for _ in 0..2 {
            remove_special_files(&root).unwrap();
        }
        let exists =
            ["a/b/file", "a/b/pipe", "a/socket", "link"].map(|path| fs::symlink_metadata(root.join(path)).is_ok());
        assert_eq!(exists, [true, false, false, false]);
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        remove_special_files(&root.join("link")).unwrap();
        remove_special_files(&root.join("none")).unwrap();
        assert!(fs::symlink_metadata(root.join("link")).is_err(), "the link replaces a folder");
        assert!(fs::symlink_metadata(outside.join("pipe")).is_ok() && outside.join("file").exists());
    }

    #[test]
    fn special_file_search_removes_folders_beyond_path_limit() {
        let dir = tempfile::tempdir().unwrap();
        let [root, next] = ["root", "next"].map(|name| dir.path().join(name));
        let chain: PathBuf = ["d"; 200].iter().collect();
        fs::create_dir(&root).unwrap();
        for _ in 0..12 {
            fs::create_dir_all(next.join(&chain)).unwrap();
            fs::rename(&root, next.join(&chain).join("d")).unwrap();
            fs::rename(&next, &root).unwrap();
        }
        fs::write(root.join("file"), "").unwrap();
        remove_special_files(&root).unwrap();
        assert!(root.join("file").exists() && root.join(&chain).exists());
        assert!(!root.join(&chain).join("d").join(&chain).exists());
        remove_tree(&root).unwrap();
    }

    #[test]
    fn links_are_removed_without_following_them() {
        let dir = tempfile::tempdir().unwrap();
        let [root, outside] = ["root", "outside"].map(|name| dir.path().join(name));
        for folder in [&root, &outside] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(outside.join("file"), "").unwrap();
        fs::set_permissions(&outside, Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        make_removable(&root);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o755);
        remove_tree(&root).unwrap();
        assert!(!root.exists() && outside.join("file").exists());
    }
}
