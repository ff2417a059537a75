//! Tests that a write with a lost answer counts once, and which errors are retried.

use crate::sample::{self, at};
use crate::world::{Items, World, alone, first_time, of_ticket, replace_text_by, requeue_of, written};
use pullyard_domain::event::TicketText;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::Project;
use pullyard_store::{Batch, Error, Proof, Removal, Snapshot, Store, Write};
use pullyard_testkit::Fault;

const PUT: &str = "PutItem";
const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";

/// All items without their marks, which are random.
async fn without_marks(world: &World) -> Items {
    let mut items = world.items().await;
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
        world.faults.calls(operation);
        if let Some(fault) = &fault {
            world.faults.next(operation, fault.clone());
        }
        assert_eq!(write(&world.store, &prepared).await.unwrap(), Write::Applied, "{fault:?}");
        assert_eq!(world.faults.calls(operation), 1 + usize::from(fault.is_some()), "{fault:?}");
        let left = without_marks(&world).await;
        assert_eq!(&left, expected.get_or_insert_with(|| left.clone()), "{fault:?}");
    }
}

#[tokio::test]
async fn token_write_survives_a_lost_answer() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_token(&sample::token("abc", "laptop")).await).await;
}

#[tokio::test]
async fn token_revocation_survives_a_lost_answer() {
    let prepare = async |world: &World| world.applies(world.store.put_token(&sample::token("abc", "laptop"))).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.revoke_token("abc").await).await;
}

#[tokio::test]
async fn token_use_survives_a_lost_answer() {
    let prepare = async |world: &World| world.applies(world.store.put_token(&sample::token("abc", "laptop"))).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.note_token_use("abc", at(100)).await).await;
}

#[tokio::test]
async fn token_creation_survives_a_lost_answer() {
    let made = (sample::token("abc", "laptop"), sample::request("key", at(0)));
    let write = async |store: &Store, (): &()| store.create_token(&made.0, Some(&made.1)).await;
    check_recovers(TRANSACTION, async |_| (), write).await;
}

#[tokio::test]
async fn sign_in_survives_a_lost_answer() {
    check_recovers(PUT, async |_| (), async |store, ()| store.use_sign_in("one", at(600)).await).await;
}

#[tokio::test]
async fn project_write_survives_a_lost_answer() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_project(&sample::settings_of("acme")).await).await;
}

#[tokio::test]
async fn integration_write_survives_a_lost_answer() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_integration(&sample::forge("gh1")).await).await;
}

#[tokio::test]
async fn ledger_entry_survives_a_lost_answer() {
    let decision = sample::accepted(&sample::job("one"));
    check_recovers(PUT, async |_| (), async |store, ()| store.record(&decision).await).await;
}

#[tokio::test]
async fn event_batch_survives_a_lost_answer() {
    let job = sample::job_id("one");
    let batch = Batch { job: &job, attempt: 1, first: 1, at: at(0), events: &["event"] };
    check_recovers(PUT, async |_| (), async |store, ()| store.store_events(&batch).await).await;
}

#[tokio::test]
async fn job_creation_without_ticket_survives_a_lost_answer() {
    let job = sample::job("one");
    check_recovers(PUT, async |_| (), async |store, ()| store.trigger(&alone(&job)).await).await;
}

#[tokio::test]
async fn job_update_survives_a_lost_answer() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.update_job(&job.begin_dispatch(at(1)).unwrap()).await,
    )
    .await;
}

#[tokio::test]
async fn task_claim_survives_a_lost_answer() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.claim(&job.claim(&sample::claim_by_task(job, "c1"), at(1)).unwrap()).await,
    )
    .await;
}

#[tokio::test]
async fn ticket_update_survives_a_lost_answer() {
    check_recovers(PUT, async |_| (), async |store, ()| store.update_ticket(&sample::ticket("APP-1")).await).await;
}

