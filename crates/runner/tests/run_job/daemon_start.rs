//! Tests the daemon's start: invalid settings, refused registrations, and the commands `check` and `config`.

use crate::prelude::*;
use crate::runner_api::TOKEN;
#[cfg(target_os = "linux")]
use crate::stops::can_mount;

#[tokio::test]
async fn refused_registration_prints_a_reason_and_exit_code() {
    for (status, code, exit, message) in
        [(409, "name_taken", 3, "another token"), (401, "unauthorized", 4, "runner token")]
    {
        let machine = DaemonMachine::with_job_script("exit 0").await;
        machine.runner_api.script(|script| {
            script.refusals.insert("register", (status, code));
        });
        let (ended, log) = machine.daemon().wait_for_exit().await;
        assert_eq!(ended, Some(exit), "{code}: {log}");
        assert!(log.contains(message), "{code}: {log}");
        assert!(machine.runner_api.calls("claim").is_empty());
    }
}

#[tokio::test]
async fn second_daemon_with_the_same_name_is_refused() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let first = machine.daemon();
    machine.runner_api.wait_for_next_call("heartbeat").await;
    let (code, log) = machine.daemon().wait_for_exit().await;
    assert_eq!(code, Some(3), "{log}");
    assert!(log.contains("another process on this machine"), "{log}");
    let other = machine.daemon_args(&["--name", "gull", "--once"]);
    assert_eq!(other.wait_for_exit().await.0, Some(0));
    first.signal(Signal::SIGTERM);
    assert_eq!(first.wait_for_exit().await.0, Some(0));
}

/// Mounts a work folder with little space, starts the daemon, frees the space, and starts the daemon again.
#[cfg(target_os = "linux")]
const LOW_SPACE_SCRIPT: &str = "
    mount -t tmpfs -o size=1m,mode=700 tmpfs $PULLYARD_WORK_DIR || exit 99
    head -c 1000k /dev/zero > $PULLYARD_WORK_DIR/big
    \"$@\"; echo \"first exit: $?\"; rm $PULLYARD_WORK_DIR/big; exec \"$@\"";

#[cfg(target_os = "linux")]
#[tokio::test]
async fn once_without_space_signs_off_and_can_be_repeated() {
    if !can_mount() {
        return;
    }
    let namespace = ["--user", "--map-root-user", "--mount"];
    let machine = DaemonMachine::with_job_script("exit 0").await;
    std::fs::create_dir_all(machine.work_dir()).unwrap();
    let (code, output) = run_command(&machine, &["start", "--once"], |command| {
        command.env("RUNNER_NAME", "kite");
        let runner = std::mem::replace(command, Command::new("unshare"));
        let (program, args) = (runner.as_std().get_program(), runner.as_std().get_args());
        let environment = runner.as_std().get_envs().filter_map(|(name, value)| Some((name, value?)));
        command.args(namespace).args(["sh", "-c", LOW_SPACE_SCRIPT, "sh"]).arg(program).args(args);
        command.env_clear().envs(environment);
    })
    .await;
    assert!(output.contains("first exit: 1\n") && output.contains("disk has too little space: "), "{output}");
    assert_eq!((code, machine.runner_api.calls("claim").len()), (Some(0), 1), "{output}");
    // The second process is a new instance, because the first one has left.
    let instances = |route, is_last| -> BTreeSet<String> {
        let calls = machine.runner_api.calls(route).into_iter();
        calls.filter(|call| call.has_flag("last") == is_last).map(|call| call.body["instance"].to_string()).collect()
    };
    let registered = instances("register", false);
    assert_eq!((registered.len(), instances("heartbeat", true)), (2, registered), "{output}");
}

#[tokio::test]
async fn registration_contains_the_configured_values() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon_with(|command| {
        command.args(["--once", "--labels", "gpu, eu"]).env("RUNNER_USER_ID", "1");
    });
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("RUNNER_USER_ID is ignored"), "{log}");
    let register = machine.runner_api.last_call("register").body;
    assert_eq!(register["labels"], serde_json::json!(["eu", "gpu"]));
    assert_eq!(register["capabilities"], serde_json::json!(["command"]));
    assert_eq!(register["slots"], 3);
}

async fn run_command(
    machine: &DaemonMachine,
    args: &[&str],
    change: impl FnOnce(&mut Command),
) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard-runner"));
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", machine.dir.path())
        .env("RUNNER_SERVER_URL", &machine.url)
        .env("RUNNER_TOKEN", TOKEN)
        .env("PULLYARD_WORK_DIR", machine.work_dir())
        .env("PULLYARD_ISOLATION", "none");
    change(&mut command);
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains(TOKEN), "{text}");
    (output.status.code(), text)
}

