//! Helpers for waiting, processes and HTTP.

use std::path::Path;
use std::time::{Duration, Instant};

/// Long enough for a loaded machine. Reaching it fails the test.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

pub(crate) async fn poll_until<T, F>(what: &str, mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn with_timeout<T>(what: &str, coming: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, coming).await {
        Ok(come) => come,
        Err(_) => panic!("never: {what}"),
    }
}

/// Whether a process is gone or a zombie.
pub(crate) fn is_dead(pid: &str) -> bool {
    match std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Ok(stat) => stat.rsplit_once(')').is_some_and(|(_, after)| after.trim_start().starts_with('Z')),
        Err(_) => true,
    }
}
