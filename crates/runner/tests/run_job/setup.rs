//! Tests `setup` and the file that it writes, as users do: in a terminal, and in scripts.

mod terminal;

use crate::prelude::*;
use crate::runner_api::TOKEN;
use std::fs;
use terminal::{SetupMachine, Terminal};

const MARK: &str = "# Written by `pullyard-runner setup`, which replaces this file when it runs again.";

/// The questions, each with a correct answer and the end of its result.
async fn answer_all(machine: &SetupMachine, terminal: &mut Terminal, count: usize) {
    let logs = machine.path("logs").display().to_string();
    let answers = [
        ("API URL: ", machine.url.as_str(), "answers: Pullyard 0.1.0"),
        ("Runner token", TOKEN, "valid for acme, shop"),
        ("Name [", "kite", "free"),
        ("Start with ", "systemd", "a unit of this user"),
        ("Anthropic API key", "sk-good", "Anthropic accepts the key"),
        ("Forge token", "", "none: "),
        ("Jobs at once [3]: ", "", "accepted"),
        ("Isolation [auto]: ", "none", "none: "),
        ("Folder for copies of job logs [none]: ", &logs, "writable"),
    ];
    for (question, answer, result) in answers.into_iter().take(count) {
        terminal.answer(question, answer, result).await;
    }
}

/// Replaces what differs between machines.
fn normalize(machine: &SetupMachine, text: &str) -> String {
    text.replace(&machine.url, "URL").replace(machine.home.path().to_str().unwrap(), "HOME").replace(TOKEN, "TOKEN")
}

const ENV_FILE: &str = "\
ANTHROPIC_API_KEY=sk-good
ANTHROPIC_BASE_URL=URL
PATH=HOME/bin:/usr/bin:/bin
PULLYARD_API_URL=URL
PULLYARD_FORGE_API_URL=URL
PULLYARD_FORGE_TOKEN=ghp_good
PULLYARD_ISOLATION=none
PULLYARD_LOG_DIR=HOME/logs
PULLYARD_RUNNER_NAME=kite
PULLYARD_RUNNER_SLOTS=3
PULLYARD_RUNNER_TOKEN=TOKEN
PULLYARD_WORK_DIR=HOME/.local/state/pullyard-runner
";

const UNIT: &str = "\
[Unit]
Description=Pullyard runner

[Service]
ExecStart=HOME/bin/pullyard-runner start --config HOME/.config/pullyard-runner/runner.env
Restart=on-failure
RestartSec=15
# Wrong settings and refused tokens need a person.
RestartPreventExitStatus=2 4 5
# Jobs outlive the daemon.
KillMode=process
# A job that uses up the memory does not end the runner.
OOMPolicy=continue
# `systemctl stop` drains: the time of the longest job.
TimeoutStopSec=2h

