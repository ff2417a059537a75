//! Chooses and opens the work folders of a runner that is root, because agents' accounts cannot enter root's folders.

use crate::git::workspace::disk::create_private_dirs;
use crate::hash::sha256_hex;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Not `/var/lib/pullyard`, which may belong to a service with another user.
pub(crate) const ROOT_FOLDERS: &str = "/var/lib/pullyard-jobs";

/// The work folder for the jobs of a data folder, if this process is root.
pub fn root_work_folder(data: &Path) -> Option<PathBuf> {
    let hash = sha256_hex(&*data.to_string_lossy());
    is_root().then(|| Path::new(ROOT_FOLDERS).join(format!("up-{}", hash.get(..12).unwrap_or(&hash))))
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Creates a work folder that agents' accounts can enter, if the folders above it are not private.
pub(crate) fn create_enterable(folder: &Path) -> io::Result<()> {
    create_private_dirs(folder)?;
    let is_work_folder = |dir: &&Path| *dir == folder || dir.starts_with(ROOT_FOLDERS);
    folder.ancestors().filter(is_work_folder).try_for_each(|dir| {
        let metadata = fs::symlink_metadata(dir)?;
        if dir != folder && !(metadata.is_dir() && metadata.uid() == 0) {
            return Err(io::Error::other(format!("{} is no folder of root", dir.display())));
        }
        make_enterable(dir)
    })
}

/// Lets every user enter a folder, without the right to list it.
pub(crate) fn make_enterable(folder: &Path) -> io::Result<()> {
    let mode = fs::metadata(folder)?.permissions().mode();
    fs::set_permissions(folder, Permissions::from_mode(mode | 0o011))
}
