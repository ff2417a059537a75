//! Tests runners that are killed at chosen points: the next attempt adopts the push or runs the agent again.

use super::{FINISH_GRACE, assert_done_once};
use crate::prelude::*;

const BLOCKING_AGENT: &str = "#!/bin/sh
cat > /dev/null
: > \"$1.reached\"
while [ -e \"$1\" ]; do sleep 0.05; done
echo done >> work.txt
";

const BLOCKING_GIT: &str = r#"hold() {
  if [ -e "$PULLYARD_HOLD/$1" ]; then
    echo $$ > "$PULLYARD_HOLD/$1.pid"
    mv "$PULLYARD_HOLD/$1.pid" "$PULLYARD_HOLD/$1.reached"
    while [ -e "$PULLYARD_HOLD/$1" ]; do sleep 0.05; done
  fi
}
for word in "$@"; do
  case "$word" in
    fetch) hold fetch ;;
    push) hold push; "$REAL_GIT" "$@"; code=$?; hold pushed; exit $code ;;
  esac
done
exec "$REAL_GIT" "$@""#;

pub(crate) struct Blocker(TempDir);

impl Blocker {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
        let script = BLOCKING_GIT
            .replace("$PULLYARD_HOLD", folder.path().to_str().unwrap())
            .replace("$REAL_GIT", real.to_str().unwrap());
        pullyard_test_script::write_script(folder.path().join("git"), &script);
        Self(folder)
    }

    fn path(&self, at: &str) -> String {
        self.0.path().join(at).to_str().unwrap().to_owned()
    }

    pub(crate) fn block(&self, at: &str) {
        let _ = std::fs::remove_file(self.path(&format!("{at}.reached")));
        std::fs::write(self.path(at), "").unwrap();
    }

    pub(crate) fn unblock(&self, at: &str) {
        std::fs::remove_file(self.path(at)).unwrap();
    }

    pub(crate) async fn wait_until_blocked(&self, at: &str) -> String {
        let path = self.path(&format!("{at}.reached"));
        wait_until("it is held", async || std::fs::read_to_string(Path::new(&path)).map_err(|error| error.to_string()))
            .await
    }

    /// The `PATH` of a daemon whose jobs are blocked.
    pub(crate) fn search_path(&self) -> String {
        format!("{}:{}", self.0.path().display(), std::env::var("PATH").unwrap())
    }

    pub(crate) async fn set_agent(&self, story: &Story) {
        story.set_agent_command(&["sh", "-c", BLOCKING_AGENT, "sh", &self.path("agent")]).await;
    }

    pub(super) async fn story(&self) -> Story {
        let start = format!("PATH=\"{}:$PATH\" exec \"$0\" runner run-job", self.0.path().display());
        let program = ["sh", "-c", &start, env!("CARGO_BIN_EXE_pullyard")].map(str::to_owned);
        let command = vec!["./agent.sh".into(), self.path("agent")];
        let task = Task::Program(program.to_vec());
        Story::start_with(Setup { task, agent: BLOCKING_AGENT, command, ..Setup::default() }).await
    }
}

async fn kill_runner_at(at: &str) -> (Blocker, Story, JobId) {
    let holds = Blocker::new();
    holds.block(at);
    let story = holds.story().await;
    let job = story.create_job("e1", "APP-1", 1).await;
    let task = story.wait_for_task(&job, 1).await;
    let holder = holds.wait_until_blocked(at).await;
    story.kill_task(&task).await;
    if !holder.trim().is_empty() {
        // In a container a blocked git would die, too.
        let _ = tokio::process::Command::new("/bin/kill").args(["-KILL", holder.trim()]).output().await;
    }
    story.wait_for_noted_death(&job).await;
    holds.unblock(at);
    (holds, story, job)
}

/// Verifies that the first attempt was requeued and the second completed; returns the second.
async fn load_second_attempt(story: &Story, job: &Job) -> Value {
    let ended = async |number: u32| story.load_item(&format!("JOB#{}", job.id), &format!("ATTEMPT#{number:04}")).await;
    let (first, second) = (ended(1).await, ended(2).await);
    assert_eq!((&first["ended"]["how"], &second["ended"]["how"]), (&json!("requeued"), &json!("completed")));
    assert_eq!((job.attempt, &story.load_job_item(&job.id).await["requeues"]), (2, &json!(1)));
    second
}

#[tokio::test(flavor = "multi_thread")]
async fn death_before_the_push_runs_the_agent_again() {
    let (_holds, story, job) = kill_runner_at("push").await;
    story.advance_and_sweep(FINISH_GRACE).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, JobStatus::Syncing);
    story.advance_and_sweep(Duration::from_secs(105)).await;
    let ended = story.wait_for_end(&job).await;
    assert_done_once(&story, &ended).await;
    assert!(load_second_attempt(&story, &ended).await["work"].is_object(), "no agent started");
}

#[tokio::test(flavor = "multi_thread")]
async fn pushed_commit_is_adopted_although_the_policy_fails_jobs() {
    let (_holds, story, job) = kill_runner_at("pushed").await;
    let pushed = story.git(&["rev-parse", "pullyard/acme/app-1-1"]).await;
    assert_eq!(story.pull_requests().await.len(), 0);
    story.advance_and_sweep(Duration::from_secs(121)).await;
    let ended = story.wait_for_end(&job).await;
    assert_eq!(ended.result.as_ref().unwrap().head, pushed);
    assert_done_once(&story, &ended).await;
    let second = load_second_attempt(&story, &ended).await;
    assert!(second["work"].is_null(), "an agent started: {second}");
}
