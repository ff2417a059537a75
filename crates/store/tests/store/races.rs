//! Tests 64 concurrent callers of every write that can succeed once.

mod pairs;
mod rests;
mod rounds;
mod single;

use crate::sample::{self, at};
use crate::world::{Ending, World, alone, count, fence, first_time, of_ticket, replace_text_by, requeue_of, written};
use pullyard_domain::delivery::MAX_REPEATS;
use pullyard_domain::event::TicketText;
use pullyard_domain::id::InstanceId;
use pullyard_domain::job::{End, Job, JobStatus};
use pullyard_domain::runner::{Presence, Runner};
use pullyard_store::{Batch, Error, Proof, Registered, Snapshot, Trigger, Write};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Barrier;

pub(crate) const RACERS: usize = 64;

/// Starts all racers together and returns their answers, in the order of their numbers.
pub(crate) async fn race<T: Send + 'static, F>(world: &Arc<World>, racer: impl Fn(Arc<World>, usize) -> F) -> Vec<T>
where
    F: Future<Output = Result<T, Error>> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let tasks: Vec<_> = (0..RACERS)
        .map(|number| {
            let (start, run) = (Arc::clone(&start), racer(Arc::clone(world), number));
            tokio::spawn(async move {
                start.wait().await;
                run.await.unwrap()
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// The number of the only racer whose write was stored.
pub(crate) fn winner(answers: &[Write]) -> usize {
    let won: Vec<_> = (0..RACERS).filter(|number| answers[*number] == Write::Applied).collect();
    assert_eq!(won.len(), 1, "winners: {won:?}");
    won[0]
}

pub(crate) async fn world() -> Arc<World> {
    Arc::new(World::new().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_triggers_creates_the_job_of_a_ticket() {
    let world = world().await;
    let event = sample::event("APP-1", "evt-1", at(1), "AI Processing");
    world.store.snapshot(&event).await.unwrap();
    let seen = world.ticket("APP-1").await;
    let answers = race(&world, |world, number| {
        let (job, ticket) = sample::planned(&seen, &format!("job-{number}"));
        async move { world.store.trigger(&of_ticket(&job, &ticket)).await }
    })
    .await;
    let ticket = world.ticket("APP-1").await;
    assert_eq!(ticket.active_job, Some(sample::job_id(&format!("job-{}", winner(&answers)))));
    assert_eq!(ticket.rev, seen.rev + 1);
    assert_eq!(world.items().await.len(), 2, "one job and one ticket are stored");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_triggers_creates_job_and_unseen_ticket() {
    let world = world().await;
    let answers = race(&world, |world, number| {
        let (job, ticket) = sample::planned(&sample::ticket("APP-1"), &format!("job-{number}"));
        async move { world.store.trigger(&of_ticket(&job, &ticket)).await }
    })
    .await;
    winner(&answers);
    assert_eq!((world.ticket("APP-1").await.rev, world.items().await.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_requests_with_one_key_creates_its_job() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        let job = sample::job(&format!("job-{number}"));
        let request = sample::request("key", at(0));
        let trigger = Trigger { request: Some(&request), ..alone(&job) };
        world.store.trigger(&trigger).await
    })
    .await;
    let won = sample::job_id(&format!("job-{}", winner(&answers)));
    let stored = world.store.request("token-1", &sample::event_id("key"), at(1)).await.unwrap();
    assert_eq!(stored.map(|(_, job)| job), Some(won));
    assert_eq!(world.items().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_final_decisions_is_recorded() {
    let world = world().await;
    let delivery = |number: usize| {
        let mut delivery = sample::accepted(&sample::job("one"));
        delivery.at = at(number as u64);
        delivery
    };
    let answers = race(&world, |world, number| async move { world.store.record(&delivery(number)).await }).await;
    let won = delivery(winner(&answers));
    assert_eq!(world.store.delivery(&won.id).await.unwrap(), Some(won));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_repeats_are_recorded_up_to_the_limit() {
    let world = world().await;
    let delivery = sample::refused("evt-1", at(0));
    world.applies(world.store.record(&delivery)).await;
    race(&world, |world, number| {
        let id = delivery.id.clone();
        async move { world.store.note_repeat(&id, at(number as u64)).await }
    })
    .await;
    let seen = world.store.delivery(&delivery.id).await.unwrap().unwrap().seen;
    let different: BTreeSet<_> = seen.iter().collect();
    assert_eq!((seen.len(), different.len()), (MAX_REPEATS, MAX_REPEATS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_dispatches_is_counted() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let answers = race(&world, |world, number| {
        let started = job.begin_dispatch(at(number as u64)).unwrap();
        async move { world.store.update_job(&started).await }
    })
    .await;
    let won = job.begin_dispatch(at(winner(&answers) as u64)).unwrap();
    assert_eq!(world.job(&job).await, Job { rev: job.rev + 1, ..won });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_tasks_claims_a_job() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let answers = race(&world, |world, number| {
        let claimed = job.claim(&sample::claim_by_task(&job, &format!("c{number}")), at(1)).unwrap();
        async move { world.store.claim(&claimed).await }
    })
    .await;
    let stored = world.job(&job).await;
    let claim = stored.run.unwrap().claim;
    assert_eq!(claim.as_str(), format!("c{}", winner(&answers)));
    assert_eq!((stored.rev, stored.attempt), (job.rev + 1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_runners_claims_a_job_into_its_slot() {
    let world = world().await;
    let job = world.created("one").await;
    let mut runners = Vec::new();
    for number in 0..RACERS {
        runners.push(world.registered(&sample::runner(&format!("runner-{number}"), 1)).await);
    }
    let answers = race(&world, |world, number| {
        let claimed = job.claim(&sample::claim_by(&runners[number], &job, "c1"), at(1)).unwrap();
        async move { world.store.claim(&claimed).await }
    })
    .await;
    let won = winner(&answers);
    let holder = world.job(&job).await.run.unwrap().runner;
    assert_eq!(holder.as_ref(), Some(&runners[won].id));
    for (number, runner) in runners.iter().enumerate() {
        assert_eq!(world.runner(runner).await.slots.len(), usize::from(number == won));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_claims_never_exceed_the_slots_of_a_runner() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 3)).await;
    let mut jobs = Vec::new();
    for number in 0..RACERS {
        jobs.push(world.created(&format!("job-{number}")).await);
    }
    let answers = race(&world, |world, number| {
        let job = &jobs[number];
        let claimed = job.claim(&sample::claim_by(&runner, job, &format!("c{number}")), at(1)).unwrap();
        async move { world.store.claim(&claimed).await }
    })
    .await;
    let mut claimed = BTreeSet::new();
    for (number, job) in jobs.iter().enumerate() {
        let stored = world.job(job).await;
        let won = answers[number] == Write::Applied;
        assert_eq!((stored.status == JobStatus::Claimed, stored.rev), (won, 1 + u64::from(won)));
        if won {
            claimed.insert(job.id.clone());
        }
    }
    assert_eq!(claimed.len(), 3);
    assert_eq!(world.runner(&runner).await.slots.into_keys().collect::<BTreeSet<_>>(), claimed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_ends_requeues_and_updates_is_stored() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Executing).await;
    let failing = Arc::new(world.ending(&job, crate::world::failed(), at(200)).await);
    let cancelling = Arc::new(world.ending(&job, End::Cancelled, at(200)).await);
    let answers = race(&world, |world, number| {
        let (job, failing, cancelling) = (job.clone(), Arc::clone(&failing), Arc::clone(&cancelling));
        async move {
            match number % 4 {
                0 => world.store.end(&failing.ended()).await,
                1 => world.store.end(&cancelling.ended()).await,
                2 => {
                    let (back, attempt) = requeue_of(&job);
                    world.store.requeue(&job, &back, &attempt, Proof::Nothing).await
                }
                _ => {
                    let next = job.advance(&fence(&job), JobStatus::Syncing, at(200)).unwrap();
                    world.store.update_job(&next).await
                }
            }
        }
    })
    .await;
    let expected =
        [JobStatus::Failed, JobStatus::Cancelled, JobStatus::Ready, JobStatus::Syncing][winner(&answers) % 4];
    let stored = world.job(&job).await;
    assert_eq!((stored.status, stored.rev), (expected, job.rev + 1));
    let active = stored.status.is_active();
    assert_eq!(world.runner(&runner).await.slots.contains_key(&job.id), active);
    assert_eq!(world.store.attempt(&job.id, 1).await.unwrap().is_none(), active);
    assert_eq!(world.ticket("APP-1").await.active_job.is_none(), stored.status.is_terminal());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_finishes_ends_a_job() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.running_on(&runner, "APP-1", JobStatus::Syncing).await;
    let ending = world.completing(&job).await;
    let endings: Vec<_> = (0..RACERS)
        .map(|number| {
            let finish = sample::finish(&format!("f{number}"));
            let end = End::Completed(sample::result(7));
            Ending {
                job: job.finish(&fence(&job), &finish, end, at(180)).unwrap(),
                before: ending.before.clone(),
                attempt: ending.attempt.clone(),
                ticket: ending.ticket.clone(),
                returned: None,
                pull_request: ending.pull_request.clone(),
            }
        })
        .map(Arc::new)
        .collect();
    let answers = race(&world, |world, number| {
        let ending = Arc::clone(&endings[number]);
        async move { world.store.end(&ending.ended()).await }
    })
    .await;
    let won = &endings[winner(&answers)].job;
    assert_eq!(world.job(&job).await.ended_by, won.ended_by);
    let link = world.store.pull_request(&ending.pull_request.as_ref().unwrap().id).await.unwrap();
    assert_eq!(link.map(|link| link.rev), Some(1));
    assert!(world.runner(&runner).await.slots.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_late_results_links_its_pull_request() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    let link = |number: usize| {
        let mut link = sample::pull_request(&job, 7);
        link.head = format!("{number:040x}");
        link
    };
    let answers = race(&world, |world, number| {
        let link = link(number);
        async move { world.store.link_if_unlinked(&link).await }
    })
    .await;
    let won = link(winner(&answers));
    let stored = world.store.pull_request(&won.id).await.unwrap().unwrap();
    assert_eq!(stored.head, won.head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_ticket_updates_is_stored() {
    let world = world().await;
    world.applies(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    let seen = world.ticket("APP-1").await;
    let answers = race(&world, |world, number| {
        let mut ticket = seen.clone();
        ticket.status = format!("status {number}");
        async move { world.store.update_ticket(&ticket).await }
    })
    .await;
    let stored = world.ticket("APP-1").await;
    assert_eq!((stored.status, stored.rev), (format!("status {}", winner(&answers)), 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_queued_entries_is_stored_with_its_decision() {
    let world = world().await;
    world.applies(world.store.update_ticket(&sample::ticket("APP-1"))).await;
    let seen = world.ticket("APP-1").await;
    let entry = |number: usize| sample::event("APP-1", &format!("evt-{number}"), at(2), "AI Processing").entry();
    let answer = |number: usize| sample::refused(&format!("evt-{number}"), at(2));
    let answers = race(&world, |world, number| {
        let (delivery, ticket) = (answer(number), seen.clone().hold_entry(entry(number)));
        async move { world.store.record_with_ticket(&delivery, &ticket).await }
    })
    .await;
    let won = winner(&answers);
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.again, ticket.rev), (Some(entry(won)), 2));
    for number in 0..RACERS {
        let recorded = world.store.delivery(&answer(number).id).await.unwrap();
        assert_eq!(recorded, (number == won).then(|| answer(number)), "{number}");
    }
}

/// Snapshots do not conflict: each is stored or older than the stored one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn newest_of_many_snapshots_is_stored() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        // The racers' numbers do not follow the order of their times.
        let when = (number * 37 % RACERS) as u64;
        let event = sample::event("APP-1", &format!("evt-{when}"), at(when), &format!("status {when}"));
        let stored = world.store.snapshot(&event).await?;
        world.store.store_text(&event).await?;
        Ok(stored)
    })
    .await;
    let newest = (RACERS - 1) as u64;
    let ticket = world.ticket("APP-1").await;
    assert_eq!((ticket.status, ticket.seen_at), (format!("status {newest}"), at(newest)));
    assert_eq!(ticket.seen_event, Some(sample::event_id(&format!("evt-{newest}"))));
    let stored = answers.iter().filter(|answer| **answer == Snapshot::Stored).count();
    // Every stored snapshot raises the revision by one.
    world.check_raised(ticket.rev, stored as u64);
    assert_eq!(world.text("APP-1").await.unwrap().title, format!("APP-1 evt-{newest}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_text_replacements_is_stored() {
    let world = world().await;
    let words = |number: usize| TicketText { title: format!("{number}"), ..TicketText::default() };
    let (project, key) = (sample::project(), sample::ticket_key("APP-1"));
    for round in 0..2 {
        let seen = world.store.ticket_text(&project, &key).await.unwrap();
        assert_eq!(seen.is_some(), round > 0);
        let answers = race(&world, |world, number| {
            let seen = seen.clone();
            async move { replace_text_by(&world.store, &format!("evt-{number}"), &words(number), seen.as_ref()).await }
        })
        .await;
        assert_eq!(world.text("APP-1").await, Some(words(winner(&answers))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_ticket_creations_is_stored() {
    let world = world().await;
    let words = |number: usize| TicketText { title: format!("{number}"), ..TicketText::default() };
    let answers = race(&world, |world, number| async move {
        let (ticket, text) = (sample::ticket("APP-1"), words(number));
        let delivery = sample::refused(&format!("evt-{number}"), at(0));
        world.store.create_ticket(&written(&ticket, &text, &delivery)).await
    })
    .await;
    assert_eq!(world.text("APP-1").await, Some(words(winner(&answers))));
    assert_eq!(world.ticket("APP-1").await.rev, 1);
    assert_eq!(world.items().await.len(), 3, "one ticket, its text and its ledger entry are stored");
}

fn process(runner: &Runner, number: usize) -> Runner {
    Runner {
        instance: InstanceId::new(format!("newcomer-{number}")).unwrap(),
        epoch: runner.epoch + 1,
        ..runner.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_processes_registers_a_new_runner() {
    let world = world().await;
    let runner = sample::runner("kite", 1);
    let answers = race(&world, |world, number| {
        let process = process(&runner, number);
        async move {
            let profile = sample::profile(&process, "kite");
            world.store.register(&first_time(&process, &profile)).await
        }
    })
    .await;
    assert_eq!(world.runner(&runner).await, process(&runner, winner(&answers)));
    assert_eq!(world.items().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_processes_takes_a_runner_over() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let answers = race(&world, |world, number| {
        let (seen, process) = (runner.clone(), process(&runner, number));
        async move {
            let profile = sample::profile(&process, &process.name);
            let takeover = Registered { seen: Some(&seen), ..first_time(&process, &profile) };
            world.store.register(&takeover).await
        }
    })
    .await;
    assert_eq!(world.runner(&runner).await, process(&runner, winner(&answers)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_runners_gets_a_name() {
    let world = world().await;
    let runners: Vec<_> = (0..RACERS).map(|number| sample::runner(&format!("r{number}"), 1)).collect();
    let answers = race(&world, |world, number| {
        let runner = runners[number].clone();
        async move {
            let profile = sample::profile(&runner, "kite");
            world.store.register(&first_time(&runner, &profile)).await
        }
    })
    .await;
    world.runner(&runners[winner(&answers)]).await;
    assert_eq!(world.items().await.len(), 3, "the losers must store no items");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_claims_and_takeovers_keep_job_and_slot_consistent() {
    let world = world().await;
    let runner = world.registered(&sample::runner("kite", 1)).await;
    let job = world.created("one").await;
    let answers = race(&world, |world, number| {
        let (seen, process) = (runner.clone(), process(&runner, number));
        let claimed = job.claim(&sample::claim_by(&runner, &job, &format!("c{number}")), at(1)).unwrap();
        async move {
            if number % 2 == 0 {
                return world.store.claim(&claimed).await;
            }
            let profile = sample::profile(&process, &process.name);
            let takeover = Registered { seen: Some(&seen), ..first_time(&process, &profile) };
            world.store.register(&takeover).await
        }
    })
    .await;
    winner(&answers);
    let active = world.job(&job).await.status.is_active();
    assert_eq!(world.runner(&runner).await.slots.contains_key(&job.id), active);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_project_updates_is_stored() {
    let world = world().await;
    let project = |number: usize| {
        let mut project = sample::settings_of("acme");
        project.name = format!("name {number}");
        project
    };
    let answers = race(&world, |world, number| async move { world.store.put_project(&project(number)).await }).await;
    let stored = world.store.project(&sample::project()).await.unwrap().unwrap();
    assert_eq!((stored.name, stored.rev), (project(winner(&answers)).name, 1));

    let answers = race(&world, |world, number| async move {
        let mut project = project(number);
        project.rev = 1;
        world.store.put_project(&project).await
    })
    .await;
    let stored = world.store.project(&sample::project()).await.unwrap().unwrap();
    assert_eq!((stored.name, stored.rev), (project(winner(&answers)).name, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_integrations_gets_a_name() {
    let world = world().await;
    let forge = |number: usize| {
        let mut forge = sample::forge("gh1");
        forge.api_url = format!("https://{number}.example");
        forge
    };
    let answers = race(&world, |world, number| async move { world.store.put_integration(&forge(number)).await }).await;
    let stored = world.store.integration(&sample::integration()).await.unwrap();
    assert_eq!(stored, Some(forge(winner(&answers))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_repositories_gets_a_name() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        let repository = sample::repository(number as u64, "acme/app");
        world.store.put_repository(&repository, None).await
    })
    .await;
    let won = sample::repository(winner(&answers) as u64, "acme/app");
    let stored = world.store.repository_named(&sample::project(), &won.name).await.unwrap();
    assert_eq!(stored, Some(won));
    assert_eq!(world.items().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_tokens_of_one_hash_is_stored() {
    let world = world().await;
    let token = |number: usize| sample::token("abc", &format!("name {number}"));
    let answers = race(&world, |world, number| async move { world.store.put_token(&token(number)).await }).await;
    assert_eq!(world.store.token("abc").await.unwrap(), Some(token(winner(&answers))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_batches_of_one_number_is_stored() {
    let world = world().await;
    let answers = race(&world, |world, number| async move {
        let batch = Batch { job: &sample::job_id("one"), attempt: 1, first: 1, at: at(0), events: &[number] };
        world.store.store_events(&batch).await
    })
    .await;
    let batches = world.store.event_batches::<usize>(&sample::job_id("one"), 1, 0, 10).await.unwrap();
    assert_eq!(batches.len(), 1);
    assert_eq!(batches[0].events, [winner(&answers)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_freezes_of_one_context_store_it_once() {
    let world = world().await;
    let names = race(&world, |world, _| async move {
        let context = sample::context("Fix it.");
        world.store.freeze_context(&sample::job_id("one"), &context).await
    })
    .await;
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(world.items().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rev_counts_every_retried_update() {
    let world = world().await;
    let job = world.triggered("APP-1").await;
    race(&world, |world, _| {
        let id = job.id.clone();
        async move {
            loop {
                let mut job = world.store.job(&id).await?.expect("the job exists");
                job.tries += 1;
                if world.store.update_job(&job).await? == Write::Applied {
                    return Ok(());
                }
            }
        }
    })
    .await;
    let item = world.item("JOB#", "JOB").await;
    let (rev, tries) = (count(&item, "rev").unwrap(), count(&item, "tries").unwrap());
    assert_eq!(rev, 1 + tries);
    // A racer whose answer was lost and whose mark was replaced gets `Stale` and repeats its update.
    world.check_raised(tries.unsigned_abs(), RACERS as u64);
}

/// Half of the racers send heartbeats and half mark the runner offline, all over the same read.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn heartbeat_and_offline_mark_exclude_each_other() {
    let world = world().await;
    let seen = world.registered(&sample::runner("kite", 1)).await;
    let answers = race(&world, |world, number| {
        let seen = seen.clone();
        async move {
            if number % 2 == 0 {
                let heard = crate::fleet::heard(&seen, 100);
                return world.store.heartbeat(&seen, &heard).await;
            }
            world.store.take_offline(&seen, &crate::fleet::offline(&seen)).await
        }
    })
    .await;
    let stored = world.runner(&seen).await;
    let (heartbeats, sweeps): (Vec<_>, Vec<_>) = answers.iter().enumerate().partition(|(number, _)| number % 2 == 0);
    let applied = |all: &[(usize, &Write)]| all.iter().filter(|(_, write)| **write == Write::Applied).count();
    match stored.status {
        Presence::Offline => assert_eq!((applied(&heartbeats), applied(&sweeps), stored.epoch), (0, 1, 2)),
        _ => assert_eq!((applied(&heartbeats), applied(&sweeps), stored.epoch), (RACERS / 2, 0, 1)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sign_in_link_is_used_once() {
    let world = Arc::new(World::new().await);
    let answers = race(&world, |world, _| async move { world.store.use_sign_in("one", at(600)).await }).await;
    assert_eq!(answers.iter().filter(|answer| **answer == Write::Applied).count(), 1, "{answers:?}");
}
