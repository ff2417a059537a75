//! Tests lists before a time, their pages, and batch reads of many jobs.

use crate::prelude::*;
use crate::sample;
use crate::world::World;
use data_encoding::BASE64URL_NOPAD;
use pullyard_domain::review::pull_request::PullRequestState;
use pullyard_domain::run::Run;
use pullyard_domain::text::id::RunId;
use pullyard_store::Error;
use std::cell::RefCell;

async fn create_jobs(world: &World, count: u64) -> Vec<JobId> {
    let mut ids = Vec::new();
    for second in 0..count {
        let job = sample::job_at(&format!("job {second}"), Compute::Fargate, at(second));
        world.expect_applied(world.store.create_job(&job_trigger(&job))).await;
        ids.push(job.id);
    }
    ids
}

async fn list_before(world: &World, until: Option<Timestamp>) -> Vec<JobId> {
    let read = async || world.store.list_job_ids(&sample::project(), until, None, 50).await.unwrap();
    world.after_catching_up(read).await.0
}

/// All rows of a list, read in pages of two, after the index has caught up.
async fn list_all<T>(
    world: &World,
    page: impl AsyncFn(Option<&str>) -> Result<(Vec<T>, Option<String>), Error>,
) -> Vec<T> {
    let read = async || {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let (rows, next) = page(after.as_deref()).await.unwrap();
            assert!(rows.len() <= 2, "a page of {}", rows.len());
            found.extend(rows);
            after = next;
            if after.is_none() {
                return found;
            }
        }
    };
    world.after_catching_up(read).await
}

#[tokio::test]
async fn projects_are_listed_by_id() {
    let world = World::new().await;
    let names = ["acme", "acme-2", "beta", "delta", "zeta"];
    for name in ["zeta", "acme-2", "delta", "acme", "beta"] {
        world.expect_applied(world.store.put_project(&sample::project_with_id(name))).await;
    }
    let listed = list_all(&world, async |after| world.store.list_project_ids(after, 2).await).await;
    assert_eq!(listed, names.map(|name| ProjectId::new(name).unwrap()));
}

#[tokio::test]
async fn cursors_name_only_projects_that_the_caller_may_see() {
    let world = World::new().await;
    for name in ["acme", "beta-1", "beta-2", "beta-3", "beta-4", "delta", "omega", "zeta"] {
        world.expect_applied(world.store.put_project(&sample::project_with_id(name))).await;
    }
    let seen = ["acme", "delta", "omega"].map(|name| ProjectId::new(name).unwrap());
    let (may_see, cursors) = (|id: &ProjectId| seen.contains(id), RefCell::new(BTreeSet::new()));
    let listed = list_all(&world, async |after| {
        cursors.borrow_mut().extend(after.map(|cursor| BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap()));
        world.store.list_visible_project_ids(after, 1, may_see).await
    })
    .await;
    assert_eq!(listed, seen);
    let cursors = cursors.into_inner().into_iter().map(|cursor| String::from_utf8(cursor).unwrap());
    let cursors: Vec<_> = cursors.collect();
    assert!(cursors.len() == 2 && cursors[0].contains("acme") && cursors[1].contains("delta"), "{cursors:?}");
}

#[tokio::test]
async fn connections_of_a_repository_exclude_other_forges() {
    let world = World::new().await;
    let connect = async |project: &str, integration: &str, id: u64| {
        let project = sample::project_with_id(project);
        world.expect_applied(world.store.put_project(&project)).await;
        let integration = IntegrationId::new(integration).unwrap();
        let repository = Repository { project: project.id, integration, ..sample::repository(id, "acme/app") };
        world.expect_applied(world.store.put_repository(&repository, None)).await;
        repository
    };
    let (two, one) = (connect("two", "gh1", 99).await, connect("one", "gh1", 99).await);
    connect("three", "gh2", 99).await;
    connect("four", "gh1", 98).await;
    let read = async || world.store.list_connections(&two.integration, 99).await.unwrap();
    let found = world.after_catching_up(read).await;
    assert_eq!(found.into_iter().map(|found| found.project).collect::<Vec<_>>(), [one.project, two.project]);
}

#[tokio::test]
async fn tickets_of_a_project_are_listed_by_key() {
    let world = World::new().await;
    for key in ["B#2 of ann", "APP-1", "APP-3", "APP-2"] {
        world.create_ticket_job(key).await;
    }
    let listed = async |project: ProjectId| {
        list_all(&world, async |after| world.store.list_ticket_keys(&project, after, 2).await).await
    };
    let keys = ["APP-1", "APP-2", "APP-3", "B#2 of ann"];
    assert_eq!(listed(sample::project()).await, keys.map(sample::ticket_key));
    assert_eq!(listed(ProjectId::new("acme-2").unwrap()).await, []);
}

#[tokio::test]
async fn only_open_pull_requests_of_a_project_are_listed() {
    let world = World::new().await;
    let job = sample::job("one");
    let link = |number| PullRequest { job: None, ticket: None, ..sample::pull_request(&job, number) };
    for number in [3, 1, 2, 4] {
        world.expect_applied(world.store.link_if_absent(&link(number))).await;
    }
    let seen = world.store.load_pull_request(&link(2).id).await.unwrap().unwrap();
    let closed = PullRequest { state: PullRequestState::Closed, ..seen };
    world.expect_applied(world.store.update_pull_request(&closed)).await;
    let listed = async |project: ProjectId| {
        list_all(&world, async |after| world.store.list_open_pull_requests(&project, after, 2).await).await
    };
    let found: Vec<_> = listed(sample::project()).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, [1, 3, 4].map(|number| link(number).id));
    assert_eq!(listed(ProjectId::new("acme-2").unwrap()).await, []);
}

