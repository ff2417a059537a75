//! A runner's calls of its control plane, and of the bucket that this names, are numbered: it is killed around each
//! that changes something, or the answer of each is lost, or what stands between refuses it once. In the end its job
//! has one commit, one pull request and one end, as where nothing was in the way.
//!
//! Of the batches of events only the first has a number: how many more there are is the clock's, as heartbeats are. An
//! answer that is later than its call's twenty seconds is a lost one, for which nothing here waits.

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

/// Walks at the same time: each is a program, and most of it waits.
const AT_ONCE: usize = 4;
/// More attempts than a job has whose runner is killed once.
const MOST_ATTEMPTS: usize = 4;

/// How the calls end that every job makes.
const OF_EVERY_JOB: [&str; 8] =
    ["/start", "/status", "/credentials", "/events", "/artifacts", "/changes.patch", "/stored", "/finish"];
/// How those end that a job makes besides which is given back and gone on with, or makes for its checkpoint, too.
const OF_A_REST: [&str; 5] = ["/yield", "/checkpoint", "/checkpoint.tar.zst", "/artifacts", "/stored"];

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    /// One attempt does its work.
    Straight,
    /// Its agent asks something, and the next attempt goes on from what that one left.
    Asked,
}

impl Flow {
    /// Says each time that it works, outside.
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

    /// How often it works, where nobody dies.
    fn works(self) -> usize {
        match self {
            Self::Straight => 1,
            Self::Asked => 2,
        }
    }

    /// Whether the call is a point of this flow, and not walked by the other.
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

/// What a job leaves at the control plane, at the forge, and here.
#[derive(Debug, PartialEq, Eq)]
struct End {
    outcome: FinishOutcome,
    /// What it says: the branch's head, and the pull request that is open.
    says: (bool, bool),
    /// The most that an attempt has told.
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

/// A world whose control plane admits who holds the job, and numbers its calls.
async fn behind_a_gate(flow: Flow, fault: Option<Fault>) -> (World, Arc<Gate>) {
    let world = World::with_agent(flow.agent()).await;
    let gate = Gate::before(&world.api.url, fault).await;
    let url = gate.in_place_of(&world.api.url);
    // None comes between two calls.
    world.api.assign(|job| job.heartbeat_secs = 60);
    world.api.script(|script| {
        script.fences = true;
        script.bucket = Some(url);
    });
    (world, gate)
}

/// Has a runner call the gate.
fn by(gate: &Gate, world: &World) -> impl FnOnce(&mut Command) + use<> {
    let url = gate.in_place_of(&world.api.url);
    move |command: &mut Command| {
        command.env("PULLYARD_API_URL", url);
    }
}

/// The next attempt, of whoever took note of the death of the newest, or answered what it asked.
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

/// Runs the newest attempt, and further ones until the job has ended. One that comes after that is refused, and
/// delivers what an earlier one left here.
async fn run_to_the_end(world: &World, gate: &Gate) {
    for _ in 0..MOST_ATTEMPTS {
        let ran = world.run_with(by(gate, world)).await;
        assert_eq!(ran.code, Some(0), "{}", ran.log);
        if world.api.ended().is_some() {
            return;
        }
        assert!(world.api.rests(), "it neither ended nor gave its job back: {}", ran.log);
        next_attempt(world);
    }
    panic!("the job did not end: {:?}", gate.calls());
}

/// The end of a job whose runners live.
async fn lived(flow: Flow, fault: Option<Fault>) -> (Vec<Point>, End) {
    let (world, gate) = behind_a_gate(flow, fault.clone()).await;
    run_to_the_end(&world, &gate).await;
    let calls = gate.calls();
    if let Some(((name, number), _)) = &fault {
        assert!(calls.contains(&(name.clone(), number + 1)), "it was not made again: {fault:?} {calls:?}");
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

/// Runs attempts until the call has come at which the runner is killed: it may be one of a later attempt.
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

/// The end of a job whose runner was killed there.
async fn killed(flow: Flow, fault: &Fault) -> End {
    let (world, gate) = behind_a_gate(flow, Some(fault.clone())).await;
    run_to_its_death(&world, &gate).await;
    let had_ended = world.api.ended().is_some();
    next_attempt(&world);
    run_to_the_end(&world, &gate).await;
    // Where the job had ended, what is left here is the next job's to remove.
    if !had_ended {
        assert!(world.worktrees().is_empty(), "{fault:?}");
        assert_eq!(world.left_running(), [""; 0], "{fault:?}");
    }
    end(&world).await
}

/// The points of a flow that nothing disturbs, and its end: there may be more than so many, and not fewer, and calls that
/// end so are among them.
async fn undisturbed(flow: Flow, least: usize, among: &[&str]) -> (Vec<Point>, End) {
    let (calls, end) = lived(flow, None).await;
    // What the others are compared with is what there should be.
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

/// Whichever of these happens, the end is the same.
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

/// The runner is killed after each that changes something, and before the first of each name.
fn deaths(points: &[Point]) -> Vec<Fault> {
    let changes = || points.iter().filter(|(name, _)| !name.starts_with("GET "));
    let firsts = changes().filter(|(_, number)| *number == 1);
    let before = firsts.map(|point| (point.clone(), Breaks::KilledBefore));
    before.chain(changes().map(|point| (point.clone(), Breaks::KilledAfter))).collect()
}

/// The answer of each is lost, and the first of each name is refused once.
fn answers(points: &[Point]) -> Vec<Fault> {
    let firsts = points.iter().filter(|(_, number)| *number == 1);
    let refused = firsts.map(|point| (point.clone(), Breaks::Refused));
    refused.chain(points.iter().map(|point| (point.clone(), Breaks::Lost))).collect()
}

#[tokio::test]
async fn a_runner_that_is_killed_around_whichever_call_of_its_control_plane_is_gone_on_from() {
    let (points, end) = undisturbed(Flow::Straight, 10, &OF_EVERY_JOB).await;
    walk(Flow::Straight, deaths(&points), end).await;
}

#[tokio::test]
async fn a_job_is_done_and_ended_once_whichever_call_of_its_control_plane_is_refused_or_not_answered() {
    let (points, end) = undisturbed(Flow::Straight, 10, &OF_EVERY_JOB).await;
    walk(Flow::Straight, answers(&points), end).await;
}

#[tokio::test]
async fn a_runner_that_is_killed_around_whichever_call_gives_its_job_back_is_gone_on_from() {
    let (points, end) = undisturbed(Flow::Asked, 14, &OF_A_REST).await;
    walk(Flow::Asked, deaths(&points), end).await;
}

#[tokio::test]
async fn a_job_that_was_given_back_goes_on_once_whichever_call_for_that_is_refused_or_not_answered() {
    let (points, end) = undisturbed(Flow::Asked, 14, &OF_A_REST).await;
    walk(Flow::Asked, answers(&points), end).await;
}
