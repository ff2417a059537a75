//! The soak world: `up`, three runners and two projects, with functions to start and stop each.

use pullyard_domain::id::{EventId, ProjectId, TicketKey};
use pullyard_domain::project::{Compute, Limits, OfflinePolicy, Settings};
use pullyard_domain::time::Timestamp;
use pullyard_protocol::client::{Error, Operator};
use pullyard_protocol::job::Job;
use pullyard_protocol::project::CreateProject;
use pullyard_protocol::ticket::{EventTicket, Ticket, TicketEvent};
use pullyard_protocol::token::CreateToken;
use pullyard_store::TokenKind;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

pub(super) const PROJECTS: [(&str, Compute); 2] = [("cloud", Compute::Fargate), ("fleet", Compute::Runners)];
pub(super) const RUNNERS: [&str; 3] = ["kite", "gull", "tern"];
pub(super) const TRIGGER: &str = "AI Processing";
pub(super) const TODO: &str = "Todo";
/// Covers a start on a loaded machine.
const START: Duration = Duration::from_secs(120);

/// Time limit of a load test: seven times what 500 tickets take on two cores, plus ten minutes.
fn at_most(tickets: u64) -> Duration {
    Duration::from_secs(600 + 10 * tickets)
}

const AT_WORK: &str = "/agent.sh\0work\0";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Users act, agents fail, and the forge is down for longer than jobs wait.
    Life,
    /// Only processes die, so each job completes in the end.
    Load,
}

impl Kind {
    fn settings(self, compute: Compute) -> Settings {
        let settings = Settings { auto_create: true, compute, ..Settings::default() };
        match self {
            Self::Life => settings,
            // Requeue lost jobs, even after many deaths.
            Self::Load => {
                let limits = Limits { requeues: 10, ..Limits::default() };
                Settings { offline: OfflinePolicy::Requeue, limits, ..settings }
            }
        }
    }

