//! Tests how long a used sign-in link is recorded.

use crate::prelude::*;
use crate::world::World;

#[tokio::test]
async fn used_link_is_recorded_beyond_its_expiry() {
    let world = World::new().await;
    world.expect_applied(world.store.use_sign_in("one", at(600))).await;
    let items = world.items().await;
    let item = items.values().next().unwrap();
    let forgotten: i64 = item["expires"].as_n().unwrap().parse().unwrap();
    let over = at(600).millis() / 1_000;
    assert!(forgotten >= over + 600, "{forgotten}");
    // DynamoDB never deletes an item whose expiry is years away.
    assert!(forgotten <= over + 86_400, "{forgotten}");
}
