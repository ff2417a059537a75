//! Tests that a repeatable write with a lost answer counts once, and which errors are retried. The `check` of
//! `every_item` tests the lost answers of writes that succeed once.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use pullyard_store::{Error, RepositoryRemoval};

const PUT: &str = "PutItem";
const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";
pub(crate) const WRITES: [&str; 3] = [PUT, UPDATE, TRANSACTION];

pub(crate) fn without_marks(mut items: Items) -> Items {
    for item in items.values_mut() {
        item.remove("mark").expect("the item has a mark");
    }
    items
}

/// Asserts that a write with a lost or replaced answer returns `Applied` and leaves the same items as an undisturbed
/// write.
async fn check_recovers<T>(
    operation: &'static str,
    prepare: impl AsyncFn(&World) -> T,
    write: impl AsyncFn(&Store, &T) -> Result<Write, Error>,
) {
    let mut expected = None;
    for fault in [None, Some(Fault::LostAnswer), Some(Fault::internal_error_after_effect())] {
        let world = World::calm().await;
        let prepared = prepare(&world).await;
        world.faults.take_call_count(operation);
        if let Some(fault) = &fault {
            world.faults.fail_next(operation, fault.clone());
        }
        assert_eq!(write(&world.store, &prepared).await.unwrap(), Write::Applied, "{fault:?}");
        assert_eq!(world.faults.take_call_count(operation), 1 + usize::from(fault.is_some()), "{fault:?}");
        let items = without_marks(world.items().await);
        assert_eq!(&items, expected.get_or_insert_with(|| items.clone()), "{fault:?}");
    }
}

#[tokio::test]
async fn token_revocation_and_use_survive_a_lost_answer() {
    let prepare =
        async |world: &World| world.expect_applied(world.store.put_token(&sample::token("abc", "laptop"))).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.revoke_token("abc").await).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.note_token_use("abc", at(100)).await).await;
}

#[tokio::test]
async fn late_result_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| {
            let job = world.running_job("APP-1", JobStatus::Claimed).await;
            world.requeue_job(&job).await
        },
        async |store, job| store.update_late_result(&job.id, 1, &sample::result(7)).await,
    )
    .await;
}

#[tokio::test]
async fn snapshot_is_one_revision_despite_a_lost_answer() {
    for (operation, seen_before) in [(PUT, false), (UPDATE, true)] {
        check_recovers(
            operation,
            async |world| {
                if seen_before {
                    world.create_ticket_job("APP-1").await;
                }
            },
            async |store, ()| store.update_snapshot(&sample::event("APP-1", "evt-1", at(1), "Todo"), None).await,
        )
        .await;
    }
}

#[tokio::test]
async fn heartbeat_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| world.register_runner(&sample::runner("kite", 1)).await,
        async |store, seen| store.record_heartbeat(seen, &crate::fleet::with_heartbeat(seen, 30)).await,
    )
    .await;
}

#[tokio::test]
async fn runner_removal_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let runner = world.register_runner(&sample::runner("kite", 1)).await;
            world.expect_applied(world.store.begin_removal(&runner)).await;
            runner
        },
        async |store, runner| store.delete_runner(runner).await,
    )
    .await;
}

#[tokio::test]
async fn repository_connection_survives_a_lost_answer() {
    let repository = sample::repository(1, "acme/app");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.put_repository(&repository, None).await).await;
}

#[tokio::test]
async fn integration_removal_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| world.expect_applied(world.store.put_integration(&sample::forge("gh1"))).await,
        async |store, ()| store.remove_integration(&sample::forge("gh1")).await,
    )
    .await;
}

#[tokio::test]
async fn repository_removal_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            world.expect_applied(world.store.put_project(&sample::project_with_id("acme"))).await;
            world.expect_applied(world.store.put_repository(&sample::repository(99, "acme/app"), None)).await;
            world.expect_applied(world.store.put_poll(&sample::poll(0))).await;
        },
        async |store, ()| {
            let (repository, poll) = (sample::repository(99, "acme/app"), sample::poll(1));
            let (names, project) = ([repository.name.clone()], Project { rev: 1, ..sample::project_with_id("acme") });
            let removal = RepositoryRemoval {
                repository: &repository,
                names: &names,
                poll: Some(&poll),
                analysis: None,
                project: Some(&project),
            };
            store.remove_repository(&removal).await
        },
    )
    .await;
}

/// Two events race for an unseen ticket; the older one creates it between the two writes of the newer one.
#[tokio::test]
async fn newer_snapshot_is_stored_if_an_older_one_created_the_ticket() {
    let world = World::calm().await;
    let event = |id: &str, second| sample::event("APP-1", id, at(second), "Todo");
    assert_eq!(world.store.update_snapshot(&event("evt-1", 1), None).await.unwrap(), Write::Applied);
    // The answer to the newer event's update, from before the ticket existed.
    world.faults.fail_next(UPDATE, Fault::error(400, "ConditionalCheckFailedException"));
    assert_eq!(world.store.update_snapshot(&event("evt-2", 2), None).await.unwrap(), Write::Applied);
    world.faults.take_call_count(UPDATE);
    assert_eq!(world.ticket("APP-1").await.seen_event, Some(sample::event_id("evt-2")));
}

async fn put_token_with_fault(fault: Fault) -> (bool, usize) {
    let world = World::calm().await;
    world.faults.fail_always(PUT, fault);
    let error = world.store.put_token(&sample::token("abc", "laptop")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(world.items().await.is_empty());
    (error.is_transient(), world.faults.take_call_count(PUT))
}

#[tokio::test]
async fn only_transient_errors_are_retried() {
    for (status, code, is_transient) in [
        (400, "ThrottlingException", true),
        (400, "ProvisionedThroughputExceededException", true),
        (500, "InternalServerError", true),
        (400, "ValidationException", false),
        (400, "AccessDeniedException", false),
    ] {
        let tries = if is_transient { 3 } else { 1 };
        assert_eq!(put_token_with_fault(Fault::error(status, code)).await, (is_transient, tries), "{code}");
    }
}

#[tokio::test]
async fn repeatedly_lost_answer_is_a_transient_error() {
    let world = World::calm().await;
    let token = sample::token("abc", "laptop");
    for _ in 0..3 {
        world.faults.fail_next(PUT, Fault::LostAnswer);
    }
    let error = world.store.put_token(&token).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(world.store.load_token("abc").await.unwrap(), Some(token), "the write took effect");
}

#[tokio::test]
async fn malformed_item_is_reported_with_its_key() {
    let world = World::calm().await;
    world.create_ticket_job("APP-1").await;
    world.set_attribute(("TICKET#", "TICKET"), "seen_at", AttributeValue::S("yesterday".into())).await;
    let error = world.store.load_ticket(&sample::project(), &sample::ticket_key("APP-1")).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains("TICKET#acme#APP-1 / TICKET"), "{error}");
}
