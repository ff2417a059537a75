//! Tests repeated transactions: their client tokens, the answers that cause a retry, and final refusals.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_store::Error;

const PUT: &str = "PutItem";
const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";

#[tokio::test]
async fn transaction_in_progress_is_applied_once() {
    let world = World::calm().await;
    let (job, ticket) = sample::plan_ticket_job(&sample::ticket("APP-1"), "one");
    world.faults.take_call_count(TRANSACTION);
    world.faults.fail_next(TRANSACTION, Fault::LostAnswer);
    world.faults.fail_next(TRANSACTION, Fault::error(400, "TransactionInProgressException"));
    world.expect_applied(world.store.create_job(&ticket_job_trigger(&job, &ticket))).await;
    assert_eq!(world.faults.take_call_count(TRANSACTION), 3);
    assert_eq!(world.check_consistency().await, 1);
}

/// A runner and its claim, which is a transaction of two items.
async fn claim_before_write() -> (World, pullyard_domain::job::Job) {
    let world = World::calm().await;
    let runner = world.register_runner(&sample::runner("kite", 1)).await;
    let job = world.create_ticket_job("APP-1").await;
    let claimed = job.claim(&sample::claim_by(&runner, &job, "c1"), at(1)).unwrap();
    world.faults.take_call_count(TRANSACTION);
    (world, claimed)
}

/// The SDK gives up on a transaction in progress. The store repeats it with a new token and finds its own effect.
#[tokio::test]
async fn resent_transaction_recognises_its_own_effect() {
    let (world, claimed) = claim_before_write().await;
    let Fault::Refused(status, body) = Fault::error(400, "TransactionInProgressException") else {
        unreachable!("`Fault::error` returns `Refused`")
    };
    for _ in 0..3 {
        world.faults.fail_next(TRANSACTION, Fault::ErrorAfterEffect(status, body.clone()));
    }
    world.expect_applied(world.store.claim_job(&claimed)).await;
    assert_eq!(world.faults.take_call_count(TRANSACTION), 4);
    assert_eq!(world.job(&claimed).await.rev, claimed.rev + 1);
}

/// Only one item shows the effect: the conditions of the others still hold, or another writer changed them.
#[tokio::test]
async fn resent_transaction_recognises_its_effect_on_any_item() {
    let spoil = |world: &World| {
        let Fault::Refused(status, body) = Fault::error(400, "TransactionInProgressException") else {
            unreachable!("`Fault::error` returns `Refused`")
        };
        for _ in 0..3 {
            world.faults.fail_next(TRANSACTION, Fault::ErrorAfterEffect(status, body.clone()));
        }
    };
    let world = World::calm().await;
    let kite = sample::runner("kite", 1);
    let profile = sample::profile(&kite, "kite");
    spoil(&world);
    // A registration may write profile and name over its own.
    world.expect_applied(world.store.register_runner(&first_registration(&kite, &profile))).await;

    let (world, claimed) = claim_before_write().await;
    spoil(&world);
    // The store waits between these retries.
    for _ in 0..3 {
        world.faults.fail_next(TRANSACTION, Fault::cancelled(&["TransactionConflict", "None"]));
    }
    let is_heard = async {
        let mut looks = 0;
        while world.job(&claimed).await.status != JobStatus::Claimed {
            looks += 1;
            assert!(looks < 10_000, "the first try took effect");
        }
        let runner = world.runner(&kite).await;
        world.expect_applied(world.store.record_heartbeat(&runner, &crate::fleet::with_heartbeat(&runner, 30))).await;
    };
    let (write, ()) = tokio::join!(world.store.claim_job(&claimed), is_heard);
    assert_eq!(write.unwrap(), Write::Applied);
    assert_eq!(world.runner(&kite).await.last_heartbeat, at(30));
    assert!(world.runner(&kite).await.slots.contains_key(&claimed.id));
}

/// The SDK's retry must have the same token. A repeat by the store or a later call must have a new one, or DynamoDB
/// would return the earlier result.
#[tokio::test]
async fn client_token_is_shared_only_by_retries_of_the_sdk() {
    let (world, claimed) = claim_before_write().await;
    let before = world.faults.take_tokens();
    for _ in 0..2 {
        world.faults.fail_next(TRANSACTION, Fault::cancelled(&["TransactionConflict", "None"]));
    }
    world.faults.fail_next(TRANSACTION, Fault::LostAnswer);
    world.expect_applied(world.store.claim_job(&claimed)).await;
    let tokens = world.faults.take_tokens();
    let [cancelled, anew, lost, repeated] = &tokens[..] else { panic!("{tokens:?}") };
    assert_eq!(lost, repeated);
    assert!(cancelled != anew && cancelled != lost && anew != lost, "{tokens:?}");
    world.expect_refused(world.store.claim_job(&claimed)).await;
    let again = world.faults.take_tokens();
    assert_eq!(again.len(), 1);
    assert!(!before.is_empty() && !before.iter().chain(&tokens).any(|token| again.contains(token)), "{again:?}");
}

