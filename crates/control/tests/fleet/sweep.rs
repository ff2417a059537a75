//! Gauges and moved jobs in a round, and a measurement over ten thousand runners.

use crate::prelude::*;
use crate::world::World;
use futures::StreamExt as _;
use pullyard_control::{create_project, sweep};
use pullyard_domain::agent::breaker::KeyOwner;
use pullyard_domain::job::JobPolicy;
use pullyard_domain::text::id::ClassId;
use pullyard_store::SweeperState;
use std::collections::BTreeMap;
use std::time::Instant;

const RUNNERS: usize = 10_000;
const SILENT: usize = 1_000;
const AT_ONCE: usize = 32;

/// An alarm uses this value.
#[tokio::test]
async fn gauges_name_the_oldest_of_several_jobs() {
    let world = World::begin().await;
    let mut jobs = Vec::new();
    for name in ["one", "two", "three"] {
        jobs.extend(world.jobs(name, 1, 1).await);
        world.ctx.clock.advance(Duration::from_secs(30));
    }
    let gauges = sweep(&world.ctx).await.into_result().unwrap().gauges.expect("complete gauges");
    assert_eq!((gauges.waiting, gauges.oldest), (3, Some(jobs[0].ready_since)));
}

#[tokio::test]
async fn gauges_name_the_oldest_job_before_a_cursor() {
    let world = World::begin().await;
    let jobs = world.jobs("one", 2, 1).await;
    let now = world.ctx.clock.now();
    let last = world.ctx.store.list_ready_jobs(&jobs[0].class, 2).await.unwrap().pop().unwrap();
    let ready_cursors = BTreeMap::from([(last.class.clone(), last)]);
    let state = SweeperState { at: now, ready_at: now, since: None, ready_cursors, gauges: None };
    world.ctx.store.put_sweeper_state(&state).await.unwrap();
    world.ctx.clock.advance(Duration::from_secs(30));
    let gauges = sweep(&world.ctx).await.into_result().unwrap().gauges.expect("complete gauges");
    assert_eq!((gauges.waiting, gauges.oldest), (2, Some(jobs[0].ready_since.min(jobs[1].ready_since))));
}

#[tokio::test]
async fn cursor_is_retained_when_its_class_is_not_listed() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    let (ctx, class) = (&world.ctx, world.jobs("one", 2, 1).await.remove(0).class);
    let last = ctx.store.list_ready_jobs(&class, 2).await.unwrap().remove(0);
    let ready_cursors = BTreeMap::from([(class, last)]);
    let sweep_with_fault = async |at: Option<usize>| {
        ctx.clock.advance(Duration::from_secs(1));
        let now = ctx.clock.now();
        let state =
            SweeperState { at: now, ready_at: now, since: None, ready_cursors: ready_cursors.clone(), gauges: None };
        ctx.store.put_sweeper_state(&state).await.unwrap();
        ctx.clock.advance(Duration::from_secs(1));
        wire.restart(at.map(|at| (at, Fault::error(400, "AccessDenied"))));
        let _ = sweep(ctx).await;
        let points = wire.points();
        wire.restart(None);
        (points, ctx.store.load_sweeper_state().await.unwrap().unwrap().ready_cursors)
    };
    let (points, finished) = sweep_with_fault(None).await;
    assert!(finished.is_empty());
    let mut retained = Vec::new();
    for (number, point) in points.iter().enumerate() {
        if point.operation != "PutItem" && sweep_with_fault(Some(number)).await.1 == ready_cursors {
            retained.push(point.operation.as_str());
        }
    }
    // The list of projects, the project, its classes, and the jobs of the class.
    assert_eq!(retained, ["Query", "GetItem", "Query", "Query"]);
}

#[tokio::test]
async fn job_moved_to_runners_is_claimed_by_matching_labels() {
    let world = World::begin().await;
    // The job's creation precedes the project's move to runners.
    let before = Settings { compute: Compute::Fargate, ..Settings::default() };
    let labels = BTreeSet::from(["runner:kind-0".to_owned()]);
    let job = world.job_with_text(&before, Some(TicketText { labels, ..TicketText::default() })).await;
    world.ctx.clock.advance(Duration::from_secs(120));
    assert_eq!(sweep(&world.ctx).await.into_result().unwrap().woken, 1);
    let runners = world.runners(2, 2, 1).await;
    assert_eq!(world.takes(&runners[1], "k1").await.unwrap(), None);
    assert_eq!(world.takes(&runners[0], "k1").await.unwrap(), Some(job.id), "its labels match");
}

/// A review's job on Fargate has a class without labels.
#[tokio::test]
async fn job_moved_to_runners_takes_labels_from_its_context() {
    let world = World::begin().await;
    let before = Settings { compute: Compute::Fargate, ..Settings::default() };
    let labels = BTreeSet::from(["runner:kind-0".to_owned()]);
    let job = world.job_with_text(&before, Some(TicketText { labels, ..TicketText::default() })).await;
    let capability = world.repository().agent.capability;
    let class = ClassId::for_key(world.project.as_str(), &capability, &BTreeSet::new(), job.policy.key_owner());
    assert_ne!(class, job.class);
    assert_applied(world.ctx.store.update_job(&Job { class, ..job.clone() }).await);
    world.ctx.clock.advance(Duration::from_secs(120));
    assert_eq!(sweep(&world.ctx).await.into_result().unwrap().woken, 1);
    assert_eq!(world.load_job(&job.id).await.class, job.class);
    let needs = world.ctx.store.load_class(&world.project, &job.class).await.unwrap().unwrap();
    assert_eq!(needs.labels, BTreeSet::from(["kind-0".to_owned()]));
}

