//! What still runs of a scene: every process whose environment, arguments or folder name the scene's own folder.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the kernel may take on a loaded machine until it has ended who was killed with his parent. What a test
/// leaves running by itself runs longer.
const GOES_WITHIN: Duration = Duration::from_secs(60);

/// Pid and command line of each.
pub(crate) fn left_over(dir: &Path) -> Vec<(i32, String)> {
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
        // The dead have neither arguments nor folder.
        if names(&arguments) || names(&environment) || names(folder.as_os_str().as_encoded_bytes()) {
            found.push((pid, String::from_utf8_lossy(&arguments).replace('\0', " ")));
        }
    }
    found
}

/// The same once there are so many: who was killed as his parent ended may live a moment longer than it.
pub(crate) fn left_over_of(dir: &Path, count: usize) -> Vec<(i32, String)> {
    let since = Instant::now();
    loop {
        let left = left_over(dir);
        if left.len() == count || since.elapsed() > GOES_WITHIN {
            return left;
        }
        sleep(Duration::from_millis(10));
    }
}

/// Kills what is left of a scene, so that a test leaves nothing on the machine.
pub(crate) fn kill_left_over(dir: &Path) {
    for (pid, _) in left_over(dir) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
