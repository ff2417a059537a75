//! Groups of runs: many runs, many callers, no hint.

use crate::prelude::*;
use crate::runs::{Started, ann, answer, answered, new_world, submission};
use crate::world::World;
use futures::future::join_all;
use pullyard_control::{Error, RunOrder, SubmitFault, advance_run, order_run, show_run, submit_run};
use pullyard_domain::job::Priority;
use pullyard_domain::run::{MAX_WAITING_RUNS, Run, RunState};
use pullyard_domain::text::id::RunId;
use pullyard_store::WorkKey;
use serde_json::{Value, json};

fn plan(keys: Value) -> Value {
    let mut plan = json!({ "name": "one", "steps": [{ "name": "a", "role": "planner", "prompt": "A." }] });
    plan.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    plan
}

async fn submit(world: &World, keys: Value) -> Run {
    submit_run(&world.ctx, &submission(world, plan(keys)), &ann(), None).await.unwrap().run
}

/// Moves all due runs concurrently, each several times.
async fn sweep(it: &Started, callers: usize) {
    it.world.ctx.clock.advance(Duration::from_secs(301));
    let mut due = Vec::new();
    for key in it.due().await {
        due.extend(match key {
            WorkKey::Run(run) => Some(run),
            WorkKey::Job(job) => it.world.load_job(&job).await.step.map(|step| step.run),
            _ => None,
        });
    }
    for moved in
        join_all(due.iter().cycle().take(callers.max(due.len())).map(|run| advance_run(&it.world.ctx, run))).await
    {
        // The queue repeats the message of a contended run.
        assert!(matches!(moved, Ok(()) | Err(Error::Contended { .. })), "{moved:?}");
    }
}

#[tokio::test]
async fn thirty_runs_of_a_group_work_two_at_a_time() {
    let world = new_world().await;
    let mut ids = Vec::new();
    for _ in 0..30 {
        world.ctx.clock.advance(Duration::from_secs(1));
        ids.push(submit(&world, json!({ "concurrency": { "group": "deploy", "limit": 2 } })).await.id);
    }
    let mut it = Started { id: ids[0].clone(), world };
    let (mut started, mut rounds) = (Vec::new(), 0);
    while started.len() < ids.len()
        || it.world.ctx.store.load_runs(&ids).await.unwrap().iter().any(|run| run.state == RunState::Running)
    {
        rounds += 1;
        assert!(rounds < 60, "{} of 30 runs started", started.len());
        sweep(&it, 30).await;
        let runs = it.world.ctx.store.load_runs(&ids).await.unwrap();
        let working: Vec<&Run> = runs.iter().filter(|run| run.open_jobs().next().is_some()).collect();
        assert!(working.len() <= 2, "{} runs work", working.len());
        for run in working {
            started.push(ids.iter().position(|id| *id == run.id).unwrap());
            it.id = run.id.clone();
            it.end_silently("a", answered, answer("A.", None)).await;
        }
    }
    let runs = it.world.ctx.store.load_runs(&ids).await.unwrap();
    assert!(runs.iter().all(|run| run.state == RunState::Completed));
    let distance = started.iter().enumerate().map(|(at, number)| at.abs_diff(*number)).max();
    assert!(distance <= Some(5), "{started:?}");
    let group = it.world.ctx.store.load_group(&it.world.project, "deploy").await.unwrap().unwrap();
    assert_eq!((group.holders.len(), group.waiting.len()), (0, 0));
}

/// Verifies that one run works and `completed` runs have ended, then ends the working one.
async fn end_working(it: &mut Started, ids: &[RunId], completed: usize, case: &str) {
    sweep(it, 2).await;
    sweep(it, 2).await;
    let runs = it.world.ctx.store.load_runs(ids).await.unwrap();
    let (working, others): (Vec<&Run>, Vec<&Run>) = runs.iter().partition(|run| run.open_jobs().next().is_some());
    let ended = others.iter().filter(|run| run.state == RunState::Completed).count();
    assert_eq!((working.len(), ended), (1, completed), "{case}: {runs:?}");
    it.id = working[0].id.clone();
    it.end_silently("a", answered, answer("A.", None)).await;
}

