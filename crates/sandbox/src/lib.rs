//! Runs untrusted commands (agents, setup, checks) that reach only the places, variables and ports that the runner
//! lists. Start with `Spec` and `Sandbox`.
//! A runner checks its level once at its start, and makes one `Sandbox` for each job, which holds the job's account.
//!
//! # How a command starts
//!
//! 1. The runner starts its own program as `launch`. Its orders, and all files for bubblewrap, are in memory; nothing
//!    is in its arguments or environment.
//! 2. `launch` sets limits, changes to the job's account if it is root, drops its privileges, and becomes
//!    bubblewrap. Without a namespace, it applies Landlock and seccomp to itself and becomes the command.
//! 3. Bubblewrap creates the namespaces, applies seccomp, and becomes the runner's program again, as `enter`. The
//!    program comes through a descriptor, so no file of the runner is visible inside.
//! 4. `enter` opens the ports in the sandbox's network, sends the listeners and handles of its processes to the runner
//!    (`PendingStart::finish`), and becomes the command.
//!
//! With podman and docker, `prepare` starts a container with the runner's program, and `launch` sends it the command.
//!
//! Exit codes are the command's. Bubblewrap reports a signal as 128 plus its number. A command that cannot be started
//! exits with 126, and says why in its error output.
//!
//! # Without Linux
//!
//! Only `external` and `none` exist, and `seatbelt` on macOS.

mod containers;
mod error;
mod level;
mod open_files;
mod ports;
mod promises;
mod report;
mod spec;

#[cfg(target_os = "linux")]
mod account;
#[cfg(target_os = "linux")]
mod bubblewrap;
#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod contained;
#[cfg(target_os = "linux")]
mod container;
#[cfg(target_os = "linux")]
mod diagnosis;
#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod engine;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod inside;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod ownership;
#[cfg(target_os = "linux")]
mod running;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
#[cfg(target_os = "linux")]
mod seccomp;

pub use containers::Containers;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{PendingStart, Prepared, Running, Sandbox, remove_left_containers, run_helper};
#[cfg(target_os = "linux")]
pub use engine::remove_left_containers;
pub use error::Error;
#[cfg(target_os = "linux")]
pub use helper::run_helper;
pub use level::Level;
pub use open_files::raise_open_files_limit;
pub use ports::Ports;
pub use promises::Canary;
pub use report::{Outcome, Report, Verdict};
#[cfg(target_os = "linux")]
pub use running::{PendingStart, Prepared, Running};
#[cfg(target_os = "linux")]
pub use sandbox::Sandbox;
pub use spec::{Access, Limits, Spec};
