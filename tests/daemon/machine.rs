//! A machine with daemons whose agents wait for permission to end.

use crate::prelude::*;
use nix::sys::signal::{kill, killpg};
use pullyard_protocol::token::{CreateToken, CreatedToken};
use std::fs;

/// Time limit, generous for a loaded machine.
const TIME_LIMIT: Duration = Duration::from_secs(300);
/// Less than the time after which a silent runner is Offline.
const STEP: Duration = Duration::from_secs(20);

pub(crate) struct Machine {
    dir: TempDir,
    pub(super) url: String,
    pub(super) token: CreatedToken,
    /// The `PATH` of daemons and their jobs.
    pub(super) search_path: String,
}

pub(crate) struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Story {
    pub(super) async fn with_daemons() -> (Self, Machine) {
        let settings = Settings { compute: Compute::Runners, ..Setup::default().settings };
        let story = Self::start_with(Setup { task: Task::Waiting, settings, ..Setup::default() }).await;
        let machine = Machine::of(story.local.api_url(), &story.api).await;
        story.set_agent_command(&machine.agent("")).await;
        story.local.sweep().await.unwrap();
        (story, machine)
    }

    pub(super) async fn pass_with_heartbeats(&self, runners: &[&str], secs: u64) {
        for _ in 0..Duration::from_secs(secs).as_secs().div_ceil(STEP.as_secs()) {
            self.clock.advance(STEP);
            let now = self.clock.now();
            for name in runners {
                self.wait_for_heartbeat(name).await;
            }
            self.wait_for_attempt_heartbeats(now).await;
            self.local.sweep().await.unwrap();
        }
    }

    pub(super) async fn wait_for_heartbeat(&self, name: &str) {
        let now = self.clock.now();
        wait_until("the runner is heard", async || {
            let heartbeat = self.api.runner(name).await.unwrap().last_heartbeat;
            if heartbeat >= now { Ok(()) } else { Err(format!("{name}: {heartbeat:?}")) }
        })
        .await
    }

    /// Attempts send heartbeats every ten seconds of real time.
    async fn wait_for_attempt_heartbeats(&self, now: Timestamp) {
        for job in self.jobs().await.into_iter().filter(|job| job.status.is_active()) {
            wait_until("the attempt is heard", async || {
                let run = self.load_job_item(&job.id).await["run"].take();
                let last = run["heartbeat"].as_i64().unwrap_or_default();
                if now.millis() - last < 45_000 { Ok(()) } else { Err(run.to_string()) }
            })
            .await;
        }
    }

    pub(super) async fn pass_without_heartbeats(&self, secs: u64) {
        for _ in 0..secs.div_ceil(STEP.as_secs()) {
            self.advance_and_sweep(STEP).await;
        }
    }

    pub(super) async fn wait_for_runner(&self, name: &str, status: RunnerStatus, busy: u32) {
        wait_until("the runner gets there", async || {
            let runner = self.api.runner(name).await.map_err(|error| error.to_string())?;
            let so = (runner.status, runner.busy) == (status, busy);
            if so { Ok(()) } else { Err(format!("{runner:?}")) }
        })
        .await
    }

    pub(super) async fn commits_of(&self, job: &JobId) -> usize {
        let trailers =
            self.git(&["log", "--glob=refs/heads/pullyard/*", "--format=%(trailers:key=Pullyard-Job,valueonly)"]).await;
        trailers.lines().filter(|line| line.split('/').next() == Some(job.as_str())).count()
    }

    pub(super) async fn assert_completed(&self, job: &JobId, key: &str) {
        self.assert_completed_in(1, job, key).await;
    }

    pub(super) async fn assert_completed_in(&self, attempt: u32, job: &JobId, key: &str) {
        let ended = self.wait_for_end(job).await;
        assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, attempt), "{ended:?}");
        let ticket = self.wait_for_settled_ticket(key).await;
        assert_eq!((ticket.status.as_str(), ticket.badges.len()), (crate::story::REVIEW, 0), "{ticket:?}");
        assert_eq!(self.commits_of(job).await, 1);
        let result = ended.result.unwrap();
        let pulls = self.pull_requests().await;
        let ours = pulls.iter().filter(|pull| pull["head"]["ref"] == result.branch.as_str()).collect::<Vec<_>>();
        assert_eq!((ours.len(), &ours[0]["head"]["sha"]), (1, &Value::from(result.head)));
    }

    pub(super) async fn assert_failed(&self, job: &JobId, key: &str, code: &str) {
        let ended = self.wait_for_end(job).await;
        assert_eq!(ended.status, JobStatus::Failed, "{ended:?}");
        assert_eq!(ended.failure.unwrap().code, code);
        let ticket = self.wait_for_settled_ticket(key).await;
        assert_eq!((ticket.status.as_str(), ticket.badges), (crate::story::TODO, vec!["AI Failed".to_owned()]));
        assert_eq!(self.commits_of(job).await, 0);
    }
}

