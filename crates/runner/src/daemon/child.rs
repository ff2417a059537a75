//! One `run-job` process: starts it, records it, finds it again in a later daemon, waits for it and stops it.
//! The process's standard input is a locked file. The lock belongs to the open file, not to the daemon, so a free lock
//! proves that the process is gone. Neither a reused process id nor the death of its parent matters.

use super::process_record::{AttemptKey, ProcessRecord};
use crate::Isolation;
use crate::agent;
use crate::agent::host_profile::AgentProfile;
use crate::durable_file;
use crate::git::NETWORK_ENVIRONMENT;
use crate::git::workspace::disk::{create_private_dirs, open_lock_file};
use crate::job_log::{self, remove_old_logs};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use pullyard_domain::text::id::{ClaimId, InstanceId};
use pullyard_protocol::runner::ClaimedJob;
use pullyard_sandbox::Containers;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// How often the lock of an earlier daemon's process is checked.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(250);
/// A process frees its lock just before it ends.
const REAP_TRIES: u32 = 20;

/// Variables that a child inherits, besides the ones for agents. Never a runner token: a child knows only its job.
pub(crate) const INHERITED: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "PULLYARD_PROCESS_NAMESPACE",
    "PULLYARD_SANDBOX_PATHS",
    "USER",
    "LOGNAME",
    "RUST_LOG",
    "PULLYARD_KEEP_WORKTREE",
    "PULLYARD_RAW_CAPTURE",
    "HTTP_PROXY",
];

impl ProcessRecord {
    pub(crate) fn terminate(&self, jobs: &Path) {
        self.signal(jobs, Signal::SIGTERM);
    }

    /// For a process that is frozen: SIGTERM would wait until it continues.
    pub(crate) fn kill(&self, jobs: &Path) {
        self.signal(jobs, Signal::SIGKILL);
    }

    /// Collects the status of a process that has ended. It is a child of this process if the daemon restarted itself.
    async fn reap(&self) {
        let Some(pid) = self.pid.filter(|pid| process_start_time(*pid) == self.began) else {
            return;
        };
        for _ in 0..REAP_TRIES {
            match waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) => sleep(LOCK_POLL_INTERVAL).await,
                _ => return,
            }
        }
    }

    /// Sends a signal if the process holds its lock. Some systems do not report when it began, and ids are reused.
    fn signal(&self, jobs: &Path, signal: Signal) {
        let Some(pid) = self.pid.filter(|pid| process_start_time(*pid) == self.began) else {
            return;
        };
        if !is_locked(&lock_path(jobs, &self.key())) {
            return;
        }
        if let Err(error) = kill(Pid::from_raw(pid), signal) {
            tracing::warn!(job.id = %self.job, error = %error, "cannot signal the job's process: {error}");
        }
    }
}

pub(crate) struct ProcessStarter {
    pub(crate) command: Vec<OsString>,
    pub(crate) api_url: String,
    pub(crate) work_dir: PathBuf,
    pub(crate) isolation: Option<Isolation>,
    pub(crate) isolation_check: Option<String>,
    pub(crate) containers: Option<Containers>,
    pub(crate) instance: InstanceId,
    pub(crate) stop_grace: Duration,
    pub(crate) clone_depth: Option<u32>,
    /// The forge's token, and the REST URL of its forge.
    pub(crate) forge: Option<(String, String)>,
    pub(crate) agent_profile: AgentProfile,
    pub(crate) disk_limit: Option<String>,
    pub(crate) process_memory: Option<String>,
    pub(crate) jobs: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) keep_logs: usize,
    /// Folder for copies of the jobs' logs.
    pub(crate) log_copies: Option<PathBuf>,
}

