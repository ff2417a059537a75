//! A flow of dead letters that are redriven or dropped.

use super::{flow, tickets};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::{DISPATCH, DISPATCH_DEAD, EFFECTS_DEAD, World};

/// The wake-up of the ticket's job is moved to the dead-letter queue.
fn bury_wake_up() -> Step {
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

fn send_poison() -> Step {
    Step::act("a message can't be read by anybody", |world| {
        async {
            world.note("the poison", world.raw.send(world.aws.sqs(), EFFECTS_DEAD, "poison").await);
            true
        }
        .boxed()
    })
}

fn dlq_command(name: &'static str, order: &'static str, which: &'static str) -> Step {
    let make = move |world: &World| {
        let selection = json!({ "messages": [world.note_value(which)?] });
        Some(post(format!("/v1/dlq/{order}"), selection).into())
    };
    Step::call(name, make).without_repeat(WithoutRepeat::HidesMessage)
}

pub(in crate::walk) fn redrive_and_drop() -> Flow {
    let mut steps = vec![tickets::send_ticket_event().broken_elsewhere(), bury_wake_up(), send_poison()];
    steps.push(dlq_command("somebody sends its wake-up back", "redrive", "its letter"));
    steps.push(dlq_command("somebody drops the other", "drop", "the poison"));
    let known = [Step::messages(), attempt::start_task(), attempt::claim(), attempt::finish_failed(), Step::messages()];
    steps.extend(known.map(Step::broken_elsewhere));
    flow("dead letters are sent back and dropped", &["failed"], steps)
}
