//! Flows of API tokens that are created once per idempotency key, and revoked.

use super::{flow, flow_after};
use crate::prelude::*;
use crate::walk::base;
use crate::walk::http::{delete, post};
use crate::walk::step::{Flow, Step};
use crate::walk::world::World;

fn token_body() -> Value {
    json!({ "name": "second", "kind": "api", "scopes": ["read"] })
}

/// A repeat is refused with the token's id, because its text cannot be shown again.
fn create_token() -> Step {
    let make = post("/v1/tokens", token_body()).header("idempotency-key", "key-1");
    Step::request("somebody makes a token", make).refused_on_repeat("409")
}

pub(in crate::walk) fn token_creation() -> Flow {
    flow("a token is made", &[], vec![create_token()])
}

async fn with_second_token(world: &World) {
    let token = base::post_ok(world, "/v1/tokens", token_body()).await;
    world.note("token", token["id"].clone());
}

fn revoke_one_token() -> Step {
    let make = |world: &World| Some(delete(format!("/v1/tokens/{}", world.note_value("token")?)).into());
    Step::call("somebody takes it back", make)
}

pub(in crate::walk) fn token_revocation() -> Flow {
    flow_after("a token is taken back", &[], |world| with_second_token(world).boxed(), vec![revoke_one_token()])
}
