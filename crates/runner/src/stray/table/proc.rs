//! The table as Linux shows it, in `/proc`.
//!
//! Source: proc_pid_stat(5), proc_pid_environ(5).

use super::{Process, Table, Unseen};
use crate::stray::inherits_orphans;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::fs::DirEntry;

pub(super) fn look(marks: &[Vec<u8>], mut tell: impl FnMut(i32)) -> Result<Table, Unseen> {
    let entries = std::fs::read_dir("/proc").map_err(|error| Unseen(format!("/proc: {error}")))?;
    let reaps = inherits_orphans();
    let mut table = Table::new();
    for entry in entries.flatten() {
        let Some((pid, state, process)) = read(&entry) else { continue };
        if matches!(state.as_str(), "Z" | "X") {
            // Nothing of it runs. What is ours of them is waited for, so that none stay; where orphans do not come to
            // us, each of ours has somebody who waits for it.
            if reaps {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
            continue;
        }
        if is_marked(pid, marks) {
            tell(pid);
        }
        table.insert(pid, process);
    }
    Ok(table)
}

/// Its number and its state; none if it is no process, or gone meanwhile.
fn read(entry: &DirEntry) -> Option<(i32, String, Process)> {
    let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
    let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
    // `pid (name) state parent group …`; the name may contain anything, even brackets.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.to_owned();
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // Field 22 of the line: ticks since the boot.
    let began = fields.nth(16)?.to_owned();
    Some((pid, state, Process { parent, group, began }))
}

fn is_marked(pid: i32, marks: &[Vec<u8>]) -> bool {
    if marks.is_empty() {
        return false;
    }
    // Empty for the dying; unreadable for those of others.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| marks.iter().any(|mark| *mark == variable))
}
