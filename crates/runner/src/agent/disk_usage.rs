//! Measures the size of an attempt's folder, while a program works in it and after its end.

use pullyard_domain::failure::Failure;
use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Limits of the pause between two measurements. Within them, the pause is `PAUSE_FACTOR` times as long as the last
/// measurement, so that a large folder is not walked all the time.
const MIN_PAUSE: Duration = Duration::from_secs(3);
const MAX_PAUSE: Duration = Duration::from_secs(30);
const PAUSE_FACTOR: u32 = 20;
const MIB: u64 = 1024 * 1024;

pub(crate) async fn wait_until_too_large(folder: PathBuf, limit_mib: Option<u64>) -> Failure {
    if limit_mib.is_none() {
        return std::future::pending().await;
    }
    loop {
        let began = Instant::now();
        if let Some(failure) = exceeded_limit(&folder, limit_mib).await {
            return failure;
        }
        sleep(pause(began.elapsed())).await;
    }
}

pub(crate) async fn exceeded_limit(folder: &Path, limit_mib: Option<u64>) -> Option<Failure> {
    let limit = limit_mib?;
    let folder = folder.to_owned();
    // Other code reports a folder that cannot be walked.
    let size = tokio::task::spawn_blocking(move || folder_size(&folder)).await.unwrap_or(0);
    (size > limit.saturating_mul(MIB)).then(|| {
        let size = format!("{} MiB", size.div_ceil(MIB));
        Failure::DiskLimit { size, limit: format!("{limit} MiB") }
    })
}

fn pause(took: Duration) -> Duration {
    took.saturating_mul(PAUSE_FACTOR).clamp(MIN_PAUSE, MAX_PAUSE)
}

/// Disk usage of a folder. Links are not followed, and a file with several names counts once. Units: bytes.
fn folder_size(folder: &Path) -> u64 {
    let (mut sum, mut folders) = (0_u64, vec![folder.to_owned()]);
    let mut counted = HashSet::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            // Metadata of the entry itself, not of a link's target. An entry that is gone takes no space.
            let Ok(about) = entry.metadata() else { continue };
            if about.is_dir() {
                folders.push(entry.path());
            } else if about.nlink() > 1 && !counted.insert((about.dev(), about.ino())) {
                continue;
            }
            sum = sum.saturating_add(about.blocks().saturating_mul(512));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folder_size_counts_hard_links_once_and_skips_symlinks() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("inside"), dir.path().join("outside"));
        std::fs::create_dir_all(inside.join("deep")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("large"), vec![1_u8; 5 << 20]).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        assert!(folder_size(&inside) < MIB);
        assert_eq!(exceeded_limit(&inside, Some(2)).await, None);
        std::fs::write(inside.join("one"), vec![1_u8; 3 << 19]).unwrap();
        std::fs::hard_link(inside.join("one"), inside.join("deep/two")).unwrap();
        assert_eq!(exceeded_limit(&inside, Some(2)).await, None, "two names of one file");
        std::fs::write(inside.join("deep/large"), vec![1_u8; 3 << 20]).unwrap();
        assert_eq!(exceeded_limit(&inside, None).await, None);
        let failure = wait_until_too_large(inside, Some(2)).await;
        assert_eq!(failure.code(), "disk_limit");
        assert!(failure.sentence().ends_with("the limit is 2 MiB."), "{}", failure.sentence());
    }

    #[test]
    fn pause_between_measurements_grows_with_their_duration() {
        for (took, expected) in [(0, 3_000), (149, 3_000), (400, 8_000), (1_500, 30_000), (60_000, 30_000)] {
            assert_eq!(pause(Duration::from_millis(took)), Duration::from_millis(expected), "{took}");
        }
    }
}
