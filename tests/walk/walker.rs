//! Runs a flow once for each way in which it can break, and compares the results.

use super::outcome::{self, Outcome, differences};
use super::step::{Action, Call, Flow, Share, Step, WithoutRepeat};
use super::world::{Clients, Invocation, QUEUES, ROUND, Snapshot, World};
use crate::prelude::*;
use futures::stream::{self, StreamExt};
use pullyard_testkit::{Fault, Point};
use std::io::Write as _;
use std::thread;
use tokio::sync::Semaphore;

/// Concurrent walks per processor, over all flows. A walk mostly waits, but a forge that does not answer within three
/// seconds counts as unreachable.
const WALKS_PER_CPU: usize = 3;
static PERMITS: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(WALKS_PER_CPU * thread::available_parallelism().map_or(1, usize::from)));
/// Rounds that a step may wait: enough to give up a silent start and to dispatch again.
const WAIT_ROUNDS: usize = 9;
const MAX_ROUNDS: usize = 40;
const COUNT_FILE_VAR: &str = "PULLYARD_WALKED";

/// Whether the call is repeated after its process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repeat {
    /// By its caller: the same body, the same message, the next tick.
    ByCaller,
    /// Time passes instead.
    Never,
}

#[derive(Clone, Debug)]
enum Disruption {
    None,
    SkippedStep(usize),
    CallFault { step: usize, at: usize, call: String, fault: Fault, then: Repeat },
}

/// Walks a flow and checks its number of points. A few may differ: the order of a sweep, and so its number of reads,
/// depends on random ids.
pub(super) async fn walk(flow: Flow, expected: usize) {
    let snapshot = Arc::new(Box::pin(prepare(&flow)).await);
    let (undisturbed, points, steps) = Box::pin(run(&flow, &snapshot, &Disruption::None)).await;
    assert_eq!(outcome::final_statuses(&undisturbed), flow.final_statuses, "{}: {undisturbed:#?}", flow.name);
    // From here on each message is its own step.
    let flow = Arc::new(Flow { steps, ..flow });
    let count: usize = points.iter().map(Vec::len).sum();
    println!("{}: {count} points in {} steps", flow.name, flow.steps.len());
    for (step, points) in flow.steps.iter().zip(&points).filter(|(_, points)| !points.is_empty()) {
        println!("    {:3} {}", points.len(), step.name);
    }
    assert!(
        expected.abs_diff(count) <= 2 + expected / 32,
        "{}: {count} points, expected {expected}: correct the number in tests/walk.rs, and explain a decrease in the \
         commit message",
        flow.name
    );
    let harms = disruptions(&flow, &points);
    append_count(flow.name, count, harms.len());
    if harms.is_empty() {
        return;
    }
    let mut without = vec![None; flow.steps.len()];
    for (n, step) in flow.steps.iter().enumerate() {
        if matches!(step.without_repeat, WithoutRepeat::AllOrNothing | WithoutRepeat::HidesMessage) {
            without[n] = Some(Box::pin(run(&flow, &snapshot, &Disruption::SkippedStep(n))).await.0);
        }
    }
    let (undisturbed, without) = (Arc::new(undisturbed), Arc::new(without));
    let walks = harms.len();
    let failed: Vec<String> = stream::iter(harms)
        .map(|harm| {
            let (flow, snapshot) = (Arc::clone(&flow), Arc::clone(&snapshot));
            let (undisturbed, without) = (Arc::clone(&undisturbed), Arc::clone(&without));
            // A panic in this task is the failure of this walk.
            tokio::spawn(async move {
                let _room = PERMITS.acquire().await.unwrap();
                let (description, may_lack) = (describe(&flow, &harm), optional_step(&flow, &harm));
                let is_found = found_by_polling(&harm);
                let running = tokio::spawn(async move { Box::pin(run(&flow, &snapshot, &harm)).await.0 });
                let final_outcome = match running.await {
                    Ok(final_outcome) => final_outcome,
                    Err(error) => return Some(format!("{description}: {error}")),
                };
                let mut found = vec![match is_found {
                    true => {
                        differences(&outcome::without_source(&undisturbed), &outcome::without_source(&final_outcome))
                    }
                    false => differences(&undisturbed, &final_outcome),
                }];
                if let Some(without) = may_lack.and_then(|step| without[step].as_ref()) {
                    found.push(differences(without, &final_outcome));
                }
                // The smallest difference is the easiest to read.
                let nearest = found.into_iter().min_by_key(Vec::len).unwrap_or_default();
                (!nearest.is_empty()).then(|| format!("{description}:\n    {}", nearest.join("\n    ")))
            })
        })
        .buffer_unordered(walks)
        .filter_map(|walked| async { walked.unwrap() })
        .collect()
        .await;
    println!("{}: {walks} walks", flow.name);
    assert!(failed.is_empty(), "{} of {walks} walks end differently:\n{}", failed.len(), failed.join("\n"));
}

