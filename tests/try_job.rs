//! Tests of `pullyard try`, run without any setup.

pub(crate) mod terminal;

use crate::demo::{processes_of, wait_until_gone};
use crate::prelude::*;
use pullyard_local_forge::{LocalForge, NoExtension, Options, Repository, User};
use std::process::Output;
use terminal::Terminal;

const TOKEN: &str = "a-token-of-ana-0123";

/// A forge outside Pullyard, with a repository and a user.
struct ForeignForge {
    dir: TempDir,
    forge: LocalForge,
    repository: Repository,
}

impl ForeignForge {
    async fn start(agent: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let user = User { login: "ana".into(), id: 11, token: TOKEN.into() };
        let options = Options {
            dir: dir.path().join("forge"),
            listener,
            users: vec![user],
            pages: None,
            extension: std::sync::Arc::new(NoExtension),
        };
        let forge = LocalForge::start(options).await.unwrap();
        let files = [("agent.sh", agent, true), ("README.md", "# App\n", false)];
        let repository = forge.create_repository("acme/app", "main", &files).await.unwrap();
        Self { dir, forge, repository }
    }

    /// A try of a user who is not signed in.
    fn command(&self, arguments: &[&str]) -> Command {
        let temporary = self.dir.path().join("tmp");
        std::fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
        command
            .args(["try", "acme/app", "Write a greeting.", "--api-url", &self.forge.api_url()])
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.dir.path())
            .env("TMPDIR", &temporary)
            .kill_on_drop(true);
        command
    }

    async fn run_try(&self, arguments: &[&str], token: &str) -> Output {
        self.command(arguments).env("GH_TOKEN", token).output().await.unwrap()
    }

    fn command_with_gh(&self, arguments: &[&str], gh: &str) -> Command {
        let bin = self.dir.path().join("bin");
        pullyard_test_script::write_script(bin.join("gh"), gh);
        let mut path = bin.into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        let mut command = self.command(arguments);
        command.env("PATH", path);
        command
    }

    fn branches(&self) -> String {
        let mut git = std::process::Command::new("git");
        let listed = git.arg("-C").arg(&self.repository.git_dir).args(["branch", "--list"]).output();
        String::from_utf8(listed.unwrap().stdout).unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn try_opens_a_pull_request_and_removes_its_folder() {
    let elsewhere = ForeignForge::start("#!/bin/sh\ncat > prompt.txt\necho thinking\n").await;
    let tried = elsewhere.run_try(&["--yes", "--agent-command", "./agent.sh"], TOKEN).await;
    let (out, err) = (text(&tried.stdout), text(&tried.stderr));
    assert_eq!(tried.status.code(), Some(0), "{out}{err}");
    assert!(out.contains("thinking"), "{out}");
    assert!(out.trim_end().ends_with("/acme/app/pull/1"), "{out}");
    assert!(err.contains("works on acme/app as ana"), "{err}");
    assert!(elsewhere.branches().contains("pullyard/try/job-"), "{}", elsewhere.branches());
    assert!(!out.contains(TOKEN) && !err.contains(TOKEN), "{out}{err}");
    let entry_count = std::fs::read_dir(elsewhere.dir.path().join("tmp")).unwrap().count();
    assert_eq!(entry_count, 0, "the folder was not removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn try_needs_confirmation_a_valid_token_and_an_agent() {
    let elsewhere = ForeignForge::start("#!/bin/sh\nexit 1\n").await;
    let check = async |arguments: &[&str], token: &str, code: i32, expected: &str| {
        let tried = elsewhere.run_try(arguments, token).await;
        let err = text(&tried.stderr);
        assert_eq!(tried.status.code(), Some(code), "{arguments:?}: {}{err}", text(&tried.stdout));
        assert!(err.contains(expected), "{arguments:?}: {err}");
    };
    check(&["--agent-command", "./agent.sh"], TOKEN, 2, "add --yes").await;
    check(&["--yes", "--agent-command", "./agent.sh"], "wrong-token-0123", 1, "refused").await;
    check(&["--yes", "--agent", "codex"], TOKEN, 6, "Codex is not installed").await;
    check(&["--yes", "--agent", "command"], TOKEN, 2, "name a program").await;
    assert!(!elsewhere.branches().contains("pullyard/"), "{}", elsewhere.branches());
}

/// Asks for a colour before it writes a file.
const ASKING_AGENT: &str = "#!/bin/sh
cat > \"$HOME/prompt\"
if grep -q 'a deep blue' \"$HOME/prompt\"; then echo blue > colour.txt; exit 0; fi
mkdir -p .pullyard; printf 'Which colour?\\nAny will do.\\n' > .pullyard/question.md
";

#[tokio::test(flavor = "multi_thread")]
async fn agents_question_is_answered_on_the_terminal() {
    let elsewhere = ForeignForge::start(ASKING_AGENT).await;
    let mut command = elsewhere.command(&["--yes", "--agent-command", "./agent.sh"]);
    let mut terminal = Terminal::open(command.env("GH_TOKEN", TOKEN));
    terminal.wait_for_text("type a line to send it to the agent").await;
    terminal.wait_for_text("The agent asks:").await;
    terminal.wait_for_text("Which colour?").await;
    terminal.wait_for_text("Any will do.").await;
    terminal.write("a deep blue\n");
    let (code, out) = terminal.wait().await;
    assert_eq!(code, Some(0), "{out}{}", terminal.text());
    assert!(out.trim_end().ends_with("/acme/app/pull/1"), "{out}");
    assert_eq!(terminal.text().matches("The agent asks:").count(), 1, "{}", terminal.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn end_of_input_is_reported_once() {
    let outside = TempDir::new().unwrap();
    let go = outside.path().join("go");
    // The agent asks after the input ended.
    let script = format!(
        "#!/bin/sh\ncat > /dev/null\nwhile [ ! -e '{}' ]; do sleep 0.05; done\n\
         mkdir -p .pullyard; echo 'Which colour?' > .pullyard/question.md\n",
        go.display()
    );
    let elsewhere = ForeignForge::start(&script).await;
    let mut command = elsewhere.command(&["--yes", "--agent-command", "./agent.sh"]);
    let mut terminal = Terminal::open(command.env("GH_TOKEN", TOKEN));
    terminal.wait_for_text("type a line to send it to the agent").await;
    terminal.write("\u{4}");
    terminal.wait_for_text("your input has ended").await;
    std::fs::write(&go, "").unwrap();
    let (code, out) = terminal.wait().await;
    let all = terminal.text();
    assert_eq!(code, Some(6), "{out}{all}");
    assert!(all.contains("the agent asked a question, but there is no terminal to answer it: Which colour?"), "{all}");
    assert_eq!(all.matches("your input has ended").count(), 1, "{all}");
}

#[tokio::test(flavor = "multi_thread")]
async fn question_without_a_terminal_ends_the_try() {
    let elsewhere = ForeignForge::start(ASKING_AGENT).await;
    let tried = elsewhere.run_try(&["--yes", "--agent-command", "./agent.sh"], TOKEN).await;
    let err = text(&tried.stderr);
    assert_eq!(tried.status.code(), Some(6), "{}{err}", text(&tried.stdout));
    assert!(
        err.contains("the agent asked a question, but there is no terminal to answer it: Which colour? Any will do."),
        "{err}"
    );
    assert!(err.contains("retry with the answer in the prompt, or on a terminal"), "{err}");
    assert!(!elsewhere.branches().contains("pullyard/"), "{}", elsewhere.branches());
}

#[tokio::test(flavor = "multi_thread")]
async fn token_of_gh_needs_consent() {
    let elsewhere = ForeignForge::start("#!/bin/sh\ncat > prompt.txt\n").await;
    let says = format!("[ \"$*\" = \"auth token --hostname $HOST\" ] && echo {TOKEN}");
    let address = elsewhere.forge.api_url();
    let host = address.split('/').nth(2).unwrap();
    let arguments = ["--agent-command", "./agent.sh"];

    let mut terminal = Terminal::open(elsewhere.command_with_gh(&arguments, &says).env("HOST", host));
    terminal.wait_for_text("it can read and change the same files as you. Continue? [y/N]").await;
    terminal.write("y\n");
    terminal.wait_for_text("Use `gh`'s token to push").await;
    terminal.write("n\n");
    assert_eq!(terminal.wait().await.0, Some(1));
    assert!(
        terminal.text().contains("nothing was changed") && terminal.text().contains("set GH_TOKEN"),
        "{}",
        terminal.text()
    );

    let mut terminal = Terminal::open(elsewhere.command_with_gh(&arguments, &says).env("HOST", host));
    terminal.wait_for_text("Continue? [y/N]").await;
    terminal.write("y\n");
    terminal.wait_for_text("Use `gh`'s token to push").await;
    terminal.write("yes\n");
    let (code, out) = terminal.wait().await;
    assert_eq!(code, Some(0), "{out}{}", terminal.text());
    assert!(
        terminal.text().contains("works on acme/app as ana") && !terminal.text().contains(TOKEN),
        "{}",
        terminal.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gh_without_a_token_ends_the_try() {
    let elsewhere = ForeignForge::start("#!/bin/sh\nexit 1\n").await;
    for gh in ["exit 1", "exit 0", "echo \" \""] {
        let tried = elsewhere.command_with_gh(&["--yes", "--agent-command", "./agent.sh"], gh).output().await.unwrap();
        let err = text(&tried.stderr);
        assert_eq!(tried.status.code(), Some(4), "{gh}: {err}");
        assert!(err.contains("there is no token for the forge: `gh` is not signed in there"), "{gh}: {err}");
        assert!(err.contains("sign in with `gh auth login`"), "{gh}: {err}");
    }
    assert!(!elsewhere.branches().contains("pullyard/"), "{}", elsewhere.branches());
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_is_stopped_at_the_cost_limit() {
    let spends = "#!/bin/sh
cat > /dev/null
echo '{\"kind\":\"usage\",\"turns\":1,\"cost_usd_micros\":600000}'
sleep 600
";
    let elsewhere = ForeignForge::start(spends).await;
    let tried = elsewhere.run_try(&["--yes", "--max-usd", "0.50", "--agent-command", "./agent.sh"], TOKEN).await;
    let err = text(&tried.stderr);
    assert_eq!(tried.status.code(), Some(6), "{}{err}", text(&tried.stdout));
    assert!(err.contains("The job spent $0.60; the limit is $0.50 (cost_limit)"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_stop_the_agent_and_remove_the_folder() {
    for (signal, shows_output) in [("-INT", false), ("-TERM", false), ("-HUP", false), ("-HUP", true)] {
        let outside = TempDir::new().unwrap();
        let begun = outside.path().join("begun");
        let endless =
            format!("#!/bin/sh\ncat > /dev/null\necho > '{}'\nwhile :; do sleep 0.05; done\n", begun.display());
        let elsewhere = ForeignForge::start(&endless).await;
        let folder = elsewhere.dir.path().join("tmp");
        let mut command = elsewhere.command(&["--yes", "--agent-command", "./agent.sh"]);
        let command = command.env("GH_TOKEN", TOKEN);
        let mut terminal = if shows_output { Terminal::start_with_output(command) } else { Terminal::open(command) };
        wait_until("the agent works", async || if begun.exists() { Ok(()) } else { Err(terminal.text()) }).await;
        assert!(processes_of(&folder).len() > 1, "the try and its agent run");
        terminal.signal(signal).await;
        let (code, out) = terminal.wait().await;
        assert_eq!(code, Some(130), "{signal}: {out}{}", terminal.text());
        let says = terminal.text().contains("interrupted: everything that `try` started is stopped");
        assert_eq!(says, signal == "-INT", "{signal}: {}", terminal.text());
        wait_until_gone(&folder).await;
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "{signal}: the folder was not removed");
        assert!(!elsewhere.branches().contains("pullyard/"), "{signal}: {}", elsewhere.branches());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_the_try_kills_its_agent_and_removes_its_folder() {
    let outside = TempDir::new().unwrap();
    let begun = outside.path().join("begun");
    let endless = format!("#!/bin/sh\ncat > /dev/null\necho > '{}'\nwhile :; do sleep 0.05; done\n", begun.display());
    let elsewhere = ForeignForge::start(&endless).await;
    let folder = elsewhere.dir.path().join("tmp");
    let mut command = elsewhere.command(&["--yes", "--agent-command", "./agent.sh"]);
    command.env("GH_TOKEN", TOKEN).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut tried = command.spawn().unwrap();
    wait_until("the agent works", async || if begun.exists() { Ok(()) } else { Err("it does not".into()) }).await;
    assert!(processes_of(&folder).len() > 1, "the try and its agent run");
    tried.kill().await.unwrap();
    wait_until_gone(&folder).await;
    let entries: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!entries.iter().any(|name| name.to_string_lossy().starts_with("pullyard-try-")), "{entries:?}");
    assert!(!elsewhere.branches().contains("pullyard/"), "{}", elsewhere.branches());
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_limits_are_refused() {
    let elsewhere = ForeignForge::start("#!/bin/sh\nexit 1\n").await;
    for (flag, value, code, says) in [
        ("--max-usd", "five", 2, "use dollars, such as 50 or 2.50"),
        ("--max-usd", "0.001", 2, "use $0.01 to $1,000"),
        ("--max-minutes", "0", 2, "1..=1440"),
        ("--max-minutes", "1441", 2, "1..=1440"),
    ] {
        let tried = elsewhere.run_try(&["--yes", flag, value, "--agent-command", "./agent.sh"], TOKEN).await;
        let err = text(&tried.stderr);
        assert_eq!(tried.status.code(), Some(code), "{flag} {value}: {err}");
        assert!(err.contains(says), "{flag} {value}: {err}");
    }
}
