//! Tests the observed status and the text of tickets, and which writes may change them.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, replace_text_by, ticket_without_job};
use pullyard_store::Error;

async fn snapshot(world: &World, id: &str, when: u64, status: &str) -> Write {
    let event = sample::event("APP-1", id, at(when), status);
    world.store.update_snapshot(&event, None).await.unwrap()
}

async fn text(world: &World, id: &str, when: u64) -> Write {
    let event = sample::event("APP-1", id, at(when), "Todo");
    world.store.store_text(&event).await.unwrap()
}

#[tokio::test]
async fn first_snapshot_creates_the_ticket() {
    let world = World::new().await;
    assert_eq!(snapshot(&world, "evt-1", 1, "Todo").await, Write::Applied);
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.seen_at, ticket.rev), ("Todo", at(1), 1));
    assert_eq!(ticket.seen_event, Some(sample::event_id("evt-1")));
}

#[tokio::test]
async fn newer_snapshot_changes_only_the_observed_status() {
    let world = World::new().await;
    world.create_ticket_job("APP-1").await;
    let before = world.ticket("APP-1").await;
    assert_eq!(snapshot(&world, "evt-2", 2, "Doing").await, Write::Applied);
    let mut expected = before.clone();
    expected.status = "Doing".into();
    expected.seen_at = at(2);
    expected.seen_event = Some(sample::event_id("evt-2"));
    expected.rev += 1;
    assert_eq!(world.ticket("APP-1").await, expected);
}

#[tokio::test]
async fn older_snapshot_changes_nothing() {
    let world = World::new().await;
    snapshot(&world, "evt-2", 2, "Doing").await;
    let before = world.items().await;
    assert_eq!(snapshot(&world, "evt-1", 1, "Todo").await, Write::Stale);
    assert_eq!(world.items().await, before);
}

/// Some tools have a clock of whole seconds, so several events have the same time. The later arrival is stored.
#[tokio::test]
async fn later_of_two_simultaneous_snapshots_is_stored() {
    let world = World::new().await;
    snapshot(&world, "evt-1", 1, "Todo").await;
    assert_eq!(snapshot(&world, "evt-2", 1, "Doing").await, Write::Applied);
    assert_eq!(world.ticket("APP-1").await.status, "Doing");
}

#[tokio::test]
async fn first_event_after_a_write_back_clears_the_echo() {
    let world = World::new().await;
    let mut ticket = sample::ticket("APP-1");
    ticket.written = Some("In Review".into());
    world.expect_applied(world.store.update_ticket(&ticket)).await;
    snapshot(&world, "evt-1", 1, "In Review").await;
    assert_eq!(world.ticket("APP-1").await.written, None);
}

#[tokio::test]
async fn event_with_an_unchanged_status_is_recorded() {
    let world = World::new().await;
    snapshot(&world, "evt-1", 1, "Todo").await;
    let mut expected = world.ticket("APP-1").await;
    world.expect_applied(world.store.confirm_status(&sample::event("APP-1", "evt-2", at(2), "Todo"))).await;
    expected.seen_at = at(2);
    expected.seen_event = Some(sample::event_id("evt-2"));
    expected.rev += 1;
    assert_eq!(world.ticket("APP-1").await, expected);
}

#[tokio::test]
async fn unchanged_event_for_a_left_status_is_refused() {
    let world = World::new().await;
    let event = sample::event("APP-1", "evt-2", at(2), "Todo");
    world.expect_refused(world.store.confirm_status(&event)).await;
    snapshot(&world, "evt-1", 1, "Doing").await;
    world.expect_refused(world.store.confirm_status(&event)).await;
    snapshot(&world, "evt-3", 3, "Todo").await;
    world.expect_refused(world.store.confirm_status(&event)).await;
}

#[tokio::test]
async fn rank_is_stored_only_while_the_card_is_in_its_column() {
    let world = World::new().await;
    snapshot(&world, "evt-1", 1, "Todo").await;
    let mut expected = world.ticket("APP-1").await;
    world.expect_applied(world.store.store_rank(&expected, 7)).await;
    (expected.rank, expected.rev) = (7, expected.rev + 1);
    assert_eq!(world.ticket("APP-1").await, expected);
    snapshot(&world, "evt-2", 2, "Doing").await;
    world.expect_refused(world.store.store_rank(&expected, 8)).await;
    assert_eq!(world.ticket("APP-1").await.rank, 7, "an event without a rank leaves it");
}

