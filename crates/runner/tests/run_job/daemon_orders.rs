//! Tests restarts of the daemon from afar.

use crate::prelude::*;
use crate::runner_api::{Daemon, TOKEN, WAIT_FOR_GO_JOB};
use crate::world::is_alive;
use pullyard_protocol::runner::OrderState;

/// Another program in place of the built one.
pub(crate) fn replace_program(command: &mut Command, program: &Path) {
    let old = std::mem::replace(command, Command::new(program));
    let environment: Vec<_> = old.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
    command.args(old.as_std().get_args()).env_clear().envs(environment).kill_on_drop(true);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
}

fn copy_program(to: &Path) {
    std::fs::copy(env!("CARGO_BIN_EXE_pullyard-runner"), to).unwrap();
}

pub(crate) async fn stop(daemon: Daemon) -> String {
    daemon.signal(Signal::SIGTERM);
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    log
}

#[tokio::test]
async fn restart_keeps_process_id_instance_and_jobs() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    let api = &machine.runner_api;
    api.add_jobs(&[job("a")]);
    let daemon = machine.daemon_args(&["--slots", "2"]);
    let running = machine.pid_of(&job("a")).await;
    api.wait_for_active_jobs(&[&job("a")]).await;
    for number in 1..=2 {
        let id = format!("order-{number}");
        api.order(&id, None);
        assert_eq!(api.wait_for_order(&id).await.state, OrderState::Done);
        let registered = api.calls("register");
        assert_eq!(registered.len(), 1 + number);
        let (first, last) = (&registered[0], &registered[number]);
        assert_eq!(first.body["instance"], last.body["instance"]);
        assert_eq!(last.active(), BTreeSet::from([job("a").to_string()]));
        assert_eq!(last.body["slots"], 2);
    }
    assert!(is_alive(&running.to_string()) && is_alive(&daemon.pid().to_string()));
    machine.release_jobs();
    api.wait_for_active_jobs(&[]).await;
    assert!(!Path::new(&format!("/proc/{running}")).exists(), "the job's process is a zombie");
    api.add_jobs(&[job("b")]);
    machine.pid_of(&job("b")).await;
    let log = stop(daemon).await;
    assert!(log.contains("an administrator orders a restart") && log.contains("took over"), "{log}");
}

#[tokio::test]
async fn failed_check_fails_the_order_and_changes_nothing() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let api = &machine.runner_api;
    api.script(|script| script.protocol = Some(999));
    api.order("o1", None);
    let daemon = machine.daemon();
    let report = api.wait_for_order("o1").await;
    let reason = report.reason.unwrap();
    assert_eq!(report.state, OrderState::Failed);
    assert!(reason.contains("WRONG  server") && reason.contains("protocol 999"), "{reason}");
    api.wait_for_next_call("heartbeat").await;
    assert_eq!(api.calls("register").len(), 1);
    // The next order is independent.
    api.script(|script| script.protocol = None);
    api.order("o2", None);
    assert_eq!(api.wait_for_order("o2").await.state, OrderState::Done);
    stop(daemon).await;
}

#[tokio::test]
async fn restart_as_another_runner_is_refused() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let api = &machine.runner_api;
    let file = machine.dir.path().join("runner.env");
    let daemon = machine.daemon_with(|command| {
        let settings = [("RUNNER_NAME", "kite"), ("PULLYARD_RUNNER_TOKEN", TOKEN), ("PULLYARD_WORK_DIR", "work")];
        let lines = settings.map(|(name, value)| format!("{name}={value}\n"));
        std::fs::write(&file, lines.concat()).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
        for name in ["RUNNER_NAME", "RUNNER_TOKEN", "PULLYARD_WORK_DIR"] {
            command.env_remove(name);
        }
        command.current_dir(machine.dir.path()).arg("--config").arg(&file);
    });
    api.wait_for_next_call("heartbeat").await;
    let before = std::fs::read_to_string(&file).unwrap();
    let other_token = TOKEN.replace("a3f8", "b3f8");
    for (id, old, new, expected) in [
        ("o1", "kite", "gull", "another name, URL or work folder makes another runner"),
        ("o2", "=work", "=elsewhere", "another name, URL or work folder makes another runner"),
        ("o3", TOKEN, other_token.as_str(), "(unauthorized)"),
    ] {
        std::fs::write(&file, before.replace(old, new)).unwrap();
        api.order(id, None);
        let report = api.wait_for_order(id).await;
        let reason = report.reason.unwrap();
        assert!(report.state == OrderState::Failed && reason.contains(expected), "{new}: {reason}");
    }
    // The file counts, not the values of this process.
    std::fs::write(&file, before + "PULLYARD_RUNNER_LABELS=gpu\n").unwrap();
    api.order("o4", None);
    assert_eq!(api.wait_for_order("o4").await.state, OrderState::Done);
    assert_eq!(api.last_call("register").body["labels"], json!(["gpu"]));
    stop(daemon).await;
}

#[tokio::test]
async fn order_of_a_killed_daemon_fails_in_the_next() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let api = &machine.runner_api;
    api.order("o1", None);
    let daemon = machine.daemon();
    api.wait_for(|calls| calls.iter().any(|call| call.body["order"]["state"] == "accepted")).await;
    daemon.signal(Signal::SIGKILL);
    daemon.wait_for_exit().await;
    let daemon = machine.daemon();
    let report = api.wait_for_order("o1").await;
    let reason = Some("The runner or the control plane was started anew; order it again.".to_owned());
    assert_eq!((report.state, report.reason), (OrderState::Failed, reason));
    stop(daemon).await;
}

#[tokio::test]
async fn leaving_daemon_accepts_no_order() {
    let machine = DaemonMachine::with_job_script(WAIT_FOR_GO_JOB).await;
    let api = &machine.runner_api;
    api.add_jobs(&[job("a")]);
    let daemon = machine.daemon();
    machine.pid_of(&job("a")).await;
    daemon.signal(Signal::SIGTERM);
    api.wait_for_draining().await;
    api.order("o1", None);
    for _ in 0..2 {
        api.wait_for_next_call("heartbeat").await;
    }
    assert_eq!(api.last_call("heartbeat").body["order"], Value::Null);
    machine.release_jobs();
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn replaced_program_is_started_and_a_deleted_one_refused() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let api = &machine.runner_api;
    let program = machine.dir.path().join("pullyard-runner");
    copy_program(&program);
    let daemon = machine.daemon_with(|command| replace_program(command, &program));
    api.wait_for_next_call("heartbeat").await;
    std::fs::remove_file(&program).unwrap();
    api.order("o1", None);
    let report = api.wait_for_order("o1").await;
    assert!(report.reason.unwrap().ends_with("pullyard-runner is gone; install the runner again."));
    copy_program(&program);
    api.order("o2", None);
    assert_eq!(api.wait_for_order("o2").await.state, OrderState::Done);
    assert_eq!(std::fs::read_link(format!("/proc/{}/exe", daemon.pid())).unwrap(), program);
    stop(daemon).await;
}
