//! Tests tokens: revocation, last use, lookup by id, and the list.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_domain::text::id::TokenId;
use pullyard_store::Token;

fn hash(number: u64) -> String {
    format!("{number:064x}").chars().rev().collect()
}

fn token(number: u64) -> Token {
    Token { created: Some(at(number)), ..sample::token(&hash(number), &format!("token {number}")) }
}

async fn stored_token(world: &World, number: u64) -> Token {
    world.store.load_token(&hash(number)).await.unwrap().unwrap()
}

#[tokio::test]
async fn revoked_token_stays_revoked() {
    let world = World::new().await;
    world.expect_refused(world.store.revoke_token(&hash(1))).await;
    assert!(world.items().await.is_empty(), "a revocation must not create an item");
    world.expect_applied(world.store.put_token(&token(1))).await;
    for _ in 0..2 {
        world.expect_applied(world.store.revoke_token(&hash(1))).await;
        assert_eq!(stored_token(&world, 1).await, Token { revoked: true, ..token(1) });
    }
    world.expect_applied(world.store.note_token_use(&hash(1), at(9))).await;
    assert!(stored_token(&world, 1).await.revoked, "a late use must not undo the revocation");
}

#[tokio::test]
async fn token_is_valid_until_its_expiry_or_revocation() {
    let world = World::new().await;
    world.expect_applied(world.store.put_token(&Token { expires_at: Some(at(50)), ..token(1) })).await;
    let good = async |now| stored_token(&world, 1).await.is_valid(now);
    assert_eq!((good(at(49)).await, good(at(50)).await), (true, false));
    world.expect_applied(world.store.revoke_token(&hash(1))).await;
    assert!(!good(at(49)).await);
}

#[tokio::test]
async fn first_token_without_its_item_is_not_replaced() {
    let world = World::new().await;
    world.expect_applied(world.store.put_first_token(&token(1), None)).await;
    world.delete_item("TOKEN#", "TOKEN").await;
    world.expect_refused(world.store.put_first_token(&token(2), Some(&hash(1)))).await;
}

#[tokio::test]
async fn token_use_is_written_at_most_once_a_minute() {
    let world = World::new().await;
    world.expect_refused(world.store.note_token_use(&hash(1), at(0))).await;
    assert!(world.items().await.is_empty(), "a use must not create an item");
    world.expect_applied(world.store.put_token(&token(1))).await;
    let used = async || stored_token(&world, 1).await.last_used;
    world.expect_applied(world.store.note_token_use(&hash(1), at(100))).await;
    world.expect_refused(world.store.note_token_use(&hash(1), at(159))).await;
    assert_eq!(used().await, Some(at(100)));
    world.expect_applied(world.store.note_token_use(&hash(1), at(160))).await;
    world.expect_refused(world.store.note_token_use(&hash(1), at(100))).await;
    assert_eq!(used().await, Some(at(160)), "the last use never moves back");
}

#[tokio::test]
async fn tokens_are_listed_newest_first_and_found_by_id() {
    let world = World::new().await;
    let first = Token { created: None, ..token(0) };
    world.expect_applied(world.store.put_token(&first)).await;
    for number in [3, 1, 2] {
        world.expect_applied(world.store.put_token(&token(number))).await;
    }
    world.expect_applied(world.store.revoke_token(&hash(2))).await;
    let by_id = async |id: &TokenId| world.store.load_token_by_id(id).await.unwrap();
    // A new token may not be listed yet, but never as another one.
    let early = by_id(&token(1).id()).await;
    assert!(early.as_ref().is_none_or(|early| *early == token(1)), "{early:?}");
    world.catch_up().await;
    let (page, next) = world.store.list_token_hashes(None, 2).await.unwrap();
    assert_eq!(page, [hash(3), hash(2)], "revoked tokens are listed too");
    let (rest, _) = world.store.list_token_hashes(next.as_deref(), 2).await.unwrap();
    assert_eq!(rest, [hash(1), hash(0)], "a token without a creation time is the oldest");
    assert_eq!(by_id(&token(1).id()).await, Some(token(1)));
    assert_eq!(by_id(&TokenId::new("f".repeat(16)).unwrap()).await, None);
}

#[tokio::test]
async fn token_is_found_by_id_beyond_the_first_page() {
    let world = World::calm().await;
    for number in [1, 2] {
        world.expect_applied(world.store.put_token(&token(number))).await;
    }
    world.faults.take_call_count("Query");
    world.faults.fail_next("Query", Fault::ShortPage);
    assert_eq!(
        world.store.load_token_by_id(&token(1).id()).await.unwrap(),
        Some(token(1)),
        "the older token is on the second page"
    );
    assert_eq!(world.faults.take_call_count("Query"), 2);
}
