//! A running git with all processes that it starts. The group is killed only when git is dropped while running.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Child, sync::watch};

#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    /// Dropped after the group was told to end; shutdown waits for that.
    _at_work: watch::Receiver<()>,
}

impl Group {
    /// The child must lead a group; `at_work` counts it until it is dropped.
    pub(crate) fn new(child: Child, at_work: &watch::Sender<()>) -> Self {
        Self { child, _at_work: at_work.subscribe() }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // A child that was not waited for keeps its id, dead or alive, so the group cannot be another process's.
        let Some(leader) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // Git removes its locks on SIGTERM. A leftover lock would refuse every later push to its branch.
        let _ = killpg(Pid::from_raw(leader), Signal::SIGTERM);
    }
}
