//! Tests that a breaker is replaced or closed only as it was read.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::agent::breaker::{Account, AccountFault, AttemptRef, Breaker, BreakerCause, BreakerId};
use pullyard_domain::text::id::RunnerId;

pub(crate) fn id(capability: &str) -> BreakerId {
    BreakerId { account: Account::Project(sample::project()), capability: capability.into() }
}

fn opened_by(attempt: u32) -> AttemptRef {
    AttemptRef { job: sample::job("a").id, attempt }
}

const LIMIT: AccountFault = AccountFault { cause: BreakerCause::LimitReached, ends_at: None };

pub(crate) async fn open_breaker(world: &World, capability: &str) -> Breaker {
    let new = Breaker::record_fault(None, &id(capability), &LIMIT, &opened_by(1), at(0)).unwrap();
    world.expect_applied(world.store.put_breaker(&new, None)).await;
    world.store.load_breaker(&new.id).await.unwrap().unwrap()
}

#[tokio::test]
async fn breaker_is_replaced_only_at_the_rev_read() {
    let world = World::new().await;
    let stored = open_breaker(&world, "codex").await;
    assert_eq!((stored.rev, stored.until), (1, at(300)));
    let unread = Breaker { rev: 0, ..stored.clone() };
    assert_eq!(world.store.put_breaker(&unread, None).await.unwrap(), Write::Stale);
    let again = Breaker::record_fault(Some(&stored), &id("codex"), &LIMIT, &opened_by(2), at(300)).unwrap();
    world.expect_applied(world.store.put_breaker(&again, Some(&stored))).await;
    let closed = stored.close(at(60));
    let write = world.store.put_breaker(&closed, Some(&stored)).await.unwrap();
    assert_eq!(write, Write::Stale, "a newer breaker must stay open");
    let newest = world.store.load_breaker(&id("codex")).await.unwrap().unwrap();
    assert_eq!((newest.times, newest.until), (2, at(900)));
}

/// Both breakers have the first revision of their name: the breaker that was read has expired, and a new one is open.
#[tokio::test]
async fn stale_reader_cannot_change_a_reopened_breaker() {
    let world = World::new().await;
    let old_breaker = open_breaker(&world, "codex").await;
    world.delete_item("BREAKER#project#acme#codex", "BREAKER").await;
    let new = Breaker::record_fault(None, &id("codex"), &LIMIT, &opened_by(2), at(60)).unwrap();
    world.expect_applied(world.store.put_breaker(&new, None)).await;
    let stored = world.store.load_breaker(&id("codex")).await.unwrap().unwrap();
    assert_eq!((stored.rev, stored.opened), (old_breaker.rev, at(60)));
    let longer = Breaker::record_fault(Some(&old_breaker), &id("codex"), &LIMIT, &opened_by(3), at(300)).unwrap();
    world.expect_refused(world.store.put_breaker(&longer, Some(&old_breaker))).await;
    assert_eq!(world.store.load_breaker(&id("codex")).await.unwrap(), Some(stored));
}

#[tokio::test]
async fn breakers_are_listed_by_name() {
    let world = World::new().await;
    assert_eq!(world.store.list_breakers().await.unwrap(), []);
    open_breaker(&world, "codex").await;
    open_breaker(&world, "claude_code").await;
    let of_runner =
        BreakerId { account: Account::Runner(RunnerId::for_registration("t", "kite")), capability: "auto".into() };
    let new = Breaker::record_fault(None, &of_runner, &LIMIT, &opened_by(1), at(0)).unwrap();
    world.expect_applied(world.store.put_breaker(&new, None)).await;
    let all = world.after_catching_up(async || world.store.list_breakers().await.unwrap()).await;
    let names = all.into_iter().map(|breaker| breaker.id.to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["project/acme/claude_code", "project/acme/codex", &of_runner.to_string()]);
}
