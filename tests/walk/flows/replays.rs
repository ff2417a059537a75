//! A flow in which a refused delivery is replayed after the settings changed.

use super::flow_after;
use super::reviews::{deliver_review, start_attempt, with_hook};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

async fn with_revise_disabled(world: &World) {
    with_hook(world).await;
    base::change_settings(world, |settings| settings.revise_on_review = false).await;
    let project = base::load_project(world).await;
    world.note("settings", serde_json::to_value(&project.settings).unwrap());
    world.note("revision", project.rev);
}

/// Conditional on the revision that was read, so that a repeat is refused.
fn enable_revise() -> Step {
    let make = |world: &World| {
        let mut settings: Value = serde_json::from_str(&world.note_value("settings")?).unwrap();
        settings["revise_on_review"] = true.into();
        let call = post("/v1/projects/acme/settings", settings).put();
        Some(call.header("if-match", world.note_value("revision")?).into())
    };
    Step::call("somebody changes the settings", make).refused_on_repeat("412")
}

fn replay_delivery() -> Step {
    let make = |world: &World| {
        Some(post(format!("/v1/deliveries/{}/replay", world.note_value("delivery")?), json!({})).into())
    };
    Step::call("somebody has it decided again", make)
}

pub(in crate::walk) fn replay_refused() -> Flow {
    let mut steps = vec![
        deliver_review("a review is delivered", "review 1"),
        Step::messages(),
        enable_revise(),
        replay_delivery(),
        Step::messages(),
    ];
    steps.extend(
        start_attempt().into_iter().chain([attempt::finish_failed(), Step::messages()]).map(Step::broken_elsewhere),
    );
    flow_after("a refused review is decided again", &["failed"], |world| with_revise_disabled(world).boxed(), steps)
}
