//! Tests that a daemon's job runs once although the daemon dies at a call, loses an answer, gets none, or is refused by
//! a proxy.
//!
//! Only the first call of each name has a number, because the others depend on the clock. No walk kills the daemon at a
//! heartbeat: its order among the claims depends on the clock too. `api_crash_points` walks a job's process.

use crate::gate::{Break, Fault, Gate, Point};
use crate::prelude::*;
use crate::runner_api::Daemon;
use futures::stream;

const PARALLEL_WALKS: usize = 4;
/// The calls that must occur; there may be more.
const REQUIRED_CALLS: [&str; 3] = ["/v1/runners", "/claim", "/heartbeat"];

async fn start_behind_gate(fault: Option<Fault>) -> (DaemonMachine, Arc<Gate>) {
    let machine = DaemonMachine::with_job_script("echo ran >> $HOME/ran").await;
    let gate = Gate::start(&machine.url, fault).await;
    machine.runner_api.add_jobs(&[job("a")]);
    (machine, gate)
}

fn daemon(machine: &DaemonMachine, gate: &Gate) -> Daemon {
    let url = gate.replace_address(&machine.url);
    machine.daemon_with(|command| {
        command.env("RUNNER_SERVER_URL", url).arg("--once");
        if gate.stalls() {
            command.env("PULLYARD_REQUEST_TIMEOUT_MS", "3000").env("PULLYARD_POLL_TIMEOUT_MS", "3000");
        }
    })
}

async fn run_until_done_once(machine: &DaemonMachine, gate: &Gate) -> Vec<Point> {
    let (code, log) = daemon(machine, gate).wait_for_exit().await;
    let calls = gate.calls();
    assert_eq!(code, Some(0), "{calls:?} {log}");
    assert_eq!(std::fs::read_to_string(machine.dir.path().join("ran")).unwrap(), "ran\n", "{calls:?} {log}");
    assert!(machine.runner_api.has_signed_off(), "{calls:?} {log}");
    calls
}

async fn walk_fault(fault: Fault) {
    let (machine, gate) = start_behind_gate(Some(fault.clone())).await;
    let ((name, number), breaks) = &fault;
    if matches!(breaks, Break::KilledBefore | Break::KilledAfter) {
        let first = daemon(&machine, &gate);
        gate.wait_for_fatal_call().await;
        first.signal(Signal::SIGKILL);
        first.wait_for_exit().await;
    }
    let calls = run_until_done_once(&machine, &gate).await;
    assert!(calls.contains(&(name.clone(), number + 1)), "the call was not repeated: {fault:?} {calls:?}");
}

#[tokio::test]
async fn job_runs_once_despite_a_fault_at_any_daemon_call() {
    let (machine, gate) = start_behind_gate(None).await;
    let calls = run_until_done_once(&machine, &gate).await;
    let points: Vec<Point> = calls.into_iter().filter(|(_, number)| *number == 1).collect();
    println!("{} calls of the control plane: {points:?}", points.len());
    for call in REQUIRED_CALLS {
        assert!(points.iter().any(|(name, _)| name.ends_with(call)), "{call}: {points:?}");
    }
    let all = [Break::KilledBefore, Break::KilledAfter, Break::AfterCall, Break::Refused, Break::Stalls];
    let faults = points.iter().flat_map(|point| all.map(|breaks| (point.clone(), breaks)));
    let walked = faults.filter(|((name, _), breaks)| match breaks {
        Break::KilledBefore | Break::KilledAfter => !name.ends_with("/heartbeat"),
        // The token's name is only for the log, so this call is not repeated after the time limit.
        Break::Stalls => !name.ends_with("/tokens/self"),
        _ => true,
    });
    stream::iter(walked).for_each_concurrent(PARALLEL_WALKS, walk_fault).await;
}
