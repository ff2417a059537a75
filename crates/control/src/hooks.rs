//! Installs, compares, repairs and removes webhooks at forges.

mod app;
mod compare;
mod drift;
mod install;
mod list;

pub use compare::{HookView, load_hook_view, repair_hook, verify_hook};
pub use drift::Drift;
pub use install::{NewHook, Target, install_hook, remove_hook};
pub use list::{list_failing_hooks, list_hook_views};
