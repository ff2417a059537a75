//! The commands that the daemon starts, and the time limits of their stop and confirmation.

use std::ffi::OsString;
use std::time::Duration;

/// Time that a process has to stop, in addition to the time of its agent.
pub(crate) const STOP_MARGIN: Duration = Duration::from_secs(20);
/// Time of a new program until the control plane answers a heartbeat.
pub(super) const CONFIRMATION_LIMIT: Duration = Duration::from_secs(120);

/// The commands of this program that the daemon starts.
pub(crate) struct Launch {
    /// Program and arguments.
    pub(crate) run_job: Vec<OsString>,
    /// Arguments that check the settings of this runner.
    pub(crate) check: Vec<OsString>,
    /// In place of the limits of an update's check and of its confirmation.
    pub(crate) update_limit: Option<Duration>,
}
