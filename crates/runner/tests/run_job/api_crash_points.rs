//! Kills a runner around its calls of the control plane and the bucket, loses their answers, or refuses them once. The
//! job must end like an undisturbed one.
//!
//! Only the first batch of events has a number, because further batches and heartbeats depend on the clock. An answer
//! after the time limit of twenty seconds equals a lost answer.

use crate::crash_walk::{Published, assert_same_ends};
use crate::gate::{Break, Fault, Gate, Point};
use crate::prelude::*;
use crate::world::World;
use pullyard_domain::project::Resume;

const MAX_ATTEMPTS: usize = 4;

/// Suffixes of the calls of every job.
const COMMON_CALLS: [&str; 8] =
    ["/start", "/status", "/credentials", "/events", "/artifacts", "/changes.patch", "/stored", "/finish"];
const YIELD_CALLS: [&str; 5] = ["/yield", "/checkpoint", "/checkpoint.tar.zst", "/artifacts", "/stored"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    SingleAttempt,
    QuestionAndResume,
}

impl Flow {
    fn agent(self) -> &'static str {
        match self {
            Self::SingleAttempt => "cat > /dev/null; echo works >> @DIR@/works; echo hello > greeting.txt",
            Self::QuestionAndResume => {
                "cat > /dev/null; echo works >> @DIR@/works
                 if [ -e half.txt ]; then mv half.txt greeting.txt; exit 0; fi
                 echo hello > half.txt; echo '{\"kind\":\"question\",\"text\":\"Which list?\"}'"
            }
        }
    }

    fn expected_runs(self) -> usize {
        match self {
            Self::SingleAttempt => 1,
            Self::QuestionAndResume => 2,
        }
    }

    /// Whether the call is a point of this flow and is not covered by the other flow.
    fn covers(self, (name, number): &Point) -> bool {
        let is_one = |of: &[&str]| of.iter().any(|end| name.ends_with(*end));
        let is_by_the_clock = name.ends_with("/events") && *number > 1;
        let is_here = match self {
            Self::SingleAttempt => is_one(&COMMON_CALLS),
            // The artifacts after the resume are stored as in the other flow.
            Self::QuestionAndResume => (is_one(&YIELD_CALLS) || !is_one(&COMMON_CALLS)) && *number <= 2,
        };
        is_here && !is_by_the_clock
    }
}

#[derive(Debug, PartialEq, Eq)]
struct FinalState {
    outcome: FinishOutcome,
    names_head_and_pull_request: (bool, bool),
    max_finish_ids: Option<usize>,
    published: Published,
    outbox_files: usize,
}

async fn final_state(world: &World) -> FinalState {
    let finish = world.api.final_finish().unwrap();
    let result = finish.result.unwrap();
    let published = Published::load(world).await;
    let mut finish_ids: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for call in world.api.calls("finish") {
        finish_ids.entry(call.attempt).or_default().insert(call.body["finish_id"].to_string());
    }
    FinalState {
        outcome: finish.outcome,
        names_head_and_pull_request: (
            Some(result.head) == world.branch_head(BRANCH),
            result.pull_request.as_ref().unwrap().number == published.pull_request,
        ),
        max_finish_ids: finish_ids.values().map(BTreeSet::len).max(),
        published,
        outbox_files: world.outbox_files().len(),
    }
}

async fn start_behind_gate(flow: Flow, fault: Option<Fault>) -> (World, Arc<Gate>) {
    let world = World::with_agent(flow.agent()).await;
    let gate = Gate::start(&world.api.url, fault).await;
    let url = gate.replace_address(&world.api.url);
    // Prevent heartbeats between two calls.
    world.api.change_assignment(|job| job.heartbeat_secs = 60);
    world.api.change_script(|script| {
        script.fence_calls = true;
        script.bucket = Some(url);
    });
    (world, gate)
}

fn via_gate(gate: &Gate, world: &World) -> impl FnOnce(&mut Command) + use<> {
    let url = gate.replace_address(&world.api.url);
    move |command: &mut Command| {
        command.env("PULLYARD_API_URL", url);
    }
}

fn next_attempt(world: &World) {
    let was_given_back = world.api.has_yielded();
    world.api.change_assignment(|job| {
        job.attempt += 1;
        job.checkpoint = true;
        if was_given_back {
            set_resume(job, Resume::Prefer, &[input(1, Some("Which list?"), "The empty one.")]);
        }
    });
}

