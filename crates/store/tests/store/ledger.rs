//! Tests that the ledger preserves final answers, and its lists.

use crate::prelude::*;
use crate::sample;
use crate::world::World;

#[tokio::test]
async fn refusal_is_replaced_by_a_later_decision() {
    let world = World::new().await;
    world.expect_applied(world.store.record_delivery(&sample::refused_decision("evt-1", at(1)))).await;
    let mut later = sample::refused_decision("evt-1", at(2));
    later.reason = Reason::Echo {};
    world.expect_applied(world.store.record_delivery(&later)).await;
    assert_eq!(world.store.load_delivery(&later.id).await.unwrap(), Some(later));
}

#[tokio::test]
async fn final_answer_is_never_replaced() {
    let world = World::new().await;
    let mut last = sample::refused_decision("evt-1", at(1));
    last.reason = Reason::Accepted { job: sample::job_id("one") };
    assert!(last.reason.is_final());
    world.expect_applied(world.store.record_delivery(&last)).await;
    world.expect_refused(world.store.record_delivery(&sample::refused_decision("evt-1", at(2)))).await;
    world.expect_refused(world.store.record_delivery(&last)).await;
}

#[tokio::test]
async fn entries_before_a_time_are_listed_newest_first() {
    let world = World::new().await;
    let tomorrow = at(24 * 3_600);
    let mut ids = Vec::new();
    for n in 0..5u64 {
        let delivery = sample::refused_decision(&format!("evt-{n}"), at(n));
        world.expect_applied(world.store.record_delivery(&delivery)).await;
        ids.push(delivery.id);
    }
    world.expect_applied(world.store.record_delivery(&sample::refused_decision("tomorrow", tomorrow))).await;
    ids.reverse();
    let project = sample::project();
    let listed = world
        .after_catching_up(async || world.store.list_delivery_ids(&project, Some(tomorrow), None, 100).await.unwrap())
        .await;
    assert_eq!(listed, (ids, None));
}

#[tokio::test]
async fn deliveries_are_read_in_id_order_without_missing_ones() {
    let world = World::new().await;
    let deliveries: Vec<Delivery> = [3, 1, 2].map(|n| sample::refused_decision(&format!("evt-{n}"), at(n))).into();
    for delivery in &deliveries {
        world.expect_applied(world.store.record_delivery(delivery)).await;
    }
    let mut ids: Vec<_> = deliveries.iter().map(|delivery| delivery.id.clone()).collect();
    ids.insert(1, sample::refused_decision("evt-9", at(9)).id);
    assert_eq!(world.store.load_deliveries(&ids).await.unwrap(), deliveries);
    assert_eq!(world.store.load_deliveries(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn page_of_the_ledger_continues_after_any_entry() {
    let world = World::new().await;
    let mut deliveries = Vec::new();
    for n in 0..4u64 {
        let delivery = sample::refused_decision(&format!("evt-{n}"), at(n));
        world.expect_applied(world.store.record_delivery(&delivery)).await;
        deliveries.push(delivery);
    }
    let project = sample::project();
    for (n, last) in deliveries.iter().enumerate() {
        let after = world.store.cursor_after_delivery(last);
        let read = async || world.store.list_delivery_ids(&project, None, Some(&after), 100).await.unwrap();
        let older: Vec<_> = deliveries[..n].iter().rev().map(|delivery| delivery.id.clone()).collect();
        assert_eq!(world.after_catching_up(read).await, (older, None));
    }
}