fn optional_step(flow: &Flow, harm: &Disruption) -> Option<usize> {
    match harm {
        Disruption::CallFault { step, then, .. } => {
            let hides = flow.steps[*step].without_repeat == WithoutRepeat::HidesMessage;
            (hides || *then == Repeat::Never).then_some(*step)
        }
        Disruption::None | Disruption::SkippedStep(_) => None,
    }
}

/// Whether polling may find the event of a lost delivery. The ledger then names another source.
fn found_by_polling(harm: &Disruption) -> bool {
    matches!(harm, Disruption::CallFault { then: Repeat::Never, .. })
}

/// Appends a line to the file in one write, because several processes share it.
fn append_count(flow: &str, points: usize, walks: usize) {
    let Some(path) = std::env::var_os(COUNT_FILE_VAR) else { return };
    let line = json!({ "flow": flow, "points": points, "walks": walks }).to_string() + "\n";
    let mut file = File::options().create(true).append(true).open(&path).expect("cannot open PULLYARD_WALKED");
    file.write_all(line.as_bytes()).unwrap();
}

/// All ways in which a flow can break.
///
/// A stop before a call equals a stop after the previous call, and a read changes nothing. `PULLYARD_WALK=all` walks
/// these as well; `PULLYARD_WALK=none` only counts points.
fn disruptions(flow: &Flow, points: &[Vec<Point>]) -> Vec<Disruption> {
    let mode = std::env::var("PULLYARD_WALK").unwrap_or_default();
    if mode == "none" {
        return Vec::new();
    }
    let is_all = mode == "all";
    let is_whole = is_all || flow.share == Share::Whole;
    let mut all = Vec::new();
    for (step, points) in points.iter().enumerate().filter(|(step, _)| is_all || flow.breaks(&flow.steps[*step])) {
        let thens: &[Repeat] = match flow.steps[step].without_repeat {
            WithoutRepeat::AlwaysRepeated => &[Repeat::ByCaller],
            _ if is_whole => &[Repeat::ByCaller, Repeat::Never],
            WithoutRepeat::Heals
            | WithoutRepeat::FoundByPolling
            | WithoutRepeat::AllOrNothing
            | WithoutRepeat::HidesMessage => &[Repeat::Never],
        };
        for (at, point) in points.iter().enumerate() {
            let broken = |fault, then| Disruption::CallFault { step, at, call: point.operation.clone(), fault, then };
            let writes = is_all || !is_read(point);
            for then in thens {
                // A caller that repeats a call without effect changes nothing.
                if is_all || (at == 0 && *then == Repeat::Never) {
                    all.push(broken(Fault::StopBefore, *then));
                }
                if writes {
                    all.push(broken(Fault::StopAfter, *then));
                }
            }
            // The store's own tests lose the answer of each write to the table.
            if writes && (is_all || flow.loses_table_answers || !is_table(point)) {
                all.push(broken(Fault::LostAnswer, Repeat::ByCaller));
            }
            // The SDK treats an AWS error as a lost answer; a forge's error reaches the use case.
            if writes && (is_all || !is_aws(point)) {
                all.push(broken(failed_after(point), Repeat::ByCaller));
            }
        }
    }
    all
}

