//! Tests the daemon's claims, job processes and heartbeats.

use crate::api::BOOTSTRAP;
use crate::prelude::*;
use crate::runner_api::{Daemon, RunnerApi, TOKEN, WAIT_FOR_GO_JOB};
use crate::world::World;

/// A world whose control plane also serves runners and offers them its job.
async fn world_with_runner_api() -> (World, RunnerApi, JobId) {
    let mut world = World::with_agent("echo hello > greeting.txt").await;
    let runner_api = RunnerApi::new();
    world.api = Api::start_with(world.api.assignment(), crate::world::TOKEN, runner_api.routes()).await;
    let job = world.api.assignment().job;
    runner_api.add_jobs(std::slice::from_ref(&job));
    (world, runner_api, job)
}

#[tokio::test]
async fn claimed_job_becomes_a_pull_request_under_its_claim() {
    let (world, runner_api, job) = world_with_runner_api().await;
    let daemon = Daemon::start(world.dir.path(), &world.api.url, |command| {
        command.arg("--once");
    });
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(world.api.only_finish().outcome, FinishOutcome::Completed);
    assert!(world.branch_head(BRANCH).is_some());
    let start = &world.api.calls("start")[0].body;
    assert!(runner_api.calls("claim").iter().any(|claim| claim.body["claim_id"] == start["claim_id"]));
    assert_eq!(start["instance"], runner_api.last_call("register").body["instance"]);
    assert!(runner_api.has_signed_off());
    let log = world.work_dir().join(format!("runners/kite.runner/logs/{job}-1.log"));
    assert!(std::fs::read_to_string(&log).unwrap().contains("attempt finished"));
    assert_eq!(std::fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn slots_are_filled_and_never_overfilled() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    machine.runner_api.add_jobs(&[job("a"), job("b"), job("c")]);
    let daemon = machine.daemon_args(&["--slots", "2"]);
    machine.pid_of(&job("a")).await;
    machine.pid_of(&job("b")).await;
    machine.runner_api.wait_for_active_jobs(&[&job("a"), &job("b")]).await;
    // Another heartbeat passes without a claim for a third slot.
    machine.runner_api.wait_for_next_call("heartbeat").await;
    assert_eq!(machine.runner_api.calls("claim").last().map(|_| machine.runner_api.calls("claim").len()), Some(2));
    machine.release_jobs();
    machine.pid_of(&job("c")).await;
    machine.runner_api.wait_for_active_jobs(&[]).await;
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
    let register = machine.runner_api.last_call("register").body;
    assert_eq!(register["isolation"]["level"], "none");
    assert_eq!((register["slots"].as_u64(), register["name"].as_str()), (Some(2), Some("kite")));
}

#[tokio::test]
async fn claim_of_an_ended_job_is_replaced_by_a_new_claim() {
    let machine = DaemonMachine::with_job_script("echo ran >> $HOME/ran; exit 0").await;
    machine.runner_api.script(|script| script.claims_to_spend = 2);
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon_args(&["--once"]);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    let claims: Vec<_> =
        machine.runner_api.calls("claim").iter().map(|call| call.body["claim_id"].to_string()).collect();
    let different: BTreeSet<&String> = claims.iter().collect();
    assert_eq!((claims.len(), different.len()), (3, 3), "{claims:?}");
    assert_eq!(std::fs::read_to_string(machine.dir.path().join("ran")).unwrap(), "ran\n");
}

#[tokio::test]
async fn job_process_never_sees_the_runner_token() {
    let machine = DaemonMachine::with_job_script(
        "tr '\\0' '\\n' < /proc/$$/environ > $HOME/environ
         tr '\\0' '\\n' < /proc/$PPID/environ > $HOME/environ-of-parent 2> $HOME/refused
         cp /proc/$PPID/cmdline $HOME/cmdline; touch $HOME/done",
    )
    .await;
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon_with(|command| {
        command.arg("--once").env("GITHUB_TOKEN", "another-secret").env("AWS_SECRET_ACCESS_KEY", "x");
    });
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
    let environ = wait_for_file(&machine.dir.path().join("environ")).await;
    for secret in [TOKEN, "another-secret", "AWS_SECRET"] {
        assert!(!environ.contains(secret), "{environ}");
    }
    let claim = machine
        .runner_api
        .calls("claim")
        .into_iter()
        .find(|call| environ.contains(call.body["claim_id"].as_str().unwrap()));
    let instance = claim.unwrap().body["instance"].as_str().unwrap().to_owned();
    for line in [
        format!("PULLYARD_API_URL={}", machine.url),
        format!("PULLYARD_JOB={}", job("a")),
        "PULLYARD_ATTEMPT=1".into(),
        format!("PULLYARD_BOOTSTRAP={BOOTSTRAP}"),
        format!("PULLYARD_INSTANCE={instance}"),
        "PULLYARD_ISOLATION=none".into(),
    ] {
        assert!(environ.lines().any(|variable| variable == line), "{line}: {environ}");
    }
    let cmdline = std::fs::read(machine.dir.path().join("cmdline")).unwrap();
    assert!(!String::from_utf8_lossy(&cmdline).contains(TOKEN));
    // Root can read every environment, so this check needs another user.
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(machine.dir.path()).unwrap()) != 0 {
        assert_eq!(std::fs::read_to_string(machine.dir.path().join("environ-of-parent")).unwrap_or_default(), "");
    }
}

#[tokio::test]
async fn undelivered_finish_is_sent_after_the_job_process_died() {
    let (world, runner_api, job) = world_with_runner_api().await;
    world.api.change_script(|script| script.refuse("finish", 503, "busy"));
    let daemon = Daemon::start(world.dir.path(), &world.api.url, |_| ());
    world.api.wait_for(|calls| calls.iter().any(|call| call.route == "finish")).await;
    // The job process dies with the finish on disk.
    let record =
        std::fs::read_to_string(world.work_dir().join(format!("runners/kite.runner/jobs/{job}-1.json"))).unwrap();
    let pid = serde_json::from_str::<serde_json::Value>(&record).unwrap()["pid"].as_i64().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()), Signal::SIGKILL).unwrap();
    runner_api.wait_for_next_call("heartbeat").await;
    runner_api.wait_for_next_call("heartbeat").await;
    assert_eq!(runner_api.last_call("heartbeat").active(), BTreeSet::from([job.to_string()]), "the job is missing");
    world.api.change_script(|script| script.refusals.clear());
    runner_api.wait_for_active_jobs(&[]).await;
    assert!(world.outbox_files().is_empty());
    assert_eq!(world.api.finishes().last().unwrap().outcome, FinishOutcome::Completed);
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait_for_exit().await.0, Some(0));
}
