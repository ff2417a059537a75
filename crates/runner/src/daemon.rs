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
mod installed;
mod lifecycle;
mod lost;
mod mailbox;
mod orders;
mod outbox_delivery;
mod output;
mod pauses;
mod process_record;
mod program;
mod release;
mod setting_names;
mod settings;
mod state;
mod state_folder;
mod trial;
mod update;
mod update_settings;

pub use args::{Check, Config, Start};
pub(crate) use setting_names::SettingValue;
