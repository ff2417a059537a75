//! Flows of API tokens that are created once per idempotency key, and revoked.

use super::{flow, prepared};
use crate::walk::base;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;
use futures::FutureExt;
use serde_json::{Value, json};

fn new() -> Value {
    json!({ "name": "second", "kind": "api", "scopes": ["read"] })
}

/// A repeat is refused with the token's id, because its text cannot be shown again.
fn made() -> Step {
    let make = post("/v1/tokens", new()).with("idempotency-key", "key-1");
    Step::request("somebody makes a token", make).or_refused("409")
}

pub(in crate::walk) fn made_once() -> Flow {
    flow("a token is made", &[], vec![made()])
}

async fn has_another(world: &World) {
    let made = base::done(world, "/v1/tokens", new()).await;
    world.note("token", made["id"].clone());
}

fn revoked() -> Step {
    let make = |world: &World| Some(delete(format!("/v1/tokens/{}", world.noted("token")?)).into());
    Step::call("somebody takes it back", make)
}

pub(in crate::walk) fn taken_back() -> Flow {
    prepared("a token is taken back", &[], |world| has_another(world).boxed(), vec![revoked()])
}
