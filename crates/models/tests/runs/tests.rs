//! Explores runs.

use super::*;
use crate::explore::explore;
use serde_json::{Value, json};

const QUIET: Left = Left { cancels: 0, resumes: 0, holds: 0, failures: 1, job_cancels: 0, time: false };

/// The needs of b and c among the steps before them.
const SHAPES: [(&[&str], &[&str]); 8] = [
    (&[], &[]),
    (&["a"], &[]),
    (&[], &["a"]),
    (&[], &["b"]),
    (&[], &["a", "b"]),
    (&["a"], &["a"]),
    (&["a"], &["b"]),
    (&["a"], &["a", "b"]),
];

fn plan((of_b, of_c): (&[&str], &[&str]), change: impl Fn(&mut Value)) -> Plan {
    let step = |name: &str, needs: &[&str]| json!({ "name": name, "needs": needs, "prompt": "Work.", "branch": "own" });
    let mut plan = json!({ "name": "model", "steps": [step("a", &[]), step("b", of_b), step("c", of_c)] });
    change(&mut plan);
    Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"))
}

#[track_caller]
fn check(name: &str, movers: usize, left: Left, change: impl Fn(&mut Value)) {
    let mut states = 0;
    for shape in SHAPES {
        let setting = Setting { plan: plan(shape, &change), movers, left };
        match explore(&mut World::new(setting)) {
            Ok(found) => states += found,
            Err(wrong) => panic!("{name}, {shape:?}: {wrong}"),
        }
    }
    println!("{name}: {states} states");
}

#[test]
fn lost_hints_and_deaths_leave_no_run_unfinished() {
    check("two callers", 2, QUIET, |_| {});
    check("continue", 1, Left { failures: 2, ..QUIET }, |plan| plan["on_failure"] = json!("continue"));
    check("one at a time", 1, QUIET, |plan| plan["concurrency_limit"] = json!(1));
}

#[test]
fn retry_is_another_job_and_no_step_is_done_twice() {
    check("retry", 1, Left { failures: 3, ..QUIET }, |plan| plan["steps"][0]["retries"] = json!(1));
    check("allowed failure", 1, QUIET, |plan| plan["steps"][0]["allow_failure"] = json!(true));
}

#[test]
fn cancel_and_resume_end_every_job_and_repeat_none() {
    check("cancel", 2, Left { cancels: 1, failures: 0, ..QUIET }, |_| {});
    check("allowed cancel of a job", 1, Left { job_cancels: 1, time: true, failures: 0, ..QUIET }, |plan| {
        plan["steps"][0]["allow_failure"] = json!(true);
    });
    check("cancel of a job", 1, Left { job_cancels: 1, ..QUIET }, |plan| plan["steps"][0]["retries"] = json!(1));
    check("cancel and resume", 1, Left { cancels: 1, resumes: 1, ..QUIET }, |_| {});
}

#[test]
fn held_project_and_time_limit_start_no_job() {
    check("hold", 1, Left { holds: 1, cancels: 1, ..QUIET }, |_| {});
    check("hold and time limit", 1, Left { holds: 1, time: true, failures: 0, ..QUIET }, |_| {});
    check("time limit", 1, Left { time: true, resumes: 1, failures: 0, ..QUIET }, |_| {});
}

#[test]
fn questions_and_conditions_end_in_every_order() {
    check("question", 1, Left { cancels: 1, resumes: 1, failures: 0, ..QUIET }, |plan| {
        let needs = plan["steps"][1]["needs"].clone();
        plan["steps"][1] = json!({ "name": "b", "needs": needs, "approve": "Continue?" });
    });
    check("condition", 1, Left { resumes: 1, ..QUIET }, |plan| {
        let steps = plan["steps"].as_array_mut().unwrap();
        steps[0]["outcomes"] = json!(["approved", "faulty"]);
        for step in steps.iter_mut().filter(|step| step["needs"].as_array().unwrap().contains(&json!("a"))) {
            step["when"] = json!({ "a": if step["name"] == "b" { "faulty" } else { "approved" } });
        }
    });
}

#[test]
fn cost_limit_is_never_exceeded() {
    check("cost", 1, Left { resumes: 1, ..QUIET }, |plan| {
        plan["limits"] = json!({ "cost_usd": 3 });
        plan["defaults"] = json!({ "limits": { "cost_usd": 2 } });
    });
}

#[test]
fn added_steps_end_before_the_next_turn_of_their_manager() {
    let manager = |plan: &mut Value| {
        plan["steps"][0]["role"] = json!("manager");
        plan["steps"][0]["branch"] = json!("shared");
        plan["steps"].as_array_mut().unwrap().remove(1);
        plan["steps"][1]["needs"] = json!(["a"]);
    };
    let explore_plan = |name: &str, movers: usize, left: Left| {
        let setting = Setting { plan: plan(SHAPES[0], manager), movers, left };
        let states = explore(&mut World::new(setting)).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        println!("{name}: {states} states");
    };
    explore_plan("manager", 2, QUIET);
    explore_plan("manager, hold, time limit", 1, Left { holds: 1, time: true, failures: 0, ..QUIET });
    explore_plan("manager, cancel", 1, Left { cancels: 1, resumes: 1, ..QUIET });
    let everything = |plan: &mut Value| {
        manager(plan);
        plan["steps"][0]["retries"] = json!(1);
        plan["limits"] = json!({ "cost_usd": 8 });
        plan["defaults"] = json!({ "limits": { "cost_usd": 2 } });
    };
    let left = Left { cancels: 1, resumes: 1, holds: 1, failures: 1, job_cancels: 0, time: true };
    let setting = Setting { plan: plan(SHAPES[0], everything), movers: 1, left };
    let states = explore(&mut World::new(setting)).unwrap_or_else(|wrong| panic!("everything: {wrong}"));
    println!("everything: {states} states");
}
