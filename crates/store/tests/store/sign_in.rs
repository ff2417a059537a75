//! A sign-in link is used up once, whoever comes and however often.

use crate::sample::at;
use crate::world::World;

#[tokio::test]
async fn a_link_is_used_up_once() {
    let world = World::new().await;
    world.applies(world.store.use_sign_in("one", at(600))).await;
    world.refuses(world.store.use_sign_in("one", at(600))).await;
    world.applies(world.store.use_sign_in("two", at(600))).await;
}

#[tokio::test]
async fn that_it_was_used_is_remembered_longer_than_it_would_work() {
    let world = World::new().await;
    world.applies(world.store.use_sign_in("one", at(600))).await;
    let items = world.items().await;
    let item = items.values().next().unwrap();
    let forgotten: i64 = item["expires"].as_n().unwrap().parse().unwrap();
    let over = at(600).millis() / 1_000;
    assert!(forgotten >= over + 600, "{forgotten}");
    // And it does go: DynamoDB keeps what expires in more than some years for ever.
    assert!(forgotten <= over + 86_400, "{forgotten}");
}
