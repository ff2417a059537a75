//! Managers, the steps that they add, and branches of steps.

use super::*;
use crate::fixtures::repository;
use proptest::prelude::*;

fn why(world: &World, step: &str) -> &'static str {
    world.run.explain_step(world.run.find_step(step).unwrap()).unwrap().code()
}

fn manager() -> World {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead.", "spawn": { "most": 2, "turns": 2 } });
    let mut world = World::new(json!([lead, step("last", &["lead"])]), json!({}));
    world.settle();
    world
}

#[test]
fn manager_adds_steps_and_gets_another_turn_when_they_ended() {
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[]), added("y", &["x"])]));
    world.check("running: lead spawning, last waiting, lead/x open, lead/y waiting");
    world.check_wait("lead", "added_steps").check_wait("lead/y", "needs_steps");
    // The failure of an added step is a matter of its manager.
    world.end("lead/x", REFUSED);
    world.check("running: lead open, last waiting, lead/x failed (job_failed), lead/y skipped (need_failed)");
    assert_eq!((why(&world, "lead/x"), why(&world, "lead/y")), ("used_by_manager", "used_by_manager"));
    assert_eq!(world.run.find_step("lead").map(|step| (step.turn, step.jobs)), Some((1, 2)));
    world.end("lead", COMPLETED).end("last", COMPLETED);
    assert_eq!(world.run.state, RunState::Completed);
}

#[test]
fn list_beyond_the_limits_of_a_manager_fails_its_step() {
    let invalid = "failed step_failed: lead failed (spawn_invalid), last skipped (stopped)";
    for list in [
        json!([added("x", &[]), added("y", &[]), added("z", &[])]),
        json!([added("x", &[]), added("x", &[])]),
        json!([added("x", &["last"])]),
        json!([added("x", &["x"])]),
        json!([added("X/..", &[])]),
        json!([{ "name": "x", "role": "fixer", "prompt": "Work." }]),
        json!([{ "name": "x", "role": "implementer", "prompt": " " }]),
        json!([{ "name": "x", "role": "implementer", "prompt": "Work.", "agent": "other" }]),
        json!([with(added("x", &[]), json!({ "limits": { "turns": 0 } }))]),
        json!([with(added("x", &[]), json!({ "limits": { "wall": "long" } }))]),
    ] {
        manager().spawn("lead", list).check(invalid);
    }
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[])])).end("lead/x", COMPLETED).spawn("lead", json!([added("y", &[])]));
    world.check("failed step_failed: lead failed (spawn_invalid), last skipped (stopped), lead/x done");
}

#[test]
fn second_list_beyond_the_size_of_a_run_fails_its_manager() {
    let lead = |name: &str| json!({ "name": name, "sandbox": "read_only", "prompt": "Lead.", "spawn": { "most": 50 } });
    let mut world = World::new(json!([lead("a"), lead("b")]), json!({ "on_failure": "continue" }));
    world.settle();
    let list: Vec<Value> = (0..50).map(|index| added(&format!("x{index}"), &[])).collect();
    let spawn: Vec<SpawnRequest> = serde_json::from_value(json!(list)).unwrap();
    let end = StepEnd { spawn, ..StepEnd::new(COMPLETED) };
    world.finish("a", end.clone()).finish("b", end).settle();
    assert!(world.text().starts_with("running: a spawning, b failed (spawn_invalid), a/x0 open"), "{}", world.text());
    assert_eq!(world.run.steps.len(), 52);
}

#[test]
fn faults_of_added_steps_point_into_the_list() {
    let world = manager();
    let list: Vec<SpawnRequest> = serde_json::from_value(json!([added("x", &["xx"])])).unwrap();
    let faults = check_spawn(&world.run, &world.plan, world.run.find_step("lead").unwrap(), &list);
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert_eq!((faults[0].pointer.as_str(), faults[0].fault.as_str()), ("/spawn/0/needs/0", "there is no step `xx`"));
    let refused = check_spawn(&world.run, &world.plan, world.run.find_step("last").unwrap(), &list);
    assert!(refused[0].fault.contains("does not allow"), "{refused:?}");
}