/// Covers the move that takes the place and the move that passes it on.
#[tokio::test]
async fn crash_between_two_calls_gives_each_place_once() {
    for ended in 0..2 {
        for (call, fault) in (0..).flat_map(|call| [(call, Fault::StopBefore), (call, Fault::StopAfter)]) {
            let (wire, case) = (Wire::default(), format!("{ended} ended, call {call} {fault}"));
            let world = World::with_client(wire.clone()).await;
            world.connect().await;
            let keys = json!({ "concurrency": { "group": "deploy" } });
            let ids = [submit(&world, keys.clone()).await.id, submit(&world, keys).await.id];
            let mut it = Started { id: ids[0].clone(), world };
            for completed in 0..ended {
                end_working(&mut it, &ids, completed, &case).await;
            }
            wire.restart(Some((call, fault)));
            let moved = wire.run_until_stopped(Box::pin(advance_run(&it.world.ctx, &it.id))).await;
            wire.restart(None);
            for completed in ended..2 {
                end_working(&mut it, &ids, completed, &case).await;
            }
            if let Some(moved) = moved {
                moved.unwrap();
                assert!(call > 5, "only {call} calls were broken");
                break;
            }
        }
    }
}

#[tokio::test]
async fn run_of_a_full_group_explains_its_wait() {
    let world = new_world().await;
    let keys = json!({ "concurrency": { "group": "deploy" }, "priority": "high" });
    let (first, second) = (submit(&world, keys.clone()).await, submit(&world, keys.clone()).await);
    for run in [&first, &second, &first] {
        advance_run(&world.ctx, &run.id).await.unwrap();
    }
    let views = join_all([&first, &second].map(|run| show_run(&world.ctx, &run.id))).await;
    let views: Vec<_> = views.into_iter().map(Result::unwrap).collect();
    // Both were submitted in the same millisecond.
    let (working, waiting): (Vec<_>, Vec<_>) = views.iter().partition(|view| view.waits[0].is_none());
    assert_eq!((working.len(), waiting.len()), (1, 1));
    let wait = waiting[0].waits[0].as_ref().unwrap();
    assert_eq!(wait.sentence(), "Runs of deploy: 1 working, 0 ahead; this run's limit is 1.");
    assert_eq!(waiting[0].run.awaited_group(), Some("deploy"));
    let job = world.load_job(working[0].run.open_jobs().next().unwrap()).await;
    assert_eq!(job.priority, Priority::High);
    // 400 others wait.
    let mut group = world.ctx.store.load_group(&world.project, "deploy").await.unwrap().unwrap();
    let others = (0..MAX_WAITING_RUNS).map(|number| (RunId::for_request(&world.project, "", &number.to_string()), 0));
    group.waiting.extend(others.take(MAX_WAITING_RUNS - group.waiting.len()));
    let filler = Run { id: RunId::for_request(&world.project, "", "filler"), rev: 0, ..first.clone() };
    let frozen = world.ctx.store.load_plan(&first.id).await.unwrap().unwrap();
    assert_applied(world.ctx.store.create_run(&filler, &frozen, Some(&group)).await);
    let refused = submit_run(&world.ctx, &submission(&world, plan(keys)), &ann(), None).await;
    let Err(SubmitFault::Error(Error::Denied(denial))) = refused else { panic!("{refused:?}") };
    assert_eq!((denial.code(), &*denial.sentence()), ("group_full", "400 runs wait for the group deploy."));
}

#[tokio::test]
async fn run_waits_and_ends_beside_an_unreadable_one() {
    let wire = Wire::default();
    let world = World::with_client(wire.clone()).await;
    world.connect().await;
    let keys = json!({ "concurrency": { "group": "deploy" } });
    let first = submit(&world, keys.clone()).await;
    advance_run(&world.ctx, &first.id).await.unwrap();
    let second = submit(&world, keys).await;
    // Only the runs of a group are read by this call. An unreadable run of a newer program is the same lasting error.
    wire.fail_always("BatchGetItem", Fault::error(400, "AccessDenied"));
    advance_run(&world.ctx, &second.id).await.unwrap();
    let wait = show_run(&world.ctx, &second.id).await.unwrap().waits[0].clone().unwrap();
    assert_eq!(wait.sentence(), "Runs of deploy: 1 working, 0 ahead; this run's limit is 1.");
    order_run(&world.ctx, &second.id, &RunOrder::Cancel, &ann()).await.unwrap();
    advance_run(&world.ctx, &second.id).await.unwrap();
    let run = world.ctx.store.load_run(&second.id).await.unwrap().unwrap();
    let group = world.ctx.store.load_group(&world.project, "deploy").await.unwrap().unwrap();
    assert_eq!((run.state, group.holders.len(), group.waiting.len()), (RunState::Cancelled, 1, 0));
}
