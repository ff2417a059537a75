//! The daemon of a self-hosted runner: registers, sends heartbeats, claims jobs and runs each in its own process.
//! These processes outlive the daemon. `run-job` runs the job, and the control plane chooses it.

mod agents;
mod args;
mod call_failure;
mod check;
mod child;
mod claims;
mod container_settings;
mod context;
mod heartbeat;
mod lifecycle;
mod lost;
mod mailbox;
mod outbox_delivery;
mod output;
mod pauses;
mod process_record;
mod setting_names;
mod settings;
mod state;
mod state_folder;

pub use args::{Check, Config, Start};
pub(crate) use setting_names::SettingValue;
