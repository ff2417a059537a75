//! Goes through a flow once for every way in which it can break, and compares what is left.

use super::left::{self, Left, differences};
use super::step::{Call, Does, Flow, Share, Step, Unrepeated};
use super::world::{Ground, Invoked, QUEUES, ROUND, Snapshot, World};
use futures::stream::{self, StreamExt};
use pullyard_testkit::{Fault, Point};
use serde_json::{Value, json};
use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, LazyLock};
use std::thread;
use tempfile::TempDir;
use tokio::sync::Semaphore;

/// Walks at the same time for each processor, of all flows together: most of one is waiting, but a forge that has not
/// answered within three seconds is taken for one that is away.
const AT_ONCE: usize = 3;
static ROOM: LazyLock<Semaphore> =
    LazyLock::new(|| Semaphore::new(AT_ONCE * thread::available_parallelism().map_or(1, usize::from)));
/// Minutes until whatever was started and never heard of is given up and started anew.
const PATIENCE: usize = 9;
/// Rounds until a story has come to its end.
const AT_MOST: usize = 40;
/// The file that every flow adds the count of its points to; nothing is written without it.
const FILE: &str = "PULLYARD_WALKED";

/// Who calls again after a process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// Whoever called: the same body, the same message, the next tick.
    Repeated,
    /// Nobody: time passes.
    Unrepeated,
}

/// What is done to a flow.
#[derive(Clone, Debug)]
enum Harm {
    None,
    /// The step does not happen.
    Left(usize),
    /// The call of this number of a step breaks.
    Broken {
        step: usize,
        at: usize,
        call: String,
        fault: Fault,
        then: Then,
    },
}

/// Walks a flow and checks its number of points within a few: the order of a sweep depends on random ids, and with it
/// the number of reads.
pub(super) async fn walk(flow: Flow, expected: usize) {
    let snapshot = Arc::new(Box::pin(prepare(&flow)).await);
    let (undisturbed, points, steps) = Box::pin(run(&flow, &snapshot, &Harm::None)).await;
    assert_eq!(left::ends(&undisturbed), flow.ends, "{}: {undisturbed:#?}", flow.name);
    // From here on each message is a step of its own.
    let flow = Arc::new(Flow { steps, ..flow });
    let count: usize = points.iter().map(Vec::len).sum();
    println!("{}: {count} points in {} steps", flow.name, flow.steps.len());
    for (step, points) in flow.steps.iter().zip(&points).filter(|(_, points)| !points.is_empty()) {
        println!("    {:3} {}", points.len(), step.name);
    }
    assert!(
        expected.abs_diff(count) <= 2 + expected / 32,
        "{}: {count} points, and it had {expected}: if more are right, raise the number in tests/walk.rs; if fewer are, \
         say in the commit why",
        flow.name
    );
    let harms = harms(&flow, &points);
    count_up(flow.name, count, harms.len());
    if harms.is_empty() {
        return;
    }
    let mut without = vec![None; flow.steps.len()];
    for (n, step) in flow.steps.iter().enumerate() {
        if matches!(step.unrepeated, Unrepeated::AllOrNothing | Unrepeated::Hides) {
            without[n] = Some(Box::pin(run(&flow, &snapshot, &Harm::Left(n))).await.0);
        }
    }
    let (undisturbed, without) = (Arc::new(undisturbed), Arc::new(without));
    let walks = harms.len();
    let failed: Vec<String> = stream::iter(harms)
        .map(|harm| {
            let (flow, snapshot) = (Arc::clone(&flow), Arc::clone(&snapshot));
            let (undisturbed, without) = (Arc::clone(&undisturbed), Arc::clone(&without));
            // A task of its own: what panics in it is this walk's failure.
            tokio::spawn(async move {
                let _room = ROOM.acquire().await.unwrap();
                let (what, may_lack) = (told(&flow, &harm), may_lack(&flow, &harm));
                let is_found = is_found(&harm);
                let running = tokio::spawn(async move { Box::pin(run(&flow, &snapshot, &harm)).await.0 });
                let left = match running.await {
                    Ok(left) => left,
                    Err(error) => return Some(format!("{what}: {error}")),
                };
                let mut found = vec![match is_found {
                    true => differences(&left::by_whomever(&undisturbed), &left::by_whomever(&left)),
                    false => differences(&undisturbed, &left),
                }];
                if let Some(without) = may_lack.and_then(|step| without[step].as_ref()) {
                    found.push(differences(without, &left));
                }
                // The nearest of what may be left says most of what is wrong.
                let nearest = found.into_iter().min_by_key(Vec::len).unwrap_or_default();
                (!nearest.is_empty()).then(|| format!("{what}:\n    {}", nearest.join("\n    ")))
            })
        })
        .buffer_unordered(walks)
        .filter_map(|walked| async { walked.unwrap() })
        .collect()
        .await;
    println!("{}: {walks} walks", flow.name);
    assert!(failed.is_empty(), "{} of {walks} walks end otherwise:\n{}", failed.len(), failed.join("\n"));
}

