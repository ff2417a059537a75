//! Warns about a full disk while `up` runs.

use crate::client::Screen;
use crate::disk::free_bytes;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

const CHECK_INTERVAL: Duration = Duration::from_secs(10);
const LOW_DISK_BYTES: u64 = 256 << 20;

pub(super) async fn watch_forever(data: &Path, screen: &Screen) -> Infallible {
    let mut full = false;
    loop {
        let free = free_bytes(data);
        let now_full = free.is_some_and(|free| free < LOW_DISK_BYTES);
        if now_full && !full {
            let megabytes = free.unwrap_or_default() >> 20;
            screen.warn(&format!(
                "the disk of {} has {megabytes} MB left: jobs fail when it is full; free some space",
                data.display()
            ));
        }
        full = now_full;
        tokio::time::sleep(CHECK_INTERVAL).await;
    }
}
