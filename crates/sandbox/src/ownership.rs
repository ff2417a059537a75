//! Changes the owner of a folder to the agents' account, and back. Follows no link that an agent made.

use crate::account::Account;
use crate::error::Error;
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchown, openat, openat2, statat,
};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Changes the owner of a folder and of its content. The kernel removes set-user-id bits of files on the way.
///
/// Another file system below is an error.
/// Idempotent: a repeated call continues. Errors: a path of more than 4096 bytes.
pub(crate) fn change_owner(folder: &Path, owner: Account) -> Result<(), Error> {
    change(folder, owner).map_err(Error::io(format!("change the owner of {}", folder.display())))
}

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn change(folder: &Path, owner: Account) -> io::Result<()> {
    let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
    let root = openat(CWD, folder, OPEN, Mode::empty())?;
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let mut pending = vec![PathBuf::from(".")];
    while let Some(path) = pending.pop() {
        let open = openat2(&root, &path, OPEN, Mode::empty(), beneath)?;
        for entry in Dir::read_from(&open)? {
            let entry = entry?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") {
                continue;
            }
            chownat(&open, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            let kind = match entry.file_type() {
                FileType::Unknown => FileType::from_raw_mode(statat(&open, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode),
                kind => kind,
            };
            if kind == FileType::Directory {
                pending.push(path.join(OsStr::from_bytes(bytes)));
            }
        }
        fchown(&open, uid, gid)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn owner_changes_without_following_links() {
        if !unistd::Uid::effective().is_root() {
            eprintln!("skipped: only root can change owners");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (work, outside) = (folder.path().join("work"), folder.path().join("outside"));
        fs::create_dir_all(work.join("deep/er")).unwrap();
        fs::create_dir_all(work.join(".git/hooks")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("file"), "").unwrap();
        fs::write(work.join("deep/er/tool"), "").unwrap();
        fs::set_permissions(work.join("deep/er/tool"), Permissions::from_mode(0o6755)).unwrap();
        symlink(&outside, work.join("deep/link")).unwrap();
        symlink(outside.join("file"), work.join("link")).unwrap();
        let agent = Account { uid: 1_900_000_007, gid: 1_900_000_008 };
        change_owner(&work, agent).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).map(|metadata| (metadata.uid(), metadata.gid())).unwrap();
        for path in ["", ".git/hooks", "deep", "deep/er/tool", "link", "deep/link"] {
            assert_eq!(owner(&work.join(path)), (agent.uid, agent.gid), "{path}");
        }
        for path in [outside.clone(), outside.join("file")] {
            assert_eq!(owner(&path), (0, 0), "{}", path.display());
        }
        // The agent could otherwise leave a program that runs as root for everyone.
        fs::set_permissions(work.join("deep/er/tool"), Permissions::from_mode(0o6755)).unwrap();
        change_owner(&work, Account { uid: 0, gid: 0 }).unwrap();
        let mode = fs::metadata(work.join("deep/er/tool")).unwrap().mode();
        assert_eq!((owner(&work.join("deep/er/tool")), mode & 0o6000), ((0, 0), 0));
        assert!(change_owner(&work.join("deep/link"), agent).is_err());
    }
}
