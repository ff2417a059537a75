//! Finds leftover processes: those whose environment, arguments or work folder name the scene's folder.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the kernel may take to end processes that die with their parent. Leftovers of a test run longer.
const EXIT_LIMIT: Duration = Duration::from_secs(60);

pub(crate) fn leftover_processes(dir: &Path) -> Vec<(i32, String)> {
    let needle = dir.as_os_str().as_encoded_bytes();
    let ours = std::process::id().to_string();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse() else { continue };
        if name == ours {
            continue;
        }
        let read = |file: &str| std::fs::read(entry.path().join(file)).unwrap_or_default();
        let folder = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        let (arguments, environment) = (read("cmdline"), read("environ"));
        let names = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        // A zombie has neither arguments nor folder.
        if names(&arguments) || names(&environment) || names(folder.as_os_str().as_encoded_bytes()) {
            found.push((pid, String::from_utf8_lossy(&arguments).replace('\0', " ")));
        }
    }
    found
}

/// Waits for this count: a process that dies with its parent may live a moment longer.
pub(crate) fn wait_for_leftovers(dir: &Path, count: usize) -> Vec<(i32, String)> {
    let since = Instant::now();
    loop {
        let processes = leftover_processes(dir);
        if processes.len() == count || since.elapsed() > EXIT_LIMIT {
            return processes;
        }
        sleep(Duration::from_millis(10));
    }
}

pub(crate) fn kill_leftovers(dir: &Path) {
    for (pid, _) in leftover_processes(dir) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
