//! Reads the free disk space.

use std::path::Path;

pub(crate) fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "they are u32 on macOS")]
    let bytes = u64::from(stat.blocks_available()).saturating_mul(stat.fragment_size() as u64);
    Some(bytes)
}
