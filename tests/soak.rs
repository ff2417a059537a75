//! Runs `pullyard up` and three runners under random kills, then verifies that nothing is lost or done twice.
//!
//! All tickets enter at once. Each must end with one completed job, one pushed commit and one pull request. The run
//! takes minutes, so a person or `.ci/nightly` runs it:
//!
//! ```sh
//! PULLYARD_SOAK_SEED=7 PULLYARD_SOAK_TICKETS=500 PULLYARD_SOAK_SLOTS=4 \
//!     cargo test --release -p pullyard-cli --test system soak:: -- --ignored --nocapture
//! ```
//!
//! The seed fixes the kills, not the timing of the answers. A failed run keeps its folder with all logs and prints its
//! path.

use crate::prelude::*;
use crate::up::{Machine, Up};
use futures::StreamExt as _;
use nix::sys::signal::{kill, killpg};
use pullyard_domain::project::{Limits, OfflinePolicy};
use pullyard_protocol::token::CreateToken;
use pullyard_testkit::SeededRng;
use std::fs;
use std::time::UNIX_EPOCH;
use tokio::time::sleep;

const RUNNERS: [&str; 3] = ["kite", "gull", "tern"];
/// Works for up to three seconds, as the job's id decides.
const AGENT: &str = "#!/bin/sh
cat > /dev/null
sleep $(( $(printf '%s' \"$PULLYARD_JOB\" | cksum | cut -d' ' -f1) % 4 ))
echo \"$PULLYARD_JOB\" >> work.txt
";
/// Time limit for open work after the last kill: 90 s until a runner is Offline, 120 s of push window, and the work.
const QUIET_WITHIN: Duration = Duration::from_secs(420);

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().unwrap())
}

fn shop() -> ProjectId {
    ProjectId::new("shop").unwrap()
}

struct Soak {
    machine: Machine,
    api: ApiClient,
    url: String,
    up: Option<Up>,
    runners: Vec<Child>,
    token: String,
    slots: String,
}

impl Soak {
    async fn begin(slots: u64) -> Self {
        let machine = Machine::new();
        fs::write(machine.path("shop/agent.sh"), AGENT).unwrap();
        let mut git = std::process::Command::new("git");
        git.args(["-c", "core.fileMode=false", "-c", "user.name=ana", "-c", "user.email=ana@example.org"]);
        git.args(["commit", "--quiet", "--all", "-m", "Agent"]).current_dir(machine.path("shop"));
        assert!(git.status().unwrap().success());
        let up = machine.up().await;
        let (api, url) = (up.api.clone(), up.url().to_owned());
        // Requeue lost jobs, even after many deaths.
        let limits = Limits { requeues: 10, ..Limits::default() };
        let (compute, offline) = (Compute::Runners, OfflinePolicy::Requeue);
        let settings = Settings { auto_create: true, compute, offline, limits, ..Settings::default() };
        api.create_project(&CreateProject { id: shop(), name: "Shop".into(), settings }).await.unwrap();
        let add = ["repos", "add", "--project", "shop", "--path", "shop", "--agent-command", "./agent.sh"];
        machine.stdout(&add).await;
        let request = CreateToken {
            name: "machine".into(),
            kind: TokenKind::Runner,
            scopes: BTreeSet::new(),
            projects: None,
            runner: None,
            expires_in_secs: None,
        };
        let token = api.create_token(&request).await.unwrap().token;
        let slots = slots.to_string();
        let mut soak = Self { machine, api, url, up: Some(up), runners: Vec::new(), token, slots };
        soak.runners = RUNNERS.map(|name| soak.start_runner(name)).into();
        soak
    }

    fn start_runner(&self, name: &str) -> Child {
        let work = self.machine.path("work");
        fs::create_dir_all(&work).unwrap();
        let log = File::options().create(true).append(true).open(self.machine.path(&format!("{name}.log"))).unwrap();
        Command::new(env!("CARGO_BIN_EXE_pullyard"))
            .args(["runner", "start", "--config", "none", "--name", name, "--slots", &self.slots])
            .env_remove("RUST_LOG")
            .env("PULLYARD_API_URL", &self.url)
            .env("PULLYARD_RUNNER_TOKEN", &self.token)
            .env("PULLYARD_WORK_DIR", work)
            .env("PULLYARD_ISOLATION", "none")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn enter(&self, tickets: u64) {
        let enter = |number: u64| async move {
            let (project, key) = (shop(), format!("S-{number}"));
            let new = json!({ "project": project, "key": key, "title": key, "status": TRIGGER });
            let new: CreateTicket = serde_json::from_value(new).unwrap();
            self.api.create_ticket(&new, Some(&key)).await.unwrap();
        };
        futures::stream::iter(0..tickets).for_each_concurrent(20, enter).await;
    }

    /// Kills `up`, a runner, a runner with its jobs, or one job, and starts the program again.
    async fn kill_one(&mut self, dice: &mut SeededRng) {
        let at = dice.below(RUNNERS.len());
        let pause = Duration::from_secs_f64(dice.fraction());
        match dice.below(5) {
            0 | 1 => {
                self.up.take().unwrap().kill().await;
                sleep(pause).await;
                self.up = Some(self.machine.up().await);
            }
            deed @ (2 | 3) => {
                self.runners[at].kill().await.unwrap();
                for pid in self.jobs_of(RUNNERS[at]).into_iter().filter(|_| deed == 3) {
                    let _ = killpg(pid, Signal::SIGKILL);
                }
                sleep(pause * 20).await;
                self.runners[at] = self.start_runner(RUNNERS[at]);
            }
            _ => {
                if let Some(pid) = dice.choose(&self.jobs_of(RUNNERS[at])) {
                    let _ = kill(*pid, Signal::SIGKILL);
                }
            }
        }
    }

    fn jobs_of(&self, runner: &str) -> Vec<Pid> {
        let folder = fs::read_dir(self.machine.path(&format!("work/runners/{runner}.runner/jobs")));
        let records = folder.into_iter().flatten().flatten().filter_map(|file| fs::read(file.path()).ok());
        let pids = records.filter_map(|record| serde_json::from_slice::<Value>(&record).ok()?["pid"].as_i64());
        // A pid may be reused.
        let is_job = |pid: &i64| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains("run-job")
        };
        pids.filter(is_job).map(|pid| Pid::from_raw(i32::try_from(pid).unwrap())).collect()
    }

    async fn jobs(&self) -> Vec<Job> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let ask = async || self.api.jobs(&shop(), after.as_deref()).await.map_err(|error| error.to_string());
            let page = wait_until("the jobs are listed", ask).await;
            all.extend(page.jobs);
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    }

    async fn tickets(&self) -> Vec<Ticket> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let ask = async || self.api.tickets(&shop(), after.as_deref()).await.map_err(|error| error.to_string());
            let page = wait_until("the tickets are listed", ask).await;
            all.extend(page.tickets);
            after = page.next;
            if after.is_none() {
                return all;
            }
        }
    }

    async fn open_jobs(&self) -> Vec<String> {
        let jobs = self.jobs().await.into_iter().filter(|job| !job.status.is_terminal());
        jobs.map(|job| format!("not ended: {job:?}")).collect()
    }

    async fn unsettled(&self) -> Vec<String> {
        let since = Instant::now();
        loop {
            let mut open = self.open_jobs().await;
            let tickets = self.tickets().await.into_iter();
            let unsettled = tickets.filter(|ticket| !ticket.synced || ticket.active_job.is_some());
            open.extend(unsettled.map(|ticket| format!("not settled: {ticket:?}")));
            let runners = self.api.runners(None).await.unwrap().runners;
            let busy = runners.into_iter().filter(|runner| runner.busy > 0);
            open.extend(busy.map(|runner| format!("a slot is left: {runner:?}")));
            if open.is_empty() || since.elapsed() > QUIET_WITHIN {
                return open;
            }
            sleep(Duration::from_millis(500)).await;
        }
    }

    fn pushed(&self) -> Vec<String> {
        let mut git = std::process::Command::new("git");
        git.arg("-C").arg(self.machine.path("shop")).args(["log", "--branches=pullyard", "^main"]);
        let output = git.arg("--format=%(trailers:key=Pullyard-Job,valueonly)").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let log = String::from_utf8(output.stdout).unwrap();
        let jobs = log.lines().filter(|line| !line.is_empty()).map(|line| line.split('/').next().unwrap().to_owned());
        jobs.collect()
    }

    /// Each ticket must be in review, with one completed job, one commit and one pull request.
    async fn faults(&self, count: u64) -> Vec<String> {
        let mut faults = self.unsettled().await;
        let (jobs, tickets) = (self.jobs().await, self.tickets().await);
        let open = jobs.iter().filter(|job| job.status != JobStatus::Completed);
        faults.extend(open.map(|job| format!("not completed: {job:?}")));
        let elsewhere = |ticket: &&Ticket| ticket.status != REVIEW || !ticket.badges.is_empty();
        faults.extend(tickets.iter().filter(elsewhere).map(|ticket| format!("not in review: {ticket:?}")));
        let mut pushed = self.pushed();
        pushed.sort();
        let mut ids: Vec<_> = jobs.iter().map(|job| job.id.to_string()).collect();
        ids.sort();
        if pushed != ids {
            faults.push(format!("the jobs are {ids:?}, the jobs of the commits {pushed:?}"));
        }
        // The forge numbers pull requests from 1, so a higher number shows a second pull request of a job.
        let pulls: BTreeSet<u64> = jobs.iter().filter_map(|job| Some(job.result.as_ref()?.number)).collect();
        let expected: BTreeSet<u64> = (1..=count).collect();
        let (tickets, jobs) = (tickets.len() as u64, jobs.len() as u64);
        if (tickets, jobs, &pulls) != (count, count, &expected) {
            faults.push(format!("{count} tickets entered: {tickets} tickets, {jobs} jobs, pull requests {pulls:?}"));
        }
        faults
    }

    async fn stop(&mut self) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, mut runner) in RUNNERS.into_iter().zip(std::mem::take(&mut self.runners)) {
            kill(Pid::from_raw(i32::try_from(runner.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
            let ended = tokio::time::timeout(Duration::from_secs(180), runner.wait()).await;
            let code = ended.expect("a runner did not stop").unwrap().code();
            if code != Some(0) {
                faults.push(format!("the runner {name} ended with {code:?}"));
            }
            faults.extend(self.jobs_of(name).into_iter().map(|pid| format!("the process {pid} of {name} is left")));
        }
        let (code, stderr) = self.up.take().unwrap().stop(Signal::SIGTERM).await;
        if code != 0 {
            faults.push(format!("up ended with {code}: {stderr}"));
        }
        faults
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: run on demand, see CONTRIBUTING.md"]
async fn every_ticket_gets_one_pull_request_under_random_kills() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = setting("PULLYARD_SOAK_SEED", clock.as_secs() % 100_000);
    let tickets = setting("PULLYARD_SOAK_TICKETS", 40);
    println!("soak: seed {seed}, {tickets} tickets");
    let mut soak = Soak::begin(setting("PULLYARD_SOAK_SLOTS", 2)).await;
    let (begun, mut dice, mut kills) = (Instant::now(), SeededRng::new(seed), 0);
    // Seven times what 500 tickets take on two cores, plus ten minutes.
    let limit = Duration::from_secs(600 + 10 * tickets);
    soak.enter(tickets).await;
    while soak.open_jobs().await.len() as u64 * 10 > tickets && begun.elapsed() < limit {
        sleep(Duration::from_secs_f64(0.2 + 2.0 * dice.fraction())).await;
        soak.kill_one(&mut dice).await;
        kills += 1;
    }
    let mut faults = soak.faults(tickets).await;
    println!("soak: {kills} kills, quiet after {} s", begun.elapsed().as_secs());
    faults.extend(soak.stop().await);
    assert!(faults.is_empty(), "seed {seed}, kept in {}:\n{}", soak.machine.keep().display(), faults.join("\n"));
}