fn is_read(point: &Point) -> bool {
    ["Get", "BatchGet", "TransactGet", "Query", "Describe", "List", "GET ", "HEAD "]
        .iter()
        .any(|read| point.operation.starts_with(read))
}

fn is_aws(point: &Point) -> bool {
    !["forge", "tracker"].contains(&point.service.as_str())
}

fn is_table(point: &Point) -> bool {
    point.service.starts_with("DynamoDB_")
}

fn failed_after(point: &Point) -> Fault {
    match is_table(point) {
        true => Fault::internal_error_after_effect(),
        false => Fault::ErrorAfterEffect(503, json!({ "message": "injected" })),
    }
}

fn describe(flow: &Flow, harm: &Disruption) -> String {
    match harm {
        Disruption::None => format!("{}, undisturbed", flow.name),
        Disruption::SkippedStep(step) => format!("{} without `{}`", flow.name, flow.steps[*step].name),
        Disruption::CallFault { step, at, call, fault, then } => {
            format!("{}: {fault:?} at call {at} of `{}`, {call}, {then:?}", flow.name, flow.steps[*step].name)
        }
    }
}

async fn prepare(flow: &Flow) -> Snapshot {
    let folder = TempDir::new().unwrap();
    let world = World::empty(&Clients::new().await, Some(folder.path())).await;
    super::base::set_up(&world).await;
    (flow.set_up)(&world).await;
    world.drain().await;
    super::base::take_snapshot(world).await
}

async fn run(flow: &Flow, snapshot: &Snapshot, harm: &Disruption) -> (Outcome, Vec<Vec<Point>>, Vec<Arc<Step>>) {
    let world = World::from_snapshot(snapshot).await;
    let (mut points, mut steps) = (Vec::new(), Vec::new());
    match harm {
        Disruption::None => {
            for step in &flow.steps {
                run_undisturbed_step(&world, step, &mut points, &mut steps).await;
            }
            assert_eq!(world.drain().await, 0, "{}: a message that no step delivers", flow.name);
        }
        _ => {
            let mut patience = WAIT_ROUNDS;
            for (n, step) in flow.steps.iter().enumerate() {
                world.wire.restart(None);
                if matches!(harm, Disruption::SkippedStep(index) if *index == n) {
                    continue;
                }
                if let Some(Some(call)) = wait_until_ready(&world, step, &mut patience).await {
                    run_step(&world, n, step, &call, harm).await;
                }
            }
        }
    }
    world.wire.restart(None);
    run_until_idle(&world).await;
    (outcome::collect(&world).await, points, steps)
}

async fn run_undisturbed_step(
    world: &World,
    step: &Arc<Step>,
    points: &mut Vec<Vec<Point>>,
    steps: &mut Vec<Arc<Step>>,
) {
    let mut done = async |step: Arc<Step>, call: Option<Call>| {
        // Discard the calls before this step.
        world.wire.restart(None);
        if let Some(call) = call {
            let invoked = world.invoke(&call).await;
            let is_done = matches!(invoked, Invocation::Done(_));
            assert!(is_done != step.is_refused && is_answer(&step, &invoked), "`{}`: {invoked:?}", step.name);
        }
        points.push(world.wire.points());
        steps.push(step);
    };
    if !matches!(step.action, Action::Messages) {
        let call = start_step(world, step).await.unwrap_or_else(|| panic!("`{}` can't be done", step.name));
        return done(Arc::clone(step), call).await;
    }
    loop {
        let mut found = false;
        for (queue, name) in QUEUES {
            while let Some(call) = world.message(queue).await {
                found = true;
                let message = Step::message(name, queue).without_repeat(step.without_repeat);
                done(message.broken_in(step.broken_in).into(), Some(call)).await;
            }
        }
        if !found {
            return;
        }
    }
}

