//! Limits the disk space of a job: the size of its folder, and a reserve for other programs of the machine.

mod folder_size;

use crate::git::workspace::disk::run_blocking;
use folder_size::Walk;
use nix::sys::statvfs::statvfs;
use pullyard_domain::text::failure::Failure;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a runner without space waits for its next check.
pub(crate) const CLAIM_PAUSE: Duration = Duration::from_secs(10);
/// Time limit of one measurement, because a hostile job can create files without end.
const MEASURE_LIMIT: Duration = Duration::from_secs(60);
/// The pause after a measurement, in times of its duration, so that large folders cost 5 % of a core.
const PAUSE_FACTOR: u32 = 20;
const MAX_PAUSE: Duration = Duration::from_secs(60);
const GIB: u64 = 1 << 30;
const RESERVE_BYTES: u64 = GIB;
/// A large repository has this many files.
const RESERVE_INODES: u64 = 100_000;
/// Small disks need a smaller reserve: this part of their size.
const RESERVE_PART: u64 = 20;
/// Below the reserve, a larger job is stopped at once.
const LARGE_JOB_BYTES: u64 = GIB;
/// Below the reserve, other jobs are stopped after this number of checks. A large job has ended by then: its agent has
/// 10 s to stop, its checkpoint 15 s, and its folder is removed.
const MAX_LOW_CHECKS: u32 = 60;

/// Errors: `DiskLimit` if the disk of the folder has less space than the reserve.
pub(crate) async fn check_reserve(folder: PathBuf) -> Result<(), Failure> {
    load_low_space(folder).await.map_or(Ok(()), |reason| Err(Failure::DiskLimit { reason }))
}

/// Waits until the disk has the reserve. Logs the start and the end of the wait.
pub(crate) async fn wait_for_reserve<F>(find_low_space: impl Fn() -> F, pause: Duration)
where
    F: Future<Output = Option<String>>,
{
    let Some(reason) = find_low_space().await else { return };
    tracing::error!("no job is claimed until the work folder's disk has space: {reason}");
    loop {
        sleep(pause).await;
        if find_low_space().await.is_none() {
            tracing::info!("the work folder's disk has space again; claiming jobs");
            return;
        }
    }
}

/// Waits until the folder exceeds the limit, or its disk has too little space for too long.
pub(crate) async fn wait_until_exceeded(folder: &Path, limit_bytes: u64) -> Failure {
    let size = AtomicU64::new(0);
    let reason = tokio::select! {
        reason = wait_for_excess(folder, limit_bytes, &size) => reason,
        reason = wait_for_low_space(folder, &size) => reason,
    };
    Failure::DiskLimit { reason }
}

/// Stores each measured size.
async fn wait_for_excess(folder: &Path, limit_bytes: u64, size: &AtomicU64) -> String {
    let cancellation = CancellationToken::new();
    // A walk must not continue in a folder that is removed.
    let _guard = cancellation.clone().drop_guard();
    loop {
        let (start, folder) = (Instant::now(), folder.to_owned());
        let walk = Walk { limit_bytes, until: start + MEASURE_LIMIT, cancellation: cancellation.clone() };
        let measured = run_blocking(move || Ok(walk.measure(&folder))).await.unwrap_or_default();
        if measured > limit_bytes {
            return format!("its folder is larger than the limit of {}", format_size(limit_bytes));
        }
        size.store(measured, Ordering::Relaxed);
        sleep((start.elapsed() * PAUSE_FACTOR).clamp(CHECK_INTERVAL, MAX_PAUSE)).await;
    }
}