pub(crate) enum RunningProcess {
    Child(Child),
    /// The process of an earlier daemon.
    Adopted {
        lock: PathBuf,
        record: ProcessRecord,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessExit {
    Success,
    /// With a code for a failed runner, or by an unexpected signal.
    Failure(i32),
}

fn inherited_variables() -> impl Iterator<Item = (&'static str, OsString)> {
    let names = INHERITED.iter().chain(NETWORK_ENVIRONMENT).copied().chain(agent::agent_variables());
    names.filter_map(|name| Some((name, std::env::var_os(name)?)))
}

impl ProcessStarter {
    /// Writes: the record before the start, so that no process lacks a record.
    pub(crate) fn start(
        &self,
        claimed_job: &ClaimedJob,
        claim_id: &ClaimId,
    ) -> io::Result<(ProcessRecord, RunningProcess)> {
        let (job, attempt) = (claimed_job.job.clone(), claimed_job.attempt);
        let mut record = ProcessRecord { job, attempt, claim_id: claim_id.clone(), pid: None, began: None };
        let key = record.key();
        let lock = open_lock_file(&lock_path(&self.jobs, &key))?;
        lock.try_lock().map_err(|_| io::Error::new(io::ErrorKind::ResourceBusy, "it is already running"))?;
        let file = record_path(&self.jobs, &key);
        let result = durable_file::write(&file, &record).and_then(|()| self.spawn(claimed_job, &record, lock));
        let child = result.inspect_err(|_| remove_record(&self.jobs, &key))?;
        record.pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        record.began = record.pid.and_then(process_start_time);
        if let Err(error) = durable_file::write(&file, &record) {
            tracing::warn!(job.id = %record.job, error = %error, "cannot store the job's process: {error}");
        }
        Ok((record, RunningProcess::Child(child)))
    }

    fn spawn(&self, claimed_job: &ClaimedJob, record: &ProcessRecord, lock: File) -> io::Result<Child> {
        let log = self.create_log(&record.key())?;
        let Some((program, args)) = self.command.split_first() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no program is set"));
        };
        let mut command = Command::new(program);
        command
            .args(args)
            .env_clear()
            .envs(inherited_variables())
            .env("PULLYARD_API_URL", &self.api_url)
            .env("PULLYARD_JOB", record.job.as_str())
            .env("PULLYARD_ATTEMPT", record.attempt.to_string())
            .env("PULLYARD_BOOTSTRAP", &claimed_job.bootstrap)
            .env("PULLYARD_CLAIM", record.claim_id.as_str())
            .env("PULLYARD_INSTANCE", self.instance.as_str())
            .env("PULLYARD_WORK_DIR", &self.work_dir)
            .env("PULLYARD_STOP_GRACE_SECS", self.stop_grace.as_secs().to_string())
            .stdin(Stdio::from(lock))
            // A file instead of a pipe, because the process may outlive the daemon.
            .stdout(log.try_clone()?)
            .stderr(log)
            // Signals to the daemon's group, such as Ctrl-C, must not reach the process.
            .process_group(0);
        if let Some(isolation) = self.isolation {
            command.env("PULLYARD_ISOLATION", isolation.as_str());
        }
        if let Some(check) = &self.isolation_check {
            command.env("PULLYARD_ISOLATION_CHECK", check);
        }
        if let Some((token, api_url)) = &self.forge {
            command.env("PULLYARD_FORGE_TOKEN", token).env("PULLYARD_FORGE_API_URL", api_url);
        }
        if self.agent_profile == AgentProfile::Host {
            command.env("PULLYARD_AGENT_PROFILE", "host");
        }
        if let Some(depth) = self.clone_depth {
            command.env("PULLYARD_CLONE_DEPTH", depth.to_string());
        }
        if let Some(size) = &self.disk_limit {
            command.env("PULLYARD_DISK_LIMIT", size);
        }
        if let Some(size) = &self.process_memory {
            command.env("PULLYARD_PROCESS_MEMORY", size);
        }
        if let Some(folder) = &self.log_copies {
            command.env("PULLYARD_LOG_COPY", job_log::next_file(folder, &record.job, record.attempt, self.keep_logs));
        }
        if let Some(containers) = &self.containers {
            command.env("PULLYARD_CONTAINERS", serde_json::to_string(containers)?);
            let variables = Containers::CLIENT_VARIABLES.into_iter();
            command.envs(variables.filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
        command.spawn()
    }

    fn create_log(&self, key: &AttemptKey) -> io::Result<File> {
        create_private_dirs(&self.logs)?;
        remove_old_logs(&self.logs, self.keep_logs.saturating_sub(1), |_| true);
        let path = self.logs.join(format!("{}.log", file_stem(key)));
        OpenOptions::new().append(true).create(true).mode(0o600).open(path)
    }
}

impl RunningProcess {
    pub(crate) async fn wait(self) -> ProcessExit {
        match self {
            Self::Child(mut child) => match child.wait().await {
                Ok(status) => match status.code().or_else(|| status.signal().map(|signal| 128 + signal)) {
                    Some(0 | 143) => ProcessExit::Success,
                    code => ProcessExit::Failure(code.unwrap_or(-1)),
                },
                // The process ended, and the cleanup of another job already collected its status.
                Err(_) => ProcessExit::Success,
            },
            Self::Adopted { lock, record } => {
                while is_locked(&lock) {
                    sleep(LOCK_POLL_INTERVAL).await;
                }
                record.reap().await;
                ProcessExit::Success
            }
        }
    }
}

/// The living processes of an earlier daemon, and the attempts whose process ended.
pub(crate) fn load_records(jobs: &Path) -> (Vec<(ProcessRecord, RunningProcess)>, Vec<AttemptKey>) {
    let (mut living, mut dead) = (Vec::new(), Vec::new());
    for path in durable_file::list(jobs, "json") {
        let Some(record) = durable_file::read::<ProcessRecord>(&path) else {
            continue;
        };
        let lock = lock_path(jobs, &record.key());
        if is_locked(&lock) {
            living.push((record.clone(), RunningProcess::Adopted { lock, record }));
        } else {
            // A child of this process that ended while the daemon restarted itself would stay a zombie.
            if let Some(pid) = record.pid.filter(|pid| process_start_time(*pid) == record.began) {
                let _ = waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG));
            }
            dead.push(record.key());
        }
    }
    (living, dead)
}

pub(crate) fn remove_record(jobs: &Path, key: &AttemptKey) {
    durable_file::remove(&record_path(jobs, key));
    durable_file::remove(&lock_path(jobs, key));
}

fn is_locked(lock: &Path) -> bool {
    // Without creating it: no process holds a missing lock.
    File::open(lock).is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

fn file_stem((job, attempt): &AttemptKey) -> String {
    format!("{job}-{attempt}")
}

fn record_path(jobs: &Path, key: &AttemptKey) -> PathBuf {
    jobs.join(format!("{}.json", file_stem(key)))
}

fn lock_path(jobs: &Path, key: &AttemptKey) -> PathBuf {
    jobs.join(format!("{}.lock", file_stem(key)))
}

/// When a process began, in ticks since boot. Linux only; elsewhere only the lock proves that it is alive.
pub(super) fn process_start_time(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 22 of the line, counted after the name's closing bracket, because the name may contain spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::JobId;

    fn starter(dir: &Path, script: &str) -> ProcessStarter {
        let jobs = dir.join("jobs");
        create_private_dirs(&jobs).unwrap();
        ProcessStarter {
            command: ["/bin/sh", "-c", script].map(OsString::from).to_vec(),
            api_url: "http://x".into(),
            work_dir: dir.to_owned(),
            isolation: Some(Isolation::None),
            isolation_check: None,
            containers: None,
            instance: crate::api::ids::new_instance_id().unwrap(),
            stop_grace: Duration::from_secs(1),
            clone_depth: None,
            forge: None,
            agent_profile: AgentProfile::Job,
            disk_limit: None,
            process_memory: None,
            jobs,
            logs: dir.join("logs"),
            keep_logs: 3,
            log_copies: None,
        }
    }

    fn claimed_job(letter: &str) -> ClaimedJob {
        ClaimedJob { job: JobId::new(format!("job_{}", letter.repeat(26))).unwrap(), attempt: 1, bootstrap: "b".into() }
    }

    #[tokio::test]
    async fn process_is_known_by_its_lock_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let starter = starter(dir.path(), "exec sleep 600");
        let claim = crate::api::ids::new_claim_id().unwrap();
        let (record, living) = starter.start(&claimed_job("a"), &claim).unwrap();
        assert!(starter.start(&claimed_job("a"), &claim).is_err(), "the job runs already");

        let (found, dead) = load_records(&starter.jobs);
        assert!(dead.is_empty());
        let [(again, adopted)] = found.try_into().unwrap_or_else(|_| panic!("expected one process"));
        assert_eq!(again, record);
        again.terminate(&starter.jobs);
        assert_eq!(living.wait().await, ProcessExit::Success);
        assert_eq!(adopted.wait().await, ProcessExit::Success);
        let (found, dead) = load_records(&starter.jobs);
        assert!(found.is_empty());
        assert_eq!(dead, [record.key()]);
        remove_record(&starter.jobs, &record.key());
        assert!(load_records(&starter.jobs).1.is_empty());
    }

    #[tokio::test]
    async fn reused_pid_with_another_start_time_is_not_killed() {
        let dir = tempfile::tempdir().unwrap();
        let starter = starter(dir.path(), "exec sleep 600");
        let (record, living) = starter.start(&claimed_job("a"), &crate::api::ids::new_claim_id().unwrap()).unwrap();
        ProcessRecord { began: Some("1".into()), ..record.clone() }.terminate(&starter.jobs);
        assert!(is_locked(&lock_path(&starter.jobs, &record.key())));
        record.terminate(&starter.jobs);
        living.wait().await;
    }

    #[tokio::test]
    async fn pid_without_a_held_lock_is_not_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = Command::new("sleep").arg("600").kill_on_drop(true).spawn().unwrap();
        let pid = other.id().and_then(|pid| i32::try_from(pid).ok());
        let (job, claim_id) = (claimed_job("a").job, crate::api::ids::new_claim_id().unwrap());
        let record = ProcessRecord { job, attempt: 1, claim_id, pid, began: pid.and_then(process_start_time) };
        record.terminate(dir.path());
        other.start_kill().unwrap();
        // A process reports the first signal that ended it.
        assert_eq!(other.wait().await.unwrap().signal(), Some(9));
    }

    #[tokio::test]
    async fn exit_codes_are_classified_and_old_logs_removed() {
        let dir = tempfile::tempdir().unwrap();
        for (letter, script, ended) in [
            ("a", "echo said; exit 0", ProcessExit::Success),
            ("b", "exit 143", ProcessExit::Success),
            ("c", "exit 1", ProcessExit::Failure(1)),
            ("d", "kill -KILL $$", ProcessExit::Failure(137)),
        ] {
            let starter = starter(dir.path(), script);
            let (_, living) = starter.start(&claimed_job(letter), &crate::api::ids::new_claim_id().unwrap()).unwrap();
            assert_eq!(living.wait().await, ended, "{script}");
        }
        assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 3);
    }

    #[test]
    fn oldest_logs_are_removed_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let now = std::time::SystemTime::now();
        for (name, hours) in [("a.log", 3), ("b.log", 1), ("c.log", 2), ("notes.txt", 9)] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_modified(now - Duration::from_secs(hours * 3_600)).unwrap();
        }
        remove_old_logs(dir.path(), 2, |_| true);
        let mut file_names: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        file_names.sort();
        assert_eq!(file_names, ["b.log", "c.log", "notes.txt"]);
    }
}
