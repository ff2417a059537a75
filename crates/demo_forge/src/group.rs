//! A git that was started, with all that it starts: hooks, and whatever those start.
//! It deliberately ends them only when nobody waits for git any more; a git that ended by itself waited for its own.

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{process::Child, sync::watch};

/// A child that leads a process group of its own; one that is dropped while it runs takes its group along.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) child: Child,
    /// Goes once the group was told to end: whoever stops the forge waits for that.
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
        // A child that nobody waited for has its number, whether it lives or not: it is nobody else's group.
        let Some(leader) = self.child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        // Git takes its locks away at this signal. One that it leaves behind refuses every later push to its branch.
        let _ = killpg(Pid::from_raw(leader), Signal::SIGTERM);
    }
}