#[tokio::test]
async fn text_replacement_survives_a_lost_answer() {
    let event = sample::event("APP-1", "evt-1", at(1), "Todo");
    let words = TicketText { title: "new".into(), ..TicketText::default() };
    check_recovers(
        TRANSACTION,
        async |world| {
            world.store.store_text(&event).await.unwrap();
            world.store.ticket_text(&event.project, &event.key).await.unwrap()
        },
        async |store, seen| replace_text_by(store, "evt-2", &words, seen.as_ref()).await,
    )
    .await;
}

#[tokio::test]
async fn ticket_creation_survives_a_lost_answer() {
    let (ticket, text) = (sample::ticket("APP-1"), TicketText::default());
    let delivery = sample::refused("evt-0", at(0));
    check_recovers(
        TRANSACTION,
        async |_| (),
        async |store, ()| store.create_ticket(&written(&ticket, &text, &delivery)).await,
    )
    .await;
}

#[tokio::test]
async fn pull_request_link_survives_a_lost_answer() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.link_if_unlinked(&sample::pull_request(job, 7)).await,
    )
    .await;
}

#[tokio::test]
async fn late_result_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| {
            let job = world.running("APP-1", JobStatus::Claimed).await;
            world.requeued(&job).await
        },
        async |store, job| store.note_late_result(&job.id, 1, &sample::result(7)).await,
    )
    .await;
}

#[tokio::test]
async fn repeat_is_counted_once_despite_a_lost_answer() {
    let delivery = sample::refused("evt-1", at(0));
    check_recovers(
        UPDATE,
        async |world| world.applies(world.store.record(&delivery)).await,
        async |store, ()| store.note_repeat(&delivery.id, at(1)).await.map(|()| Write::Applied),
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
                    world.triggered("APP-1").await;
                }
            },
            async |store, ()| {
                let stored = store.snapshot(&sample::event("APP-1", "evt-1", at(1), "Todo")).await?;
                assert_eq!(stored, Snapshot::Stored);
                Ok(Write::Applied)
            },
        )
        .await;
    }
}

#[tokio::test]
async fn job_creation_with_ticket_survives_a_lost_answer() {
    let (job, ticket) = sample::planned(&sample::ticket("APP-1"), "one");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.trigger(&of_ticket(&job, &ticket)).await).await;
}

#[tokio::test]
async fn runner_claim_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let runner = world.registered(&sample::runner("kite", 1)).await;
            (world.triggered("APP-1").await, runner)
        },
        async |store, (job, runner)| {
            let claimed = job.claim(&sample::claim_by(runner, job, "c1"), at(1)).unwrap();
            store.claim(&claimed).await
        },
    )
    .await;
}

#[tokio::test]
async fn requeue_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| world.running("APP-1", JobStatus::Claimed).await,
        async |store, before| {
            let (job, attempt) = requeue_of(before);
            store.requeue(before, &job, &attempt, Proof::Nothing).await
        },
    )
    .await;
}

#[tokio::test]
async fn input_is_stored_once_despite_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let job = world.asking("APP-1").await;
            crate::rests::telling(world, &job, "ann", "k1").await
        },
        async |store, write| write.write(store).await,
    )
    .await;
}

#[tokio::test]
async fn job_end_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let job = world.running("APP-1", JobStatus::Syncing).await;
            world.completing(&job).await
        },
        async |store, ending| store.end(&ending.ended()).await,
    )
    .await;
}

#[tokio::test]
async fn runner_registration_survives_a_lost_answer() {
    let runner = sample::runner("kite", 1);
    let profile = sample::profile(&runner, "kite");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.register(&first_time(&runner, &profile)).await)
        .await;
}

#[tokio::test]
async fn heartbeat_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| world.registered(&sample::runner("kite", 1)).await,
        async |store, seen| store.heartbeat(seen, &crate::fleet::heard(seen, 30)).await,
    )
    .await;
}

