//! The daemon of a self-hosted runner: registers, sends heartbeats, claims jobs and runs each in its own process.
//! These processes outlive the daemon. `run-job` runs the job, and the control plane chooses it.

pub(crate) mod agents;
mod args;
mod call_failure;
pub(crate) mod check;
mod child;
mod claims;
pub(crate) mod config_file;
mod container_settings;
mod context;
mod current_order;
mod file_source;
mod heartbeat;
mod installed;
mod launch;
mod lifecycle;
mod lost;
mod mailbox;
mod orders;
mod outbox_delivery;
pub(crate) mod output;
mod pauses;
mod process_record;
mod program;
mod release;
pub(crate) mod setting_names;
pub(crate) mod settings;
mod state;
pub(crate) mod state_folder;
mod update;
mod update_settings;
pub(crate) mod update_watch;

pub(crate) use args::Flags;
pub use args::{Check, Config, Start};
pub(crate) use setting_names::{SettingValue, how_to_set};