#[test]
fn resumed_manager_continues_with_the_steps_of_its_turn() {
    let mut world = manager();
    world.spawn("lead", json!([added("x", &[]), added("y", &[])])).end("lead/x", REFUSED);
    assert_eq!(why(&world, "lead/x"), "used_by_manager");
    world.order(cancel);
    assert_eq!(why(&world, "lead/x"), "job_failed", "a resume repeats it");
    world.end("lead/y", JobEnd::Cancelled);
    assert_eq!((world.run.state, why(&world, "lead/y")), (RunState::Cancelled, "job_cancelled"));
    world.order(resume).check("running: lead spawning, last waiting, lead/x open, lead/y open");
    world.end("lead/x", COMPLETED).end("lead/y", REFUSED);
    world.check("running: lead open, last waiting, lead/x done, lead/y failed (job_failed)");
    // Steps of an earlier turn do not start again.
    world.end("lead", REFUSED);
    assert_eq!((why(&world, "lead"), why(&world, "lead/y")), ("job_failed", "used_by_manager"));
    world.order(resume);
    world.check("running: lead open, last waiting, lead/x done, lead/y failed (job_failed)");
    assert_eq!(world.run.find_step("lead").map(|step| step.turn), Some(1));
}

#[test]
fn added_step_obeys_the_cost_limit_of_the_run() {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
    let keys = json!({ "limits": { "cost_usd": 4 }, "defaults": { "limits": { "cost_usd": 3 } } });
    let mut world = World::new(json!([lead]), keys);
    world.settle();
    let cheap = with(added("x", &[]), json!({ "limits": { "cost_usd": 2 } }));
    world.spawn("lead", json!([cheap, added("y", &[])]));
    world.check("running: lead spawning, lead/x open, lead/y waiting").check_wait("lead/y", "run_cost");
}

#[test]
fn list_above_a_limit_of_the_plan_gets_that_limit() {
    let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
    let keys = json!({ "defaults": { "limits": { "cost_usd": 2, "wall": "30m" } } });
    let mut world = World::new(json!([lead]), keys);
    world.settle();
    let above = with(added("x", &[]), json!({ "limits": { "cost_usd": 5, "wall": "2h", "stall": "5m" } }));
    let request: SpawnRequest = serde_json::from_value(above.clone()).unwrap();
    let limits = serde_json::to_value(request.as_step(&world.plan).keys.limits).unwrap();
    assert_eq!(limits, json!({ "wall": "30m", "stall": "5m", "turns": null, "cost_usd": 2 }));
    world.spawn("lead", json!([above])).check("running: lead spawning, lead/x open");
    assert_eq!(world.run.find_step("lead/x").map(|step| step.reserved_usd_micros), Some(2_000_000));
}

/// The rules of `git check-ref-format`.
fn is_git_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let is_letter = |letter: char| !letter.is_ascii_control() && !" ~^:?*[\\".contains(letter);
    let has_marks = ["..", "@{"].iter().any(|marks| name.contains(marks));
    name.split('/').all(is_part) && name.chars().all(is_letter) && !name.ends_with('.') && !has_marks
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_own_branch_has_a_name_that_git_accepts(name in "lock|[a-z][a-z0-9-]{0,7}", jobs in 1..4_u32) {
        prop_assume!(name != "lead");
        let lead = json!({ "name": "lead", "role": "manager", "prompt": "Lead." });
        let mut world = World::new(json!([lead, step(&name, &["lead"])]), json!({}));
        world.settle();
        let request = added(&name, &[]);
        world.spawn("lead", json!([request]));
        let request: SpawnRequest = serde_json::from_value(request).unwrap();
        let plan = world.plan.clone();
        let frozen = FrozenPlan { plan, parameters: BTreeMap::new(), repository: repository(), base: "main".into() };
        let planned = frozen.plan.find_step(&name).unwrap().clone();
        for (of, step) in [(name.clone(), planned), (format!("lead/{name}"), request.as_step(&frozen.plan))] {
            let of = RunStep { jobs, ..world.run.find_step(&of).unwrap().clone() };
            let context = frozen.step_context(&world.run, (&of, &step), Vec::new());
            let branch = context.own_branch.unwrap();
            prop_assert!(is_git_name(&branch), "{}", branch);
        }
    }
}
