//! Flows of hooks: install, repair, recover and remove, and polling instead of a hook.

use super::{prepared, with_a_forge};
use crate::story::REPOSITORY;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use futures::FutureExt;
use pullyard_fake_forge::{DeliveryFault, TestForge as _};
use serde_json::{Value, json};

/// The ping fails at once, because the demo forge calls only this machine.
fn wanted() -> Value {
    json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    })
}

fn installed() -> Step {
    let install = post("/v1/hooks", wanted());
    let install = install.keeping(|world, made| world.note("forge hook", made["forge_id"].clone()));
    Step::request("somebody installs a hook", install)
}

/// A user at the forge changes the hook's URL and removes its secret.
fn spoiled() -> Step {
    Step::act("somebody spoils it at the forge", |world| {
        async {
            let Some(hook) = world.noted("forge hook") else { return false };
            let config = json!({ "url": "https://elsewhere.test", "content_type": "form" });
            let body = json!({ "config": config, "events": ["push"], "active": false });
            forge::changes(world, &format!("/hooks/{hook}"), body).await;
            true
        }
        .boxed()
    })
}

pub(super) fn verified() -> Step {
    Step::request("somebody looks at it", post("/v1/hooks/acme/verify", json!({})))
}

pub(super) fn repaired() -> Step {
    Step::request("somebody repairs it", post("/v1/hooks/acme/repair", json!({})))
}

/// A repeat is refused, because the hook is gone.
pub(super) fn removed() -> Step {
    Step::request("somebody removes it", delete("/v1/hooks/acme")).or_refused("404")
}

pub(in crate::walk) fn installed_and_repaired() -> Flow {
    let steps = vec![installed(), spoiled(), verified(), repaired()];
    prepared("a hook is installed and repaired", &[], |world| with_a_forge(world).boxed(), steps)
}

async fn has_a_hook(world: &World) {
    with_a_forge(world).await;
    // Otherwise redelivery of the failed ping is requested for hours.
    world.forge.as_ref().unwrap().order_delivery_fault(1, DeliveryFault::Forgotten);
    let made = base::done(world, "/v1/hooks", wanted()).await;
    world.note("hook secret", made["secret"].clone());
}

pub(in crate::walk) fn removed_everywhere() -> Flow {
    prepared("a hook is removed", &[], |world| has_a_hook(world).boxed(), vec![removed()])
}

fn recovered() -> Step {
    Step::request("somebody has it look for what it missed", post("/v1/hooks/acme/recover", json!({})))
}

fn polled() -> Step {
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    Step::request("somebody has the repository looked at", post("/v1/projects/acme/ingress", polled).put())
}

pub(in crate::walk) fn recovered_and_polled() -> Flow {
    let steps = vec![recovered(), Step::messages(), polled()];
    prepared("a hook looks for what it missed when somebody asks", &[], |world| has_a_hook(world).boxed(), steps)
}
