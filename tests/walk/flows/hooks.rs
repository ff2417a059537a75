//! Flows of hooks: install, repair and remove, and polling instead of a hook.

use super::{flow_after, with_a_forge};
use crate::prelude::*;
use crate::walk::base;
use crate::walk::forge;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

/// The ping fails at once, because the local forge calls only this machine.
fn hook_request() -> Value {
    json!({
        "name": "acme", "integration": "gh1", "project": "acme", "repository": REPOSITORY,
        "base_url": "https://api.test",
    })
}

fn install_hook() -> Step {
    let install = post("/v1/hooks", hook_request());
    let install = install.on_answer(|world, answer| world.note("forge hook", answer["forge_id"].clone()));
    Step::request("somebody installs a hook", install)
}

/// A user at the forge changes the hook's URL and removes its secret.
fn break_hook() -> Step {
    Step::act("somebody spoils it at the forge", |world| {
        async {
            let Some(hook) = world.note_value("forge hook") else { return false };
            let config = json!({ "url": "https://elsewhere.test", "content_type": "form" });
            let body = json!({ "config": config, "events": ["push"], "active": false });
            forge::patch_as_bot(world, &format!("/hooks/{hook}"), body).await;
            true
        }
        .boxed()
    })
}

pub(super) fn verify_hook() -> Step {
    Step::request("somebody looks at it", post("/v1/hooks/acme/verify", json!({})))
}

pub(super) fn repair_hook() -> Step {
    Step::request("somebody repairs it", post("/v1/hooks/acme/repair", json!({})))
}

/// A repeat is refused, because the hook is gone.
fn remove_hook() -> Step {
    Step::request("somebody removes it", delete("/v1/hooks/acme")).refused_on_repeat("404")
}

pub(in crate::walk) fn hook_repair() -> Flow {
    let steps = vec![install_hook(), break_hook(), verify_hook(), repair_hook()];
    flow_after("a hook is installed and repaired", &[], |world| with_a_forge(world).boxed(), steps)
}

async fn with_hook(world: &World) {
    with_a_forge(world).await;
    // Otherwise redelivery of the failed ping is requested for hours.
    world.forge.as_ref().unwrap().inject_delivery_fault(1, DeliveryFault::NotRecorded);
    let hook = base::post_ok(world, "/v1/hooks", hook_request()).await;
    world.note("hook secret", hook["secret"].clone());
}

pub(in crate::walk) fn hook_removal() -> Flow {
    flow_after("a hook is removed", &[], |world| with_hook(world).boxed(), vec![remove_hook()])
}

fn poll_repository() -> Step {
    let polled = json!({ "repository": REPOSITORY, "ingress": "poll" });
    Step::request("somebody has the repository looked at", post("/v1/projects/acme/ingress", polled).put())
}

pub(in crate::walk) fn change_ingress() -> Flow {
    let name = "a repository is polled instead of waiting for its hook";
    flow_after(name, &[], |world| with_hook(world).boxed(), vec![poll_repository()])
}
