//! Two kinds of use cases that write the same item, thirty-two callers of each at once: whoever comes first, the
//! other one's outcome is one that the state machine allows, and everything that is stored agrees.

mod accounts;
mod anew;
mod attempts;
mod claims;
mod ends;
mod entries;
mod gone;
mod heard;
mod hooks;
mod reviews;
mod runners;
mod tickets;

use super::rounds::Came;
use super::world;
use crate::sample;
use crate::world::World;
use pullyard_domain::job::{Job, Status};
use pullyard_domain::runner::Runner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many came to this.
fn count(came: &BTreeMap<Came, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// A runner with room for so many, and the job it executes.
async fn on_kite(room: u32, phase: Status) -> (Arc<World>, Runner, Job) {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", room)).await;
    let job = world.running_on(&runner, "APP-1", phase).await;
    let runner = world.runner(&runner).await;
    (world, runner, job)
}
