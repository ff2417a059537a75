//! Tests lagging indexes: each row is current or outdated, never invented, and catches up.

use crate::prelude::*;
use crate::sample;
use crate::world::{World, seed, text_attribute};
use pullyard_domain::run::due;
use pullyard_testkit::Lag;

const JOBS: usize = 12;

fn seeds() -> impl Iterator<Item = u64> {
    // The last printed seed is the seed of a failed test.
    (0..3).chain(seed()).inspect(|seed| println!("the reads lag by the seed {seed}"))
}

#[derive(Default)]
struct PastRows {
    rows: BTreeSet<(String, String, i64)>,
}

impl PastRows {
    async fn record_rows(&mut self, world: &World) -> BTreeSet<(String, String, i64)> {
        let mut now = BTreeSet::new();
        for ((pk, sk), item) in world.items().await {
            if sk == "JOB" {
                now.extend(number_attribute(&item, "ws").map(|order| (pk, text_attribute(&item, "wk"), order)));
            }
        }
        self.rows.extend(now.iter().cloned());
        now
    }
}

async fn index_rows(world: &World) -> BTreeSet<(String, String, i64)> {
    let class = sample::job("any").class;
    let ready = world.store.list_ready_jobs(&class, 1_000).await.unwrap();
    let row = |job: &JobId, partition: String, order| (format!("JOB#{job}"), partition, order);
    let mut rows: BTreeSet<_> = ready.iter().map(|at| row(&at.job, format!("READY#{class}"), at.order)).collect();
    for shard in 0..due::SHARDS {
        for (key, at) in world.store.list_due(shard, 1_000).await.unwrap() {
            let WorkKey::Job(job) = key else { panic!("{key:?} is not a job") };
            rows.insert(row(&job, format!("DUE#{shard}"), at.millis()));
        }
    }
    rows
}

#[tokio::test]
async fn lagging_index_names_only_past_rows_and_catches_up() {
    for seed in seeds() {
        let lag = Lag::new(seed);
        let world = World::lagging(&lag).await;
        let (mut past, mut jobs, mut late) = (PastRows::default(), Vec::<Job>::new(), 0);
        for step in 0..3 * JOBS {
            // Jobs for runners and for Fargate are created, then postponed, then claimed.
            let wrote = match step / JOBS {
                0 => {
                    let compute = if step % 2 == 0 { Compute::Runners } else { Compute::Fargate };
                    jobs.push(sample::job_at(&format!("job-{step}"), compute, at(step as u64)));
                    world.store.create_job(&job_trigger(&jobs[step])).await
                }
                1 => {
                    let job = world.store.load_job(&jobs[step % JOBS].id).await.unwrap().unwrap();
                    let not_before = Some(at(1_000 + step as u64));
                    world.store.update_job(&Job { tries: job.tries + 1, not_before, ..job }).await
                }
                _ => {
                    let job = world.store.load_job(&jobs[step % JOBS].id).await.unwrap().unwrap();
                    let claimed = job.claim(&sample::claim_by_task(&job, "c1"), at(60)).unwrap();
                    world.store.claim_job(&claimed).await
                }
            };
            world.expect_applied(std::future::ready(wrote)).await;
            let now = past.record_rows(&world).await;
            let rows = index_rows(&world).await;
            assert!(rows.is_subset(&past.rows), "never stored: {:?}", rows.difference(&past.rows));
            late += usize::from(rows != now);
        }
        assert!(late > 0, "no read was stale");
        lag.catch_up().await.unwrap();
        assert_eq!(index_rows(&world).await, past.record_rows(&world).await);
    }
}
