//! Removing a folder that an agent wrote in, whatever it did to the permissions and however deep it is; and what git
//! would wait for.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What is deeper is brought up before it is removed, which takes an open file and a piece of the stack for each level.
const DEEPEST: usize = 64;
/// So is what has a longer path below the folder, and where git looks it goes. Units: bytes.
const LONGEST: usize = 512;

/// Removes everything in and under it; never follows a link.
pub(super) fn tree(dir: &Path) -> io::Result<()> {
    open_up(dir);
    match fs::remove_dir_all(dir) {
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

/// Removes what is in and under a folder and neither a file nor a folder: git would wait for a pipe in the place of a
/// file that it reads, and a link may lead to one. So is what stands in the place of the folder itself, and folders
/// with longer paths than git needs: in the end nobody could look into them. Repeating it does what is left to do.
pub(super) fn odd(dir: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir()) {
        return entry(dir);
    }
    let longest = dir.as_os_str().len() + LONGEST;
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        if folder.as_os_str().len() > longest {
            tree(&folder)?;
            continue;
        }
        // Whoever put it there may have closed the folder behind it.
        unlock(&folder);
        let listing = match fs::read_dir(&folder) {
            // Others may use it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listing => listing?,
        };
        for entry in listing {
            let entry = entry?;
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if !kind.is_file() {
                self::entry(&entry.path())?;
            }
        }
    }
    Ok(())
}

/// Makes a folder, and all in it, such that it can be removed. What can't be made so is found when it is removed.
fn open_up(dir: &Path) {
    if !fs::symlink_metadata(dir).is_ok_and(|about| about.is_dir()) {
        return;
    }
    let longest = dir.as_os_str().len() + LONGEST;
    let (mut folders, mut brought_up) = (vec![(dir.to_owned(), 0)], 0_usize);
    while let Some((mut folder, mut depth)) = folders.pop() {
        unlock(&folder);
        if depth >= DEEPEST || folder.as_os_str().len() > longest {
            let mut up = dir.join(brought_up.to_string());
            while fs::symlink_metadata(&up).is_ok() {
                brought_up += 1;
                up = dir.join(brought_up.to_string());
            }
            if fs::rename(&folder, &up).is_ok() {
                (folder, depth) = (up, 1);
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
fn unlock(folder: &Path) {
    let Ok(about) = fs::symlink_metadata(folder) else { return };
    if about.is_dir() && about.permissions().mode() & 0o700 != 0o700 {
        let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
    fn a_folder_that_is_deeper_than_a_path_can_be_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let [root, next] = ["root", "next"].map(|name| dir.path().join(name));
        let chain: PathBuf = ["d"; 200].iter().collect();
        fs::create_dir_all(root.join(&chain)).unwrap();
        fs::set_permissions(root.join(&chain), Permissions::from_mode(0o000)).unwrap();
        for _ in 0..20 {
            fs::create_dir_all(next.join(&chain)).unwrap();
            // Names that what is brought up could have.
            fs::write(next.join("0"), "").unwrap();
            fs::create_dir(next.join("1")).unwrap();
            fs::rename(&root, next.join(&chain).join("d")).unwrap();
            fs::rename(&next, &root).unwrap();
        }
        tree(&root).unwrap();
        assert!(!root.exists());
    }

    #[test]
    fn what_is_neither_file_nor_folder_goes_and_nothing_elsewhere() {
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
            odd(&root).unwrap();
        }
        let there =
            ["a/b/file", "a/b/pipe", "a/socket", "link"].map(|path| fs::symlink_metadata(root.join(path)).is_ok());
        assert_eq!(there, [true, false, false, false]);
        std::os::unix::fs::symlink(&outside, root.join("link")).unwrap();
        odd(&root.join("link")).unwrap();
        odd(&root.join("none")).unwrap();
        assert!(fs::symlink_metadata(root.join("link")).is_err(), "it stands in the place of a folder");
        assert!(fs::symlink_metadata(outside.join("pipe")).is_ok() && outside.join("file").exists());
    }

    #[test]
    fn folders_that_are_deeper_than_a_path_can_be_keep_nobody_from_looking_for_what_is_odd() {
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
        odd(&root).unwrap();
        assert!(root.join("file").exists() && root.join(&chain).exists());
        assert!(!root.join(&chain).join("d").join(&chain).exists());
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
        open_up(&root);
        assert_eq!(fs::metadata(&outside).unwrap().permissions().mode() & 0o777, 0o755);
        tree(&root).unwrap();
        assert!(!root.exists() && outside.join("file").exists());
    }
}