[Install]
WantedBy=default.target
";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_answers_are_asked_again_until_the_runner_is_online() {
    let machine = SetupMachine::start().await;
    let mut terminal = machine.terminal(&["setup"], &[("PULLYARD_FORGE_API_URL", machine.url.as_str())]);
    terminal.answer("API URL: ", "", "An answer is necessary").await;
    terminal.answer("API URL: ", "nonsense", "is not a URL").await;
    terminal.answer("API URL: ", "http://127.0.0.1:9", "failed to").await;
    terminal.answer("API URL: ", &machine.url, "answers: Pullyard 0.1.0").await;
    terminal.answer("Runner token", "pyt_mine", "not a runner token").await;
    terminal.answer("Runner token", "rnt_unknown", "unknown, revoked or expired").await;
    terminal.answer("Runner token", TOKEN, "valid for acme, shop").await;
    terminal.answer("Name [", "a b", "not a valid runner name").await;
    machine.runner_api.script(|script| script.refusals.extend([("check", (409, "name_taken"))]));
    terminal.answer("Name [", "kite", "No.").await;
    machine.runner_api.script(|script| script.refusals.clear());
    terminal.answer("Name [", "kite", "free").await;
    terminal.answer("Start with ", "cron", "one of these names").await;
    terminal.answer("[systemd]: ", "", "for one of the machine, install the program as root").await;
    terminal.expect("Claude Code 2.1.330").await;
    terminal.answer("Anthropic API key", "sk-bad", "does not accept the key").await;
    terminal.answer("Anthropic API key", "sk-$HOME", "contains '$'").await;
    terminal.answer("Anthropic API key", "sk-good", "accepts the key").await;
    terminal.answer("Forge token", "ghp_bad", "failed to sign in to ").await;
    terminal.answer("Forge token", "ghp_$", "contains '$'").await;
    machine.runner_api.script(|script| script.serves_all = true);
    terminal.answer("Forge token", "ghp_good", "one that is limited to named projects").await;
    machine.runner_api.script(|script| script.serves_all = false);
    terminal.answer("Forge token", "ghp_good", "accepts it as ana").await;
    terminal.answer("Jobs at once [3]: ", "99", "whole number from 1 to 12").await;
    terminal.answer("Jobs at once [3]: ", "", "accepted").await;
    terminal.answer("Isolation [auto]: ", "jail2", "no isolation level").await;
    terminal.answer("Isolation [auto]: ", "none", "none: ").await;
    terminal.answer("job logs [none]: ", "logs", "absolute path").await;
    terminal.answer("job logs [none]: ", "/proc/logs", "cannot write into /proc").await;
    terminal.answer("job logs [none]: ", machine.path("logs").to_str().unwrap(), "writable").await;
    // Nothing has happened before the confirmation.
    terminal.expect("Continue? [y/N]: ").await;
    assert!(!machine.env_file().exists() && !machine.path(".local").exists() && !machine.path("logs").exists());
    let log = || fs::read_to_string(machine.path("systemctl.log")).unwrap();
    assert!(log().lines().all(|line| line.ends_with("show-environment")), "{}", log());
    terminal.send("y\n");
    let (code, screen, echoes) = terminal.wait().await;
    assert_eq!((code, echoes), (Some(0), true), "{screen}");
    machine.stop_daemon();
    assert!(
        screen.contains("kite is online with 3 slots. Stop it with `systemctl --user stop pullyard-runner`."),
        "{screen}"
    );
    assert!(screen.contains("It stops at your logout, unless `loginctl enable-linger` was run."), "{screen}");
    assert!(!screen.contains(TOKEN) && !screen.contains("sk-") && !screen.contains("ghp_"), "{screen}");
    let written = |path| normalize(&machine, &fs::read_to_string(path).unwrap());
    assert_eq!(written(machine.env_file()), format!("{MARK}\n{ENV_FILE}"));
    assert_eq!(written(machine.unit()), format!("{MARK}\n{UNIT}"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = [&machine.env_file(), machine.env_file().parent().unwrap(), &machine.unit()].map(mode);
    assert_eq!(modes, [0o600, 0o700, 0o644]);
    let commands: Vec<String> =
        log().lines().filter(|line| !line.ends_with("show-environment")).map(str::to_owned).collect();
    assert_eq!(
        commands,
        ["--user daemon-reload", "--user enable pullyard-runner", "--user restart --no-block pullyard-runner"]
    );
    let registered = machine.runner_api.last_call("register").body;
    assert_eq!((&registered["name"], &registered["slots"]), (&json!("kite"), &json!(3)));
    assert_eq!(
        registered["capabilities"],
        json!(["auto", "claude_code", "command"]),
        "the daemon has the file's key and PATH"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupt_at_each_question_leaves_no_file() {
    let machine = SetupMachine::start().await;
    let questions =
        ["API URL", "Runner token", "Name [", "Start with", "Anthropic API key", "Forge token", "Jobs at once"];
    let questions = questions.into_iter().chain(["Isolation [", "Folder for copies", "Continue?"]);
    for (count, question) in questions.enumerate() {
        let mut terminal = machine.terminal(&["setup"], &[]);
        answer_all(&machine, &mut terminal, count).await;
        terminal.expect(question).await;
        terminal.expect(": ").await;
        terminal.send("\u{3}");
        terminal.expect("Nothing was changed").await;
        let (code, screen, echoes) = terminal.wait().await;
        assert_eq!((code, echoes), (Some(130), true), "{count}: {screen}");
        let mut left: Vec<_> =
            fs::read_dir(machine.home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        left.retain(|name| name != "systemctl.log");
        assert_eq!(left, ["bin"], "{count}");
    }
    assert!(machine.runner_api.calls("register").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn second_setup_offers_the_present_answers() {
    let machine = SetupMachine::start().await;
    let token = [("PULLYARD_RUNNER_TOKEN", TOKEN)];
    let first = ["setup", "--yes", "--api-url", &machine.url, "--name", "kite", "--isolation", "none", "--slots", "2"];
    let (code, output) = machine.run(&[first.as_slice(), &["--start-with", "nothing"]].concat(), &token).await;
    assert_eq!(code, Some(0), "{output}");
    let text = fs::read_to_string(machine.env_file()).unwrap();
    machine.write(&machine.env_file(), &format!("{text}PULLYARD_RUNNER_LABELS=gpu\n"));

    let mut terminal = machine.terminal(&["setup", "--slots", "4"], &[]);
    let url = format!("API URL [{}]: ", machine.url);
    terminal.answer(&url, "http://127.0.0.1:9", "The present file configures kite at").await;
    terminal.answer(&url, "", "answers").await;
    terminal.answer("[unchanged]: ", "", "valid for").await;
    terminal.answer("Name [kite]: ", "gull", "The present file configures kite").await;
    terminal.answer("Name [kite]: ", "", "free").await;
    terminal.answer("[nothing]: ", "", "no service").await;
    terminal.answer("Anthropic API key", "", "no key").await;
    terminal.expect("If each project has a key, use --capabilities claude_code,auto,command.").await;
    terminal.answer("Forge token", "", "none: ").await;
    terminal.expect("Jobs at once: accepted").await;
    terminal.answer("Isolation [none]: ", "", "none: ").await;
    terminal.answer("job logs [none]: ", "", "no copies").await;
    terminal.answer("Continue? [y/N]: ", "y", "Start kite with").await;
    assert_eq!(terminal.wait().await.0, Some(0));
    let text = fs::read_to_string(machine.env_file()).unwrap();
    for line in ["PULLYARD_RUNNER_SLOTS=4", "PULLYARD_RUNNER_LABELS=gpu", &format!("PULLYARD_RUNNER_TOKEN={TOKEN}")] {
        assert!(text.lines().any(|own| own == line), "{line}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_others_are_refused_and_unchanged() {
    let machine = SetupMachine::start().await;
    let token = [("PULLYARD_RUNNER_TOKEN", TOKEN)];
    let setup = ["setup", "--yes", "--api-url", &machine.url, "--name", "kite", "--isolation", "none"];
    let nothing = [setup.as_slice(), &["--start-with", "nothing"]].concat();
    let setup = [setup.as_slice(), &["--start-with", "systemd"]].concat();
    let check = async |path: &Path, text: &str, part: &str| {
        machine.write(path, text);
        let (code, output) = machine.run(&setup, &token).await;
        assert_eq!(code, Some(2), "{output}");
        assert!(output.contains(part) && output.contains(path.to_str().unwrap()), "{output}");
        assert_eq!(fs::read_to_string(path).unwrap(), text);
        fs::remove_file(path).unwrap();
    };
    check(&machine.env_file(), "PULLYARD_RUNNER_NAME=gull\n", "is not a file of `pullyard-runner setup`").await;
    check(&machine.unit(), "[Service]\nExecStart=/bin/true\n", "is not a file of `pullyard-runner setup`").await;
    let other = format!("{MARK}\n[Service]\nExecStart=/bin/runner start --config /srv/gull/runner.env\n");
    check(&machine.unit(), &other, "starts a runner with other settings").await;
    machine.write(&machine.path("fail-daemon-reload"), "");
    let (code, output) = machine.run(&setup, &token).await;
    assert_eq!(code, Some(1), "{output}");
    let (code, text) = machine.run(&nothing, &token).await;
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("Run `systemctl --user disable --now pullyard-runner` and `rm "), "{text}");
    for part in ["`systemctl --user daemon-reload` failed", "Done before: wrote", "run `setup` again"] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn script_gets_a_reason_for_each_refused_setting() {
    let machine = SetupMachine::start().await;
    let url = machine.url.clone();
    let check = async |args: &[&str], variables: &[(&str, &str)], parts: &[&str]| {
        let (code, output) = machine.run(&[&["setup", "--isolation", "none"], args].concat(), variables).await;
        assert_eq!(code, Some(2), "{output}");
        assert!(parts.iter().all(|part| output.contains(part)) && !output.contains(TOKEN), "{parts:?}: {output}");
        assert!(!machine.path(".config").exists() && !machine.path(".local").exists());
    };
    let token = [("RUNNER_TOKEN", TOKEN)];
    check(&[], &[], &["no terminal for questions. Use --yes"]).await;
    check(&["--yes"], &[], &["A setting is missing. Set --api-url or PULLYARD_API_URL"]).await;
    check(&["--yes", "--api-url", &url], &[], &["A setting is missing. Set PULLYARD_RUNNER_TOKEN"]).await;
    check(&["--yes", "--api-url", &url, "--slots", "0"], &token, &["PULLYARD_RUNNER_SLOTS is 0", "from 1 to 12"]).await;
    check(&["--yes", "--api-url", &url, "--poll-timeout-ms", "0"], &token, &["PULLYARD_POLL_TIMEOUT_MS is 0"]).await;
    check(&["--yes", "--api-url", &url], &[token[0], ("HTTPS_PROXY", "http://a:b$c@d")], &["HTTPS_PROXY contains '$'"])
        .await;
    check(&["--yes", "--api-url", &url, "--token-file", "/nowhere"], &[], &["`setup` stores the token itself"]).await;
    check(&["--yes", "--api-url", &url, "--config", "none"], &token, &["setup needs a file"]).await;
    machine.runner_api.script(|script| script.only_name = Some("gull"));
    check(&["--yes", "--api-url", &url, "--name", "kite"], &token, &["only for the runner gull"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn print_shows_files_without_secrets_and_writes_nothing() {
    let machine = SetupMachine::start().await;
    let variables = [
        ("PULLYARD_RUNNER_TOKEN", TOKEN),
        ("ANTHROPIC_API_KEY", "sk-good"),
        ("PULLYARD_FORGE_TOKEN", "ghp_good"),
        ("PULLYARD_FORGE_API_URL", machine.url.as_str()),
        ("HTTPS_PROXY", "http://me:pw1234@127.0.0.1:9"),
        ("NO_PROXY", "127.0.0.1"),
        ("OVERSIGHT_CLI", "claude"),
    ];
    let setup = ["setup", "--yes", "--print", "--api-url", &machine.url, "--name", "kite", "--isolation", "none"];
    let setup = [setup.as_slice(), &["--start-with", "systemd"]].concat();
    let (code, output) = machine.run(&setup, &variables).await;
    assert_eq!(code, Some(0), "{output}");
    for secret in [TOKEN, "sk-good", "ghp_good", "pw1234"] {
        assert!(!output.contains(secret), "{output}");
    }
    let output = normalize(&machine, &output);
    let expected = format!(
        "\
# Will write HOME/.config/systemd/user/pullyard-runner.service (0644)
{MARK}
{UNIT}
# Will write HOME/.config/pullyard-runner/runner.env (0600)
{MARK}
ANTHROPIC_API_KEY=…
ANTHROPIC_BASE_URL=URL
HTTPS_PROXY=http://me:…@127.0.0.1:9
NO_PROXY=127.0.0.1
PATH=HOME/bin:/usr/bin:/bin
PULLYARD_API_URL=URL
PULLYARD_FORGE_API_URL=URL
PULLYARD_FORGE_TOKEN=…
PULLYARD_ISOLATION=none
PULLYARD_RUNNER_CAPABILITIES=claude_code,command
PULLYARD_RUNNER_NAME=kite
PULLYARD_RUNNER_SLOTS=3
PULLYARD_RUNNER_TOKEN=…
PULLYARD_WORK_DIR=HOME/.local/state/pullyard-runner

# Will create HOME/.local/state/pullyard-runner
$ systemctl --user daemon-reload
$ systemctl --user enable pullyard-runner
$ systemctl --user restart --no-block pullyard-runner
# A project uses its runners after `pullyard settings set compute=runners`.
"
    );
    assert!(output.starts_with(&expected), "{output}");
    let forge = [("PULLYARD_FORGE_TOKEN", "ghp_good"), ("PULLYARD_FORGE_API_URL", "http://127.0.0.1:9")];
    let (code, output) = machine.run(&setup, &[&variables[..1], &forge].concat()).await;
    assert!(code == Some(0) && output.contains("not verified: failed to reach "), "{output}");
    assert!(!machine.path(".config").exists() && !machine.path(".local").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn config_names_the_file_and_refuses_an_open_one() {
    let machine = SetupMachine::start().await;
    let file = machine.env_file();
    machine.write(&file, &format!("PULLYARD_RUNNER_SLOTS=5\nRUNNER_NAME=kite\nPULLYARD_RUNNER_TOKEN={TOKEN}\n"));
    let check = async |args: &[&str], variables: &[(&str, &str)], code: i32, parts: &[&str]| {
        let (exit, output) = machine.run(&[&["config"], args].concat(), variables).await;
        let lines: Vec<String> =
            output.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(exit, Some(code), "{output}");
        assert!(parts.iter().all(|part| lines.iter().any(|line| line.contains(part))), "{parts:?}: {output}");
    };
    let url = [("RUNNER_SERVER_URL", machine.url.as_str()), ("PULLYARD_ISOLATION", "none")];
    let token = [("PULLYARD_RUNNER_TOKEN", TOKEN)];
    let source = format!("in {}", file.display());
    let slots = format!("slots 5 PULLYARD_RUNNER_SLOTS {source}");
    let name = format!("name kite RUNNER_NAME {source}");
    check(&[], &url, 0, &[&slots, &name, &format!("token rnt_a3f8… PULLYARD_RUNNER_TOKEN {source}")]).await;
    let variables = [url.as_slice(), &[("RUNNER_MAX_CONCURRENT_JOBS", "6")]].concat();
    check(&["--name", "gull"], &variables, 0, &["slots 6 RUNNER_MAX_CONCURRENT_JOBS", "name gull --name"]).await;
    check(&["--config", "none"], &[url.as_slice(), &token].concat(), 0, &["slots 1 default"]).await;
    check(&["--config", "/nowhere/runner.env"], &url, 2, &["There is no file /nowhere/runner.env"]).await;
    machine.write(&file, "PULLYARD_RUNNER_SLOT=5\n");
    let unknown = format!("line 1 of {} is ignored: this release has no such variable", file.display());
    check(&[], &[url.as_slice(), &token].concat(), 0, &[&unknown, "slots 1 default"]).await;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    check(&[], &url, 2, &["because other users may read or write it. Run `chmod 600"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_present_file_keeps_its_name() {
    let machine = SetupMachine::start().await;
    let check = async |way: &str, is_online: bool, code: i32, part: &str| {
        let present = BTreeMap::from([("kite".to_owned(), ("other".to_owned(), is_online))]);
        machine.runner_api.script(|script| script.runners = present);
        let setup = ["setup", "--yes", "--api-url", &machine.url, "--name", "kite", "--isolation", "none"];
        let print: &[&str] = if part.contains("restarts") { &[] } else { &["--print"] };
        let setup = [setup.as_slice(), &["--start-with", way], print].concat();
        let (exit, output) = machine.run(&setup, &[("PULLYARD_RUNNER_TOKEN", TOKEN)]).await;
        assert!(exit == Some(code) && output.contains(part), "{way} {is_online} {part}: {output}");
    };
    for is_online in [true, false] {
        check("nothing", is_online, 2, "No.").await;
    }
    let settings = format!("{MARK}\nPULLYARD_API_URL={}\nPULLYARD_RUNNER_NAME=kite\n", machine.url);
    machine.write(&machine.env_file(), &settings);
    for is_online in [true, false] {
        check("nothing", is_online, 0, "the runner of this file").await;
    }
    check("systemd", false, 0, "the runner of this file").await;
    check("nothing", true, 0, "kite runs with earlier settings until it restarts; without a service, stop it").await;
    check("systemd", true, 2, "kite runs already, and not as the service of").await;
    let unit = format!("{MARK}\n[Service]\nExecStart=x start --config {}\n", machine.env_file().display());
    machine.write(&machine.unit(), &unit);
    check("systemd", true, 2, "kite runs already, and not as the service of").await;
    // The unit has a process.
    machine.write(&machine.path("daemon.pid"), "7\n");
    check("systemd", true, 0, "kite restarts after its running jobs. Its log: `journalctl --user").await;
    machine.stop_daemon();
    machine.runner_api.script(|script| script.refusals.extend([("check", (409, "name_taken"))]));
    check("systemd", true, 2, "No.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn second_setup_needs_the_proxies_and_keeps_the_path() {
    let machine = SetupMachine::start().await;
    let file = format!("{MARK}\nHTTPS_PROXY=http://127.0.0.1:9\nPATH=/opt/node/bin:/usr/bin\n");
    machine.write(&machine.env_file(), &file);
    let setup = ["setup", "--yes", "--print", "--api-url", &machine.url, "--name", "kite", "--isolation", "none"];
    let token = ("PULLYARD_RUNNER_TOKEN", TOKEN);
    let (code, output) = machine.run(&setup, &[token]).await;
    assert!(code == Some(2) && output.contains("runner.env sets HTTPS_PROXY. Run `setup` with"), "{output}");
    assert!(output.contains("`--preserve-env=HTTPS_PROXY`"), "{output}");
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let (code, output) = machine.run(&setup, &[token, (name, "http://127.0.0.1:10")]).await;
        assert!(code == Some(0) && output.contains("\nPATH=/opt/node/bin:/usr/bin\n"), "{output}");
        let proxies: Vec<_> = output.lines().filter(|line| line.to_lowercase().starts_with("https_proxy=")).collect();
        assert_eq!(proxies, [format!("{name}=http://127.0.0.1:10")], "{output}");
    }
    machine.write(&machine.env_file(), &format!("{MARK}\nHTTPS_PROXY=\nPULLYARD_RUNNER_TOKEN_FILE=/nowhere\n"));
    let (code, output) = machine.run(&setup, &[token]).await;
    assert!(code == Some(0) && !output.contains("TOKEN_FILE"), "{output}");
    assert!(output.contains("they can read the token and keys in ") && !output.contains("systemctl"), "{output}");
}