/// Asserts that a cancellation with these reasons, which include more than refused conditions, is retried.
async fn check_retried(reasons: &[&str]) {
    let (world, claimed) = claim_before_write().await;
    world.faults.fail_next(TRANSACTION, Fault::cancelled(reasons));
    assert_eq!(world.store.claim_job(&claimed).await.unwrap(), Write::Applied, "{reasons:?}");
    assert_eq!(world.faults.take_call_count(TRANSACTION), 2, "{reasons:?}");
}

#[tokio::test]
async fn conflict_with_a_refused_condition_is_retried() {
    check_retried(&["TransactionConflict", "ConditionalCheckFailed"]).await;
    check_retried(&["ConditionalCheckFailed", "TransactionConflict"]).await;
}

#[tokio::test]
async fn cancellation_with_other_reasons_is_retried() {
    for reasons in [
        &["None", "TransactionConflict"][..],
        &["ThrottlingError", "ConditionalCheckFailed"],
        &["None", "ProvisionedThroughputExceeded"],
        &["None", "None"],
        &[],
    ] {
        check_retried(reasons).await;
    }
}

#[tokio::test]
async fn refused_condition_alone_is_not_retried() {
    let (world, claimed) = claim_before_write().await;
    world.faults.fail_next(TRANSACTION, Fault::cancelled(&["None", "ConditionalCheckFailed"]));
    world.expect_refused(world.store.claim_job(&claimed)).await;
    assert_eq!(world.faults.take_call_count(TRANSACTION), 1);
}

/// The retry after the conflict checks the conditions again.
#[tokio::test]
async fn stale_write_is_refused_after_a_conflict() {
    let (world, claimed) = claim_before_write().await;
    let mut touched = world.job(&claimed).await;
    touched.tries += 1;
    world.expect_applied(world.store.update_job(&touched)).await;
    world.faults.fail_next(TRANSACTION, Fault::cancelled(&["TransactionConflict", "None"]));
    world.expect_refused(world.store.claim_job(&claimed)).await;
    assert_eq!(world.faults.take_call_count(TRANSACTION), 2);
}

fn check_contended(answer: Result<Write, Error>) {
    let error = answer.unwrap_err();
    assert!(matches!(error, Error::Contended { .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn permanent_conflict_is_contended_and_stores_no_item() {
    let (world, claimed) = claim_before_write().await;
    let before = world.items().await;
    world.faults.fail_always(TRANSACTION, Fault::cancelled(&["TransactionConflict", "ConditionalCheckFailed"]));
    check_contended(world.store.claim_job(&claimed).await);
    assert_eq!(world.items().await, before);
    assert_eq!(world.faults.take_call_count(TRANSACTION), 6);
}

/// A plain write gets `TransactionConflictException` while a transaction locks its item.
#[tokio::test]
async fn plain_write_retries_a_transaction_conflict() {
    let world = World::calm().await;
    let job = world.create_ticket_job("APP-1").await;
    let conflict = || Fault::error(400, "TransactionConflictException");
    world.faults.fail_next(PUT, conflict());
    world.expect_applied(world.store.update_job(&job.begin_dispatch(at(1)).unwrap())).await;
    world.faults.fail_next(UPDATE, conflict());
    let event = sample::event("APP-1", "evt-1", at(1), "Todo");
    assert_eq!(world.store.update_snapshot(&event, None).await.unwrap(), Write::Applied);
    world.faults.take_call_count(UPDATE);
    assert_eq!((world.job(&job).await.rev, world.ticket("APP-1").await.rev), (2, 2));
}

#[tokio::test]
async fn plain_write_with_permanent_conflict_is_contended() {
    let world = World::calm().await;
    let job = world.create_ticket_job("APP-1").await;
    let before = world.items().await;
    world.faults.fail_always(PUT, Fault::error(400, "TransactionConflictException"));
    check_contended(world.store.update_job(&job.begin_dispatch(at(1)).unwrap()).await);
    assert_eq!(world.items().await, before);
}

#[tokio::test]
async fn malformed_item_is_a_permanent_error() {
    let (world, claimed) = claim_before_write().await;
    world.faults.fail_always(TRANSACTION, Fault::cancelled(&["None", "ValidationError"]));
    let error = world.store.claim_job(&claimed).await.unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().ends_with("None; ValidationError"), "{error}");
    assert_eq!(world.faults.take_call_count(TRANSACTION), 1);
}
