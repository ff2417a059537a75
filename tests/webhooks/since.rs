//! What is looked for once more, since a time that somebody names.

use super::{World, name};
use pullyard_local::DeliveryFault;
use pullyard_protocol::hook::RecoverHook;
use pullyard_store::Write;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread")]
async fn a_review_of_before_the_last_look_is_found_when_somebody_looks_again_since_then() {
    let world = World::make().await;
    let (api, clock) = (&world.story.api, &world.story.clock);
    api.install_hook(&world.wanted("acme", false)).await.unwrap();
    world.story.local.forge().deliveries_settled().await;
    world.story.local.forge().order_delivery_fault(1, DeliveryFault::Forgotten);
    world.asks().await;
    // An hour later everything of before is thought to have been seen.
    clock.advance(HOUR);
    let store = world.story.store().await;
    let mut hook = store.hook(&name("acme")).await.unwrap().unwrap();
    hook.recovery.look.since = Some(clock.now());
    assert_eq!(store.put_hook(&hook).await.unwrap(), Write::Applied);
    let found = api.recover_hook(&name("acme"), &RecoverHook::default()).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 0, vec![]));
    let since = RecoverHook { since: Some(clock.now().minus(HOUR * 2)) };
    let found = api.recover_hook(&name("acme"), &since).await.unwrap();
    assert_eq!((found.pull_requests, found.reviews, found.problems), (1, 1, vec![]));
    assert_eq!(world.revisions().await.len(), 1);
    world.story.end().await;
}
