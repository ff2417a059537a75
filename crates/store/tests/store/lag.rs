//! Tests lagging indexes: each row is current or outdated, never invented, and catches up. Reads of items never lag.

use crate::rests::answered;
use crate::reviews::{id, review_id, waits};
use crate::sample::{self, at};
use crate::world::{World, alone, count, seed, word};
use pullyard_domain::due;
use pullyard_domain::id::JobId;
use pullyard_domain::job::Job;
use pullyard_domain::project::Compute;
use pullyard_store::{Batch, WorkKey};
use pullyard_testkit::Lag;
use std::collections::BTreeSet;

const JOBS: usize = 12;

/// Three fixed seeds, and the seed from the environment, if set.
fn seeds() -> impl Iterator<Item = u64> {
    // The last printed seed is the seed of a failed test.
    (0..3).chain(seed()).inspect(|seed| println!("the reads lag by the seed {seed}"))
}

/// The rows of every past state of the jobs.
#[derive(Default)]
struct Past {
    rows: BTreeSet<(String, String, i64)>,
}

impl Past {
    async fn look(&mut self, world: &World) -> BTreeSet<(String, String, i64)> {
        let mut now = BTreeSet::new();
        for ((pk, sk), item) in world.items().await {
            if sk == "JOB" {
                now.extend(count(&item, "ws").map(|order| (pk, word(&item, "wk"), order)));
            }
        }
        self.rows.extend(now.iter().cloned());
        now
    }
}

/// The rows that the index returns for the class and for all shards.
async fn told(world: &World) -> BTreeSet<(String, String, i64)> {
    let class = sample::job("any").class;
    let ready = world.store.ready(&class, 1_000).await.unwrap();
    let row = |job: &JobId, partition: String, order| (format!("JOB#{job}"), partition, order);
    let mut told: BTreeSet<_> = ready.iter().map(|at| row(&at.job, format!("READY#{class}"), at.order)).collect();
    for shard in 0..due::SHARDS {
        for (key, at) in world.store.scheduled(shard, 1_000).await.unwrap() {
            let WorkKey::Job(job) = key else { panic!("{key:?} is not a job") };
            told.insert(row(&job, format!("DUE#{shard}"), at.millis()));
        }
    }
    told
}

#[tokio::test]
async fn lagging_index_names_only_past_rows_and_catches_up() {
    for seed in seeds() {
        let lag = Lag::new(seed);
        let world = World::lagging(&lag).await;
        let (mut past, mut jobs, mut late) = (Past::default(), Vec::<Job>::new(), 0);
        for step in 0..3 * JOBS {
            // Jobs for runners and for Fargate are created, then postponed, then claimed.
            let wrote = match step / JOBS {
                0 => {
                    let compute = if step % 2 == 0 { Compute::Runners } else { Compute::Fargate };
                    jobs.push(sample::job_at(&format!("job-{step}"), compute, at(step as u64)));
                    world.store.trigger(&alone(&jobs[step])).await
                }
                1 => {
                    let job = world.store.job(&jobs[step % JOBS].id).await.unwrap().unwrap();
                    let not_before = Some(at(1_000 + step as u64));
                    world.store.update_job(&Job { tries: job.tries + 1, not_before, ..job }).await
                }
                _ => {
                    let job = world.store.job(&jobs[step % JOBS].id).await.unwrap().unwrap();
                    let claimed = job.claim(&sample::claim_by_task(&job, "c1"), at(60)).unwrap();
                    world.store.claim(&claimed).await
                }
            };
            world.applies(std::future::ready(wrote)).await;
            let now = past.look(&world).await;
            let told = told(&world).await;
            assert!(told.is_subset(&past.rows), "never stored: {:?}", told.difference(&past.rows));
            late += usize::from(told != now);
        }
        assert!(late > 0, "no read was stale");
        lag.catch_up().await.unwrap();
        assert_eq!(told(&world).await, past.look(&world).await);
    }
}

