//! How much room an attempt's folder takes, looked at while the agent works.

use pullyard_domain::failure::Failure;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::sleep;

/// How often the folder is walked.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(30);
const MIB: u64 = 1024 * 1024;

/// Waits until a folder is larger than its limit; for ever without one.
pub(crate) async fn too_large(folder: PathBuf, limit_mib: Option<u64>, every: Duration) -> Failure {
    let Some(limit) = limit_mib else { return std::future::pending().await };
    loop {
        sleep(every).await;
        let looked_at = folder.clone();
        // A folder that can't be walked is somebody else's to report.
        let size = tokio::task::spawn_blocking(move || size(&looked_at)).await.unwrap_or(0);
        if size > limit.saturating_mul(MIB) {
            let size = format!("{} MiB", size.div_ceil(MIB));
            return Failure::DiskLimit { size, limit: format!("{limit} MiB") };
        }
    }
}

/// What everything in a folder takes on its disk. Links are not followed. Units: bytes.
fn size(folder: &Path) -> u64 {
    let (mut sum, mut folders) = (0_u64, vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Of the link itself; what is gone by now takes no room.
            let Ok(about) = entry.metadata() else { continue };
            sum = sum.saturating_add(about.blocks().saturating_mul(512));
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_folder_that_grows_beyond_its_limit_is_told_and_links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("large"), vec![1_u8; 5 << 20]).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        assert!(size(&inside) < MIB);
        std::fs::write(inside.join("deep/large"), vec![1_u8; 3 << 20]).unwrap();
        let failure = too_large(inside, Some(2), Duration::from_millis(1)).await;
        assert_eq!(failure.code(), "disk_limit");
        assert!(failure.sentence().ends_with("the limit is 2 MiB."), "{}", failure.sentence());
    }
}
