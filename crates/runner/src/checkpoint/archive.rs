//! Packs and unpacks a checkpoint: plain files in tar and zstd, within limits.
//!
//! An archive comes from an agent's machine over a bucket, so its content is not trusted. Only regular files with
//! plain, unique names are unpacked, and only up to the limits.

use crate::git::workspace::disk::private_dirs;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// Total size of a checkpoint's files. Units: bytes.
pub(super) const LARGEST_UNPACKED: u64 = 256 << 20;
pub(super) const MOST_FILES: usize = 1_000;
/// Longest name in the oldest tar format. Longer names need extensions, which can do more than name a file.
const LONGEST_NAME: usize = 100;
/// Higher levels take longer than they save.
const LEVEL: i32 = 3;
/// Memory for unpacking, as a power of two. Units: bytes.
const WINDOW_LOG: u32 = 27;

#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is too large")]
    TooLarge,
    #[error("it has too many files")]
    TooMany,
    #[error("it holds something else than a plain file under a plain name")]
    Odd,
    #[error("it can't be read or written: {0}")]
    Io(#[from] io::Error),
}

/// Packs all files of a folder into at most `most` bytes.
pub(super) fn pack(folder: &Path, to: &Path, most: u64) -> Result<(), Fault> {
    let mut names = Vec::new();
    list(folder, Path::new(""), &mut names)?;
    names.sort();
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let limited = Limited { inner: BufWriter::new(file), left: most };
    let mut archive = Builder::new(zstd::Encoder::new(limited, LEVEL)?);
    let mut left = LARGEST_UNPACKED;
    for name in names {
        let file = File::open(folder.join(&name))?;
        let size = file.metadata()?.len();
        left = left.checked_sub(size).ok_or(Fault::TooLarge)?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(size);
        header.set_path(&name).map_err(|_| Fault::Odd)?;
        header.set_cksum();
        archive.append(&header, file.take(size)).map_err(too_large)?;
    }
    let limited = archive.into_inner().and_then(zstd::Encoder::finish).map_err(too_large)?;
    limited.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(())
}