#[tokio::test]
async fn job_moved_to_runners_retains_its_project_key() {
    let world = World::begin().await;
    let job = world.job(&Settings { compute: Compute::Fargate, ..Settings::default() }).await;
    let policy = JobPolicy { model_of: Some("command".into()), ..job.policy.clone() };
    assert_applied(world.ctx.store.update_job(&Job { policy, ..job.clone() }).await);
    world.ctx.clock.advance(Duration::from_secs(120));
    assert_eq!(sweep(&world.ctx).await.into_result().unwrap().woken, 1);
    let class = world.load_job(&job.id).await.class;
    let needs = world.ctx.store.load_class(&world.project, &class).await.unwrap().unwrap();
    assert_eq!(needs.key, KeyOwner::Project, "the class has the project's key");
}

#[tokio::test]
async fn project_on_the_second_page_is_swept_and_claimed() {
    let world = World::begin().await;
    // The sweeper reads projects by name, a hundred per page, and these come first.
    for number in 0..100 {
        let id = ProjectId::new(format!("a{number:03}")).unwrap();
        create_project(&world.ctx, None, id, "Before".into(), Settings::default()).await.unwrap();
    }
    world.jobs("one", 1, 1).await;
    world.entries_that_wait(1).await;
    let gauges = sweep(&world.ctx).await.into_result().unwrap().gauges.expect("complete gauges");
    assert_eq!((gauges.waiting, gauges.held), (1, 1));
    let runner = world.runners(1, 1, 1).await.remove(0);
    assert!(world.takes(&runner, "k1").await.unwrap().is_some());
}

#[tokio::test]
async fn many_waiting_jobs_are_counted_and_ended_in_one_round() {
    let world = World::begin().await;
    world.jobs("one", 1_200, 3).await;
    world.ctx.clock.advance(Duration::from_secs(24 * 3_600 - 60));
    let report = sweep(&world.ctx).await.into_result().unwrap();
    assert_eq!((report.checked, report.written), (1_200, 0), "no job is due, and each is read in its last hours");
    let gauges = report.gauges.expect("complete gauges");
    assert_eq!((gauges.waiting, gauges.more), (1_200, false));
    let mut ended = 0;
    // One round, unless this machine is slow.
    while ended < 1_200 {
        world.ctx.clock.advance(Duration::from_secs(60));
        let report = sweep(&world.ctx).await.into_result().unwrap();
        ended += report.written;
        assert!(report.failed == 0 && (ended == 1_200 || report.has_more), "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/capacity.md"]
async fn sweeps_end_10000_unclaimed_jobs_within_5_minutes() {
    let world = &World::begin().await;
    world.jobs("one", 10_000, 4).await;
    world.ctx.clock.advance(Duration::from_secs(24 * 3_600));
    let (since, mut ended) = (Instant::now(), 0);
    println!("| round | its time | jobs ended |\n|---|---|---|");
    for round in 1.. {
        let begun = Instant::now();
        let report = sweep(&world.ctx).await.into_result().unwrap();
        ended += report.written;
        println!("| {round} | {:.1} s | {ended} |", begun.elapsed().as_secs_f64());
        assert_eq!(report.failed, 0, "{report:?}");
        if ended == 10_000 {
            break;
        }
        assert!(report.has_more && round < 20, "{report:?}");
    }
    println!("10,000 jobs in {:.0} s", since.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, for docs/capacity.md"]
async fn sweep_of_10000_runners_requeues_jobs_of_1000_silent_ones() {
    let world = &World::begin().await;
    let runners = world.runners(RUNNERS, 10, 2).await;
    let (_idle, rest) = runners.split_at(SILENT);
    let (busy, alive) = rest.split_at(SILENT);
    println!("| round | time | read units | write units | what it did |\n|---|---|---|---|---|");
    let round = async |label: &str| {
        world.meter.restart();
        let since = Instant::now();
        let report = sweep(&world.ctx).await.into_result().unwrap();
        let (took, units) = (since.elapsed(), world.meter.units());
        println!(
            "| {label} | {:.2} s | {} | {} | {} offline, {} jobs taken away |",
            took.as_secs_f64(),
            units.read_units,
            units.write,
            report.offline,
            report.written
        );
        assert_eq!(report.failed, 0, "{report:?}");
        report
    };
    // Regular rounds continue, because a sweeper that was absent marks no runner Offline.
    let pass = async |secs: &[u64]| {
        for (at, secs) in secs.iter().enumerate() {
            if at > 0 {
                sweep(&world.ctx).await.into_result().unwrap();
            }
            world.ctx.clock.advance(Duration::from_secs(*secs));
        }
    };
    round("nobody is silent").await;
    pass(&[30, 30]).await;
    send_heartbeats(world, rest).await;
    pass(&[10, 30]).await;
    let report = round("a thousand without a job fall silent").await;
    assert_eq!(report.offline, 1_000, "{report:?}");

    world.jobs("taken", SILENT, 10).await;
    let claims = futures::stream::iter(busy.iter().enumerate());
    let claimed = claims.map(async |(number, runner)| {
        assert!(world.takes(runner, &format!("claim-{number}")).await.unwrap().is_some());
    });
    claimed.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
    send_heartbeats(world, alive).await;
    pass(&[10, 45]).await;
    let report = round("a thousand with a job fall silent").await;
    assert_eq!((report.offline, report.written), (1_000, 1_000), "{report:?}");
}

async fn send_heartbeats(world: &World, runners: &[Runner]) {
    let beats = futures::stream::iter(runners).map(async |runner| world.beats(runner, BTreeSet::new()).await);
    beats.buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}
