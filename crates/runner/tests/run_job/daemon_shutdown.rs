//! Tests how the daemon ends, how a new daemon takes over, and what happens to its jobs.

use crate::prelude::*;
use crate::runner_api::WAIT_FOR_GO_JOB;
use crate::world::is_alive;

#[tokio::test]
async fn drain_claims_nothing_and_waits_for_running_jobs() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon();
    machine.pid_of(&job("a")).await;
    daemon.signal(Signal::SIGTERM);
    machine.runner_api.wait_for_draining().await;
    let claims = machine.runner_api.calls("claim").len();
    machine.runner_api.add_jobs(&[job("b")]);
    let beat = machine.runner_api.wait_for_next_call("heartbeat").await;
    assert_eq!((beat.body["draining"].as_bool(), beat.body["last"].as_bool()), (Some(true), Some(false)));
    assert_eq!(beat.active(), BTreeSet::from([job("a").to_string()]));
    machine.release_jobs();
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(machine.runner_api.has_signed_off());
    assert!(machine.runner_api.last_call("heartbeat").active().is_empty());
    assert_eq!(machine.runner_api.calls("claim").len(), claims);
}

#[tokio::test]
async fn second_signal_stops_running_jobs() {
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
        machine.runner_api.add_jobs(&[job("a")]);
        let daemon = machine.daemon();
        let pid = machine.pid_of(&job("a")).await;
        daemon.signal(signal);
        machine.runner_api.wait_for_draining().await;
        assert!(is_alive(&pid.to_string()));
        daemon.signal(signal);
        let (ended, log) = daemon.wait_for_exit().await;
        assert_eq!(ended, Some(code), "{log}");
        assert!(!is_alive(&pid.to_string()));
        assert!(machine.runner_api.has_signed_off());
    }
}

#[tokio::test]
async fn third_signal_leaves_stubborn_jobs_to_the_next_daemon() {
    let stubborn = WAIT_FOR_GO_JOB.replace("trap 'exit 143' TERM", "trap 'touch $HOME/told' TERM");
    let machine = DaemonMachine::with_job_script(&stubborn).await;
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon();
    let pid = machine.pid_of(&job("a")).await;
    daemon.signal(Signal::SIGTERM);
    machine.runner_api.wait_for_draining().await;
    daemon.signal(Signal::SIGTERM);
    wait_for_file(&machine.dir.path().join("told")).await;
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(143), "{log}");
    assert!(is_alive(&pid.to_string()));
    let last = machine.runner_api.last_call("heartbeat");
    assert!(machine.runner_api.has_signed_off() && last.active() == BTreeSet::from([job("a").to_string()]));

    let daemon = machine.daemon();
    machine.runner_api.wait_for_next_call("heartbeat").await;
    assert_eq!(machine.runner_api.last_call("register").active(), BTreeSet::from([job("a").to_string()]));
    machine.release_jobs();
    machine.runner_api.wait_for_active_jobs(&[]).await;
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
}

#[tokio::test]
async fn restarted_daemon_takes_over_jobs_of_a_killed_one() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    machine.runner_api.add_jobs(&[job("a"), job("b")]);
    let two_slots = |command: &mut tokio::process::Command| {
        command.args(["--slots", "2"]);
    };
    let daemon = machine.daemon_with(two_slots);
    let (a, b) = (machine.pid_of(&job("a")).await, machine.pid_of(&job("b")).await);
    machine.runner_api.wait_for_active_jobs(&[&job("a"), &job("b")]).await;
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit().await;
    assert!(is_alive(&a.to_string()) && is_alive(&b.to_string()));
    // One job ends while no daemon watches.
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(b), Signal::SIGTERM).unwrap();
    while is_alive(&b.to_string()) {
        tokio::task::yield_now().await;
    }

    let first = machine.runner_api.last_call("register").body;
    machine.runner_api.add_jobs(&[job("c"), job("d")]);
    let daemon = machine.daemon_with(two_slots);
    machine.pid_of(&job("c")).await;
    let second = machine.runner_api.last_call("register");
    assert_eq!(second.body["instance"], first["instance"], "not the same instance");
    assert_eq!(second.active(), BTreeSet::from([job("a").to_string()]));
    machine.runner_api.wait_for_active_jobs(&[&job("a"), &job("c")]).await;
    machine.runner_api.wait_for_next_call("heartbeat").await;
    assert!(!machine.dir.path().join(format!("pid-{}", job("d"))).exists(), "started in a used slot");

    // The new daemon also stops jobs of the killed one.
    daemon.signal(Signal::SIGTERM);
    machine.runner_api.wait_for_draining().await;
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(143), "{log}");
    assert!(log.contains(", which is still running"), "{log}");
    assert!(!is_alive(&a.to_string()));
    assert!(machine.runner_api.last_call("heartbeat").active().is_empty());

    machine.release_jobs();
    let daemon = machine.daemon_args(&["--once"]);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
    assert_ne!(machine.runner_api.last_call("register").body["instance"], first["instance"]);
}