/// The step that may not have happened at all, if one may.
fn may_lack(flow: &Flow, harm: &Harm) -> Option<usize> {
    match harm {
        Harm::Broken { step, then, .. } => {
            let hides = flow.steps[*step].unrepeated == Unrepeated::Hides;
            (hides || *then == Then::Unrepeated).then_some(*step)
        }
        Harm::None | Harm::Left(_) => None,
    }
}

/// Whether polling may find what this harm kept a delivery from telling: the ledger names another source then.
fn is_found(harm: &Harm) -> bool {
    matches!(harm, Harm::Broken { then: Then::Unrepeated, .. })
}

/// Adds a line to the file, which several processes may write: a line is one write.
fn count_up(flow: &str, points: usize, walks: usize) {
    let Some(path) = std::env::var_os(FILE) else { return };
    let line = json!({ "flow": flow, "points": points, "walks": walks }).to_string() + "\n";
    let mut file = File::options().create(true).append(true).open(&path).expect("the file that PULLYARD_WALKED names");
    file.write_all(line.as_bytes()).unwrap();
}

/// Every way in which a flow can break.
///
/// A process that dies before a call leaves what one leaves that dies after the call before it, and a read leaves
/// nothing: those are walked with PULLYARD_WALK=all. With PULLYARD_WALK=none points are only counted.
fn harms(flow: &Flow, points: &[Vec<Point>]) -> Vec<Harm> {
    let asked = std::env::var("PULLYARD_WALK").unwrap_or_default();
    if asked == "none" {
        return Vec::new();
    }
    let is_all = asked == "all";
    let is_whole = is_all || flow.share == Share::Whole;
    let mut all = Vec::new();
    for (step, points) in points.iter().enumerate().filter(|(step, _)| is_all || flow.breaks(&flow.steps[*step])) {
        let thens: &[Then] = match flow.steps[step].unrepeated {
            Unrepeated::Repeated => &[Then::Repeated],
            _ if is_whole => &[Then::Repeated, Then::Unrepeated],
            Unrepeated::Heals | Unrepeated::Told | Unrepeated::AllOrNothing | Unrepeated::Hides => &[Then::Unrepeated],
        };
        for (at, point) in points.iter().enumerate() {
            let broken = |fault, then| Harm::Broken { step, at, call: point.operation.clone(), fault, then };
            let writes = is_all || !is_read(point);
            for then in thens {
                if is_all || at == 0 {
                    all.push(broken(Fault::StopBefore, *then));
                }
                if writes {
                    all.push(broken(Fault::StopAfter, *then));
                }
            }
            // In every flow: what a repeat of the SDK's own meets is what this one's call has just written.
            if writes {
                all.push(broken(Fault::LostAnswer, Then::Repeated));
            }
            // The SDK takes an error of AWS's own for a lost answer; a forge's error is told to the use case.
            if writes && (is_all || !is_aws(point)) {
                all.push(broken(failed_after(point), Then::Repeated));
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
    point.service != "forge"
}

/// It takes effect, and its caller is told that something broke.
fn failed_after(point: &Point) -> Fault {
    match point.service.starts_with("DynamoDB_") {
        true => Fault::internal_error_after_effect(),
        false => Fault::ErrorAfterEffect(503, json!({ "message": "injected" })),
    }
}

fn told(flow: &Flow, harm: &Harm) -> String {
    match harm {
        Harm::None => format!("{}, undisturbed", flow.name),
        Harm::Left(step) => format!("{} without `{}`", flow.name, flow.steps[*step].name),
        Harm::Broken { step, at, call, fault, then } => {
            format!("{}: {fault:?} at call {at} of `{}`, {call}, {then:?}", flow.name, flow.steps[*step].name)
        }
    }
}

async fn prepare(flow: &Flow) -> Snapshot {
    let folder = TempDir::new().unwrap();
    let world = World::begin(&Ground::new().await, Some(folder.path())).await;
    super::base::set_up(&world).await;
    (flow.set_up)(&world).await;
    world.drain().await;
    super::base::taken(world).await
}

/// Runs a flow to its end: what is left, the calls of each step, and the steps with each message as one.
async fn run(flow: &Flow, snapshot: &Snapshot, harm: &Harm) -> (Left, Vec<Vec<Point>>, Vec<Arc<Step>>) {
    let world = World::of(snapshot).await;
    let (mut points, mut steps) = (Vec::new(), Vec::new());
    match harm {
        Harm::None => {
            for step in &flow.steps {
                undisturbed(&world, step, &mut points, &mut steps).await;
            }
            assert_eq!(world.drain().await, 0, "{}: a message that no step delivers", flow.name);
        }
        _ => {
            let mut patience = PATIENCE;
            for (n, step) in flow.steps.iter().enumerate() {
                world.wire.restart(None);
                if matches!(harm, Harm::Left(left) if *left == n) {
                    continue;
                }
                if let Some(Some(call)) = ready(&world, step, &mut patience).await {
                    go(&world, n, step, &call, harm).await;
                }
            }
        }
    }
    world.wire.restart(None);
    rest(&world).await;
    (left::left(&world).await, points, steps)
}

async fn undisturbed(world: &World, step: &Arc<Step>, points: &mut Vec<Vec<Point>>, steps: &mut Vec<Arc<Step>>) {
    let mut done = async |step: Arc<Step>, call: Option<Call>| {
        // What was done to get here is no part of it.
        world.wire.restart(None);
        if let Some(call) = call {
            let invoked = world.invoke(&call).await;
            let is_done = matches!(invoked, Invoked::Done(_));
            assert!(is_done != step.is_refused && is_answer(&step, &invoked), "`{}`: {invoked:?}", step.name);
        }
        points.push(world.wire.points());
        steps.push(step);
    };
    if !matches!(step.does, Does::Messages) {
        let call = begin(world, step).await.unwrap_or_else(|| panic!("`{}` can't be done", step.name));
        return done(Arc::clone(step), call).await;
    }
    loop {
        let mut found = false;
        for (queue, name) in QUEUES {
            while let Some(call) = world.message(queue).await {
                found = true;
                done(Step::message(name, queue).walked(step.walked).into(), Some(call)).await;
            }
        }
        if !found {
            return;
        }
    }
}

/// Time passes until nothing is left to do, and until tasks that came late have found that they were.
async fn rest(world: &World) {
    for round in 0.. {
        world.drain().await;
        if left::is_at_rest(&left::items(world).await) {
            break;
        }
        assert!(round < AT_MOST, "it never rests: {:#?}", left::items(world).await);
        // After a while only what takes long is left.
        world.pass(if round < 10 { ROUND } else { 10 * ROUND }).await;
    }
    if world.has_runners() {
        // One of which nothing is heard any more is Offline in every end.
        for _ in 0..3 {
            world.pass(ROUND).await;
        }
    }
    world.late_tasks_are_refused().await;
}

/// The step's invocation; or it is done without one. None: not yet.
async fn begin(world: &World, step: &Step) -> Option<Option<Call>> {
    match &step.does {
        Does::Call(make) => make(world).map(Some),
        Does::Message(queue) => world.message(queue).await.map(Some),
        Does::Messages => None,
        Does::Sweep => Some(Some(world.tick())),
        Does::Act(act) => act(world).await.then_some(None),
    }
}

/// The same once it can be done, with as much patience as is left. A message may have been delivered already.
async fn ready(world: &World, step: &Step, patience: &mut usize) -> Option<Option<Call>> {
    loop {
        let begun = begin(world, step).await;
        if begun.is_some() || *patience == 0 || matches!(step.does, Does::Message(_)) {
            return begun;
        }
        world.wire.restart(None);
        world.pass(ROUND).await;
        *patience -= 1;
    }
}

/// On a machine that is busy a forge may not have said in time who a review's author is. That is no answer that lasts:
/// it is told again.
fn forge_was_slow(answer: &Value) -> bool {
    answer["code"] == "permission_unknown"
}

/// It is done, or refused in the step's own way.
fn is_answer(step: &Step, invoked: &Invoked) -> bool {
    match invoked {
        Invoked::Done(_) => true,
        Invoked::Failed(why) => step.refusal.is_some_and(|status| why.starts_with(status)),
        Invoked::Died => false,
    }
}

/// Does a step, broken if it is to be.
async fn go(world: &World, n: usize, step: &Step, call: &Call, harm: &Harm) {
    let broken = match harm {
        Harm::Broken { step, at, fault, then, .. } if *step == n => Some((*at, fault.clone(), *then)),
        _ => None,
    };
    let then = broken.as_ref().map_or(Then::Repeated, |(_, _, then)| *then);
    world.wire.restart(broken.as_ref().map(|(at, fault, _)| (*at, fault.clone())));
    let invoked = world.invoke(call).await;
    if let Some((at, fault, _)) = &broken {
        assert!(world.wire.points().len() > *at, "`{}` made no call {at}", step.name);
        let is_stop = matches!(fault, Fault::StopBefore | Fault::StopAfter);
        assert_eq!(matches!(invoked, Invoked::Died), is_stop, "{invoked:?}");
    }
    world.wire.restart(None);
    match (invoked, then) {
        (Invoked::Done(answer), _) if !forge_was_slow(&answer) => {}
        (refused @ Invoked::Failed(_), _) if is_answer(step, &refused) => {}
        (_, Then::Unrepeated) => world.raw.delete_message_of(world.aws.sqs(), call).await,
        (first, Then::Repeated) => {
            if let Invoked::Done(slow) = &first {
                println!("`{}` is told again: {slow}", step.name);
            }
            let again = world.invoke(call).await;
            let is_done = is_answer(step, &again);
            // Undisturbed or not, what was refused once for good is refused again.
            assert!(is_done, "`{}` again: {again:?}; at first {first:?}", step.name);
        }
    }
}
