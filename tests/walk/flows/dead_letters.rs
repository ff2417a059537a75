//! A flow of dead letters that are redriven or dropped.

use super::{flow, tickets};
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, Unrepeated};
use crate::walk::world::{DISPATCH, DISPATCH_DEAD, EFFECTS_DEAD, World};
use futures::FutureExt;
use serde_json::json;

/// The wake-up of the ticket's job is moved to the dead-letter queue.
fn died() -> Step {
    Step::act("its wake-up fails too often", |world| {
        async {
            let Some((event, receipt)) = world.raw.receive(world.aws.sqs(), DISPATCH).await else { return false };
            world.raw.delete_message(world.aws.sqs(), DISPATCH, &receipt).await;
            let body = event["Records"][0]["body"].as_str().unwrap();
            world.note("its letter", world.raw.send(world.aws.sqs(), DISPATCH_DEAD, body).await);
            true
        }
        .boxed()
    })
}

fn poison() -> Step {
    Step::act("a message can't be read by anybody", |world| {
        async {
            world.note("the poison", world.raw.send(world.aws.sqs(), EFFECTS_DEAD, "poison").await);
            true
        }
        .boxed()
    })
}

fn ordered(name: &'static str, order: &'static str, which: &'static str) -> Step {
    let make = move |world: &World| {
        let these = json!({ "messages": [world.noted(which)?] });
        Some(post(format!("/v1/dlq/{order}"), these).into())
    };
    Step::call(name, make).unrepeated(Unrepeated::Hides)
}

pub(in crate::walk) fn sent_back_and_dropped() -> Flow {
    let mut steps = vec![tickets::told().walked_elsewhere(), died(), poison()];
    steps.push(ordered("somebody sends its wake-up back", "redrive", "its letter"));
    steps.push(ordered("somebody drops the other", "drop", "the poison"));
    let known = [Step::messages(), attempt::begins(), attempt::claims(), attempt::fails(), Step::messages()];
    steps.extend(known.map(Step::walked_elsewhere));
    flow("dead letters are sent back and dropped", &["failed"], steps)
}