async fn wait_for_low_space(folder: &Path, size: &AtomicU64) -> String {
    let mut ticks = interval(CHECK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut low_checks = 0;
    loop {
        ticks.tick().await;
        let Some(reason) = load_low_space(folder.to_owned()).await else {
            low_checks = 0;
            continue;
        };
        low_checks += 1;
        if must_stop(size.load(Ordering::Relaxed), low_checks) {
            return reason;
        }
    }
}

/// Whether a job of this size is stopped after this number of consecutive checks below the reserve.
fn must_stop(size_bytes: u64, low_checks: u32) -> bool {
    size_bytes > LARGE_JOB_BYTES || low_checks >= MAX_LOW_CHECKS
}

/// Returns the missing space or inodes of the disk. `None` if it has the reserve or cannot be checked.
pub(crate) async fn load_low_space(folder: PathBuf) -> Option<String> {
    run_blocking(move || Ok(find_low_space(&folder))).await.ok().flatten()
}

/// Returns the missing space or inodes for another job. `None` if the disk has the reserve or cannot be checked.
pub fn find_low_space(folder: &Path) -> Option<String> {
    Space::load(folder).ok()?.describe_lack()
}

struct Space {
    total_bytes: u64,
    free_bytes: u64,
    total_inodes: u64,
    free_inodes: u64,
}

impl Space {
    fn load(folder: &Path) -> std::io::Result<Self> {
        let space = statvfs(folder)?;
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "they are u32 on macOS")]
        let [total, free, total_inodes, free_inodes] =
            [space.blocks(), space.blocks_available(), space.files(), space.files_available()].map(u64::from);
        #[allow(clippy::unnecessary_cast, reason = "the width differs between systems")]
        let unit = space.fragment_size() as u64;
        let (total_bytes, free_bytes) = (total.saturating_mul(unit), free.saturating_mul(unit));
        Ok(Self { total_bytes, free_bytes, total_inodes, free_inodes })
    }

    fn describe_lack(&self) -> Option<String> {
        // A file system of unknown size, or without a limit of inodes, reports 0.
        let reserve = RESERVE_BYTES.min(self.total_bytes / RESERVE_PART);
        let inodes = RESERVE_INODES.min(self.total_inodes / RESERVE_PART);
        if self.free_bytes < reserve {
            let [free, reserve] = [self.free_bytes, reserve].map(format_size);
            return Some(format!("it has {free} left, and the reserve is {reserve}"));
        }
        let free = self.free_inodes;
        (free < inodes).then(|| format!("it has {free} inodes left, and the reserve is {inodes}"))
    }
}

fn format_size(bytes: u64) -> String {
    match bytes {
        0..GIB => format!("{} MB", bytes >> 20),
        _ => format!("{}.{} GB", bytes / GIB, bytes % GIB * 10 / GIB),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    const MIB: u64 = 1 << 20;

    #[test]
    fn reserve_is_smaller_on_a_small_disk() {
        for (total_bytes, free_bytes, expected) in [
            (200 * GIB, GIB, None),
            (200 * GIB, GIB - 1, Some("it has 1023 MB left, and the reserve is 1.0 GB")),
            (48 * MIB, 3 * MIB, None),
            (60 * MIB, 2 * MIB, Some("it has 2 MB left, and the reserve is 3 MB")),
            (0, 0, None),
        ] {
            let space = Space { total_bytes, free_bytes, total_inodes: 0, free_inodes: 0 };
            assert_eq!(space.describe_lack().as_deref(), expected, "{total_bytes} {free_bytes}");
        }
        for (total_inodes, free_inodes, expected) in [
            (16_000_000, 100_000, None),
            (16_000_000, 99_999, Some("it has 99999 inodes left, and the reserve is 100000")),
            (1000, 50, None),
            (1000, 49, Some("it has 49 inodes left, and the reserve is 50")),
        ] {
            let space = Space { total_bytes: 200 * GIB, free_bytes: 100 * GIB, total_inodes, free_inodes };
            assert_eq!(space.describe_lack().as_deref(), expected, "{total_inodes} {free_inodes}");
        }
    }

    #[test]
    fn low_space_stops_large_jobs_first() {
        for (size, low_checks, expected) in [
            (GIB + 1, 1, true),
            (GIB, 1, false),
            (GIB, MAX_LOW_CHECKS - 1, false),
            (GIB, MAX_LOW_CHECKS, true),
            (0, MAX_LOW_CHECKS, true),
        ] {
            assert_eq!(must_stop(size, low_checks), expected, "{size} {low_checks}");
        }
    }

    #[tokio::test]
    async fn claims_wait_until_the_disk_has_space() {
        let answers = Mutex::new(vec![None, Some("low".to_owned()), Some("low".to_owned())]);
        wait_for_reserve(|| std::future::ready(answers.lock().unwrap().pop().unwrap()), Duration::ZERO).await;
        assert!(answers.lock().unwrap().is_empty());
    }
}
