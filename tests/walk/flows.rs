//! The flows of the crash walk, one module per trigger.

pub(super) mod artifacts;
pub(super) mod bitbucket;
pub(super) mod board;
pub(super) mod dead_letters;
pub(super) mod fleet;
pub(super) mod holds;
pub(super) mod hooks;
pub(super) mod lost_webhooks;
pub(super) mod notices;
pub(super) mod replays;
pub(super) mod requests;
pub(super) mod reviews;
pub(super) mod runners;
pub(super) mod runs;
pub(super) mod schedules;
pub(super) mod scoped_trackers;
pub(super) mod setup;
pub(super) mod suspensions;
pub(super) mod templates;
pub(super) mod tickets;
pub(super) mod tokens;
pub(super) mod trackers;

use super::step::{Flow, Share, Step};
use super::world::World;
use crate::prelude::*;

async fn with_a_forge(world: &World) {
    world.note("forge", true);
}

fn flow(name: &'static str, ends: &'static [&'static str], steps: Vec<Step>) -> Flow {
    flow_after(name, ends, |_| async {}.boxed(), steps)
}

fn flow_after(
    name: &'static str,
    ends: &'static [&'static str],
    set_up: impl for<'a> Fn(&'a World) -> BoxFuture<'a, ()> + Send + Sync + 'static,
    steps: Vec<Step>,
) -> Flow {
    let steps = steps.into_iter().map(Arc::new).collect();
    Flow {
        name,
        final_statuses: ends,
        set_up: Box::new(set_up),
        steps,
        share: Share::Whole,
        loses_table_answers: false,
    }
}