/// Lets time pass until no work is left and late tasks are refused.
async fn run_until_idle(world: &World) {
    for round in 0.. {
        world.drain().await;
        let items = outcome::items(world).await;
        if outcome::is_idle(&items) {
            break;
        }
        assert!(round < MAX_ROUNDS, "work remains: {items:#?}");
        // Until then a sweep finds no work. A sweeper that paused for longer judges no runner.
        let due = Duration::from_millis(outcome::time_to_work_ms(&items, world.clock.now().millis()));
        let longest = if world.has_runners() && round < 10 { ROUND } else { 10 * ROUND };
        world.advance(due.clamp(ROUND, longest)).await;
    }
    if world.has_runners() {
        // A silent runner is Offline in every end.
        for _ in 0..3 {
            world.advance(ROUND).await;
        }
    }
    world.refuse_late_tasks().await;
}

/// The invocation of a step, or `Some(None)` for an action. `None`: not possible yet.
async fn start_step(world: &World, step: &Step) -> Option<Option<Call>> {
    match &step.action {
        Action::Call(make) => make(world).map(Some),
        Action::Message(queue) => world.message(queue).await.map(Some),
        Action::Messages => None,
        Action::Sweep => Some(Some(world.sweep_event())),
        Action::Act(act) => act(world).await.then_some(None),
    }
}

/// The same, after waiting within `patience`. A message may have been delivered before.
async fn wait_until_ready(world: &World, step: &Step, patience: &mut usize) -> Option<Option<Call>> {
    loop {
        let begun = start_step(world, step).await;
        if begun.is_some() || *patience == 0 || matches!(step.action, Action::Message(_)) {
            return begun;
        }
        world.wire.restart(None);
        world.advance(ROUND).await;
        *patience -= 1;
    }
}

/// Whether the forge was too slow to return the author's permission. The call is then repeated.
fn forge_was_slow(answer: &Value) -> bool {
    answer["code"] == "permission_unknown"
}

/// Whether the step succeeded, or was refused with the expected status.
fn is_answer(step: &Step, invoked: &Invocation) -> bool {
    match invoked {
        Invocation::Done(_) => true,
        Invocation::Failed(reason) => step.refusal.is_some_and(|status| reason.starts_with(status)),
        Invocation::Died => false,
    }
}

async fn run_step(world: &World, n: usize, step: &Step, call: &Call, harm: &Disruption) {
    let broken = match harm {
        Disruption::CallFault { step, at, fault, then, .. } if *step == n => Some((*at, fault.clone(), *then)),
        _ => None,
    };
    let then = broken.as_ref().map_or(Repeat::ByCaller, |(_, _, then)| *then);
    world.wire.restart(broken.as_ref().map(|(at, fault, _)| (*at, fault.clone())));
    let invoked = world.invoke(call).await;
    if let Some((at, fault, _)) = &broken {
        assert!(world.wire.points().len() > *at, "`{}` made no call {at}", step.name);
        let is_stop = matches!(fault, Fault::StopBefore | Fault::StopAfter);
        assert_eq!(matches!(invoked, Invocation::Died), is_stop, "{invoked:?}");
    }
    world.wire.restart(None);
    match (invoked, then) {
        (Invocation::Done(answer), _) if !forge_was_slow(&answer) => {}
        (refused @ Invocation::Failed(_), _) if is_answer(step, &refused) => {}
        (_, Repeat::Never) => world.raw.delete_message_of(world.aws.sqs(), call).await,
        (first, Repeat::ByCaller) => {
            if let Invocation::Done(slow) = &first {
                println!("`{}` is repeated: {slow}", step.name);
            }
            let again = world.invoke(call).await;
            let is_done = is_answer(step, &again);
            // A call that was refused for good is refused again.
            assert!(is_done, "`{}` again: {again:?}; at first {first:?}; {harm:?}", step.name);
        }
    }
}
