//! Tests a runner that `setup` configured: it runs a job, and another machine does not take over its name.

use crate::daemon::Machine;
use crate::prelude::*;

impl Machine {
    /// A command of the runner in a home of its own.
    fn runner_command(&self, home: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
        let config = self.path(home).join("runner.env");
        command
            .args(["runner", args[0], "--config"])
            .arg(config)
            .args(&args[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path(home))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn set_up(&self, home: &str) -> (Option<i32>, String) {
        let (work, logs) = (self.path(home).join("work"), self.path(home).join("logs"));
        let folders = ["--work-dir", work.to_str().unwrap(), "--log-dir", logs.to_str().unwrap()];
        let mut args = vec!["setup", "--yes", "--api-url", &self.url, "--name", "kite", "--start-with", "nothing"];
        args.extend(["--isolation", "none"].iter().chain(&folders));
        let mut command = self.runner_command(home, &args);
        let output = command.env("PULLYARD_RUNNER_TOKEN", &self.token.token).output().await.unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!text.contains(&self.token.token), "{text}");
        (output.status.code(), text)
    }
}

/// SIGTERM drains: the daemon ends after its job.
async fn stop(mut daemon: Child) {
    let pid = i32::try_from(daemon.id().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    assert!(daemon.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn runner_that_was_set_up_keeps_its_name_and_copies_logs() {
    let (story, machine) = Story::with_daemons().await;
    let (code, text) = machine.set_up("here").await;
    assert_eq!(code, Some(0), "{text}");
    assert!(story.api.runners(None).await.unwrap().runners.is_empty(), "setup registers nothing");
    let start = || machine.runner_command("here", &["start", "--heartbeat-interval-ms", "1000"]).spawn().unwrap();
    let daemon = start();
    story.wait_for_runner("kite", RunnerStatus::Online, 0).await;
    let (code, text) = machine.set_up("elsewhere").await;
    assert!(code == Some(2) && text.contains("may still run"), "{text}");
    stop(daemon).await;
    story.wait_for_runner("kite", RunnerStatus::Offline, 0).await;
    let (code, text) = machine.set_up("elsewhere").await;
    assert!(code == Some(2) && text.contains("belongs to another runner, which may be asleep"), "{text}");
    assert!(!machine.path("elsewhere").exists());
    let (code, text) = machine.set_up("here").await;
    assert!(code == Some(0) && text.contains("the runner of this file"), "{text}");

    let job = story.create_job("e1", "APP-1", 1).await;
    machine.release_agents();
    let daemon = start();
    story.assert_completed(&job, "APP-1").await;
    stop(daemon).await;
    let copy = machine.path("here").join(format!("logs/kite.runner/{job}-1.log"));
    let copy = std::fs::read_to_string(copy).unwrap();
    assert!(["-- preparing\n", "-- executing\n"].iter().all(|phase| copy.contains(phase)), "{copy}");
}
