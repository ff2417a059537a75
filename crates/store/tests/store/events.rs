//! Tests that events are stored in batches and read in order.

use crate::prelude::*;
use crate::sample;
use crate::world::World;

async fn store(world: &World, attempt: u32, first: u64, events: &[String]) -> Write {
    let batch = EventBatch { job: &sample::job_id("one"), attempt, first, at: at(first), events };
    world.store.create_event_batch(&batch).await.unwrap()
}

async fn first_numbers(world: &World, attempt: u32, seq: u64, limit: i32) -> Vec<u64> {
    let batches = world.store.list_event_batches::<String>(&sample::job_id("one"), attempt, seq, limit).await;
    batches.unwrap().iter().map(|batch| batch.first).collect()
}

#[tokio::test]
async fn batches_are_read_in_numeric_order() {
    let world = World::new().await;
    let numbers = [1u64, 2, 3, 9, 10, 11, 12, 99, 100, 101, 1_000, 9_999_999_999];
    for first in numbers.iter().rev() {
        assert_eq!(store(&world, 1, *first, &[format!("event {first}")]).await, Write::Applied);
    }
    store(&world, 2, 1, &["of another attempt".into()]).await;
    store(&world, 10, 1, &["of another attempt".into()]).await;
    assert_eq!(first_numbers(&world, 1, 0, 100).await, numbers);
    assert_eq!(first_numbers(&world, 1, 10, 3).await, [11, 12, 99]);
    assert_eq!(first_numbers(&world, 2, 0, 100).await, [1]);
    assert_eq!(first_numbers(&world, 3, 0, 100).await, [0u64; 0]);
}

#[tokio::test]
async fn newest_batches_before_a_number_are_oldest_first() {
    let world = World::new().await;
    for first in [1u64, 4, 9, 100] {
        store(&world, 1, first, &["event".into()]).await;
    }
    store(&world, 2, 1, &["of another attempt".into()]).await;
    for (before, limit, expected) in [(u64::MAX, 2, &[9, 100][..]), (100, 9, &[1, 4, 9]), (5, 1, &[4]), (1, 9, &[])] {
        let job = sample::job_id("one");
        let batches = world.store.list_event_batches_before::<String>(&job, 1, before, limit).await.unwrap();
        assert_eq!(batches.iter().map(|batch| batch.first).collect::<Vec<u64>>(), expected, "{before}");
    }
}

#[tokio::test]
async fn batch_is_read_as_stored_and_expires_after_90_days() {
    let world = World::new().await;
    let events = ["one".to_owned(), "zwei # % \u{1f980}".to_owned()];
    store(&world, 1, 5, &events).await;
    let batches = world.store.list_event_batches::<String>(&sample::job_id("one"), 1, 4, 10).await.unwrap();
    let [batch] = &batches[..] else { panic!("exactly one batch is stored") };
    assert_eq!((batch.first, batch.at, &batch.events[..]), (5, at(5), &events[..]));
    let item = world.item("EVENTS#", "0000000005").await;
    assert_eq!(number_attribute(&item, "expires"), Some(at(5).millis() / 1_000 + 90 * 86_400));
}

#[tokio::test]
async fn stored_batch_never_changes() {
    let world = World::new().await;
    store(&world, 1, 1, &["first".into()]).await;
    let before = world.items().await;
    assert_eq!(store(&world, 1, 1, &["first".into(), "second".into()]).await, Write::Stale);
    assert_eq!(world.items().await, before);
}

/// DynamoDB returns at most a megabyte per page, so a short page is not the end.
#[tokio::test]
async fn batches_beyond_one_megabyte_are_read() {
    let world = World::new().await;
    for first in 1..=6u64 {
        store(&world, 1, first, &[noise(300_000, first)]).await;
    }
    assert_eq!(first_numbers(&world, 1, 0, 100).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(first_numbers(&world, 1, 0, 5).await, [1, 2, 3, 4, 5]);
}

/// Text that compresses to more than half of its size.
fn noise(bytes: usize, seed: u64) -> String {
    use rand::RngExt;
    use rand::SeedableRng;
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    (0..bytes).map(|_| char::from(random.random_range(b'!'..=b'~'))).collect()
}
