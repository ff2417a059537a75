//! Measures the disk space of a folder that a hostile job may change at the same time.

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::path::Arg;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Deeper folders are not measured, because each level needs an open file.
const MAX_DEPTH: usize = 128;
/// An empty file has no blocks, but it has an inode and a name.
const MIN_ENTRY_BYTES: u64 = 4096;
/// Never the target of a link, because a job may replace a folder by a link after its type was read.
const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) struct Walk {
    /// The walk ends above this sum. Units: bytes.
    pub(super) limit_bytes: u64,
    pub(super) until: Instant,
    pub(super) cancellation: CancellationToken,
}

impl Walk {
    /// Returns the least space that the folder has. Units: bytes.
    ///
    /// Not measured: deleted files that are still open, folders that this user cannot read or below `MAX_DEPTH`, and
    /// entries after the deadline.
    pub(super) fn measure(&self, folder: &Path) -> u64 {
        let mut size = 0_u64;
        // Depth first, so that the memory depends on the depth and not on the number of folders.
        let mut stack: Vec<Dir> = open_folder(CWD, folder).into_iter().collect();
        loop {
            let depth = stack.len();
            let Some(folder) = stack.last_mut() else { return size };
            let Some(Ok(entry)) = folder.read() else {
                stack.pop();
                continue;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(parent) = folder.fd() else { continue };
            let Ok(stat) = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            #[allow(clippy::unnecessary_cast, reason = "the width differs between systems")]
            let names = if is_folder { 1 } else { (stat.st_nlink as u64).max(1) };
            let bytes = u64::try_from(stat.st_blocks).unwrap_or_default().saturating_mul(512);
            // Each name of a file counts as a part of it.
            size = size.saturating_add((bytes / names).max(MIN_ENTRY_BYTES));
            if size > self.limit_bytes || Instant::now() > self.until || self.cancellation.is_cancelled() {
                return size;
            }
            if is_folder && depth < MAX_DEPTH {
                let inner = open_folder(parent, name);
                stack.extend(inner);
            }
        }
    }
}

fn open_folder(parent: impl AsFd, name: impl Arg) -> Option<Dir> {
    openat(parent, name, OPEN, Mode::empty()).and_then(Dir::new).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::Duration;

    const MIB: u64 = 1 << 20;

    fn walk() -> Walk {
        let until = Instant::now() + Duration::from_secs(600);
        Walk { limit_bytes: u64::MAX, until, cancellation: CancellationToken::new() }
    }

    #[test]
    fn folder_has_the_size_of_its_files() {
        let (outside, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (outside, dir) = (outside.path(), dir.path());
        fs::write(outside.join("large"), vec![1; 8 << 20]).unwrap();
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::write(dir.join("a/b/file"), vec![1; 2 << 20]).unwrap();
        fs::hard_link(dir.join("a/b/file"), dir.join("a/again")).unwrap();
        symlink(outside, dir.join("folder")).unwrap();
        symlink(outside.join("large"), dir.join("a/file")).unwrap();
        // Its blocks do not exist.
        fs::File::create(dir.join("sparse")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(walk().measure(dir) / MIB, 2);
        assert_eq!(walk().measure(&dir.join("missing")), 0);
        // As after a job replaced a folder by a link.
        assert_eq!(walk().measure(&dir.join("folder")), 0);
        let parent = fs::File::open(dir).unwrap();
        assert!(open_folder(&parent, "folder").is_none() && open_folder(&parent, "a").is_some());
    }

    #[test]
    fn empty_files_and_folders_have_a_size() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..300 {
            let folder = dir.path().join(n.to_string());
            fs::create_dir(&folder).unwrap();
            fs::File::create(folder.join("file")).unwrap();
        }
        assert!(walk().measure(dir.path()) >= 600 * MIN_ENTRY_BYTES);
    }

    #[test]
    fn deep_folder_does_not_hide_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let chain: PathBuf = ["d"; 2 * MAX_DEPTH].iter().collect();
        for name in ["a", "b"] {
            fs::create_dir_all(dir.path().join(name).join(&chain)).unwrap();
            fs::write(dir.path().join(name).join(&chain).join("file"), vec![1; 8 << 20]).unwrap();
            fs::write(dir.path().join(name).join("file"), vec![1; 1 << 20]).unwrap();
        }
        assert_eq!(walk().measure(dir.path()) / MIB, 3, "two files and the folders");
    }

    #[test]
    fn walk_ends_at_each_of_its_limits() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b", "c"] {
            fs::write(dir.path().join(name), vec![1; 1 << 20]).unwrap();
        }
        let cancelled = walk();
        cancelled.cancellation.cancel();
        let late = Walk { until: Instant::now(), ..walk() };
        let limited = Walk { limit_bytes: MIB - 1, ..walk() };
        for walk in [cancelled, late, limited] {
            assert_eq!(walk.measure(dir.path()) / MIB, 1);
        }
    }
}