impl Machine {
    pub(crate) async fn of(url: &str, api: &ApiClient) -> Self {
        let request = CreateToken {
            name: "machine".into(),
            kind: TokenKind::Runner,
            scopes: Default::default(),
            projects: None,
            runner: None,
            expires_in_secs: None,
        };
        let token = api.create_token(&request).await.unwrap();
        let search_path = std::env::var("PATH").unwrap();
        Self { dir: TempDir::new().unwrap(), url: url.to_owned(), token, search_path }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The command of an agent that reports its start, waits for `go`, and then runs `then`.
    pub(crate) fn agent(&self, then: &str) -> [&'static str; 3] {
        let dir = self.dir.path().display();
        let script = format!(
            "cat > prompt.txt; rm prompt.txt; echo $$ > {dir}/draft-$PULLYARD_JOB; mv {dir}/draft-$PULLYARD_JOB {dir}/at-$PULLYARD_JOB
             while [ ! -e {dir}/go ]; do sleep 0.05; done; echo done >> work.txt; {then}"
        );
        ["sh", "-c", script.leak()]
    }

    pub(crate) fn release_agents(&self) {
        fs::write(self.path("go"), "").unwrap();
    }

    pub(super) fn started_jobs(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter_map(|name| Some(name.to_str()?.strip_prefix("at-")?.to_owned())).collect()
    }

    /// The processes of jobs, as the daemons recorded them.
    pub(super) fn job_processes(&self) -> Vec<(String, Pid)> {
        let runners = fs::read_dir(self.path("work/runners")).into_iter().flatten().flatten();
        let files = runners.flat_map(|runner| fs::read_dir(runner.path().join("jobs")).into_iter().flatten().flatten());
        let records = files.filter_map(|file| serde_json::from_slice::<Value>(&fs::read(file.path()).ok()?).ok());
        let processes = records.filter_map(|record| {
            let pid = i32::try_from(record["pid"].as_i64()?).ok()?;
            Some((record["job"].as_str()?.to_owned(), Pid::from_raw(pid)))
        });
        processes.collect()
    }

    pub(crate) async fn wait_for_agent(&self, job: &JobId) -> Pid {
        let (file, work) = (self.path(&format!("at-{job}")), self.path("work"));
        wait_until("the agent works", async || {
            fs::read_to_string(&file).map_err(|error| error.to_string())?;
            group_below(&work, job).ok_or_else(|| "it says so, and is not there".to_owned())
        })
        .await
    }

    pub(super) async fn wait_until_dead(&self, agent: Pid) {
        wait_until("the agent is gone", async || match killpg(agent, None) {
            Err(nix::errno::Errno::ESRCH) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
    }

    pub(crate) fn daemon(&self, name: &str, flags: &[&str]) -> Daemon {
        let log = self.path(&format!("{name}.log"));
        let log_file = File::options().create(true).append(true).open(&log).unwrap();
        fs::create_dir_all(self.path("work")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pullyard"))
            .args(["runner", "start", "--name", name, "--heartbeat-interval-ms", "1000", "--stop-grace-secs", "1"])
            .args(flags)
            .env_clear()
            .env("PATH", &self.search_path)
            .env("HOME", self.dir.path())
            .env("PULLYARD_API_URL", &self.url)
            .env("PULLYARD_RUNNER_TOKEN", &self.token.token)
            .env("PULLYARD_WORK_DIR", self.path("work"))
            .env("PULLYARD_ISOLATION", "none")
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().unwrap())
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Daemon { child, log }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::write(self.path("go"), "");
        for (_, process) in self.job_processes() {
            let _ = killpg(process, Signal::SIGKILL);
        }
    }
}

impl Daemon {
    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    pub(crate) async fn wait(mut self) -> (Option<i32>, String) {
        let status = tokio::time::timeout(TIME_LIMIT, self.child.wait()).await;
        let log = fs::read_to_string(&self.log).unwrap();
        let status = status.unwrap_or_else(|_| panic!("the daemon did not end: {log}")).unwrap();
        assert!(!log.contains("rnt_") && !log.contains("pyb_"), "a secret is in the log: {log}");
        (status.code(), log)
    }

    pub(crate) async fn stop(self) {
        self.signal(Signal::SIGTERM);
        let (code, log) = self.wait().await;
        assert_eq!(code, Some(0), "{log}");
    }
}

fn group_below(work: &Path, job: &JobId) -> Option<Pid> {
    let mark = format!("TMPDIR={}/worktrees/{job}-", work.display());
    fs::read_dir("/proc").unwrap().flatten().find_map(|process| {
        let environment = fs::read(process.path().join("environ")).ok()?;
        let mut variables = environment.split(|byte| *byte == 0);
        variables.any(|variable| variable.starts_with(mark.as_bytes())).then_some(())?;
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        // `pid (name) state parent group …`: the name may contain any character, even brackets.
        Some(Pid::from_raw(stat.rsplit_once(") ")?.1.split(' ').nth(2)?.parse().ok()?))
    })
}
