//! What is free on a disk.

use std::path::Path;

/// What is free on the disk of a folder. Units: bytes.
pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    Some(u64::from(stat.blocks_available()).saturating_mul(stat.fragment_size() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_says_what_is_free() {
        assert!(free_bytes(Path::new("/")).is_some());
        assert_eq!(free_bytes(Path::new("/nothing/here")), None);
    }
}
