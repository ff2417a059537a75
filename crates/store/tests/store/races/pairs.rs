//! Tests races between two use cases that write the same item, with 32 callers each. For any order, both outcomes are
//! allowed by the state machine and all stored items are consistent.

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
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::runner::Runner;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The number of racers with this outcome.
fn count(came: &BTreeMap<Came, usize>, word: &str) -> usize {
    came.get(word).copied().unwrap_or_default()
}

/// A runner with this many slots, and the job that it runs.
async fn on_kite(room: u32, phase: JobStatus) -> (Arc<World>, Runner, Job) {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", room)).await;
    let job = world.running_on(&runner, "APP-1", phase).await;
    let runner = world.runner(&runner).await;
    (world, runner, job)
}
