//! Kills a runner around its calls of the control plane and the bucket, loses their answers, or refuses them once. The
//! job must end like an undisturbed one.
//!
//! Only the first batch of events has a number, because further batches and heartbeats depend on the clock. An answer
//! after the time limit of twenty seconds equals a lost answer.

use crate::gate::{Breaks, Fault, Gate, Point};
use crate::rests::{input, resumes};
use crate::world::{BRANCH, World};
use futures::stream::{self, StreamExt};
use pullyard_domain::project::Resume;
use pullyard_protocol::attempt::FinishOutcome;
use pullyard_protocol::event::EventKind;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::process::Command;

const AT_ONCE: usize = 4;
const MOST_ATTEMPTS: usize = 4;

/// Suffixes of the calls of every job.
const OF_EVERY_JOB: [&str; 8] =
    ["/start", "/status", "/credentials", "/events", "/artifacts", "/changes.patch", "/stored", "/finish"];
/// Suffixes of the calls of a job that yields and resumes, including those for its checkpoint.
const OF_A_REST: [&str; 5] = ["/yield", "/checkpoint", "/checkpoint.tar.zst", "/artifacts", "/stored"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// One attempt does the work.
    Straight,
    /// The agent leaves a question, and the next attempt resumes.
    Asked,
}

impl Flow {
    fn agent(self) -> &'static str {
        match self {
            Self::Straight => "cat > /dev/null; echo works >> @DIR@/works; echo hello > greeting.txt",
            Self::Asked => {
                "cat > /dev/null; echo works >> @DIR@/works
                 if [ -e half.txt ]; then mv half.txt greeting.txt; exit 0; fi
                 echo hello > half.txt; echo '{\"kind\":\"question\",\"text\":\"Which list?\"}'"
            }
        }
    }

    fn works(self) -> usize {
        match self {
            Self::Straight => 1,
            Self::Asked => 2,
        }
    }

    /// Whether the call is a point of this flow and is not covered by the other flow.
    fn has(self, (name, number): &Point) -> bool {
        let is_one = |of: &[&str]| of.iter().any(|end| name.ends_with(*end));
        let is_by_the_clock = name.ends_with("/events") && *number > 1;
        let is_here = match self {
            Self::Straight => is_one(&OF_EVERY_JOB),
            Self::Asked => is_one(&OF_A_REST) || !is_one(&OF_EVERY_JOB),
        };
        is_here && !is_by_the_clock
    }
}

/// The state at the control plane, at the forge and on the machine after a job.
#[derive(Debug, PartialEq, Eq)]
struct End {
    outcome: FinishOutcome,
    /// Whether the finish names the branch's head and the open pull request.
    says: (bool, bool),
    /// The most finish ids that one attempt sent.
    ends: Option<usize>,
    file: Option<String>,
    commits: String,
    has_another: bool,
    letters: usize,
}

async fn end(world: &World) -> End {
    let finish = world.api.ended().unwrap();
    let result = finish.result.unwrap();
    let pull = world.open_pull_request(BRANCH).await.unwrap();
    let mut told: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
    for call in world.api.calls("finish") {
        told.entry(call.attempt).or_default().insert(call.body["finish_id"].to_string());
    }
    End {
        outcome: finish.outcome,
        says: (Some(result.head) == world.head(BRANCH), result.pull_request.number == pull.number),
        ends: told.values().map(BTreeSet::len).max(),
        file: world.file(BRANCH, "greeting.txt"),
        commits: world.git_line(&["rev-list", "--count", &format!("main..{BRANCH}")]),
        has_another: world.forge.look("acme/app", pull.number + 1).await.unwrap().is_some(),
        letters: world.letters().len(),
    }
}

/// A world whose control plane fences calls and is behind a gate.
async fn behind_a_gate(flow: Flow, fault: Option<Fault>) -> (World, Arc<Gate>) {
    let world = World::with_agent(flow.agent()).await;
    let gate = Gate::before(&world.api.url, fault).await;
    let url = gate.in_place_of(&world.api.url);
    // Prevent heartbeats between two calls.
    world.api.assign(|job| job.heartbeat_secs = 60);
    world.api.script(|script| {
        script.fences = true;
        script.bucket = Some(url);
    });
    (world, gate)
}

fn by(gate: &Gate, world: &World) -> impl FnOnce(&mut Command) + use<> {
    let url = gate.in_place_of(&world.api.url);
    move |command: &mut Command| {
        command.env("PULLYARD_API_URL", url);
    }
}

/// Starts the next attempt, as after a lost attempt or an answered question.
fn next_attempt(world: &World) {
    let was_given_back = world.api.rests();
    world.api.assign(|job| {
        job.attempt += 1;
        job.checkpoint = true;
        if was_given_back {
            resumes(job, Resume::Prefer, &[input(1, Some("Which list?"), "The empty one.")]);
        }
    });
}

