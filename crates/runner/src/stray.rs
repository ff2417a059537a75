//! Processes of an attempt that left its process group: found by the mark in their environment.
//!
//! Build daemons do it as a habit. Only Linux shows another process's environment, and a process that
//! wipes its own is not found: a container or a namespace around the runner is what holds those.

use std::path::Path;
use std::time::Duration;

/// How long they may take to be gone.
const LIMIT: Duration = Duration::from_secs(5);

/// Kills whatever was started with this `TMPDIR`, which is one attempt's own.
pub(crate) async fn kill(temporary: &Path) {
    let mut mark = b"TMPDIR=".to_vec();
    mark.extend_from_slice(temporary.as_os_str().as_encoded_bytes());
    let until = tokio::time::Instant::now() + LIMIT;
    let mut told = false;
    loop {
        let strays = marked(&mark);
        if strays.is_empty() {
            return;
        }
        if !told {
            tracing::warn!(
                count = strays.len(),
                "{} processes had left the agent's group and are killed",
                strays.len()
            );
            told = true;
        }
        for stray in strays {
            // It may be gone meanwhile.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(stray), nix::sys::signal::Signal::SIGKILL);
        }
        if tokio::time::Instant::now() > until {
            tracing::error!("processes of the agent outlived it");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(target_os = "linux")]
fn marked(mark: &[u8]) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbered = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        // Empty for the dead and the dying; unreadable for those of others.
        let environment = std::fs::read(entry.path().join("environ")).ok()?;
        environment.split(|byte| *byte == 0).any(|variable| variable == mark).then_some(pid)
    });
    numbered.collect()
}

#[cfg(not(target_os = "linux"))]
fn marked(_: &[u8]) -> Vec<i32> {
    Vec::new()
}