/// Each consistent read of several items includes the latest write, although no shadow table has it.
#[tokio::test]
async fn consistent_reads_return_the_latest_items() {
    let lag = Lag::still();
    let world = World::lagging(&lag).await;
    let (store, project, key) = (&world.store, sample::project(), sample::ticket_key("APP-1"));
    world.applies(store.put_project(&sample::settings_of(project.as_str()))).await;
    world.applies(store.put_repository(&sample::repository(99, "acme/app"), None)).await;
    let kite = world.registered(&sample::runner("kite", 1)).await;
    let job = answered(&world, "APP-1").await;
    let read = [
        ("jobs", store.jobs(std::slice::from_ref(&job.id)).await.unwrap().len()),
        ("members", store.members(&BTreeSet::from([kite.id])).await.unwrap().len()),
        ("a ticket with its project", {
            let (project, ticket) = store.project_and_ticket(&project, &key).await.unwrap();
            usize::from(project.is_some() && ticket.is_some())
        }),
        ("repositories", store.repositories(&project).await.unwrap().len()),
        ("attempts", store.attempts(&job.id).await.unwrap().len()),
        ("what people said", store.inputs(&job.id, 0).await.unwrap().len()),
    ];
    for (what, found) in read {
        assert_eq!(found, 1, "{what}");
    }
    assert!(lag.behind() > 0);
}

#[tokio::test]
async fn reviews_and_events_are_read_consistently() {
    let lag = Lag::still();
    let world = World::lagging(&lag).await;
    world.applies(world.store.take_review(&waits("r1"), None)).await;
    let (_, review, _) = world.store.link_and_review(&id(), &review_id("r1")).await.unwrap();
    assert!(review.is_some());
    assert_eq!(world.store.reviews(&id()).await.unwrap().len(), 1, "reviews are read consistently");
    let (_, reviews) = world.store.link_and_reviews(&id()).await.unwrap();
    assert_eq!(reviews.len(), 1, "reviews are read consistently with their link");
    let (job, said) = (sample::job_id("one"), ["It works.".to_owned()]);
    let batch = Batch { job: &job, attempt: 1, first: 1, at: at(1), events: &said[..] };
    world.applies(world.store.store_events(&batch)).await;
    let batches = world.store.event_batches::<String>(&job, 1, 0, 10).await.unwrap();
    assert_eq!(batches.len(), 1, "event batches are read consistently");
}

#[tokio::test]
async fn lagging_list_pages_contain_no_duplicates() {
    for seed in seeds() {
        let lag = Lag::new(seed);
        let world = World::lagging(&lag).await;
        let mut all = BTreeSet::new();
        for number in 0..JOBS {
            let job = sample::job_at(&format!("job-{number}"), Compute::Fargate, at(number as u64));
            world.applies(world.store.trigger(&alone(&job))).await;
            all.insert(job.id);
        }
        let walked = async || {
            let (mut listed, mut after) = (Vec::new(), None::<String>);
            loop {
                let (page, next) = world.store.job_ids(&sample::project(), after.as_deref(), 2).await.unwrap();
                listed.extend(page);
                match next {
                    Some(_) => after = next,
                    None => return listed,
                }
            }
        };
        let listed = walked().await;
        let named: BTreeSet<_> = listed.iter().cloned().collect();
        assert_eq!(named.len(), listed.len(), "{listed:?}");
        assert!(named.is_subset(&all));
        lag.catch_up().await.unwrap();
        assert_eq!(walked().await.into_iter().collect::<BTreeSet<_>>(), all);
    }
}

/// The same world that other tests use if a seed is set.
#[tokio::test]
async fn seeded_world_lags_under_faults_and_catches_up() {
    for seed in seeds() {
        let world = World::seeded(seed).await;
        let class = sample::job("any").class;
        let named = async || {
            let ready = world.store.ready(&class, 1_000).await.unwrap();
            ready.into_iter().map(|at| at.job).collect::<BTreeSet<_>>()
        };
        let (mut made, mut late) = (BTreeSet::new(), 0);
        for number in 0..2 * JOBS {
            let job = sample::job_at(&format!("job-{number}"), Compute::Runners, at(number as u64));
            world.applies(world.store.trigger(&alone(&job))).await;
            made.insert(job.id);
            let named = named().await;
            assert!(named.is_subset(&made), "never created: {:?}", named.difference(&made));
            late += usize::from(named != made);
        }
        assert!(late > 0, "no read was stale");
        assert_eq!(world.in_the_end(&named).await, made);
        // A write of a test without the store lags and catches up too.
        let gone = made.pop_first().unwrap();
        world.lose(&format!("JOB#{gone}"), "JOB").await;
        assert_eq!(world.in_the_end(&named).await, made);
    }
}