/// Unpacks into an empty folder.
pub(super) fn unpack(from: &Path, folder: &Path) -> Result<(), Fault> {
    let mut decoder = zstd::Decoder::new(BufReader::new(File::open(from)?).into_inner())?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut archive = Archive::new(decoder.take(LARGEST_UNPACKED + (MOST_FILES as u64 + 2) * 1_024));
    let mut left = LARGEST_UNPACKED;
    // Raw mode: an entry cannot change how the next one is read.
    for (count, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if count >= MOST_FILES {
            return Err(Fault::TooMany);
        }
        if entry.header().entry_type() != EntryType::Regular {
            return Err(Fault::Odd);
        }
        let name = plain(&entry.path_bytes())?;
        let size = entry.header().entry_size()?;
        left = left.checked_sub(size).ok_or(Fault::TooLarge)?;
        let path = folder.join(name);
        private_dirs(path.parent().unwrap_or(folder))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if io::copy(&mut (&mut entry).take(size), &mut file)? != size {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(())
}

fn plain(name: &[u8]) -> Result<PathBuf, Fault> {
    let name = std::str::from_utf8(name).map_err(|_| Fault::Odd)?;
    if is_plain(name) { Ok(name.into()) } else { Err(Fault::Odd) }
}

/// Whether a checkpoint may contain a file of this name: a relative name that leads nowhere else.
pub(super) fn is_plain(name: &str) -> bool {
    let odd = |part: &str| part.is_empty() || part == "." || part == "..";
    name.len() <= LONGEST_NAME
        && !name.contains(['\\', '\0'])
        && !name.chars().any(char::is_control)
        && !name.split('/').any(odd)
}

fn list(folder: &Path, below: &Path, names: &mut Vec<PathBuf>) -> Result<(), Fault> {
    for entry in fs::read_dir(folder.join(below))? {
        let entry = entry?;
        let (name, kind) = (below.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            list(folder, &name, names)?;
        } else if kind.is_file() && name.to_str().is_some_and(is_plain) {
            names.push(name);
        } else {
            return Err(Fault::Odd);
        }
        if names.len() > MOST_FILES {
            return Err(Fault::TooMany);
        }
    }
    Ok(())
}

fn too_large(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::FileTooLarge { Fault::TooLarge } else { error.into() }
}

/// A writer that fails beyond a size.
struct Limited<W> {
    inner: W,
    left: u64,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.left = self.left.checked_sub(written as u64).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    struct Folders {
        dir: tempfile::TempDir,
    }

    impl Folders {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["in", "out"] {
                fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        fn put(&self, name: &str, content: &[u8]) {
            let path = self.path("in").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn pack(&self, most: u64) -> Result<(), Fault> {
            pack(&self.path("in"), &self.path("packed"), most)
        }

        fn unpack(&self, entries: &[Header]) -> Result<(), Fault> {
            let mut archive = Builder::new(Vec::new());
            for header in entries {
                archive.append(header, &b"evil"[..]).unwrap();
            }
            let packed = zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap();
            fs::write(self.path("packed"), packed).unwrap();
            unpack(&self.path("packed"), &self.path("out"))
        }
    }

    /// A raw header, such as a malicious archive may have.
    fn header(kind: EntryType, name: &str, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o4777);
        header.set_cksum();
        header
    }

    #[test]
    fn packed_files_are_unpacked_unchanged() {
        let folders = Folders::new();
        folders.put("about.json", b"{}");
        folders.put("session/2026/a.jsonl", &vec![b'x'; 100_000]);
        folders.put("session/empty", b"");
        folders.pack(1 << 20).unwrap();
        assert!(fs::metadata(folders.path("packed")).unwrap().len() < 10_000);
        unpack(&folders.path("packed"), &folders.path("out")).unwrap();
        for name in ["about.json", "session/2026/a.jsonl", "session/empty"] {
            let [there, back] = ["in", "out"].map(|folder| fs::read(folders.path(folder).join(name)).unwrap());
            assert!(there == back, "{name}");
        }
    }

    #[test]
    fn archive_above_the_limit_is_not_packed() {
        let folders = Folders::new();
        let noise: Vec<u8> = (0..6_000_u32).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
        folders.put("noise", &noise);
        assert!(matches!(folders.pack(50_000), Err(Fault::TooLarge)));
        folders.pack(400_000).unwrap();
    }

    #[test]
    fn symlinks_are_not_packed() {
        let folders = Folders::new();
        std::os::unix::fs::symlink("/etc/passwd", folders.path("in").join("link")).unwrap();
        assert!(matches!(folders.pack(1 << 20), Err(Fault::Odd)));
    }

    #[test]
    fn paths_outside_the_folder_are_not_unpacked() {
        for name in ["/etc/cron.d/x", "../x", "a/../../x", "a/./x", "a//x", "a/", "", "a\\x", "a\nx"] {
            let folders = Folders::new();
            let refused = folders.unpack(&[header(EntryType::Regular, name, 4)]);
            assert!(matches!(refused, Err(Fault::Odd)), "{name:?}: {refused:?}");
            assert_eq!(fs::read_dir(folders.path("out")).unwrap().count(), 0, "{name:?}");
        }
    }

    #[test]
    fn only_regular_files_are_unpacked() {
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Char,
            EntryType::Block,
            EntryType::Fifo,
            EntryType::Directory,
            EntryType::GNULongName,
            EntryType::XHeader,
            EntryType::GNUSparse,
        ] {
            let mut entry = header(kind, "a", 4);
            entry.set_link_name("/etc").unwrap();
            entry.set_cksum();
            let folders = Folders::new();
            assert!(matches!(folders.unpack(&[entry]), Err(Fault::Odd)), "{kind:?}");
        }
    }

    #[test]
    fn duplicate_oversized_or_cut_entries_are_rejected() {
        let folders = Folders::new();
        let twice = [header(EntryType::Regular, "a", 4), header(EntryType::Regular, "a", 4)];
        assert!(matches!(folders.unpack(&twice), Err(Fault::Io(_))));
        let folders = Folders::new();
        let huge = folders.unpack(&[header(EntryType::Regular, "a", LARGEST_UNPACKED + 1)]);
        assert!(matches!(huge, Err(Fault::TooLarge)), "{huge:?}");
        let folders = Folders::new();
        let cut = folders.unpack(&[header(EntryType::Regular, "a", 1 << 20)]);
        assert!(matches!(cut, Err(Fault::Io(_))), "{cut:?}");
    }

    #[test]
    fn excess_entries_are_rejected() {
        let many: Vec<Header> = (0..=MOST_FILES).map(|n| header(EntryType::Regular, &format!("f{n}"), 4)).collect();
        let folders = Folders::new();
        assert!(matches!(folders.unpack(&many), Err(Fault::TooMany)));
    }

    #[test]
    fn invalid_archive_does_not_panic() {
        for noise in [&b""[..], b"not zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]] {
            let folders = Folders::new();
            fs::write(folders.path("packed"), noise).unwrap();
            let _ = unpack(&folders.path("packed"), &folders.path("out"));
        }
    }

    #[test]
    fn packing_has_the_same_file_limit_as_unpacking() {
        let folders = Folders::new();
        (0..MOST_FILES).for_each(|n| folders.put(&format!("f{n}"), b""));
        folders.pack(1 << 20).unwrap();
        unpack(&folders.path("packed"), &folders.path("out")).unwrap();
        assert_eq!(fs::read_dir(folders.path("out")).unwrap().count(), MOST_FILES);
        folders.put("more", b"");
        assert!(matches!(folders.pack(1 << 20), Err(Fault::TooMany)));
    }

    #[test]
    fn unpacked_size_limits_packing() {
        let folders = Folders::new();
        File::create(folders.path("in").join("zeros")).unwrap().set_len(LARGEST_UNPACKED + 1).unwrap();
        assert!(matches!(folders.pack(u64::MAX), Err(Fault::TooLarge)));
    }

    #[test]
    fn names_are_limited_to_the_ustar_length() {
        assert!(is_plain(&"a".repeat(LONGEST_NAME)) && is_plain("session/2026/a b.jsonl"));
        for odd in ["a".repeat(LONGEST_NAME + 1), "a\u{7f}".into(), "a\0".into(), "..".into(), "a/..".into()] {
            assert!(!is_plain(&odd), "{odd:?}");
        }
    }
}