#[tokio::test]
async fn config_shows_each_value_with_its_source() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let (code, output) = run_command(&machine, &["config", "--slots", "2"], |_| ()).await;
    assert_eq!(code, Some(0), "{output}");
    let has = |parts: &[&str]| {
        output.lines().any(|line| parts.iter().all(|part| line.split_whitespace().any(|word| word == *part)))
    };
    assert!(has(&["slots", "2", "--slots"]), "{output}");
    assert!(has(&["api-url", &machine.url, "RUNNER_SERVER_URL"]), "{output}");
    assert!(has(&["token", "rnt_a3f8…", "RUNNER_TOKEN"]), "{output}");
    assert!(has(&["keep-logs", "50", "default"]), "{output}");
    let (code, _) = run_command(&machine, &["config", "--slots", "99"], |_| ()).await;
    assert_eq!(code, Some(2));
}

#[tokio::test]
async fn check_reports_problems_and_registers_nothing() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    // Everything is valid.
    let (code, output) = run_command(&machine, &["check"], |_| ()).await;
    assert_eq!(code, Some(0), "{output}");
    assert_eq!(output.lines().filter(|line| line.starts_with("WRONG")).count(), 0, "{output}");
    assert!(output.contains("git version") && output.contains("GiB"), "{output}");
    let (code, output) = run_command(&machine, &["check"], |command| {
        command.env("PULLYARD_ISOLATION", "maybe").env_remove("RUNNER_TOKEN");
    })
    .await;
    assert_eq!((code, output.lines().filter(|line| line.starts_with("WRONG")).count()), (Some(1), 3), "{output}");
    assert!(machine.runner_api.calls("register").is_empty());
    let (code, output) = run_command(&machine, &["version"], |_| ()).await;
    assert_eq!((code, output.contains("protocol 5")), (Some(0), true));
}

#[tokio::test]
async fn forge_token_reaches_jobs_and_a_label_only() {
    let machine = DaemonMachine::with_job_script("env > $HOME/env.draft; mv $HOME/env.draft $HOME/env").await;
    machine.runner_api.add_jobs(&[job("a")]);
    let daemon = machine.daemon_with(|command| {
        command.args(["--once", "--agent-profile", "job"]).env("GITHUB_TOKEN", "planted-token");
        command.env("PULLYARD_FORGE_API_URL", "https://api.github.com/");
    });
    let (code, log) = daemon.wait_for_exit().await;
    assert_eq!((code, log.contains("planted-token")), (Some(0), false), "{log}");
    let register = machine.runner_api.last_call("register").body;
    assert_eq!(register["labels"], serde_json::json!(["forge-token"]));
    assert!(!register.to_string().contains("planted-token"));
    let environment = std::fs::read_to_string(machine.dir.path().join("env")).unwrap();
    for line in ["PULLYARD_FORGE_TOKEN=planted-token", "PULLYARD_FORGE_API_URL=https://api.github.com"] {
        assert!(environment.lines().any(|variable| variable == line), "{environment}");
    }
    // Another program's token alone has no effect, and neither has the label.
    let daemon = machine.daemon_with(|command| {
        command.args(["--once", "--labels", "forge-token"]).env("GITHUB_TOKEN", "planted-token");
    });
    let (_, log) = daemon.wait_for_exit().await;
    assert!(log.contains("forge-token is ignored: this label needs a token in PULLYARD_FORGE_TOKEN"), "{log}");
    assert_eq!(machine.runner_api.last_call("register").body["labels"], serde_json::json!([]));
}

#[tokio::test]
async fn check_tests_the_forge_token() {
    let machine = DaemonMachine::with_job_script("exit 0").await;
    let world = crate::world::World::with_agent("true").await;
    let url = world.api.assignment().repository.api_url;
    for (token, expected) in
        [(crate::world::TOKEN, "accepts it as pullyard-bot"), ("other-token", "WRONG  forge token")]
    {
        let (code, output) = run_command(&machine, &["check", "--forge-api-url", &url], |command| {
            command.env("PULLYARD_FORGE_TOKEN", token);
        })
        .await;
        assert_eq!(code, Some(u8::from(token == "other-token").into()), "{output}");
        assert!(output.contains(expected) && !output.contains(token), "{output}");
    }
}

#[tokio::test]
async fn host_profile_needs_a_token_for_one_runner() {
    let machine = DaemonMachine::with_job_script("echo $PULLYARD_AGENT_PROFILE > $HOME/profile").await;
    machine.runner_api.add_jobs(&[job("a")]);
    let (code, log) = machine.daemon_args(&["--agent-profile", "host"]).wait_for_exit().await;
    assert!(code == Some(2) && log.contains("needs a sandbox"), "{log}");
    let args = ["--once", "--agent-profile", "host", "--isolation", "external"];
    let start = || machine.daemon_args(&args).wait_for_exit();
    let (code, log) = start().await;
    assert!(code == Some(2) && log.contains("limited to one runner"), "{log}");
    let (_, output) = run_command(&machine, &["check", "--agent-profile", "host"], |_| ()).await;
    assert!(output.contains("WRONG  token's limits") && output.contains("limited to one runner"), "{output}");
    machine.runner_api.script(|script| script.only_name = Some("kite"));
    let (code, log) = start().await;
    assert_eq!(code, Some(0), "{log}");
    assert_eq!(std::fs::read_to_string(machine.dir.path().join("profile")).unwrap(), "host\n");
}