#[tokio::test]
async fn unanswered_claim_is_settled_before_a_drain_ends() {
    let machine = DaemonMachine::with_job_script("echo ran >> $HOME/ran").await;
    // More losses than the client repeats, so the daemon sees one failure.
    machine.runner_api.script(|script| {
        script.lost_answers.insert("claim", 4);
    });
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon();
    machine.runner_api.wait_for(|calls| calls.iter().filter(|call| call.route == "claim").count() == 4).await;
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(std::fs::read_to_string(machine.dir.path().join("ran")).unwrap(), "ran\n");
}

#[tokio::test]
async fn drain_by_the_control_plane_ends_when_it_is_withdrawn() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    machine.runner_api.script(|script| script.drain = true);
    let daemon = machine.daemon_with(|command| {
        command.env("RUNNER_POLL_INTERVAL_MS", "100");
    });
    machine.runner_api.wait_for_next_call("heartbeat").await;
    machine.runner_api.wait_for_next_call("heartbeat").await;
    machine.runner_api.add_jobs(&[job("a")]);
    let claims = machine.runner_api.calls("claim").len();
    machine.runner_api.wait_for_next_call("heartbeat").await;
    assert_eq!(machine.runner_api.calls("claim").len(), claims);
    machine.runner_api.script(|script| script.drain = false);
    machine.pid_of(&job("a")).await;
    machine.release_jobs();
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
}

#[tokio::test]
async fn draining_daemon_exits_after_one_claim_with_once() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    machine.runner_api.script(|script| script.drain = true);
    // The first heartbeat is answered before the claim.
    let daemon = machine.daemon_with(|command| {
        command.arg("--once").env("RUNNER_POLL_INTERVAL_MS", "500");
    });
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!((code, machine.runner_api.calls("claim").len()), (Some(0), 1), "{log}");
    assert!(machine.runner_api.has_signed_off());
}

#[tokio::test]
async fn rejected_daemon_waits_for_its_jobs_and_prints_the_reason() {
    for (route, status, code, exit, message) in
        [("claim", 409, "runner_replaced", 3, "replaced this one"), ("heartbeat", 404, "not_found", 5, "was deleted")]
    {
        let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
        machine.runner_api.add_jobs(&[job("a")]);
        let daemon = machine.daemon();
        let pid = machine.pid_of(&job("a")).await;
        machine.runner_api.script(|script| {
            script.refusals.insert(route, (status, code));
        });
        machine.runner_api.wait_for_next_call(route).await;
        // The job runs on; its own lease decides about it.
        assert!(is_alive(&pid.to_string()), "{route} {code}");
        machine.release_jobs();
        let (ended, log) = daemon.wait_for_exit().await;
        assert_eq!(ended, Some(exit), "{route} {code}: {log}");
        assert!(log.contains("error: ") && log.contains(message), "{log}");
    }
}

#[tokio::test]
async fn idle_daemon_exits_after_one_claim_with_once() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let daemon = machine.daemon_args(&["--once"]);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
    assert_eq!(machine.runner_api.calls("claim").len(), 1);
    assert!(machine.runner_api.has_signed_off());
}
