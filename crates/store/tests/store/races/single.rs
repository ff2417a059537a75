//! Tests 64 concurrent callers of single writes of webhooks, repositories, runners, tokens and notes.

use super::{RACERS, race, winner, world};
use crate::artifacts::artifacts;
use crate::breakers::shut;
use crate::hooks::hook;
use crate::sample::{self, at};
use crate::world::{World, count, requeue_of};
use pullyard_domain::artifact::Artifacts;
use pullyard_domain::breaker::{Breaker, KeyOwner};
use pullyard_domain::hook::look::PollProgress;
use pullyard_domain::hook::{Ingress, Poll, Webhook};
use pullyard_domain::id::RepositoryName;
use pullyard_domain::job::{Job, JobStatus};
use pullyard_domain::project::{Account, Integration, Repository};
use pullyard_domain::runner::{Drain, Presence};
use pullyard_domain::select::ClassRequirements;
use pullyard_domain::ticket::Ticket;
use pullyard_store::{Proof, Removal, Rotation, Sweeps, Token, WorkKey, Write};
use std::collections::BTreeSet;
use std::sync::Arc;

fn applied(answers: &[Write]) -> usize {
    answers.iter().filter(|answer| **answer == Write::Applied).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_hook_updates_is_stored() {
    let world = world().await;
    let named =
        |number: usize, rev| Webhook { base_url: Some(format!("https://{number}.example")), rev, ..hook("acme") };
    for rev in 0..2 {
        let answers =
            race(&world, |world, number| async move { world.store.put_hook(&named(number, rev)).await }).await;
        let stored = world.store.hook(&hook("acme").name).await.unwrap();
        assert_eq!(stored, Some(named(winner(&answers), rev + 1)).map(|hook| Webhook { rev: rev + 1, ..hook }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hook_is_deleted_as_read_or_updated_first() {
    let world = world().await;
    world.applies(world.store.put_hook(&hook("acme"))).await;
    let seen = Webhook { rev: 1, ..hook("acme") };
    let answers = race(&world, |world, number| {
        let seen = seen.clone();
        async move {
            match number % 2 {
                0 => world.store.delete_hook(&seen).await,
                _ => world.store.put_hook(&seen).await,
            }
        }
    })
    .await;
    let (deleted, changed): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let applied = |of: &[(usize, &Write)]| of.iter().filter(|(_, write)| **write == Write::Applied).count();
    match world.store.hook(&seen.name).await.unwrap() {
        Some(hook) => assert_eq!((hook.rev, applied(&changed), applied(&deleted)), (2, 1, 0)),
        None => assert_eq!((applied(&changed), applied(&deleted)), (0, RACERS / 2), "a repeated removal succeeds"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_deliveries_are_verified_once_and_refusals_counted() {
    let world = world().await;
    let heard_of = hook("acme");
    // Statistics of an older webhook of this name: many racers find them, and one replaces them.
    let older = Webhook { created: at(0), ..heard_of.clone() };
    world.applies(world.store.note_hook_refused(&older, 1_000, at(1))).await;
    let answers = race(&world, |world, number| {
        let hook = heard_of.clone();
        async move {
            match number % 2 {
                0 => world.store.note_hook_verified(&hook, at(number as u64 % 30)).await,
                _ => world.store.note_hook_refused(&hook, 2, at(number as u64)).await,
            }
        }
    })
    .await;
    let verified = answers.iter().step_by(2).filter(|answer| **answer == Write::Applied).count();
    assert!(verified == 1 || (!world.is_calm() && verified == 0), "{verified}");
    let heard = world.store.hook_heard(&heard_of).await.unwrap();
    assert!(heard.verified_at.is_some());
    world.check_raised(heard.refused, RACERS as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_poll_updates_is_stored() {
    let world = world().await;
    let poll = |number: usize| Poll {
        project: sample::project(),
        integration: sample::integration(),
        repository: 99,
        ingress: Ingress::Poll,
        gone_at: None,
        next: at(number as u64),
        look: PollProgress::default(),
        tries: 0,
        not_before: None,
        rev: 0,
    };
    let answers = race(&world, |world, number| async move { world.store.put_poll(&poll(number)).await }).await;
    let stored = world.store.poll(&sample::project(), &sample::integration(), 99).await.unwrap();
    assert_eq!(stored, Some(Poll { rev: 1, ..poll(winner(&answers)) }));
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_rotations_of_a_secret_is_stored() {
    let world = world().await;
    let rotation =
        |number: usize| Rotation { secret: "s".into(), previous: format!("v{number}"), until: at(9), rev: 0 };
    let answers = race(&world, |world, number| async move { world.store.put_rotation(&rotation(number)).await }).await;
    let stored = world.store.rotation("s").await.unwrap();
    assert_eq!(stored, Some(Rotation { rev: 1, ..rotation(winner(&answers)) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_artifact_updates_is_stored() {
    let world = world().await;
    let named = |number: usize, rev| Artifacts { rev, ..artifacts(&[&format!("check-{number}.txt")]) };
    for rev in 0..2 {
        let answers =
            race(&world, |world, number| async move { world.store.put_artifacts(&named(number, rev)).await }).await;
        let stored = world.store.artifacts(&artifacts(&[]).job, 1).await.unwrap();
        assert_eq!(stored, Some(named(winner(&answers), rev + 1)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_repository_renames_is_stored() {
    let world = world().await;
    let before = sample::repository(99, "acme/app");
    world.applies(world.store.put_repository(&before, None)).await;
    let named = |number: usize| Repository {
        name: RepositoryName::new(format!("acme/name-{number}")).unwrap(),
        ..sample::repository(99, "acme/app")
    };
    let answers = race(&world, |world, number| {
        let before = before.clone();
        async move { world.store.rename_repository(&before, &named(number)).await }
    })
    .await;
    let won = named(winner(&answers));
    assert_eq!(world.store.repository_named(&sample::project(), &won.name).await.unwrap(), Some(won));
    assert_eq!(world.items().await.len(), 2, "one repository and one name are stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn integration_is_removed_as_read_or_replaced_first() {
    let world = world().await;
    let before = sample::forge("gh1");
    let after = Integration { account: Account { id: 7, ..before.account.clone() }, ..before.clone() };
    world.applies(world.store.put_integration(&before)).await;
    let answers = race(&world, |world, number| {
        let (seen, next) = (before.clone(), after.clone());
        async move {
            match number % 2 {
                0 => world.store.remove_integration(&seen).await,
                _ => world.store.put_integration(&next).await,
            }
        }
    })
    .await;
    let of = |kind: usize| answers.iter().skip(kind).step_by(2).filter(|answer| **answer == Write::Applied).count();
    // A removal whose answer was lost is stale if the other forge was connected before its repeat.
    assert!(of(0) + of(1) >= 1, "the first removal finds the integration as read");
    let left = world.store.integration(&before.id).await.unwrap();
    match of(1) {
        0 => assert_eq!((left, of(0)), (None, RACERS / 2), "a repeated removal succeeds"),
        connected => assert_eq!((left, connected), (Some(after), 1)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn repository_is_removed_as_read_or_renamed_first() {
    let world = world().await;
    let before = sample::repository(99, "acme/app");
    world.applies(world.store.put_repository(&before, None)).await;
    world.applies(world.store.put_poll(&sample::poll(0))).await;
    let after = sample::repository(99, "acme/web");
    let answers = race(&world, |world, number| {
        let (seen, next) = (before.clone(), after.clone());
        async move {
            let (names, poll) = ([seen.name.clone()], sample::poll(1));
            let removal = Removal { repository: &seen, names: &names, poll: Some(&poll), project: None };
            match number % 2 {
                0 => world.store.remove_repository(&removal).await,
                _ => world.store.rename_repository(&seen, &next).await,
            }
        }
    })
    .await;
    let of = |kind: usize| {
        let own = answers.iter().skip(kind).step_by(2);
        own.filter(|answer| **answer == Write::Applied).count()
    };
    let (removed, renamed) = (of(0), of(1));
    match world.store.repository(&sample::project(), &sample::integration(), 99).await.unwrap() {
        Some(there) => {
            assert_eq!((there, removed, renamed), (after, 0, 1));
            assert_eq!(world.items().await.len(), 3, "one repository, one name and one poll are stored");
        }
        None => {
            assert_eq!((removed, renamed), (RACERS / 2, 0), "a repeated removal succeeds");
            assert_eq!(world.items().await.len(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_repositories_is_renamed_to_a_free_name() {
    let world = world().await;
    let of = |number: usize| sample::repository(1 + number as u64, &format!("acme/name-{number}"));
    for number in 0..RACERS {
        world.applies(world.store.put_repository(&of(number), None)).await;
    }
    let wanted = |number: usize| Repository { name: RepositoryName::new("acme/app").unwrap(), ..of(number) };
    let answers = race(&world, |world, number| {
        let (seen, next) = (of(number), wanted(number));
        async move { world.store.rename_repository(&seen, &next).await }
    })
    .await;
    let won = wanted(winner(&answers));
    assert_eq!(world.store.repository_named(&sample::project(), &won.name).await.unwrap(), Some(won));
    assert_eq!(world.items().await.len(), 2 * RACERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_writes_of_one_class_store_it_once() {
    let world = world().await;
    let class = sample::job("any").class;
    let needs = ClassRequirements { capability: "command".into(), labels: BTreeSet::new(), key: KeyOwner::Runner };
    race(&world, |world, _| {
        let (class, needs) = (class.clone(), needs.clone());
        async move { world.store.note_class(&sample::project(), &class, &needs).await }
    })
    .await;
    assert_eq!(world.store.class(&sample::project(), &class).await.unwrap(), Some(needs));
    assert_eq!(world.items().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn latest_of_many_sweep_records_is_stored() {
    let world = world().await;
    race(&world, |world, number| async move {
        let secs = (number * 37 % RACERS) as u64;
        let round = Sweeps { at: at(secs), ready_at: at(0), since: None, gauges: None };
        world.store.put_sweeps(&round).await
    })
    .await;
    assert_eq!(world.store.sweeps().await.unwrap().unwrap().at, at(RACERS as u64 - 1));
}

fn token(number: usize) -> Token {
    sample::token(&format!("{number:064x}"), &format!("token {number}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_first_tokens_is_stored_and_replaced_once() {
    let world = world().await;
    let answers =
        race(&world, |world, number| async move { world.store.put_first_token(&token(number), None).await }).await;
    let first = token(winner(&answers)).hash;
    assert_eq!(world.items().await.len(), 2, "the losers must store no token");
    let answers = race(&world, |world, number| {
        let first = first.clone();
        async move { world.store.put_first_token(&token(RACERS + number), Some(&first)).await }
    })
    .await;
    let next = token(RACERS + winner(&answers)).hash;
    assert_eq!(world.store.first_token().await.unwrap().as_ref(), Some(&next));
    let is_revoked = async |hash: &str| world.store.token(hash).await.unwrap().unwrap().revoked;
    assert!(is_revoked(&first).await && !is_revoked(&next).await);
    assert_eq!(world.items().await.len(), 3);
}

async fn kite() -> (Arc<World>, pullyard_domain::runner::Runner) {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 2)).await;
    (world, runner)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_drain_changes_leave_one_complete_request() {
    let (world, runner) = kite().await;
    let drain = |number: usize| Drain { by: format!("user {number}"), at: at(number as u64), acknowledged: None };
    let answers = race(&world, |world, number| {
        let runner = runner.clone();
        async move { world.store.set_drain(&runner, (number % 2 == 0).then(|| drain(number)).as_ref()).await }
    })
    .await;
    assert_eq!(applied(&answers), RACERS);
    let wish = world.runner(&runner).await.drain;
    assert!(wish.is_none() || (0..RACERS).any(|number| wish == Some(drain(number))), "{wish:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_sweeps_marks_a_runner_offline() {
    let (world, runner) = kite().await;
    let answers = race(&world, |world, _| {
        let runner = runner.clone();
        async move { world.store.take_offline(&runner, &crate::fleet::offline(&runner)).await }
    })
    .await;
    winner(&answers);
    let gone = world.runner(&runner).await;
    assert_eq!((gone.status, gone.epoch), (Presence::Offline, runner.epoch + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn removal_begins_once_and_can_be_repeated() {
    let (world, runner) = kite().await;
    let answers = race(&world, |world, _| {
        let runner = runner.clone();
        async move { world.store.begin_removal(&runner).await }
    })
    .await;
    winner(&answers);
    let going = world.runner(&runner).await;
    assert_eq!((going.status, going.epoch), (Presence::Deleting, runner.epoch + 1));
    let answers = race(&world, |world, _| {
        let runner = runner.clone();
        async move { world.store.remove_runner(&runner).await }
    })
    .await;
    assert_eq!(applied(&answers), RACERS, "a repeated removal succeeds");
    assert!(world.items().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_drops_of_a_slot_succeeds() {
    let (world, runner) = kite().await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Claimed).await;
    let slot = world.runner(&runner).await.slots[&job.id].clone();
    let answers = race(&world, |world, _| {
        let (runner, job, slot) = (runner.clone(), job.clone(), slot.clone());
        async move { world.store.drop_slot(&runner, &job.id, &slot).await }
    })
    .await;
    winner(&answers);
    assert!(world.runner(&runner).await.slots.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_requeues_is_stored() {
    let (world, runner) = kite().await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Executing).await;
    let answers = race(&world, |world, _| {
        let before = job.clone();
        async move {
            let (back, attempt) = requeue_of(&before);
            world.store.requeue(&before, &back, &attempt, Proof::Nothing).await
        }
    })
    .await;
    winner(&answers);
    world.whole().await;
    let stored = world.job(&job).await;
    assert_eq!((stored.status, stored.requeues, stored.rev), (JobStatus::Ready, 1, job.rev + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_late_results_leave_one_complete_result() {
    let world = world().await;
    let job = world.running("APP-1", JobStatus::Executing).await;
    world.requeued(&job).await;
    let answers = race(&world, |world, number| {
        let id = job.id.clone();
        async move { world.store.note_late_result(&id, 1, &sample::result(number as u64)).await }
    })
    .await;
    assert_eq!(applied(&answers), RACERS);
    let attempt = world.item(&format!("JOB#{}", job.id), "ATTEMPT#0001").await;
    let late = attempt["late_result"].as_m().unwrap().clone();
    let number = count(&late, "number").unwrap();
    let expected = pullyard_domain::job::JobResult { ..sample::result(number.unsigned_abs()) };
    assert_eq!(crate::world::decoded::<pullyard_domain::job::JobResult>(&late), expected);
    world.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn longest_watch_deadline_is_stored_without_a_new_rev() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let answers = race(&world, |world, number| {
        let id = job.id.clone();
        async move { world.store.note_watched(&id, at(100 + number as u64)).await }
    })
    .await;
    assert!(applied(&answers) >= 1);
    let looked_at = world.job(&job).await;
    assert_eq!(looked_at.watched_until, Some(at(100 + RACERS as u64 - 1)));
    assert_eq!(Job { watched_until: None, ..looked_at.clone() }, job);
    // The revision is unchanged, so a writer that read the job before succeeds.
    world.applies(world.store.update_job(&Job { tries: 1, ..job.clone() })).await;
    world.refuses(world.store.note_watched(&sample::job_id("gone"), at(100))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_postponements_change_only_the_row() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let before = world.item("JOB#", "JOB").await;
    let answers = race(&world, |world, number| {
        let key = WorkKey::Job(job.id.clone());
        async move { world.store.put_row_off(&key, at(100 + number as u64)).await }
    })
    .await;
    assert_eq!(applied(&answers), RACERS);
    let mut after = world.item("JOB#", "JOB").await;
    let row = count(&after, "ws").unwrap();
    assert!((0..RACERS).any(|number| row == at(100 + number as u64).millis()), "{row}");
    for name in ["ws", "mark"] {
        after.insert(name.into(), before[name].clone());
    }
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn unchanged_event_is_stored_only_before_a_newer_move() {
    let world = world().await;
    world.store.snapshot(&sample::event("APP-1", "evt-1", at(1), "Todo")).await.unwrap();
    let answers = race(&world, |world, number| async move {
        // The event with the last time moves the ticket.
        let when = 2 + (number * 37 % RACERS) as u64;
        if when as usize == RACERS + 1 {
            let moved = sample::event("APP-1", "evt-moved", at(when), "Done");
            return world.store.snapshot(&moved).await.map(|_| Write::Applied);
        }
        let same = sample::event("APP-1", &format!("evt-{when}"), at(when), "Todo");
        world.store.snapshot_unchanged(&same).await
    })
    .await;
    let ticket: Ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.seen_at), ("Done", at(RACERS as u64 + 1)));
    assert_eq!(ticket.seen_event, Some(sample::event_id("evt-moved")));
    world.check_raised(ticket.rev - 1, applied(&answers) as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn breaker_is_closed_as_read_or_extended_first() {
    let world = world().await;
    let seen = shut(&world, "codex").await;
    let longer = Breaker { until: at(9_000), ..seen.clone() };
    let answers = race(&world, |world, number| {
        let (seen, longer) = (seen.clone(), longer.clone());
        async move {
            match number % 2 {
                0 => world.store.close_breaker(&seen).await,
                _ => world.store.put_breaker(&longer, Some(&seen)).await,
            }
        }
    })
    .await;
    let of = |odd: usize| (odd..RACERS).step_by(2).filter(|number| answers[*number] == Write::Applied).count();
    let (closed, shut) = (of(0), of(1));
    match world.store.breaker(&seen.id).await.unwrap() {
        // A repeated close of a closed breaker succeeds.
        None => assert_eq!((closed, shut), (RACERS / 2, 0)),
        Some(stored) => assert_eq!((closed, shut, stored.until), (0, 1, at(9_000))),
    }
}
