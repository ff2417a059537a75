//! Tests the names of users' secrets.

use crate::prelude::*;
use crate::world::World;
use pullyard_store::SecretRecord;

const KEY: &str = "pullyard/job/key";

async fn load(world: &World) -> Option<SecretRecord> {
    world.store.load_secret_record(KEY).await.unwrap()
}

async fn set(world: &World, at: Timestamp) -> SecretRecord {
    let record = SecretRecord::next(load(world).await, KEY, at);
    world.expect_applied(world.store.put_secret_record(&record)).await;
    load(world).await.unwrap()
}

#[tokio::test]
async fn secret_that_was_set_again_keeps_its_name() {
    let world = World::new().await;
    let first = set(&world, at(0)).await;
    let second = set(&world, at(1)).await;
    assert_eq!(world.store.delete_secret_record(&first).await.unwrap(), Write::Stale);
    assert_eq!(load(&world).await.as_ref(), Some(&second));
    for _ in 0..2 {
        assert_eq!(world.store.delete_secret_record(&second).await.unwrap(), Write::Applied);
        assert_eq!(load(&world).await, None);
    }
    // A new name starts at the first revision again.
    let third = set(&world, at(2)).await;
    assert_eq!(third.rev, first.rev);
    assert_eq!(world.store.delete_secret_record(&first).await.unwrap(), Write::Stale);
    assert_eq!(load(&world).await, Some(third));
}

#[tokio::test]
async fn names_are_listed_by_case_and_around_an_unreadable_one() {
    let world = World::new().await;
    let names = ["pullyard/job/Key", KEY, "pullyard/user/key"];
    for secret in names {
        let record = SecretRecord { secret: secret.into(), ..sample::secret_record(0) };
        world.expect_applied(world.store.put_secret_record(&record)).await;
    }
    let mut broken = world.item("SECRETS", KEY).await;
    broken.remove("set_at");
    world.put_item(broken).await;
    let listed = world.store.list_secret_records().await.unwrap();
    let readable: Vec<_> = listed.iter().map(|record| record.as_ref().ok().map(|record| &*record.secret)).collect();
    assert_eq!(readable, [Some(names[0]), None, Some(names[2])]);
}
