//! The operator's choices for containers.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The path of the runner's own program in a container.
#[cfg(target_os = "linux")]
pub(crate) const PROGRAM: &str = "/run/pullyard-program";
/// The label of all containers. Its value is the runner's instance.
#[cfg(target_os = "linux")]
pub(crate) const LABEL: &str = "pullyard.runner";

/// Units: bytes, except where the name says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Containers {
    /// An image on this machine, with a C library that can run the runner's program.
    pub image: String,
    /// `none`, or a network of the engine, through which commands reach more than the proxies.
    pub network: String,
    /// The engine's address; its default if `None`. No container gets it.
    pub host: Option<String>,
    pub memory_bytes: u64,
    /// Percent of one CPU; `None` for all CPUs.
    pub cpu_percent: Option<u32>,
    /// After it, the container of a command ends with exit code 124.
    pub time_limit: Option<Duration>,
    /// How many started containers wait for the next command with the same paths.
    pub pool: usize,
    /// Marks the containers, so that `remove_left_containers` finds them after a crash.
    pub label: String,
    /// A folder that other users cannot enter, on the engine's machine.
    pub folder: PathBuf,
}

impl Containers {
    /// Variables that an engine's program needs. No container gets them.
    pub const CLIENT_VARIABLES: [&str; 9] = [
        "PATH",
        "HOME",
        "USER",
        "TMPDIR",
        "XDG_RUNTIME_DIR",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "DBUS_SESSION_BUS_ADDRESS",
        "DOCKER_CONFIG",
    ];
}
