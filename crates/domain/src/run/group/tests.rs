use super::*;
use crate::fixtures::{project_id, time_at};
use crate::run::{Answer, ReleaseBlock, RunFacts, StepWait, next_move};
use serde_json::{Value, json};

/// Runs of one group, whose moves are applied one after the other.
struct World {
    plan: Plan,
    runs: Vec<Run>,
    group: Group,
    block: Option<ReleaseBlock>,
}

fn plan(keys: Value) -> Plan {
    let mut plan = json!({ "name": "test", "concurrency": { "group": "deploy" }, "steps": [{ "name": "ask", "approve": "Now?" }] });
    plan.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    Plan::parse(plan).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn run(number: u64, plan: &Plan) -> Run {
    let id = RunId::for_request(&project_id(), "ann", &number.to_string());
    Run::new(id, project_id(), plan, "ann".into(), time_at(number))
}

impl World {
    fn new(count: u64, keys: Value) -> Self {
        let plan = plan(keys);
        let group = Group::new(project_id(), "deploy".into(), time_at(0));
        let mut world = Self { plan, runs: Vec::new(), group, block: None };
        (0..count).for_each(|number| world.submit(number));
        world
    }

    fn submit(&mut self, number: u64) {
        let run = run(number, &self.plan);
        self.group = self.group.with_waiting(&run, &self.plan).unwrap();
        self.runs.push(run);
    }

    fn with_facts<T>(&self, index: usize, read: impl FnOnce(&Run, &RunFacts) -> T) -> T {
        let limit = self.plan.concurrency.as_ref().unwrap().limit();
        let group = GroupFacts::new(self.group.clone(), &self.group.first_runs(limit), &self.runs);
        let (plan, jobs, block, group) = (&self.plan, BTreeMap::new(), self.block, Some(group));
        read(&self.runs[index], &RunFacts { plan, jobs, block, group, room: usize::MAX, now: time_at(100) })
    }

    fn advance(&mut self, index: usize) {
        while let Some(next) = self.with_facts(index, next_move) {
            self.runs[index] = next.run;
            if let Some(group) = next.group {
                self.group = group;
            }
        }
    }

    fn approve(&mut self, index: usize) {
        let run = &self.runs[index];
        let asked = run.find_step("ask").unwrap();
        self.runs[index] = run.answer(asked, Answer::Approve, &self.plan, ("ann", time_at(100))).unwrap();
        self.advance(index);
    }

    fn cancel(&mut self, index: usize) {
        self.runs[index] = self.runs[index].cancel(("ann", time_at(100))).unwrap();
        self.advance(index);
    }

    /// Moves all runs, the youngest first, and returns the states: `a` asks, `w` waits, `e` has ended.
    fn settle(&mut self) -> String {
        for _ in 0..2 {
            (0..self.runs.len()).rev().for_each(|index| self.advance(index));
        }
        let state = |run: &Run| match (run.state, run.has_place()) {
            (RunState::Running, true) => 'a',
            (RunState::Running, false) => 'w',
            _ => 'e',
        };
        self.runs.iter().map(state).collect()
    }

    fn wait(&self, index: usize) -> Option<StepWait> {
        self.with_facts(index, |run, facts| run.step_wait("ask", facts))
    }
}

#[test]
fn oldest_run_takes_the_place_that_another_leaves() {
    let mut world = World::new(5, json!({ "concurrency": { "group": "deploy", "limit": 2 } }));
    assert_eq!(world.settle(), "aawww");
    let wait = world.wait(4).unwrap();
    let sentence = "Runs of deploy: 2 working, 2 ahead; this run's limit is 2.";
    assert_eq!((wait.code(), &*wait.sentence()), ("group_busy", sentence));
    assert_eq!((world.runs[4].awaited_group(), world.runs[0].awaited_group()), (Some("deploy"), None));
    world.approve(1);
    assert_eq!(world.group.next_runs(2), [world.runs[2].id.clone()]);
    assert_eq!(world.settle(), "aeaww");
    world.cancel(3);
    world.cancel(0);
    assert_eq!(world.settle(), "eeaea");
    world.approve(2);
    world.approve(4);
    assert_eq!(world.settle(), "eeeee");
    assert_eq!((world.group.holders.len(), world.group.waiting.len()), (0, 0));
}

#[test]
fn priority_moves_a_run_by_an_hour_in_its_group() {
    for (of_second, of_third, expected) in
        [("normal", "normal", "eaw"), ("low", "normal", "ewa"), ("normal", "high", "ewa"), ("high", "high", "eaw")]
    {
        let mut world = World::new(1, json!({}));
        assert_eq!(world.settle(), "a");
        for (number, priority) in [(1, of_second), (2, of_third)] {
            world.plan = plan(json!({ "priority": priority }));
            world.submit(number);
        }
        world.approve(0);
        assert_eq!(world.settle(), expected, "{of_second}, {of_third}");
    }
}

#[test]
fn resumed_run_needs_another_place() {
    let mut world = World::new(2, json!({}));
    assert_eq!(world.settle(), "aw");
    world.cancel(0);
    assert_eq!(world.settle(), "ea");
    world.runs[0] = world.runs[0].resume(&world.plan, None, ("ann", time_at(200))).unwrap();
    assert_eq!(world.settle(), "wa");
    world.approve(1);
    assert_eq!(world.settle(), "ae");
}

#[test]
fn run_ended_by_an_older_program_frees_its_place() {
    let mut world = World::new(4, json!({}));
    assert_eq!(world.settle(), "awww");
    for index in [0, 1, 2] {
        world.runs[index].state = RunState::Cancelled;
    }
    assert_eq!(world.settle(), "eeea");
}

#[test]
fn held_project_takes_no_place() {
    let mut world = World::new(1, json!({}));
    world.block = Some(ReleaseBlock::Held);
    assert_eq!(world.settle(), "w");
    assert_eq!(world.wait(0).unwrap().code(), "project_held");
    world.block = None;
    assert_eq!(world.settle(), "a");
}

#[test]
fn group_refuses_a_run_when_400_wait() {
    let plan = plan(json!({}));
    let mut group = Group::new(project_id(), "deploy".into(), time_at(0));
    for number in 0..400 {
        group = group.with_waiting(&run(number, &plan), &plan).unwrap();
    }
    assert_eq!(group.with_waiting(&run(400, &plan), &plan), None);
    assert!(group.with_waiting(&run(399, &plan), &plan).is_some(), "a repeat");
}
