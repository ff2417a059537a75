//! A daemon's calls of its control plane are numbered: it is killed around each that it waits for, or the answer of each
//! is lost, or what stands between refuses it once. Its one job runs once.
//!
//! Only the first of each name has a number: the others come by the clock. A heartbeat goes out beside the claims, and
//! how far these are when it comes is the clock's, too: nobody is killed there. The calls of a job's own process are in
//! `plane_points`.

use crate::gate::{Breaks, Fault, Gate, Point};
use crate::plane::{Daemon, Machine, job};
use futures::stream::{self, StreamExt};
use nix::sys::signal::Signal;
use std::sync::Arc;

/// Walks at the same time: each is a program, and most of it waits.
const AT_ONCE: usize = 4;
/// What they are: there may be more, and not fewer.
const LEAST: [&str; 3] = ["/v1/runners", "/claim", "/heartbeat"];

/// A machine with a job, and its control plane by another address.
async fn behind_a_gate(fault: Option<Fault>) -> (Machine, Arc<Gate>) {
    let machine = Machine::with_jobs("echo ran >> $HOME/ran").await;
    let gate = Gate::before(&machine.url, fault).await;
    machine.plane.give(&[job("a")]);
    (machine, gate)
}

fn daemon(machine: &Machine, gate: &Gate) -> Daemon {
    let url = gate.in_place_of(&machine.url);
    machine.daemon_with(|command| {
        command.env("RUNNER_SERVER_URL", url).arg("--disconnect-after-job");
    })
}

/// The calls until a daemon's job has run, once.
async fn runs_once(machine: &Machine, gate: &Gate) -> Vec<Point> {
    let (code, log) = daemon(machine, gate).end().await;
    let calls = gate.calls();
    assert_eq!(code, Some(0), "{calls:?} {log}");
    assert_eq!(std::fs::read_to_string(machine.dir.path().join("ran")).unwrap(), "ran\n", "{calls:?} {log}");
    assert!(machine.plane.was_left(), "{calls:?} {log}");
    calls
}

async fn walk(fault: Fault) {
    let (machine, gate) = behind_a_gate(Some(fault.clone())).await;
    let ((name, number), breaks) = &fault;
    if matches!(breaks, Breaks::KilledBefore | Breaks::KilledAfter) {
        let first = daemon(&machine, &gate);
        gate.reached().await;
        first.signal(Signal::SIGKILL);
        first.end().await;
    }
    let calls = runs_once(&machine, &gate).await;
    assert!(calls.contains(&(name.clone(), number + 1)), "it was not made again: {fault:?} {calls:?}");
}

#[tokio::test]
async fn a_daemons_job_runs_once_whichever_call_of_its_control_plane_it_dies_at_or_gets_no_answer_to() {
    let (machine, gate) = behind_a_gate(None).await;
    let calls = runs_once(&machine, &gate).await;
    let points: Vec<Point> = calls.into_iter().filter(|(_, number)| *number == 1).collect();
    println!("{} calls of the control plane: {points:?}", points.len());
    for one in LEAST {
        assert!(points.iter().any(|(name, _)| name.ends_with(one)), "{one}: {points:?}");
    }
    let all = [Breaks::KilledBefore, Breaks::KilledAfter, Breaks::Lost, Breaks::Refused];
    let faults = points.iter().flat_map(|point| all.map(|breaks| (point.clone(), breaks)));
    let walked = faults.filter(|((name, _), breaks)| {
        matches!(breaks, Breaks::Lost | Breaks::Refused) || !name.ends_with("/heartbeat")
    });
    stream::iter(walked).for_each_concurrent(AT_ONCE, walk).await;
}
