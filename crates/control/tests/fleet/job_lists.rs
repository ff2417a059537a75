//! Searches of a project's jobs.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::search_jobs;
use pullyard_domain::review::listing::{JobFilter, JobSearch};

#[tokio::test]
async fn search_counts_all_matches_and_continues_after_the_last() {
    let world = World::begin().await;
    let jobs = world.jobs("listed", 7, 1).await;
    let statuses = BTreeSet::from([JobStatus::Ready]);
    let search = JobSearch { filter: JobFilter { statuses, ..JobFilter::default() }, ..JobSearch::default() };
    let (mut after, mut found) = (None, BTreeSet::<JobId>::new());
    for expected in [7, 4, 1] {
        let page = search_jobs(&world.ctx, &world.project, &search, after.as_deref(), 3).await.unwrap();
        assert_eq!(page.totals.jobs, expected);
        assert!(page.jobs.len() == expected.min(3) && page.oldest_read.is_some());
        found.extend(page.jobs.into_iter().map(|job| job.view.job.id));
        after = page.next;
    }
    assert!(after.is_none(), "a page follows the last match");
    assert_eq!(found, jobs.into_iter().map(|job| job.id).collect());
}

#[tokio::test]
async fn search_without_filter_reads_only_one_page() {
    let world = World::begin().await;
    world.jobs("listed", 4, 1).await;
    let page = search_jobs(&world.ctx, &world.project, &JobSearch::default(), None, 3).await.unwrap();
    assert_eq!((page.jobs.len(), page.totals.jobs), (3, 3));
    assert!(page.next.is_some());
}

#[tokio::test]
async fn search_accepts_a_cursor_that_became_too_old() {
    let world = World::begin().await;
    world.jobs("listed", 4, 1).await;
    let now = world.ctx.clock.now();
    let since =
        |since| JobSearch { filter: JobFilter { since: Some(since), ..JobFilter::default() }, ..JobSearch::default() };
    let recent = since(now.minus(Duration::from_secs(3_600)));
    let page = search_jobs(&world.ctx, &world.project, &recent, None, 2).await.unwrap();
    assert_eq!(page.totals.jobs, 4);
    let late = since(now.plus(Duration::from_secs(3_600)));
    let page = search_jobs(&world.ctx, &world.project, &late, page.next.as_deref(), 2).await.unwrap();
    assert!(page.jobs.is_empty() && page.next.is_none());
}