#[tokio::test]
async fn offline_mark_survives_a_lost_answer() {
    check_recovers(
        UPDATE,
        async |world| world.registered(&sample::runner("kite", 1)).await,
        async |store, seen| store.take_offline(seen, &crate::fleet::offline(seen)).await,
    )
    .await;
}

#[tokio::test]
async fn runner_removal_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let runner = world.registered(&sample::runner("kite", 1)).await;
            world.applies(world.store.begin_removal(&runner)).await;
            runner
        },
        async |store, runner| store.remove_runner(runner).await,
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
        async |world| world.applies(world.store.put_integration(&sample::forge("gh1"))).await,
        async |store, ()| store.remove_integration(&sample::forge("gh1")).await,
    )
    .await;
}

#[tokio::test]
async fn repository_removal_survives_a_lost_answer() {
    check_recovers(
        TRANSACTION,
        async |world| {
            world.applies(world.store.put_project(&sample::settings_of("acme"))).await;
            world.applies(world.store.put_repository(&sample::repository(99, "acme/app"), None)).await;
            world.applies(world.store.put_poll(&sample::poll(0))).await;
        },
        async |store, ()| {
            let (repository, poll) = (sample::repository(99, "acme/app"), sample::poll(1));
            let (names, project) = ([repository.name.clone()], Project { rev: 1, ..sample::settings_of("acme") });
            let removal =
                Removal { repository: &repository, names: &names, poll: Some(&poll), project: Some(&project) };
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
    assert_eq!(world.store.snapshot(&event("evt-1", 1)).await.unwrap(), Snapshot::Stored);
    // The answer to the newer event's update, from before the ticket existed.
    world.faults.next(UPDATE, Fault::error(400, "ConditionalCheckFailedException"));
    assert_eq!(world.store.snapshot(&event("evt-2", 2)).await.unwrap(), Snapshot::Stored);
    world.faults.calls(UPDATE);
    assert_eq!(world.ticket("APP-1").await.seen_event, Some(sample::event_id("evt-2")));
}

async fn put_token_against(fault: Fault) -> (bool, usize) {
    let world = World::calm().await;
    world.faults.always(PUT, fault);
    let error = world.store.put_token(&sample::token("abc", "laptop")).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(world.items().await.is_empty());
    (error.is_transient(), world.faults.calls(PUT))
}

#[tokio::test]
async fn throttling_is_retried_and_transient() {
    assert_eq!(put_token_against(Fault::error(400, "ThrottlingException")).await, (true, 3));
    let exceeded = Fault::error(400, "ProvisionedThroughputExceededException");
    assert_eq!(put_token_against(exceeded).await, (true, 3));
}

#[tokio::test]
async fn service_error_is_retried_and_transient() {
    assert_eq!(put_token_against(Fault::error(500, "InternalServerError")).await, (true, 3));
}

#[tokio::test]
async fn invalid_request_is_not_retried() {
    for code in ["ValidationException", "AccessDeniedException"] {
        assert_eq!(put_token_against(Fault::error(400, code)).await, (false, 1), "{code}");
    }
}

#[tokio::test]
async fn repeatedly_lost_answer_is_a_transient_error() {
    let world = World::calm().await;
    let token = sample::token("abc", "laptop");
    for _ in 0..3 {
        world.faults.next(PUT, Fault::LostAnswer);
    }
    let error = world.store.put_token(&token).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(world.store.token("abc").await.unwrap(), Some(token), "the write took effect");
}

#[tokio::test]
async fn malformed_item_is_reported_with_its_key() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let world = World::calm().await;
    world.triggered("APP-1").await;
    let mut item = world.item("TICKET#", "TICKET").await;
    item.insert("seen_at".into(), AttributeValue::S("2026-11-20T12:00:00Z".into()));
    let put = world.client.put_item().table_name(&world.table).set_item(Some(item));
    put.send().await.unwrap();
    let error = world.store.ticket(&sample::project(), &sample::ticket_key("APP-1")).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains("TICKET#acme#APP-1 / TICKET"), "{error}");
}
