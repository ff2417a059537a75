//! A running git with its child processes; dropping it sends SIGTERM to the group of an unfinished git.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Child, sync::watch};

#[derive(Debug)]
pub(crate) struct ProcessGroup {
    pub(crate) child: Child,
    /// Dropped after the signal was sent; the shutdown waits for it.
    _running: watch::Receiver<()>,
}

impl ProcessGroup {
    /// The child must lead a process group.
    pub(crate) fn new(child: Child, running: &watch::Sender<()>) -> Self {
        Self { child, _running: running.subscribe() }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        // The pid stays reserved until the child is reaped, so the group cannot belong to another process.
        let Some(leader) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // On SIGTERM git removes its locks; a leftover lock would block later pushes to its branch.
        let _ = killpg(Pid::from_raw(leader), Signal::SIGTERM);
    }
}