#[tokio::test]
async fn text_is_replaced_only_by_a_newer_one() {
    let world = World::new().await;
    for (id, when, expected) in [
        ("evt-2", 2, Write::Applied),
        ("evt-1", 1, Write::Stale),
        ("evt-2", 2, Write::Applied),
        ("evt-3", 3, Write::Applied),
        ("evt-2", 2, Write::Stale),
    ] {
        assert_eq!(text(&world, id, when).await, expected, "{id}");
    }
    let expected = sample::event("APP-1", "evt-3", at(3), "Todo").text;
    assert_eq!(world.text("APP-1").await, expected);
    assert_eq!(world.items().await.len(), 1, "a text creates no ticket");
}

#[tokio::test]
async fn event_without_text_keeps_the_text() {
    let world = World::new().await;
    text(&world, "evt-1", 1).await;
    let before = world.items().await;
    let mut event = sample::event("APP-1", "evt-2", at(2), "Todo");
    event.text = None;
    assert_eq!(world.store.store_text(&event).await.unwrap(), Write::Applied);
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn deleted_ticket_does_not_come_back() {
    let world = World::new().await;
    world.expect_applied(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    let seen = world.ticket("APP-1").await;
    world.delete_item("TICKET#", "TICKET").await;
    world.expect_refused(world.store.update_ticket(&seen)).await;
}

fn board_text(title: &str) -> TicketText {
    TicketText { title: title.into(), ..TicketText::default() }
}

#[tokio::test]
async fn ticket_is_created_with_its_text() {
    let world = World::new().await;
    let ticket = sample::ticket("APP-1");
    let [one, two] = ["evt-1", "evt-2"].map(|event| sample::refused_decision(event, at(1)));
    world.expect_applied(world.store.create_ticket(&ticket_without_job(&ticket, &board_text("one"), &one))).await;
    assert_eq!(world.ticket("APP-1").await.rev, 1);
    assert_eq!(world.text("APP-1").await, Some(board_text("one")));
    assert_eq!(world.store.load_delivery(&one.id).await.unwrap(), Some(one));
    world.expect_refused(world.store.create_ticket(&ticket_without_job(&ticket, &board_text("two"), &two))).await;
    assert_eq!(world.store.load_delivery(&two.id).await.unwrap(), None, "a refused write must not reach the ledger");
}

#[tokio::test]
async fn ticket_is_created_with_its_job_and_request_key() {
    let world = World::new().await;
    let (job, ticket) = sample::plan_ticket_job(&sample::ticket("APP-1"), "one");
    let (text, delivery, request) = (board_text("one"), sample::accepted_decision(&job), sample::request("key", at(0)));
    let creation =
        TicketCreation { job: Some(&job), request: Some(&request), ..ticket_without_job(&ticket, &text, &delivery) };
    world.expect_applied(world.store.create_ticket(&creation)).await;
    assert_eq!(world.check_consistency().await, 1);
    assert_eq!(world.ticket("APP-1").await.active_job, Some(job.id.clone()));
    let stored_request = world.store.load_request(&request).await.unwrap();
    assert_eq!(stored_request, Some((request.content.clone(), delivery.id.clone())));
}

#[tokio::test]
async fn created_text_is_replaced_only_by_a_newer_one() {
    let world = World::new().await;
    let ticket = Ticket { seen_at: at(5), ..sample::ticket("APP-1") };
    let (one, delivery) = (board_text("one"), sample::refused_decision("evt-5", at(5)));
    world.expect_applied(world.store.create_ticket(&ticket_without_job(&ticket, &one, &delivery))).await;
    assert_eq!(text(&world, "evt-4", 4).await, Write::Stale);
    assert_eq!(world.text("APP-1").await, Some(one));
    assert_eq!(text(&world, "evt-6", 6).await, Write::Applied);
}

#[tokio::test]
async fn text_edited_on_the_board_yields_to_any_later_event() {
    let world = World::new().await;
    text(&world, "evt-9", 9).await;
    let seen = world.store.load_ticket_text(&sample::project(), &sample::ticket_key("APP-1")).await.unwrap();
    world.expect_applied(replace_text_by(&world.store, "two", &board_text("two"), seen.as_ref())).await;
    let event = sample::event("APP-1", "evt-0", Timestamp::from_millis(0), "Todo");
    assert_eq!(world.store.store_text(&event).await.unwrap(), Write::Applied);
    assert_eq!(world.text("APP-1").await, event.text);
}

#[tokio::test]
async fn unreadable_item_is_named_in_the_error() {
    let world = World::calm().await;
    let key = sample::ticket_key("APP-1");
    let at = [("pk", format!("TICKET#{}#APP-1", sample::project())), ("sk", "TICKET".to_owned())];
    let item = at.map(|(name, value)| (name.to_owned(), AttributeValue::S(value))).into();
    world.put_item(item).await;
    match world.store.load_ticket(&sample::project(), &key).await {
        Err(Error::Corrupt { key, .. }) => assert!(key.contains("#APP-1"), "{key}"),
        other => panic!("{other:?}"),
    }
}
