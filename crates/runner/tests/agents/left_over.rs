//! What still runs of a scene: every process whose environment, arguments or folder name the scene's own folder.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;

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

/// Kills what is left of a scene, so that a test leaves nothing on the machine.
pub(crate) fn kill_left_over(dir: &Path) {
    for (pid, _) in left_over(dir) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
