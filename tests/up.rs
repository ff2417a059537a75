//! Tests of `pullyard up`: start, stop and kill.

use crate::prelude::*;
use nix::sys::signal::{kill, killpg};
use pullyard_domain::agent::join_programs;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::io::AsyncReadExt;

const TIME_LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct Machine {
    root: TempDir,
}

pub(crate) struct Up {
    child: Child,
    pub(crate) api: ApiClient,
    startup: Value,
}

/// A free port below the ephemeral range, so that it stays free while its owner restarts. Linux starts the range at
/// 32768.
fn stable_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // A concurrent run of these tests starts elsewhere.
    let begin = std::process::id() % 10_000;
    loop {
        let port = 20_000 + u16::try_from((begin + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % 12_000).unwrap();
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Machine {
    /// The agent waits for the gate, so that events can happen in the middle of its work.
    pub(crate) fn new() -> Self {
        let root = TempDir::new().unwrap();
        let machine = Self { root };
        let shop = machine.path("shop");
        fs::create_dir_all(&shop).unwrap();
        let gate = machine.path("gate").display().to_string();
        let agent = format!(
            "#!/bin/sh\ncat > /dev/null\necho begins\nwhile [ ! -e '{gate}' ]; do sleep 0.05; done\necho ends\necho hi > hi.txt\n"
        );
        fs::write(shop.join("agent.sh"), agent).unwrap();
        for args in [
            &["init", "--quiet", "--initial-branch=main", "."][..],
            &["add", "."],
            &["update-index", "--chmod=+x", "agent.sh"],
            &["-c", "user.name=ana", "-c", "user.email=ana@example.org", "commit", "--quiet", "-m", "First"],
        ] {
            let git = std::process::Command::new("git").args(args).current_dir(&shop).status().unwrap();
            assert!(git.success(), "{args:?}");
        }
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Keeps the folder for a person who looks into a failure.
    pub(crate) fn keep(self) -> PathBuf {
        self.root.keep()
    }

    pub(crate) fn open_gate(&self) {
        fs::write(self.path("gate"), "").unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
        command
            .args(arguments)
            .current_dir(self.root.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("PATH", format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap()))
            .env("PULLYARD_ISOLATION", "none")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn output(&self, arguments: &[&str]) -> Output {
        tokio::time::timeout(TIME_LIMIT, self.command(arguments).output())
            .await
            .expect("the command did not end")
            .unwrap()
    }

    pub(crate) async fn stdout(&self, arguments: &[&str]) -> String {
        let ran = self.output(arguments).await;
        assert!(ran.status.success(), "{arguments:?}: {ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    }

    /// Starts on its own ports, or on its previous ones. On the default ports the `up` of another test could take them.
    pub(crate) async fn started() -> (Self, Up) {
        let machine = Self::new();
        let up = machine.up().await;
        (machine, up)
    }

    async fn with_project() -> (Self, Up) {
        let (machine, up) = Self::started().await;
        machine.create_project().await;
        (machine, up)
    }

    pub(crate) async fn up(&self) -> Up {
        self.up_from("").await
    }

    pub(crate) async fn up_from(&self, folder: &str) -> Up {
        let addresses = self.path("data/addresses.json");
        if !addresses.exists() {
            fs::create_dir_all(self.path("data")).unwrap();
            let [api, forge] = [(); 2].map(|()| format!("127.0.0.1:{}", stable_port()));
            fs::write(addresses, json!({ "api": api, "forge": forge }).to_string()).unwrap();
        }
        self.up_in(folder, &[]).await
    }

    pub(crate) async fn up_with(&self, flags: &[&str]) -> Up {
        self.up_in("", flags).await
    }

    async fn up_in(&self, folder: &str, flags: &[&str]) -> Up {
        let data = self.path("data");
        let mut command = self.command(&[&["up", "--json", "--data", data.to_str().unwrap()], flags].concat());
        let mut child = command.current_dir(self.path(folder)).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = tokio::time::timeout(TIME_LIMIT, lines.next_line()).await.expect("up did not start").unwrap();
        let Some(line) = line else {
            panic!("up did not start: {:?}", child.wait_with_output().await.unwrap());
        };
        let startup: Value = serde_json::from_str(&line).unwrap();
        let url = startup["api"].as_str().unwrap_or_else(|| panic!("up did not start: {startup}"));
        let api = ApiClient::new(url, &self.token()).unwrap();
        Up { child, api, startup }
    }

    pub(crate) fn token(&self) -> String {
        let config = fs::read_to_string(self.path("config/pullyard/config.toml")).unwrap();
        let token = config.lines().find_map(|line| line.strip_prefix("token = ")).unwrap();
        token.trim_matches('"').to_owned()
    }

    pub(crate) async fn create_project(&self) {
        self.stdout(&["projects", "create", "shop", "--name", "Shop"]).await;
        self.stdout(&["settings", "set", "auto_create=true"]).await;
        self.stdout(&["repos", "add", "--path", "shop", "--agent-command", "./agent.sh"]).await;
    }

    /// Creates and moves a ticket; returns its job in any state.
    pub(crate) async fn start_job(&self, up: &Up) -> JobId {
        self.stdout(&["tickets", "create", "S-1", "--title", "Say hi"]).await;
        self.stdout(&["tickets", "move", "S-1", "AI Processing"]).await;
        up.api.jobs(&shop_project(), None).await.unwrap().jobs.into_iter().next().unwrap().id
    }

    /// The same, once its agent works.
    async fn start_working_job(&self, up: &Up) -> JobId {
        let job = self.start_job(up).await;
        up.wait_for_job(&job, |job| job.status == JobStatus::Executing).await;
        job
    }

    pub(crate) fn branches(&self) -> Vec<String> {
        let args = ["for-each-ref", "--format=%(refname:short)", "refs/heads/pullyard"];
        let git = std::process::Command::new("git").args(args).current_dir(self.path("shop")).output().unwrap();
        String::from_utf8(git.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn tasks(&self) -> Vec<Pid> {
        let folders = fs::read_dir(self.path("data/ecs/tasks")).unwrap();
        let state = |folder: fs::DirEntry| fs::read(folder.path().join("task.json")).ok();
        let pid = |json: Vec<u8>| serde_json::from_slice::<Value>(&json).unwrap()["process"]["pid"].as_i64();
        let pids = folders.filter_map(|folder| state(folder.unwrap())).filter_map(pid);
        pids.map(|pid| Pid::from_raw(i32::try_from(pid).unwrap())).collect()
    }
}

impl Up {
    pub(crate) fn url(&self) -> &str {
        self.startup["api"].as_str().unwrap()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) async fn stop(mut self, signal: Signal) -> (i32, String) {
        kill(self.pid(), signal).unwrap();
        let ended = tokio::time::timeout(TIME_LIMIT, self.child.wait()).await.expect("up did not end").unwrap();
        let mut err = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut err).await.unwrap();
        (ended.code().unwrap_or(-1), err)
    }

    pub(crate) async fn wait_until_ended(&self, job: &JobId) -> Job {
        self.wait_for_job(job, |job| job.status.is_terminal()).await
    }

    pub(crate) async fn wait_for_job(&self, job: &JobId, good: impl Fn(&Job) -> bool) -> Job {
        let look = async || match self.api.job(job).await {
            Ok(job) if good(&job) => Ok(job),
            other => Err(format!("{other:?}")),
        };
        wait_until("the job gets there", look).await
    }

    pub(crate) async fn wait_for_ticket(&self, status: &str, badges: &[&str]) {
        let look = async || match self.api.ticket(&shop_project(), &ticket_key()).await {
            Ok(ticket) if ticket.status == status && ticket.badges == badges && ticket.synced => Ok(()),
            other => Err(format!("{other:?}")),
        };
        wait_until("the ticket shows it", look).await
    }
}

fn shop_project() -> ProjectId {
    ProjectId::new("shop").unwrap()
}

fn ticket_key() -> TicketKey {
    TicketKey::new("S-1").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn job_completes_once_after_up_is_killed_and_restarted() {
    let (machine, up) = Machine::with_project().await;
    let (job, url) = (machine.start_working_job(&up).await, up.url().to_owned());
    up.kill().await;
    // The agent completes while `up` is down.
    machine.open_gate();

    let up = machine.up().await;
    assert_eq!(up.url(), url);
    let ended = up.wait_until_ended(&job).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 1), "{ended:?}");
    assert_eq!(machine.branches().len(), 1);
    assert_eq!(ended.result.unwrap().number, 1);
    up.wait_for_ticket("In Review", &[]).await;
    assert_eq!(up.api.jobs(&shop_project(), None).await.unwrap().jobs.len(), 1);
    let texts: Vec<_> =
        up.api.events(&job, None).await.unwrap().events.into_iter().filter_map(|seen| seen.event.text).collect();
    assert!(texts.contains(&"begins".to_owned()) && texts.contains(&"ends".to_owned()), "{texts:?}");
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_fails_when_killed_together_with_up() {
    let (machine, up) = Machine::with_project().await;
    let job = machine.start_working_job(&up).await;
    let tasks = machine.tasks();
    assert_eq!(tasks.len(), 1);
    up.kill().await;
    killpg(tasks[0], Signal::SIGKILL).unwrap();

    let up = machine.up().await;
    let ended = up.wait_until_ended(&job).await;
    assert_eq!(ended.status, JobStatus::Failed);
    assert_eq!(ended.failure.unwrap().code, "runner_crashed");
    up.wait_for_ticket("Todo", &["AI Failed"]).await;
    assert!(machine.branches().is_empty());
    // The next entry creates the next job.
    machine.open_gate();
    machine.stdout(&["tickets", "move", "S-1", "AI Processing"]).await;
    let next = up.api.jobs(&shop_project(), None).await.unwrap().jobs.into_iter().next().unwrap().id;
    assert_ne!(next, job);
    assert_eq!(up.wait_until_ended(&next).await.status, JobStatus::Completed);
    assert_eq!(machine.branches().len(), 1);
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped_up_leaves_its_job_running() {
    let (machine, up) = Machine::with_project().await;
    let job = machine.start_working_job(&up).await;
    let (code, err) = up.stop(Signal::SIGTERM).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("1 job keeps running"), "{err}");
    let up = machine.up().await;
    machine.open_gate();
    let job = up.wait_until_ended(&job).await;
    assert_eq!(job.status, JobStatus::Completed, "{job:?}");
    assert_eq!(machine.branches(), [job.result.unwrap().branch], "the branch is not in the user's checkout");
    // SIGINT is the normal end, so its exit code is 0.
    assert_eq!(up.stop(Signal::SIGINT).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn up_refuses_a_used_folder_or_address() {
    let (machine, up) = Machine::started().await;
    let second = machine.output(&["up", "--data", "data"]).await;
    let err = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{err}");
    assert!(err.contains("another `pullyard up` already uses") && err.contains("help: "), "{err}");

    let address = up.url().strip_prefix("http://").unwrap();
    let third = machine.output(&["up", "--data", "other", "--listen", address]).await;
    let err = String::from_utf8(third.stderr).unwrap();
    assert_eq!(third.status.code(), Some(1), "{err}");
    assert!(err.contains(&format!("{address} is taken by another program")) && err.contains("--listen"), "{err}");

    let open = machine.output(&["up", "--data", "other", "--listen", "0.0.0.0:0"]).await;
    let err = String::from_utf8(open.stderr).unwrap();
    assert_eq!(open.status.code(), Some(2), "{err}");
    assert!(err.contains("can be reached by other machines"), "{err}");
    assert_eq!(up.stop(Signal::SIGTERM).await, (0, String::new()), "no warning is printed");
}

#[tokio::test(flavor = "multi_thread")]
async fn up_prints_its_addresses_and_protects_its_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let machine = Machine::new();
    let mut child = machine.command(&["up", "--data", "data", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for word in ["Pullyard", "Sign in", "Data", "Isolation", "Stop"] {
        let line = tokio::time::timeout(TIME_LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
        assert!(line.trim_start().starts_with(word), "{line}");
    }
    kill(Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()), Signal::SIGINT).unwrap();
    assert_eq!(tokio::time::timeout(TIME_LIMIT, lines.next_line()).await.unwrap().unwrap(), None);
    let mode = |name: &str| fs::metadata(machine.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("data"), mode("data/keys.json"), mode("config/pullyard/config.toml")), (0o700, 0o600, 0o600));
    assert_eq!(fs::read_to_string(machine.path("data/.gitignore")).unwrap(), "*\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn context_of_another_server_stays_current() {
    let machine = Machine::new();
    let folder = machine.path("config/pullyard");
    fs::create_dir_all(&folder).unwrap();
    let other = "current = \"work\"\n[contexts.work]\nurl = \"https://pullyard.example\"\ntoken = \"pat_x\"\n";
    fs::write(folder.join("config.toml"), other).unwrap();
    let mut child = machine.command(&["up", "--data", "data", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = String::new();
    while !line.contains("Pullyard") {
        line = tokio::time::timeout(TIME_LIMIT, lines.next_line()).await.unwrap().unwrap().unwrap();
    }
    assert!(line.contains("pullyard contexts use local"), "{line}");
    let config = fs::read_to_string(folder.join("config.toml")).unwrap();
    assert!(config.contains("current = \"work\"") && config.contains("[contexts.local]"), "{config}");
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn repos_add_refuses_a_folder_where_no_job_can_work() {
    let (machine, up) = Machine::started().await;
    machine.stdout(&["projects", "create", "shop", "--name", "Shop"]).await;
    fs::create_dir_all(machine.path("empty")).unwrap();
    let refused = async |expected: &str| {
        let ran = machine.output(&["repos", "add", "--path", "empty", "--agent-command", "./agent.sh"]).await;
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{err}");
        assert!(err.contains(expected), "{err}");
    };
    refused("neither a bare git repository nor the top of a checkout").await;
    let git = |arguments: &str| {
        let mut git = std::process::Command::new("git");
        git.args(["-c", "user.name=Ana", "-c", "user.email=ana@acme.example"]).args(arguments.split(' '));
        assert!(git.current_dir(machine.path("empty")).status().unwrap().success(), "{arguments}");
    };
    git("init --quiet");
    refused("has no commit on its checked-out branch").await;
    git("commit --quiet --allow-empty -m Start");
    refused("has no file ./agent.sh in the last commit").await;
    fs::write(machine.path("empty/agent.sh"), "#!/bin/sh\n").unwrap();
    git("add agent.sh");
    git("commit --quiet -m Add");
    refused("chmod +x agent.sh && git add agent.sh && git commit").await;
    fs::write(machine.path("empty/agent.sh"), "#!/bin/sh\r\n").unwrap();
    git("add --chmod=+x agent.sh");
    git("commit --quiet -m Add");
    refused("it cannot start: its lines end with CR LF").await;
    assert!(up.api.repositories(&shop_project()).await.unwrap().repositories.is_empty());
    // Neither the caller's variables nor the caller's configuration matter.
    let add = ["repos", "add", "--path", "shop/.git", "local/shop", "--agent-command", "./agent.sh"];
    let mut command = machine.command(&add);
    command.env("GIT_DIR", "/nowhere").env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", "safe.bareRepository").env("GIT_CONFIG_VALUE_0", "explicit");
    let added = command.output().await.unwrap();
    assert!(added.status.success(), "{added:?}");
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn up_completes_jobs_after_its_first_folder_is_deleted() {
    let machine = Machine::new();
    machine.open_gate();
    fs::create_dir(machine.path("gone")).unwrap();
    let up = machine.up_in("gone", &["--listen", "127.0.0.1:0"]).await;
    fs::remove_dir(machine.path("gone")).unwrap();
    machine.create_project().await;
    let job = machine.start_job(&up).await;
    let job = up.wait_until_ended(&job).await;
    assert_eq!(job.status, JobStatus::Completed, "{:?}", job.failure);
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_admin_token_revokes_the_old_one() {
    let (machine, up) = Machine::started().await;
    let old = up.api.clone();
    assert!(old.projects(None).await.is_ok());
    up.stop(Signal::SIGTERM).await;
    let before = machine.token();
    let up = machine.up_with(&["--new-admin-token"]).await;
    assert_ne!(machine.token(), before);
    assert!(up.api.projects(None).await.is_ok());
    let refused = ApiClient::new(up.url(), &before).unwrap().projects(None).await.unwrap_err();
    assert_eq!(refused.code(), Some("not_signed_in"));
    up.stop(Signal::SIGTERM).await;
    // The old token stays revoked after a restart.
    let up = machine.up().await;
    assert!(ApiClient::new(up.url(), &before).unwrap().projects(None).await.is_err());
    assert!(up.api.projects(None).await.is_ok());
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_a_moved_repository_and_a_renamed_branch() {
    let (machine, up) = Machine::with_project().await;
    let looks = async || machine.output(&["doctor", "--json"]).await;
    assert!(looks().await.status.success());
    let git = |args: &[&str]| {
        std::process::Command::new("git").arg("-C").arg(machine.path("shop")).args(args).status().unwrap();
    };
    git(&["branch", "--move", "old"]);
    let renamed = String::from_utf8(looks().await.stdout).unwrap();
    assert!(renamed.contains("local/shop of shop has no branch main."), "{renamed}");
    git(&["branch", "--move", "main"]);
    fs::rename(machine.path("shop"), machine.path("moved")).unwrap();
    let found = looks().await;
    let report = String::from_utf8(found.stdout).unwrap();
    assert_eq!(found.status.code(), Some(1), "{report}");
    assert!(report.contains("local/shop of shop is no longer in its folder."), "{report}");
    machine.stdout(&["repos", "add", "--path", "moved", "--agent-command", "./agent.sh"]).await;
    assert_eq!(up.api.repositories(&shop_project()).await.unwrap().repositories.len(), 2);
    assert!(report.contains("pullyard repos delete local/shop --project shop"), "{report}");
    machine.stdout(&["repos", "delete", "local/shop", "--yes"]).await;
    assert!(looks().await.status.success());
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_and_repos_add_report_a_missing_agent() {
    let (machine, up) = Machine::started().await;
    // Only git, because an agent may be installed on the machine of this test.
    fs::create_dir_all(machine.path("programs")).unwrap();
    let paths = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
    let git = paths.iter().map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    std::os::unix::fs::symlink(git, machine.path("programs/git")).unwrap();
    let run = async |arguments: &[&str]| {
        let ran = machine.command(arguments).env("PATH", machine.path("programs")).output().await.unwrap();
        (ran.status.code(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap())
    };
    machine.stdout(&["projects", "create", "shop"]).await;
    let (code, added) = run(&["repos", "add", "--path", "shop"]).await;
    assert_eq!(code, Some(0), "{added}");
    let agents = join_programs(|agent| agent.code, " nor ");
    assert!(added.contains(&format!("Neither {agents} is installed on this machine, so jobs fail")), "{added}");
    let (code, report) = run(&["doctor"]).await;
    assert_eq!(code, Some(1), "{report}");
    let agents = join_programs(|agent| agent.code, " or ");
    assert!(
        report.contains(&format!("Jobs of shop need {agents}, which is not installed on this machine.")),
        "{report}"
    );
    assert!(report.contains("1 thing is wrong; 1 warning."), "{report}");
    let (_, added) = run(&["repos", "add", "--path", "shop", "--agent-command", "./agent.sh"]).await;
    assert!(!added.contains("installed"), "{added}");
    // Automatic jobs are off.
    let (code, report) = run(&["doctor"]).await;
    assert!(code == Some(0) && report.contains("1 warning; see above.") && !report.contains("Nothing"), "{report}");
    up.stop(Signal::SIGTERM).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browser_signs_in_through_a_page_private_to_the_owner() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let record = machine.path("told");
    let script = format!("echo \"$@\" > '{0}.half'\nmv '{0}.half' '{0}'", record.display());
    pullyard_test_script::write_script(machine.path("bin/xdg-open"), &script);
    let up = machine.up_with(&["--listen", "127.0.0.1:0", "--open"]).await;
    let arguments =
        wait_until("a browser is asked", async || fs::read_to_string(&record).map_err(|error| error.to_string())).await;
    assert!(!arguments.contains("code="), "{arguments}");
    let page = std::path::Path::new(arguments.trim());
    assert_eq!(fs::metadata(page).unwrap().permissions().mode() & 0o777, 0o600);
    let link = up.startup["sign_in"].as_str().unwrap();
    assert!(link.ends_with("&to=/setup/start"), "without a project the link leads elsewhere: {link}");
    assert!(fs::read_to_string(page).unwrap().contains(&link.replace('&', "&amp;")));
    up.stop(Signal::SIGTERM).await;
}
