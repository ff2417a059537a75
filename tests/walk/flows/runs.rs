//! Flows of runs: a question, a cancel, four steps, a manager that adds a step, three runs of a group, and the pull
//! request of a step.

use super::{flow, flow_after, with_a_forge};
use crate::prelude::*;
use crate::walk::attempt;
use crate::walk::http::post;
use crate::walk::step::{Flow, Step, WithoutRepeat};
use crate::walk::world::World;

/// Without its user, the run ends by its time limit.
fn start(steps: Value) -> Step {
    start_plan(json!({ "name": "release", "limits": { "wall": "30m" }, "steps": steps }))
}

fn start_plan(plan: Value) -> Step {
    let request = json!({ "project": "acme", "run_id": plan["name"], "plan": plan });
    let call = post("/v1/runs", request).on_answer(|world, run| {
        world.note(&format!("run {}", run["name"].as_str().unwrap()), run["id"].clone());
    });
    Step::request("somebody starts a run", call)
}

/// Sweeps. After a lost hint, the run shows its question only then.
pub(super) fn settle() -> Step {
    Step::act("the sweeper goes round", |world| {
        async move {
            world.invoke(&world.sweep_event()).await;
            world.drain().await;
            true
        }
        .boxed()
    })
}

fn order(name: &'static str, run: &'static str, order: &'static str) -> Step {
    let make = move |world: &World| {
        let path = format!("/v1/runs/{}/{order}", world.note_value(&format!("run {run}"))?);
        Some(post(path, json!({})).into())
    };
    Step::call(name, make).without_repeat(WithoutRepeat::AllOrNothing)
}

pub(in crate::walk) fn approve_and_complete() -> Flow {
    let steps = vec![
        start(json!([
            { "name": "ask", "approve": "Now?" }, { "name": "notes", "needs": ["ask"], "prompt": "Write them." },
        ])),
        Step::messages(),
        settle(),
        order("somebody approves its question", "release", "steps/ask/approve"),
        Step::messages(),
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::get_credentials(),
        attempt::report_executing(),
        attempt::report_syncing(),
        attempt::finish_completed(),
        Step::messages(),
    ];
    flow("a run asks a user and opens a pull request", &["completed"], steps)
}

pub(in crate::walk) fn cancel() -> Flow {
    let steps = vec![
        start(json!([{ "name": "notes", "prompt": "Write them." }])).broken_elsewhere(),
        Step::messages(),
        settle(),
        order("somebody cancels it", "release", "cancel"),
        Step::messages(),
    ];
    flow("a run is cancelled", &["cancelled"], steps)
}

/// The work of a step's job, which other flows break, and its end.
fn work(finish: Step) -> impl Iterator<Item = Step> {
    let steps = [
        attempt::start_task(),
        attempt::claim(),
        attempt::report_preparing(),
        attempt::get_credentials(),
        attempt::report_executing(),
        attempt::report_syncing(),
    ];
    steps.into_iter().map(Step::broken_elsewhere).chain([finish])
}

/// A step plans, one writes the first commit, one requests changes, and one adds the second commit.
pub(in crate::walk) fn contribute() -> Flow {
    let plan = json!([
        { "name": "plan", "role": "planner", "prompt": "Write down how." },
        { "name": "implement", "role": "implementer", "needs": ["plan"], "prompt": "Do it." },
        { "name": "review", "role": "reviewer", "needs": ["implement"], "prompt": "Name each fault." },
        { "name": "fix", "role": "fixer", "needs": ["review"], "when": { "review": "changes_requested" },
          "prompt": "Repair." },
    ]);
    let mut steps = vec![start(plan).broken_elsewhere(), Step::messages().broken_elsewhere()];
    steps.extend(work(attempt::finish_with_answer().broken_elsewhere()));
    // A manager's first turn ends in the same state.
    steps.push(Step::messages().broken_elsewhere());
    let commit = || attempt::finish_completed().broken_elsewhere();
    for finish in [commit(), attempt::finish_with_outcome(), commit()] {
        steps.extend(work(finish));
        steps.push(Step::messages());
    }
    flow("a run plans, implements, reviews and fixes", &["completed"; 4], steps)
}

/// A manager adds a step and gets its result in the next turn, which is the last.
pub(in crate::walk) fn manage() -> Flow {
    let manager =
        json!([{ "name": "lead", "role": "manager", "spawn": { "roles": ["planner"] }, "prompt": "Divide the work." }]);
    let mut steps = vec![start(manager).broken_elsewhere(), Step::messages().broken_elsewhere()];
    let answer = || attempt::finish_with_answer().broken_elsewhere();
    for finish in [attempt::finish_with_steps(), answer(), answer()] {
        steps.extend(work(finish));
        steps.push(Step::messages());
    }
    flow("a manager adds a step and has another turn", &["completed", "completed", "completed"], steps)
}

/// A run takes the place of its group, two wait, one of these is cancelled, and the other gets the place.
///
/// Their time limits differ, so that a run without its user ends before the next one.
pub(in crate::walk) fn group() -> Flow {
    let start = |name: &str, wall: &str| {
        start_plan(json!({
            "name": name, "limits": { "wall": wall }, "concurrency": { "group": "release" },
            "steps": [{ "name": "ask", "approve": "Now?" }],
        }))
    };
    let steps = vec![
        start("one", "30m").broken_elsewhere(),
        Step::messages(),
        start("two", "40m"),
        Step::messages(),
        start("three", "50m").broken_elsewhere(),
        Step::messages(),
        settle(),
        order("somebody cancels the second", "two", "cancel"),
        Step::messages(),
        order("somebody approves the question of the first", "one", "steps/ask/approve"),
        Step::messages(),
    ];
    flow("runs of a group wait, and one is cancelled meanwhile", &[], steps)
}

/// The branch that the agent of a step pushes.
async fn with_a_pushed_branch(world: &World) {
    with_a_forge(world).await;
    let forge = world.forge.as_ref().unwrap();
    let head = forge.commit(REPOSITORY, "side", "pullyard-bot", &[("change.txt", "one\n", false)]).await.unwrap();
    world.note("branch", "side");
    world.note("head", head);
}

/// The command repeats its request until it is answered.
pub(in crate::walk) fn open_pull_request() -> Flow {
    let open = Step::call("somebody opens the step's pull request", |world| {
        let path = format!("/v1/runs/{}/pull-request", world.note_value("run release")?);
        let call = post(path, json!({ "step": "side" })).on_answer(|world, run| {
            let url = run["steps"][0]["pull_request"].as_str().unwrap();
            world.note("number", url.rsplit('/').next().unwrap());
        });
        Some(call.into())
    });
    let plan = json!([{ "name": "side", "branch": "own", "prompt": "Write it." }]);
    let mut steps = vec![start(plan).broken_elsewhere(), Step::messages().broken_elsewhere()];
    steps.extend(work(attempt::finish_pushed()));
    steps.extend([Step::messages().broken_elsewhere(), settle(), open, Step::messages().broken_elsewhere()]);
    let name = "a step's pull request is opened";
    flow_after(name, &["completed"], |world| with_a_pushed_branch(world).boxed(), steps)
}
