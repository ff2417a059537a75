//! A flow in which a refused delivery is replayed after the settings changed.

use super::prepared;
use super::reviews::{attempted, hooked, reviewed};
use crate::walk::attempt;
use crate::walk::base;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::{Value, json};

/// A project with `revise_on_review` disabled.
async fn deaf(world: &World) {
    hooked(world).await;
    base::settings(world, |settings| settings.revise_on_review = false).await;
    let project = base::project(world).await;
    world.note("settings", serde_json::to_value(&project.settings).unwrap());
    world.note("revision", project.rev);
}

/// Conditional on the revision that was read, so that a repeat is refused.
fn changed() -> Step {
    let make = |world: &World| {
        let mut settings: Value = serde_json::from_str(&world.noted("settings")?).unwrap();
        settings["revise_on_review"] = true.into();
        let call = post("/v1/projects/acme/settings", settings).put();
        Some(call.with("if-match", world.noted("revision")?).into())
    };
    Step::call("somebody changes the settings", make).or_refused("412")
}

fn replayed() -> Step {
    let make =
        |world: &World| Some(post(format!("/v1/deliveries/{}/replay", world.noted("delivery")?), json!({})).into());
    Step::call("somebody has it decided again", make)
}

pub(in crate::walk) fn refused_and_replayed() -> Flow {
    let mut steps =
        vec![reviewed("a review is told", "review 1"), Step::messages(), changed(), replayed(), Step::messages()];
    steps.extend(attempted().into_iter().chain([attempt::fails(), Step::messages()]).map(Step::walked_elsewhere));
    prepared("a refused review is decided again", &["failed"], |world| deaf(world).boxed(), steps)
}