async fn run_to_the_end(world: &World, gate: &Gate) {
    for _ in 0..MAX_ATTEMPTS {
        let ran = world.run_with(via_gate(gate, world)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        if world.api.final_finish().is_some() {
            return;
        }
        assert!(world.api.has_yielded(), "neither a finish nor a yield: {}", ran.log);
        next_attempt(world);
    }
    panic!("the job did not end: {:?}", gate.calls());
}

async fn run_without_kill(flow: Flow, fault: Option<Fault>) -> (Vec<Point>, FinalState) {
    let (world, gate) = start_behind_gate(flow, fault.clone()).await;
    run_to_the_end(&world, &gate).await;
    let calls = gate.calls();
    if let Some(((name, number), _)) = &fault {
        assert!(calls.contains(&(name.clone(), number + 1)), "the call was not repeated: {fault:?} {calls:?}");
    }
    let works = std::fs::read_to_string(world.outside_path("works")).unwrap();
    assert_eq!(works.lines().count(), flow.expected_runs(), "{fault:?}");
    if flow == Flow::SingleAttempt {
        let events = world.api.events().into_iter().filter(|event| event.kind == EventKind::Phase);
        let phases: Vec<String> = events.filter_map(|event| event.name).collect();
        assert_eq!(phases, ["preparing", "executing", "syncing"], "{fault:?}");
    }
    assert!(world.api.bucket_object("changes.patch").is_some(), "{fault:?}");
    assert!(world.worktrees().is_empty(), "{fault:?}");
    (calls, final_state(&world).await)
}

/// Runs attempts until the fatal call arrives, and kills the runner; the call may belong to a later attempt.
async fn run_until_kill(world: &World, gate: &Gate) {
    loop {
        let mut runner = world.spawn(via_gate(gate, world));
        let ended = tokio::select! {
            () = gate.wait_for_fatal_call() => None,
            ended = runner.wait() => Some(ended.unwrap()),
        };
        let Some(ended) = ended else { return runner.kill().await.unwrap() };
        assert!(ended.success() && world.api.has_yielded(), "{ended}: {:?}", gate.calls());
        next_attempt(world);
    }
}

async fn final_state_after_kill(flow: Flow, fault: &Fault) -> FinalState {
    let (world, gate) = start_behind_gate(flow, Some(fault.clone())).await;
    run_until_kill(&world, &gate).await;
    let had_ended = world.api.final_finish().is_some();
    next_attempt(&world);
    run_to_the_end(&world, &gate).await;
    // After the end of the job, the next job removes leftovers.
    if !had_ended {
        assert!(world.worktrees().is_empty(), "{fault:?}");
        assert_eq!(world.leftover_processes(), [""; 0], "{fault:?}");
    }
    final_state(&world).await
}

async fn run_undisturbed(flow: Flow, least: usize, among: &[&str]) -> (Vec<Point>, FinalState) {
    let (calls, end) = run_without_kill(flow, None).await;
    assert_eq!(
        (end.outcome, end.names_head_and_pull_request, end.max_finish_ids),
        (FinishOutcome::Completed, (true, true), Some(1))
    );
    assert_eq!((end.published.commits.as_str(), end.published.file.as_deref()), ("1", Some("hello\n")));
    assert_eq!((end.published.has_second_pull_request, end.outbox_files), (false, 0));
    let points: Vec<Point> = calls.into_iter().filter(|call| flow.covers(call)).collect();
    println!("{flow:?}: {} calls of the control plane: {points:?}", points.len());
    assert!(points.len() >= least, "{points:?}");
    for expected in among {
        assert!(points.iter().any(|(name, _)| name.ends_with(*expected)), "{expected}: {points:?}");
    }
    (points, end)
}

async fn walk(flow: Flow, faults: Vec<Fault>, undisturbed: FinalState) {
    println!("{flow:?}: {} walks", faults.len());
    assert_same_ends(faults, &undisturbed, async |fault| match fault.1 {
        Break::KilledBefore | Break::KilledAfter => final_state_after_kill(flow, fault).await,
        Break::AfterCall | Break::Refused | Break::Stalls | Break::Invalid => {
            run_without_kill(flow, Some(fault.clone())).await.1
        }
    })
    .await;
}

/// Kills after each changing call, and before the first call of each name.
fn kill_faults(points: &[Point]) -> Vec<Fault> {
    let changes = || points.iter().filter(|(name, _)| !name.starts_with("GET "));
    let firsts = changes().filter(|(_, number)| *number == 1);
    let before = firsts.map(|point| (point.clone(), Break::KilledBefore));
    before.chain(changes().map(|point| (point.clone(), Break::KilledAfter))).collect()
}

/// Loses the answer of each call, and refuses the first call of each name.
fn answer_faults(points: &[Point]) -> Vec<Fault> {
    let firsts = points.iter().filter(|(_, number)| *number == 1);
    let refused = firsts.map(|point| (point.clone(), Break::Refused));
    refused.chain(points.iter().map(|point| (point.clone(), Break::AfterCall))).collect()
}

#[tokio::test]
async fn job_survives_a_kill_at_any_control_plane_call() {
    let (points, end) = run_undisturbed(Flow::SingleAttempt, 10, &COMMON_CALLS).await;
    walk(Flow::SingleAttempt, kill_faults(&points), end).await;
}

#[tokio::test]
async fn job_ends_once_despite_lost_or_refused_calls() {
    let (points, end) = run_undisturbed(Flow::SingleAttempt, 10, &COMMON_CALLS).await;
    walk(Flow::SingleAttempt, answer_faults(&points), end).await;
}

#[tokio::test]
async fn yielding_job_survives_a_kill_at_any_call() {
    let (points, end) = run_undisturbed(Flow::QuestionAndResume, 9, &YIELD_CALLS).await;
    walk(Flow::QuestionAndResume, kill_faults(&points), end).await;
}

#[tokio::test]
async fn yielded_job_resumes_once_despite_lost_or_refused_calls() {
    let (points, end) = run_undisturbed(Flow::QuestionAndResume, 9, &YIELD_CALLS).await;
    walk(Flow::QuestionAndResume, answer_faults(&points), end).await;
}
