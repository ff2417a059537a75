//! Answers that are lost, replaced or refused for others' sake: what the caller is told is what is so.

use crate::sample::{self, at};
use crate::world::{Items, World, alone, first_time, of_ticket, replace_text_by, requeue_of, written};
use pullyard_domain::event::TicketText;
use pullyard_domain::job::Status;
use pullyard_domain::project::Project;
use pullyard_store::{Batch, Error, Proof, Removal, Snapshot, Store, Write};
use pullyard_testkit::Fault;

const PUT: &str = "PutItem";
const UPDATE: &str = "UpdateItem";
const TRANSACTION: &str = "TransactWriteItems";

/// Everything in the table but the marks, which are random.
async fn without_marks(world: &World) -> Items {
    let mut items = world.items().await;
    for item in items.values_mut() {
        item.remove("mark").expect("every item is marked");
    }
    items
}

/// A write whose answer is lost or spoiled after it took effect is Applied, and leaves what it leaves
/// when all goes well.
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
async fn a_token_is_stored_though_the_answer_was_lost() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_token(&sample::token("abc", "laptop")).await).await;
}

#[tokio::test]
async fn a_token_is_revoked_though_the_answer_was_lost() {
    let prepare = async |world: &World| world.applies(world.store.put_token(&sample::token("abc", "laptop"))).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.revoke_token("abc").await).await;
}

#[tokio::test]
async fn a_use_is_noted_though_the_answer_was_lost() {
    let prepare = async |world: &World| world.applies(world.store.put_token(&sample::token("abc", "laptop"))).await;
    check_recovers(UPDATE, prepare, async |store, ()| store.note_token_use("abc", at(100)).await).await;
}

#[tokio::test]
async fn a_token_is_made_though_the_answer_was_lost() {
    let made = (sample::token("abc", "laptop"), sample::request("key", at(0)));
    let write = async |store: &Store, (): &()| store.create_token(&made.0, Some(&made.1)).await;
    check_recovers(TRANSACTION, async |_| (), write).await;
}

#[tokio::test]
async fn a_sign_in_link_is_used_up_though_the_answer_was_lost() {
    check_recovers(PUT, async |_| (), async |store, ()| store.use_sign_in("one", at(600)).await).await;
}

#[tokio::test]
async fn a_project_is_stored_though_the_answer_was_lost() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_project(&sample::settings_of("acme")).await).await;
}

#[tokio::test]
async fn a_forge_is_stored_though_the_answer_was_lost() {
    check_recovers(PUT, async |_| (), async |store, ()| store.put_integration(&sample::forge("gh1")).await).await;
}

#[tokio::test]
async fn a_final_decision_is_recorded_though_the_answer_was_lost() {
    let decision = sample::accepted(&sample::job("one"));
    check_recovers(PUT, async |_| (), async |store, ()| store.record(&decision).await).await;
}

#[tokio::test]
async fn a_batch_is_stored_though_the_answer_was_lost() {
    let job = sample::job_id("one");
    let batch = Batch { job: &job, attempt: 1, first: 1, at: at(0), events: &["event"] };
    check_recovers(PUT, async |_| (), async |store, ()| store.store_events(&batch).await).await;
}

#[tokio::test]
async fn a_free_job_is_made_though_the_answer_was_lost() {
    let job = sample::job("one");
    check_recovers(PUT, async |_| (), async |store, ()| store.trigger(&alone(&job)).await).await;
}

#[tokio::test]
async fn a_job_is_changed_though_the_answer_was_lost() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.update_job(&job.dispatched(at(1)).unwrap()).await,
    )
    .await;
}

#[tokio::test]
async fn a_task_has_its_claim_though_the_answer_was_lost() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.claim(&job.claimed(&sample::claim_by_task(job, "c1"), at(1)).unwrap()).await,
    )
    .await;
}

#[tokio::test]
async fn a_ticket_is_changed_though_the_answer_was_lost() {
    check_recovers(PUT, async |_| (), async |store, ()| store.update_ticket(&sample::ticket("APP-1")).await).await;
}

