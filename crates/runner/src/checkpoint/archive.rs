//! Packs and unpacks a checkpoint: plain files in tar and zstd, within limits.
//! An archive comes from an agent's machine over a bucket, so its content is not trusted. Only regular files with
//! plain, unique names are unpacked, and only up to the limits.

use crate::git::workspace::disk::create_private_dirs;
use pullyard_domain::job::artifact::MAX_SIZE_BYTES;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tar::{Archive, Builder, EntryType, Header};

/// Total size of a checkpoint's files. Units: bytes.
pub(super) const MAX_UNPACKED_BYTES: u64 = 256 << 20;
pub(super) const MAX_FILES: usize = 1_000;
/// Longest name in the oldest tar format. Longer names need extensions, which can also change other entries.
const MAX_NAME_LENGTH: usize = 100;
/// Higher levels take longer than they save.
const COMPRESSION_LEVEL: i32 = 3;
/// Memory for unpacking, as a power of two. Units: bytes.
const WINDOW_LOG: u32 = 27;

const TOO_MANY: &str = "it has too many files";
const NOT_PLAIN: &str = "it holds something else than a plain file under a plain name";

pub(super) fn too_large() -> io::Error {
    let [packed, unpacked] = [MAX_SIZE_BYTES, MAX_UNPACKED_BYTES].map(|bytes| bytes >> 20);
    let reason = format!("it is larger than {packed} MiB packed or {unpacked} MiB unpacked");
    io::Error::new(io::ErrorKind::FileTooLarge, reason)
}

