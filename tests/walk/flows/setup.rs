//! Flows of setup: a forge, a secret, a project and a repository are connected, rotated and removed.

use super::{flow, flow_after, with_a_forge};
use crate::prelude::*;
use crate::walk::base;
use crate::walk::forge::TOKEN;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use pullyard_domain::review::removal::MIN_SECRET_AGE;

fn set_secret() -> Step {
    let secret = json!({ "value": TOKEN, "kind": "forge" });
    Step::request("somebody sets a secret", post("/v1/secrets/second", secret).put())
}

fn connect_forge() -> Step {
    Step::call("somebody connects a forge", |world| {
        let api_url = format!("{}/api/v3", world.forge_url()?);
        let integration =
            json!({ "id": "gh2", "kind": "github", "api_url": api_url, "token_secret": "pullyard/user/second" });
        Some(post("/v1/integrations", integration).into())
    })
}

fn create_project() -> Step {
    let project = json!({ "id": "beta", "name": "Beta", "settings": { "default_repository": REPOSITORY } });
    Step::request("somebody makes a project", post("/v1/projects", project))
}

fn add_repository() -> Step {
    let agent = json!({ "capability": "command", "command": ["./agent.sh"] });
    let repository = json!({ "integration": "gh2", "name": REPOSITORY, "agent": agent });
    Step::request("somebody connects a repository", post("/v1/projects/beta/repositories", repository))
}

/// The previous value stays valid during the overlap.
fn rotate_secret() -> Step {
    let body = json!({ "value": "another one", "overlap_secs": 3_600 });
    Step::request("somebody rotates a secret", post("/v1/secrets/second/rotate", body))
}

pub(in crate::walk) fn connect_and_rotate() -> Flow {
    let steps = vec![set_secret(), connect_forge(), create_project(), add_repository(), rotate_secret()];
    flow_after("a forge is connected, and its secret rotated", &[], |world| with_a_forge(world).boxed(), steps)
}

/// A repeat is refused, because the secret and its name are gone.
pub(in crate::walk) fn secret_removal() -> Flow {
    let delete = Step::request("somebody deletes the secret", delete("/v1/secrets/second")).refused_on_repeat("404");
    // Twice the time, because the embedded Secrets Manager dates values by the real clock.
    flow("a secret is deleted", &[], vec![set_secret().broken_elsewhere(), Step::wait(2 * MIN_SECRET_AGE), delete])
}

/// A repeat is refused, because the repository is gone.
fn remove_repository() -> Step {
    let path = format!("/v1/projects/acme/repositories/{REPOSITORY}");
    Step::request("somebody removes the repository", delete(path)).refused_on_repeat("404")
}

/// A repeat is refused, because the integration is gone.
fn disconnect() -> Step {
    Step::request("somebody disconnects the forge", delete("/v1/integrations/gh2")).refused_on_repeat("404")
}

pub(in crate::walk) fn disconnect_forge() -> Flow {
    let steps = vec![set_secret().broken_elsewhere(), connect_forge().broken_elsewhere(), disconnect()];
    flow_after("a forge is disconnected", &[], |world| with_a_forge(world).boxed(), steps)
}

pub(in crate::walk) fn repository_removal() -> Flow {
    flow_after("a repository is removed", &[], |world| with_a_forge(world).boxed(), vec![remove_repository()])
}

async fn with_a_project(world: &World) {
    base::post_ok(world, "/v1/projects", json!({ "id": "beta", "name": "Beta" })).await;
    base::post_ok(world, "/v1/tickets", json!({ "project": "beta", "key": "B-1", "title": "t" })).await;
}

/// A repeat is refused, because the project is gone.
pub(in crate::walk) fn project_deletion() -> Flow {
    let step = Step::request("somebody deletes the project", delete("/v1/projects/beta")).refused_on_repeat("404");
    flow_after("a project is deleted", &[], |world| with_a_project(world).boxed(), vec![step])
}