#[tokio::test]
async fn a_text_is_changed_though_the_answer_was_lost() {
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
async fn a_ticket_is_written_though_the_answer_was_lost() {
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
async fn a_pull_request_is_linked_though_the_answer_was_lost() {
    check_recovers(
        PUT,
        async |world| world.triggered("APP-1").await,
        async |store, job| store.link_if_unlinked(&sample::pull_request(job, 7)).await,
    )
    .await;
}

#[tokio::test]
async fn a_late_result_is_noted_though_the_answer_was_lost() {
    check_recovers(
        UPDATE,
        async |world| {
            let job = world.running("APP-1", Status::Claimed).await;
            world.requeued(&job).await
        },
        async |store, job| store.note_late_result(&job.id, 1, &sample::result(7)).await,
    )
    .await;
}

#[tokio::test]
async fn a_repeat_is_noted_once_though_the_answer_was_lost() {
    let delivery = sample::refused("evt-1", at(0));
    check_recovers(
        UPDATE,
        async |world| world.applies(world.store.record(&delivery)).await,
        async |store, ()| store.note_repeat(&delivery.id, at(1)).await.map(|()| Write::Applied),
    )
    .await;
}

#[tokio::test]
async fn a_snapshot_is_one_revision_though_the_answer_was_lost() {
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
async fn a_tickets_job_is_made_though_the_answer_was_lost() {
    let (job, ticket) = sample::planned(&sample::ticket("APP-1"), "one");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.trigger(&of_ticket(&job, &ticket)).await).await;
}

#[tokio::test]
async fn a_runner_has_its_claim_though_the_answer_was_lost() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let runner = world.registered(&sample::runner("kite", 1)).await;
            (world.triggered("APP-1").await, runner)
        },
        async |store, (job, runner)| {
            let claimed = job.claimed(&sample::claim_by(runner, job, "c1"), at(1)).unwrap();
            store.claim(&claimed).await
        },
    )
    .await;
}

#[tokio::test]
async fn a_job_goes_back_though_the_answer_was_lost() {
    check_recovers(
        TRANSACTION,
        async |world| world.running("APP-1", Status::Claimed).await,
        async |store, before| {
            let (job, attempt) = requeue_of(before);
            store.requeue(before, &job, &attempt, Proof::Nothing).await
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_is_stored_once_though_the_answer_to_it_was_lost() {
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
async fn a_job_ends_though_the_answer_was_lost() {
    check_recovers(
        TRANSACTION,
        async |world| {
            let job = world.running("APP-1", Status::Syncing).await;
            world.completing(&job).await
        },
        async |store, ending| store.end(&ending.ended()).await,
    )
    .await;
}

#[tokio::test]
async fn a_runner_is_registered_though_the_answer_was_lost() {
    let runner = sample::runner("kite", 1);
    let profile = sample::profile(&runner, "kite");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.register(&first_time(&runner, &profile)).await)
        .await;
}

#[tokio::test]
async fn a_heartbeat_counts_though_the_answer_was_lost() {
    check_recovers(
        UPDATE,
        async |world| world.registered(&sample::runner("kite", 1)).await,
        async |store, seen| store.heartbeat(seen, &crate::fleet::heard(seen, 30)).await,
    )
    .await;
}

#[tokio::test]
async fn a_runner_is_taken_offline_though_the_answer_was_lost() {
    check_recovers(
        UPDATE,
        async |world| world.registered(&sample::runner("kite", 1)).await,
        async |store, seen| store.take_offline(seen, &crate::fleet::offline(seen)).await,
    )
    .await;
}

#[tokio::test]
async fn a_runner_is_removed_though_the_answer_was_lost() {
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
async fn a_repository_is_connected_though_the_answer_was_lost() {
    let repository = sample::repository(1, "acme/app");
    check_recovers(TRANSACTION, async |_| (), async |store, ()| store.put_repository(&repository, None).await).await;
}

#[tokio::test]
async fn a_forge_is_disconnected_though_the_answer_was_lost() {
    check_recovers(
        UPDATE,
        async |world| world.applies(world.store.put_integration(&sample::forge("gh1"))).await,
        async |store, ()| store.remove_integration(&sample::forge("gh1")).await,
    )
    .await;
}

#[tokio::test]
async fn a_repository_is_removed_though_the_answer_was_lost() {
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

/// Two tell of an unseen ticket at once, and the older one makes it between the newer one's two writes.
#[tokio::test]
async fn a_newer_snapshot_is_stored_though_an_older_one_made_the_ticket_meanwhile() {
    let world = World::calm().await;
    let event = |id: &str, second| sample::event("APP-1", id, at(second), "Todo");
    assert_eq!(world.store.snapshot(&event("evt-1", 1)).await.unwrap(), Snapshot::Stored);
    // What the newer one's update was told before there was a ticket.
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
async fn throttling_passes() {
    assert_eq!(put_token_against(Fault::error(400, "ThrottlingException")).await, (true, 3));
    let exceeded = Fault::error(400, "ProvisionedThroughputExceededException");
    assert_eq!(put_token_against(exceeded).await, (true, 3));
}

#[tokio::test]
async fn faults_of_the_service_pass() {
    assert_eq!(put_token_against(Fault::error(500, "InternalServerError")).await, (true, 3));
}

#[tokio::test]
async fn a_request_that_can_never_succeed_does_not_pass() {
    for code in ["ValidationException", "AccessDeniedException"] {
        assert_eq!(put_token_against(Fault::error(400, code)).await, (false, 1), "{code}");
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_every_time_is_told_as_an_outage() {
    let world = World::calm().await;
    let token = sample::token("abc", "laptop");
    for _ in 0..3 {
        world.faults.next(PUT, Fault::LostAnswer);
    }
    let error = world.store.put_token(&token).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(world.store.token("abc").await.unwrap(), Some(token), "it happened all the same");
}

#[tokio::test]
async fn an_item_of_another_shape_is_told_by_its_key() {
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
