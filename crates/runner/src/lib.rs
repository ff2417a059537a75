//! The runner: runs one job and reports its end to the control plane.
//! It lets an agent work in a worktree, pushes the work, and opens the pull request. The daemon of a self-hosted runner
//! claims jobs and runs each in a process of its own.
//! The control plane decides which job runs when and how its end changes the ticket; the runner calls it only over the
//! wire. `pullyard-forge` calls the forge's REST API.

mod agent;
mod agent_files;
mod api;
mod args;
mod artifacts;
mod attempt;
mod checkpoint;
mod command;
mod daemon;
mod deadline;
mod disk_limit;
mod durable_file;
mod error;
mod exit;
mod git;
mod hash;
mod inputs;
mod job;
mod job_log;
mod options;
mod output;
mod process;
mod publish;
mod secrets;
mod setup;
mod stop;

pub use agent::RestartPauses;
pub use agent::{agent_variables, list_local_agents};
pub use args::hide_from_children;
pub use command::{Command, write_message};
pub use daemon::{Check, Config, Start};
pub use disk_limit::find_low_space;
pub use error::Error;
pub use exit::Exit;
pub use options::{OTHER_ISOLATIONS, RunJob, check_disk_limit, check_process_memory};
pub use process::root_folder::root_work_folder;
pub use process::sandbox::check as check_isolation;
pub use pullyard_sandbox::Level as Isolation;
pub use setup::Setup;