fn refuse(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Errors: `FileTooLarge` and `InvalidData` have the whole reason as text.
pub(super) fn pack(folder: &Path, to: &Path, max_bytes: u64) -> io::Result<()> {
    let mut names = Vec::new();
    list_files(folder, Path::new(""), &mut names)?;
    names.sort();
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    let mut archive = Builder::new(zstd::Encoder::new(BufWriter::new(file), COMPRESSION_LEVEL)?);
    let mut remaining = MAX_UNPACKED_BYTES;
    for name in names {
        let file = File::open(folder.join(&name))?;
        let size = file.metadata()?.len();
        remaining = remaining.checked_sub(size).ok_or_else(too_large)?;
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_size(size);
        header.set_path(&name).map_err(|_| refuse(NOT_PLAIN))?;
        header.set_cksum();
        archive.append(&header, file.take(size))?;
    }
    let packed = archive.into_inner()?.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    if packed.metadata()?.len() > max_bytes { Err(too_large()) } else { Ok(()) }
}

pub(super) fn unpack(from: &Path, folder: &Path) -> io::Result<()> {
    let mut decoder = zstd::Decoder::new(BufReader::new(File::open(from)?).into_inner())?;
    decoder.window_log_max(WINDOW_LOG)?;
    let mut archive = Archive::new(decoder.take(MAX_UNPACKED_BYTES + (MAX_FILES as u64 + 2) * 1_024));
    let mut remaining = MAX_UNPACKED_BYTES;
    // Raw mode: an entry cannot change how the next one is read.
    for (count, entry) in archive.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if count >= MAX_FILES {
            return Err(refuse(TOO_MANY));
        }
        if entry.header().entry_type() != EntryType::Regular {
            return Err(refuse(NOT_PLAIN));
        }
        let name = parse_name(&entry.path_bytes())?;
        let size = entry.header().entry_size()?;
        remaining = remaining.checked_sub(size).ok_or_else(too_large)?;
        let path = folder.join(name);
        create_private_dirs(path.parent().unwrap_or(folder))?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        if io::copy(&mut (&mut entry).take(size), &mut file)? != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

fn parse_name(name: &[u8]) -> io::Result<PathBuf> {
    let name = std::str::from_utf8(name).ok().filter(|name| is_plain_name(name));
    name.map(PathBuf::from).ok_or_else(|| refuse(NOT_PLAIN))
}

/// Whether a checkpoint may contain a file of this name: a relative name that leads nowhere else.
pub(super) fn is_plain_name(name: &str) -> bool {
    let is_invalid = |part: &str| part.is_empty() || part == "." || part == "..";
    name.len() <= MAX_NAME_LENGTH
        && !name.contains(['\\', '\0'])
        && !name.chars().any(char::is_control)
        && !name.split('/').any(is_invalid)
}

fn list_files(folder: &Path, subfolder: &Path, names: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder.join(subfolder))? {
        let entry = entry?;
        let (name, kind) = (subfolder.join(entry.file_name()), entry.file_type()?);
        if kind.is_dir() {
            list_files(folder, &name, names)?;
        } else if kind.is_file() && name.to_str().is_some_and(is_plain_name) {
            names.push(name);
        } else {
            return Err(refuse(NOT_PLAIN));
        }
        if names.len() > MAX_FILES {
            return Err(refuse(TOO_MANY));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    struct TestFolders {
        dir: tempfile::TempDir,
    }

    impl TestFolders {
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

        fn write_input(&self, name: &str, content: &[u8]) {
            let path = self.path("in").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn pack(&self, max_bytes: u64) -> io::Result<()> {
            pack(&self.path("in"), &self.path("packed"), max_bytes)
        }

        fn unpack(&self, entries: &[Header]) -> io::Result<()> {
            let mut archive = Builder::new(Vec::new());
            for header in entries {
                archive.append(header, &b"evil"[..]).unwrap();
            }
            let packed = zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap();
            fs::write(self.path("packed"), packed).unwrap();
            unpack(&self.path("packed"), &self.path("out"))
        }
    }

    fn refusal(result: io::Result<()>) -> String {
        result.unwrap_err().to_string()
    }

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
        let folders = TestFolders::new();
        folders.write_input("about.json", b"{}");
        folders.write_input("session/2026/a.jsonl", &vec![b'x'; 100_000]);
        folders.write_input("session/empty", b"");
        folders.pack(1 << 20).unwrap();
        assert!(fs::metadata(folders.path("packed")).unwrap().len() < 10_000);
        unpack(&folders.path("packed"), &folders.path("out")).unwrap();
        for name in ["about.json", "session/2026/a.jsonl", "session/empty"] {
            let [packed, unpacked] = ["in", "out"].map(|folder| fs::read(folders.path(folder).join(name)).unwrap());
            assert!(packed == unpacked, "{name}");
        }
    }

    #[test]
    fn archive_above_the_limit_is_not_packed() {
        let folders = TestFolders::new();
        let noise: Vec<u8> = (0..6_000_u32).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
        folders.write_input("noise", &noise);
        assert_eq!(folders.pack(50_000).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        folders.pack(400_000).unwrap();
    }

    #[test]
    fn symlinks_are_not_packed() {
        let folders = TestFolders::new();
        std::os::unix::fs::symlink("/etc/passwd", folders.path("in").join("link")).unwrap();
        assert_eq!(refusal(folders.pack(1 << 20)), NOT_PLAIN);
    }

    #[test]
    fn paths_outside_the_folder_are_not_unpacked() {
        for name in ["/etc/cron.d/x", "../x", "a/../../x", "a/./x", "a//x", "a/", "", "a\\x", "a\nx"] {
            let folders = TestFolders::new();
            let result = folders.unpack(&[header(EntryType::Regular, name, 4)]);
            assert_eq!(refusal(result), NOT_PLAIN, "{name:?}");
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
            let folders = TestFolders::new();
            assert_eq!(refusal(folders.unpack(&[entry])), NOT_PLAIN, "{kind:?}");
        }
    }

    #[test]
    fn duplicate_oversized_or_cut_entries_are_rejected() {
        let folders = TestFolders::new();
        let duplicates = [header(EntryType::Regular, "a", 4), header(EntryType::Regular, "a", 4)];
        assert_eq!(folders.unpack(&duplicates).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        let folders = TestFolders::new();
        let huge = folders.unpack(&[header(EntryType::Regular, "a", MAX_UNPACKED_BYTES + 1)]);
        assert_eq!(huge.unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        let folders = TestFolders::new();
        let cut = folders.unpack(&[header(EntryType::Regular, "a", 1 << 20)]);
        assert_eq!(cut.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn excess_entries_are_rejected() {
        let many: Vec<Header> = (0..=MAX_FILES).map(|n| header(EntryType::Regular, &format!("f{n}"), 4)).collect();
        let folders = TestFolders::new();
        assert_eq!(refusal(folders.unpack(&many)), TOO_MANY);
    }

    #[test]
    fn invalid_archive_does_not_panic() {
        for noise in [&b""[..], b"not zstd", &[0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff]] {
            let folders = TestFolders::new();
            fs::write(folders.path("packed"), noise).unwrap();
            let _ = unpack(&folders.path("packed"), &folders.path("out"));
        }
    }

    #[test]
    fn packing_has_the_same_file_limit_as_unpacking() {
        let folders = TestFolders::new();
        (0..MAX_FILES).for_each(|n| folders.write_input(&format!("f{n}"), b""));
        folders.pack(1 << 20).unwrap();
        unpack(&folders.path("packed"), &folders.path("out")).unwrap();
        assert_eq!(fs::read_dir(folders.path("out")).unwrap().count(), MAX_FILES);
        folders.write_input("more", b"");
        assert_eq!(refusal(folders.pack(1 << 20)), TOO_MANY);
    }

    #[test]
    fn unpacked_size_limits_packing() {
        let folders = TestFolders::new();
        File::create(folders.path("in").join("zeros")).unwrap().set_len(MAX_UNPACKED_BYTES + 1).unwrap();
        assert_eq!(folders.pack(u64::MAX).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn names_are_limited_to_the_ustar_length() {
        assert!(is_plain_name(&"a".repeat(MAX_NAME_LENGTH)) && is_plain_name("session/2026/a b.jsonl"));
        for name in ["a".repeat(MAX_NAME_LENGTH + 1), "a\u{7f}".into(), "a\0".into(), "..".into(), "a/..".into()] {
            assert!(!is_plain_name(&name), "{name:?}");
        }
    }
}