#[tokio::test]
async fn jobs_before_a_time_are_listed_newest_first() {
    let world = World::new().await;
    let ids = create_jobs(&world, 6).await;
    let newest_first = |range: std::ops::Range<usize>| ids[range].iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(list_before(&world, None).await, newest_first(0..6));
    assert_eq!(list_before(&world, Some(at(2))).await, newest_first(0..2));
    assert_eq!(list_before(&world, Some(at(2).plus(Duration::from_millis(1)))).await, newest_first(0..3));
    assert_eq!(list_before(&world, Some(Timestamp::from_millis(0))).await, []);
}

#[tokio::test]
async fn page_continues_at_both_ends_of_its_list() {
    let world = World::new().await;
    let ids = create_jobs(&world, 6).await;
    let project = sample::project();
    let until = Some(at(4).plus(Duration::from_millis(1)));
    let after = async |id: &JobId| {
        let cursor = world.store.cursor_after(&world.store.load_job(id).await.unwrap().unwrap());
        let read = async || world.store.list_job_ids(&project, until, Some(&cursor), 50).await.unwrap();
        world.after_catching_up(read).await
    };
    assert_eq!(after(&ids[4]).await, (ids[..4].iter().rev().cloned().collect::<Vec<_>>(), None));
    assert_eq!(after(&ids[0]).await, (vec![], None));
}

#[tokio::test]
async fn cursor_outside_the_time_range_is_rejected() {
    let world = World::new().await;
    let ids = create_jobs(&world, 6).await;
    let project = sample::project();
    let cursor = async |id: &JobId| {
        let job = world.store.load_job(id).await.unwrap().unwrap();
        world.store.cursor_after(&job)
    };
    let after = cursor(&ids[3]).await;
    let read = async || world.store.list_job_ids(&project, Some(at(5)), Some(&after), 50).await.unwrap();
    assert_eq!(world.after_catching_up(read).await, (ids[..3].iter().rev().cloned().collect::<Vec<_>>(), None));
    let outside = cursor(&ids[5]).await;
    let error = world.store.list_job_ids(&project, Some(at(5)), Some(&outside), 50).await.unwrap_err();
    assert!(matches!(error, Error::BadCursor), "{error}");
}

#[tokio::test]
async fn jobs_are_read_in_id_order_without_missing_ones() {
    let world = World::new().await;
    let mut ids = create_jobs(&world, 130).await;
    ids.reverse();
    let absent = sample::job_id("never made");
    ids.insert(60, absent.clone());
    let read = world.store.load_jobs(&ids).await.unwrap();
    ids.retain(|id| *id != absent);
    assert_eq!(read.into_iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    assert_eq!(world.store.load_jobs(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn unprocessed_keys_are_requested_again() {
    let world = World::calm().await;
    let ids = create_jobs(&world, 9).await;
    world.faults.take_call_count("BatchGetItem");
    // Halves: 5 of 9 keys, then 2 of 4, then 1 of 2, and the last one.
    for _ in 0..3 {
        world.faults.fail_next("BatchGetItem", Fault::Half);
    }
    let read = world.store.load_jobs(&ids).await.unwrap();
    assert_eq!(read.into_iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    assert_eq!(world.faults.take_call_count("BatchGetItem"), 4);
}

#[tokio::test]
async fn repositories_are_read_across_pages() {
    let world = World::calm().await;
    for id in 1..4 {
        world
            .expect_applied(world.store.put_repository(&sample::repository(id, &format!("acme/app-{id}")), None))
            .await;
    }
    world.faults.take_call_count("Query");
    for _ in 0..2 {
        world.faults.fail_next("Query", Fault::ShortPage);
    }
    let repositories = world.store.list_repositories(&sample::project()).await.unwrap();
    assert_eq!(repositories.iter().map(|repository| repository.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(world.faults.take_call_count("Query"), 3);
}

#[tokio::test]
async fn never_completed_batch_read_is_a_transient_error() {
    let world = World::calm().await;
    let ids = create_jobs(&world, 2).await;
    let nothing = serde_json::json!({ "RequestItems": {
        &world.table: { "ConsistentRead": true, "Keys": [{ "pk": { "S": "JOB#x" }, "sk": { "S": "JOB" } }] },
    } });
    let answer = serde_json::json!({ "Responses": {}, "UnprocessedKeys": nothing["RequestItems"] });
    world.faults.fail_always("BatchGetItem", Fault::Refused(200, answer));
    let error = world.store.load_jobs(&ids).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn unreadable_run_does_not_hide_the_others() {
    let world = World::new().await;
    let (first, id) = (sample::run(0), RunId::for_request(&sample::project(), "", "two"));
    let other = Run { id, created: at(2), ..sample::run(0) };
    for run in [&first, &other] {
        world.expect_applied(world.store.create_run(run, &sample::frozen_plan(), None)).await;
    }
    world.set_attribute((&format!("RUN#{}", other.id), "RUN"), "name", AttributeValue::Bool(true)).await;
    let read = async || {
        let (runs, _) = world.store.list_runs(&sample::project(), None, 10).await.unwrap();
        runs.into_iter().map(|run| run.ok().map(|run| run.id)).collect::<Vec<_>>()
    };
    assert_eq!(world.after_catching_up(read).await, [None, Some(first.id)]);
}