    /// The agent's script for its work and for its end.
    fn of_agent(self) -> (&'static str, &'static str) {
        match self {
            Self::Life => (r#"exec "$0" work"#, "[ $((n % 11)) -eq 0 ] && exit 1"),
            // Exit code 75 requests another start of the agent.
            Self::Load => (r#"{ "$0" work && exit 0; exit 75; }"#, ""),
        }
    }
}

pub(super) struct World {
    pub(super) root: PathBuf,
    pub(super) kind: Kind,
    pub(super) api: Operator,
    token: String,
    url: String,
    pub(super) up: tokio::sync::Mutex<Option<Child>>,
    pub(super) runners: [tokio::sync::Mutex<Option<Child>>; RUNNERS.len()],
    slots: u64,
    pub(super) told: Mutex<Vec<TicketEvent>>,
    minute: AtomicI64,
}

fn agent(kind: Kind, seed: u64) -> String {
    let (works, ends) = kind.of_agent();
    // Seed and job decide the agent's duration, signal handling, failure and orphans.
    format!(
        r#"#!/bin/sh
n=$(( $(printf '%s' "{seed} $PULLYARD_JOB" | cksum | cut -d' ' -f1) % 1000 ))
[ $((n % 7)) -eq 0 ] && trap '' TERM INT
[ "$1" = work ] || {works}
cat > /dev/null
echo '{{"kind":"text","text":"works"}}'
[ $((n % 9)) -eq 0 ] && sleep 4
sleep $((n % 3)).$((n % 10))
echo "$PULLYARD_JOB" >> "work-$PULLYARD_TICKET.txt"
sleep 0.2
{ends}
exit 0
"#
    )
}

impl World {
    pub(super) async fn begin(root: &Path, kind: Kind, seed: u64, slots: u64) -> Self {
        for (project, _) in PROJECTS {
            let checkout = root.join(project);
            fs::create_dir_all(&checkout).unwrap();
            fs::write(checkout.join("agent.sh"), agent(kind, seed)).unwrap();
            for args in [
                &["init", "--quiet", "--initial-branch=main", "."][..],
                &["add", "."],
                &["update-index", "--chmod=+x", "agent.sh"],
                &["-c", "user.name=ana", "-c", "user.email=ana@example.org", "commit", "--quiet", "-m", "First"],
            ] {
                let git = std::process::Command::new("git").args(args).current_dir(&checkout).status().unwrap();
                assert!(git.success(), "{args:?}");
            }
        }
        // Fixed ports below the ephemeral range, so that no other process takes them while `up` is down.
        let base = 20_000 + std::process::id() % 5_000 * 2;
        let addresses = format!(r#"{{"api":"127.0.0.1:{base}","forge":"127.0.0.1:{}"}}"#, base + 1);
        fs::create_dir_all(root.join("data")).unwrap();
        fs::write(root.join("data/addresses.json"), addresses).unwrap();
        let (up, said) = start_up(root).await.unwrap();
        let url = said["api"].as_str().unwrap().to_owned();
        let keys: Value = serde_json::from_slice(&fs::read(root.join("data/keys.json")).unwrap()).unwrap();
        let api = Operator::new(&url, keys["admin_token"].as_str().unwrap()).unwrap();
        for (project, compute) in PROJECTS {
            let create = CreateProject { id: id(project), name: project.into(), settings: kind.settings(compute) };
            api.create_project(&create).await.unwrap();
            let add = ["repos", "add", "--project", project, "--path", project, "--agent-command", "./agent.sh"];
            let added = command(root, &add).output().await.unwrap();
            assert!(added.status.success(), "{added:?}");
        }
        let request = CreateToken {
            name: "machine".into(),
            kind: TokenKind::Runner,
            scopes: BTreeSet::new(),
            projects: None,
            runner: None,
            expires_in_secs: None,
        };
        let token = api.create_token(&request).await.unwrap().token;
        let world = Self {
            root: root.to_owned(),
            kind,
            api,
            token,
            url,
            up: tokio::sync::Mutex::new(Some(up)),
            runners: Default::default(),
            slots,
            told: Mutex::default(),
            minute: AtomicI64::new(0),
        };
        for at in 0..RUNNERS.len() {
            world.start_runner(at).await;
        }
        world
    }

    pub(super) async fn start_up(&self) {
        let mut up = self.up.lock().await;
        if up.is_none() {
            *up = Some(start_up(&self.root).await.unwrap_or_else(|error| panic!("up did not start: {error}")).0);
        }
    }

    pub(super) async fn start_runner(&self, at: usize) {
        let mut runner = self.runners[at].lock().await;
        if runner.is_some() {
            return;
        }
        let name = RUNNERS[at];
        let work = self.root.join("work");
        fs::create_dir_all(&work).unwrap();
        let log = append(&self.root.join(format!("{name}.log")));
        let mut start = command(&self.root, &["runner", "start", "--name", name, "--slots", &self.slots.to_string()]);
        start
            .env("PULLYARD_API_URL", &self.url)
            .env("PULLYARD_RUNNER_TOKEN", &self.token)
            .env("PULLYARD_WORK_DIR", work)
            .env("PULLYARD_ISOLATION", "none")
            .env("PULLYARD_AGENT_RETRY_SECS", "2,4,8")
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        *runner = Some(start.spawn().unwrap());
    }

    /// Sends a ticket event and repeats it until it is answered.
    pub(super) async fn tell(&self, project: &str, key: &str, status: &str) {
        let minute = self.minute.fetch_add(1, Ordering::SeqCst);
        let event = TicketEvent {
            event_id: EventId::new(format!("e{minute}")).unwrap(),
            occurred_at: Timestamp::from_millis(1_795_132_800_000 + minute * 60_000),
            project: id(project),
            actor: Some("ana".into()),
            previous_status: None,
            ticket: EventTicket {
                key: TicketKey::new(key).unwrap(),
                title: format!("About {key}"),
                description: "Do it.".into(),
                status: status.into(),
                labels: Default::default(),
                url: None,
                repository: None,
            },
        };
        self.told.lock().unwrap().push(event.clone());
        self.asks("tell", async || self.api.ticket_event(&event).await).await.unwrap();
    }

    pub(super) async fn enter(&self, number: u64) {
        let (project, _) = PROJECTS[usize::try_from(number).unwrap() % PROJECTS.len()];
        self.tell(project, &format!("S-{number}"), TRIGGER).await;
    }

    /// Creates the tickets at once and waits until nearly all jobs have ended or the time limit is reached. `quiet`
    /// reports the rest.
    pub(super) async fn enter_at_once(&self, tickets: u64) {
        let (project, _) = PROJECTS[1];
        let keys = (0..tickets).map(|number| format!("S-{number}")).collect::<Vec<_>>();
        futures::future::join_all(keys.iter().map(|key| self.tell(project, key, TRIGGER))).await;
        let since = Instant::now();
        loop {
            let ended = self.jobs().await.iter().filter(|job| job.status.is_terminal()).count();
            if ended as u64 * 10 >= tickets * 9 {
                return;
            }
            if since.elapsed() > at_most(tickets) {
                println!("soak: only {ended} of {tickets} jobs have ended after {} s", since.elapsed().as_secs());
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Repeats a call until it is answered; a 4xx problem counts as an answer.
    pub(super) async fn asks<T>(&self, what: &str, ask: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
        let since = Instant::now();
        loop {
            match ask().await {
                Err(Error::Problem(problem)) if (400..500).contains(&problem.status) && problem.code != "gateway" => {
                    return Err(Error::Problem(problem));
                }
                Ok(answer) => return Ok(answer),
                Err(error) => assert!(since.elapsed() < Duration::from_secs(300), "{what}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    pub(super) async fn jobs(&self) -> Vec<Job> {
        let mut all = Vec::new();
        for (project, _) in PROJECTS {
            let mut after: Option<String> = None;
            loop {
                let ask = async || self.api.jobs(&id(project), after.as_deref()).await;
                let page = self.asks("jobs", ask).await.unwrap();
                all.extend(page.jobs);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        all
    }

    pub(super) async fn tickets(&self) -> Vec<Ticket> {
        let mut all = Vec::new();
        for (project, _) in PROJECTS {
            let mut after: Option<String> = None;
            loop {
                let ask = async || self.api.tickets(&id(project), after.as_deref()).await;
                let page = self.asks("tickets", ask).await.unwrap();
                all.extend(page.tickets);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        all
    }

    /// Waits until all jobs, tickets and slots are settled; returns those that are not.
    pub(super) async fn quiet(&self, within: Duration) -> Vec<String> {
        let since = Instant::now();
        loop {
            let jobs = self.jobs().await.into_iter().filter(|job| !job.status.is_terminal());
            let mut open: Vec<String> = jobs.map(|job| format!("not ended: {job:?}")).collect();
            let tickets = self.tickets().await.into_iter();
            let unsettled = tickets.filter(|ticket| !ticket.synced || ticket.active_job.is_some());
            open.extend(unsettled.map(|ticket| format!("not settled: {ticket:?}")));
            let runners = self.asks("runners", async || self.api.runners().await).await.unwrap().runners;
            let busy = runners.into_iter().filter(|runner| runner.busy > 0);
            open.extend(busy.map(|runner| format!("a slot is left: {runner:?}")));
            if open.is_empty() || since.elapsed() > within {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Stops everything and reports unclean exits and remaining processes.
    pub(super) async fn end(self) -> Vec<String> {
        let mut faults = Vec::new();
        for (runner, name) in self.runners.iter().zip(RUNNERS) {
            let code = stop(runner).await;
            if code != Some(0) {
                faults.push(format!("the runner {name} ended with {code:?}"));
            }
        }
        let code = stop(&self.up).await;
        if code != Some(0) {
            faults.push(format!("up ended with {code:?}"));
        }
        faults.extend(self.processes().into_iter().map(|pid| format!("the process {pid} of a job is left")));
        faults
    }

    /// The live `run-job` processes of tasks and runners.
    pub(super) fn processes(&self) -> Vec<i32> {
        let tasks = folders(&self.root.join("data/ecs/tasks")).into_iter().map(|task| task.join("task.json"));
        let tasks = tasks.filter_map(|file| read(&file)?["process"]["pid"].as_i64());
        let mut all: Vec<i32> = tasks.filter_map(|pid| i32::try_from(pid).ok()).collect();
        all.retain(|pid| self.is_ours(*pid, "run-job"));
        all.extend(RUNNERS.iter().flat_map(|name| self.jobs_of(name)));
        all
    }

    pub(super) fn jobs_of(&self, runner: &str) -> Vec<i32> {
        let records = folders(&self.root.join(format!("work/runners/{runner}.runner/jobs"))).into_iter();
        let pids = records.filter_map(|file| i32::try_from(read(&file)?["pid"].as_i64()?).ok());
        pids.filter(|pid| self.is_ours(*pid, "run-job")).collect()
    }

    /// The live agents, by their pids outside of any process namespace.
    pub(super) fn agents(&self) -> Vec<i32> {
        let pids =
            folders(Path::new("/proc")).into_iter().filter_map(|process| process.file_name()?.to_str()?.parse().ok());
        pids.filter(|pid| self.is_ours(*pid, AT_WORK)).collect()
    }

    pub(super) fn agents_of(&self, job: i32) -> Vec<i32> {
        let descends = |agent: &i32| {
            let mut ancestors = std::iter::successors(Some(*agent), |pid| parent(*pid));
            ancestors.any(|ancestor| ancestor == job)
        };
        self.agents().into_iter().filter(descends).collect()
    }

    /// A pid may be reused, so command and folder are compared, too.
    fn is_ours(&self, pid: i32, what: &str) -> bool {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let runs = String::from_utf8_lossy(&line).contains(what);
        // An unreadable link counts as ours, because `run-job` hides itself.
        runs && fs::read_link(format!("/proc/{pid}/cwd")).map_or(true, |cwd| cwd.starts_with(&self.root))
    }
}

impl Drop for World {
    /// A failed run leaves no process: jobs outlive their parents.
    fn drop(&mut self) {
        for program in self.runners.iter_mut().chain([&mut self.up]) {
            if let Some(program) = program.get_mut() {
                let _ = program.start_kill();
            }
        }
        for pid in self.processes() {
            let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

pub(super) fn id(project: &str) -> ProjectId {
    ProjectId::new(project).unwrap()
}

pub(super) async fn stop(what: &tokio::sync::Mutex<Option<Child>>) -> Option<i32> {
    let mut child = what.lock().await.take()?;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()?).ok()?);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(180), child.wait()).await;
    ended.unwrap_or_else(|_| panic!("{pid} did not stop in time")).unwrap().code()
}

fn parent(pid: i32) -> Option<i32> {
    let told = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    told.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok().filter(|pid| *pid > 0)
}

fn folders(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn read(file: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(file).ok()?).ok()
}

fn append(path: &Path) -> File {
    File::options().create(true).append(true).open(path).unwrap()
}

fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pullyard"));
    command
        .args(arguments)
        .current_dir(root)
        .env("XDG_CONFIG_HOME", root.join("config"))
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn start_up(root: &Path) -> Result<(Child, Value), String> {
    let mut start = command(root, &["up", "--json", "--data", "data"]);
    let mut child = start.stdout(Stdio::piped()).stderr(append(&root.join("up.err"))).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(START, lines.next_line()).await.map_err(|_| "not in time")?;
    let said = line.ok().flatten().and_then(|line| serde_json::from_str::<Value>(&line).ok());
    // A failed start also prints JSON, without `api`.
    match said.filter(|said| said["api"].is_string()) {
        Some(said) => Ok((child, said)),
        None => Err(fs::read_to_string(root.join("up.err")).unwrap_or_default()),
    }
}