/// Runs attempts until the job has ended. An attempt after the end is refused, and delivers an earlier finish.
async fn run_to_the_end(world: &World, gate: &Gate) {
    for _ in 0..MOST_ATTEMPTS {
        let ran = world.run_with(by(gate, world)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        if world.api.ended().is_some() {
            return;
        }
        assert!(world.api.rests(), "neither a finish nor a yield: {}", ran.log);
        next_attempt(world);
    }
    panic!("the job did not end: {:?}", gate.calls());
}

/// Runs a job without kills. Returns its calls and its end.
async fn lived(flow: Flow, fault: Option<Fault>) -> (Vec<Point>, End) {
    let (world, gate) = behind_a_gate(flow, fault.clone()).await;
    run_to_the_end(&world, &gate).await;
    let calls = gate.calls();
    if let Some(((name, number), _)) = &fault {
        assert!(calls.contains(&(name.clone(), number + 1)), "the call was not repeated: {fault:?} {calls:?}");
    }
    let works = std::fs::read_to_string(world.outside("works")).unwrap();
    assert_eq!(works.lines().count(), flow.works(), "{fault:?}");
    if flow == Flow::Straight {
        let events = world.api.events().into_iter().filter(|event| event.kind == EventKind::Phase);
        let phases: Vec<String> = events.filter_map(|event| event.name).collect();
        assert_eq!(phases, ["preparing", "executing", "syncing"], "{fault:?}");
    }
    assert!(world.api.kept("changes.patch").is_some(), "{fault:?}");
    assert!(world.worktrees().is_empty(), "{fault:?}");
    (calls, end(&world).await)
}

/// Runs attempts until the fatal call arrives, and kills the runner; the call may belong to a later attempt.
async fn run_to_its_death(world: &World, gate: &Gate) {
    loop {
        let mut runner = world.spawn(by(gate, world));
        let ended = tokio::select! {
            () = gate.reached() => None,
            ended = runner.wait() => Some(ended.unwrap()),
        };
        let Some(ended) = ended else { return runner.kill().await.unwrap() };
        assert!(ended.success() && world.api.rests(), "{ended}: {:?}", gate.calls());
        next_attempt(world);
    }
}

async fn killed(flow: Flow, fault: &Fault) -> End {
    let (world, gate) = behind_a_gate(flow, Some(fault.clone())).await;
    run_to_its_death(&world, &gate).await;
    let had_ended = world.api.ended().is_some();
    next_attempt(&world);
    run_to_the_end(&world, &gate).await;
    // After the end of the job, the next job removes leftovers.
    if !had_ended {
        assert!(world.worktrees().is_empty(), "{fault:?}");
        assert_eq!(world.left_running(), [""; 0], "{fault:?}");
    }
    end(&world).await
}

/// Runs an undisturbed flow. Returns its points and end, and verifies that `among` occur.
async fn undisturbed(flow: Flow, least: usize, among: &[&str]) -> (Vec<Point>, End) {
    let (calls, end) = lived(flow, None).await;
    assert_eq!((end.outcome, end.says, end.ends), (FinishOutcome::Completed, (true, true), Some(1)));
    assert_eq!((end.commits.as_str(), end.file.as_deref()), ("1", Some("hello\n")));
    assert_eq!((end.has_another, end.letters), (false, 0));
    let points: Vec<Point> = calls.into_iter().filter(|call| flow.has(call)).collect();
    println!("{flow:?}: {} calls of the control plane: {points:?}", points.len());
    assert!(points.len() >= least, "{points:?}");
    for one in among {
        assert!(points.iter().any(|(name, _)| name.ends_with(*one)), "{one}: {points:?}");
    }
    (points, end)
}

async fn walk(flow: Flow, faults: Vec<Fault>, undisturbed: End) {
    println!("{flow:?}: {} walks", faults.len());
    let walks = faults.into_iter().map(|fault| async move {
        let end = match fault.1 {
            Breaks::KilledBefore | Breaks::KilledAfter => killed(flow, &fault).await,
            Breaks::Lost | Breaks::Refused => lived(flow, Some(fault.clone())).await.1,
        };
        (fault, end)
    });
    let ends: Vec<_> = stream::iter(walks).buffer_unordered(AT_ONCE).collect().await;
    for (fault, end) in ends {
        assert_eq!(end, undisturbed, "{fault:?}");
    }
}

/// Kills after each changing call, and before the first call of each name.
fn deaths(points: &[Point]) -> Vec<Fault> {
    let changes = || points.iter().filter(|(name, _)| !name.starts_with("GET "));
    let firsts = changes().filter(|(_, number)| *number == 1);
    let before = firsts.map(|point| (point.clone(), Breaks::KilledBefore));
    before.chain(changes().map(|point| (point.clone(), Breaks::KilledAfter))).collect()
}

/// Loses the answer of each call, and refuses the first call of each name.
fn answers(points: &[Point]) -> Vec<Fault> {
    let firsts = points.iter().filter(|(_, number)| *number == 1);
    let refused = firsts.map(|point| (point.clone(), Breaks::Refused));
    refused.chain(points.iter().map(|point| (point.clone(), Breaks::Lost))).collect()
}

#[tokio::test]
async fn job_survives_a_kill_at_any_control_plane_call() {
    let (points, end) = undisturbed(Flow::Straight, 10, &OF_EVERY_JOB).await;
    walk(Flow::Straight, deaths(&points), end).await;
}

#[tokio::test]
async fn job_ends_once_despite_lost_or_refused_calls() {
    let (points, end) = undisturbed(Flow::Straight, 10, &OF_EVERY_JOB).await;
    walk(Flow::Straight, answers(&points), end).await;
}

#[tokio::test]
async fn yielding_job_survives_a_kill_at_any_call() {
    let (points, end) = undisturbed(Flow::Asked, 14, &OF_A_REST).await;
    walk(Flow::Asked, deaths(&points), end).await;
}

#[tokio::test]
async fn yielded_job_resumes_once_despite_lost_or_refused_calls() {
    let (points, end) = undisturbed(Flow::Asked, 14, &OF_A_REST).await;
    walk(Flow::Asked, answers(&points), end).await;
}
