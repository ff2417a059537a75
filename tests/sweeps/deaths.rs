//! Runners that die: held where the test wants it, killed there, and replaced or given up.

use super::{GRACE, assert_done_once, assert_failed, settings};
use crate::story::{Setup, Story, Task, begin_all, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Status;
use pullyard_domain::project::{Limits, OfflinePolicy, Settings};
use pullyard_protocol::attempt::Phase;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Waits like this while it works: as long as the file named by its argument is there.
const HELD_AGENT: &str = "#!/bin/sh
cat > /dev/null
: > \"$1.reached\"
while [ -e \"$1\" ]; do sleep 0.05; done
echo done >> work.txt
";

/// Stands before git, and waits where it is told to: before a fetch, before a push, after a push.
const HELD_GIT: &str = r#"#!/bin/sh
hold() {
  if [ -e "$PULLYARD_HOLD/$1" ]; then
    echo $$ > "$PULLYARD_HOLD/$1.pid"
    mv "$PULLYARD_HOLD/$1.pid" "$PULLYARD_HOLD/$1.reached"
    while [ -e "$PULLYARD_HOLD/$1" ]; do sleep 0.05; done
  fi
}
for word in "$@"; do
  case "$word" in
    fetch) hold fetch; break ;;
    push) hold push; "$REAL_GIT" "$@"; code=$?; hold pushed; exit $code ;;
  esac
done
exec "$REAL_GIT" "$@"
"#;

/// Where a real runner can be held and killed.
pub(super) struct Holds(TempDir);

impl Holds {
    pub(super) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let real = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
        let script = HELD_GIT
            .replace("$PULLYARD_HOLD", folder.path().to_str().unwrap())
            .replace("$REAL_GIT", real.to_str().unwrap());
        let git = folder.path().join("git");
        std::fs::write(&git, script).unwrap();
        std::fs::set_permissions(&git, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn path(&self, at: &str) -> String {
        self.0.path().join(at).to_str().unwrap().to_owned()
    }

    pub(super) fn hold(&self, at: &str) {
        std::fs::write(self.path(at), "").unwrap();
    }

    pub(super) fn let_go(&self, at: &str) {
        std::fs::remove_file(self.path(at)).unwrap();
    }

    /// Waits until it is held there, and gives what the holder said of itself.
    pub(super) async fn reached(&self, at: &str) -> String {
        let path = self.path(&format!("{at}.reached"));
        until("it is held", async || std::fs::read_to_string(Path::new(&path)).map_err(|error| error.to_string())).await
    }

    /// A story whose real runner finds this git first.
    pub(super) async fn story(&self, settings: Settings) -> Story {
        let start = format!("PATH=\"{}:$PATH\" exec \"$0\" runner run-job", self.0.path().display());
        let program = ["sh", "-c", &start, env!("CARGO_BIN_EXE_pullyard")].map(str::to_owned);
        let command = vec!["./agent.sh".into(), self.path("agent")];
        let setup = Setup { task: Task::Program(program.to_vec()), agent: HELD_AGENT, command, ..Setup::default() };
        Story::with(Setup { settings, ..setup }).await
    }
}

/// The real runner is killed while it is held there; `after` is what its job does once that is noted.
async fn killed_at(at: &str, settings: Settings) -> (Holds, Story, JobId) {
    let holds = Holds::new();
    holds.hold(at);
    let story = holds.story(settings).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    let holder = holds.reached(at).await;
    story.kill(&task).await;
    if !holder.trim().is_empty() {
        // In a container it would have died with its runner; here it may have, too.
        let _ = tokio::process::Command::new("/bin/kill").args(["-KILL", holder.trim()]).output().await;
    }
    story.died(&job).await;
    holds.let_go(at);
    (holds, story, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_while_it_prepares_is_replaced_and_the_work_done_once() {
    let (_holds, story, job) = killed_at("fetch", Setup::default().settings).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Preparing);
    story.pass(GRACE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.attempt, 2);
    assert_done_once(&story, &ended).await;
    let first = story.item(&format!("JOB#{job}"), "ATTEMPT#0001").await;
    assert_eq!(first["ended"]["how"], "requeued");
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_while_its_agent_works_fails_the_job_by_default() {
    let (_holds, story, job) = killed_at("agent", Setup::default().settings).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Executing);
    story.pass(GRACE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, Status::Failed);
    let failure = ended.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["exit"].as_str()), ("runner_crashed", Some("signal 9")));
    assert_failed(&story, "APP-1").await;
    assert_eq!((story.branches().await.len(), story.pulls().await.len()), (0, 0));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_while_its_agent_works_is_replaced_where_the_project_says_so() {
    let (_holds, story, job) = killed_at("agent", settings(Limits::default(), OfflinePolicy::Requeue)).await;
    story.pass(GRACE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.attempt, 2);
    assert_done_once(&story, &ended).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_before_its_push_leaves_one_pull_request() {
    let (_holds, story, job) = killed_at("push", settings(Limits::default(), OfflinePolicy::Requeue)).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Syncing);
    story.pass(Duration::from_secs(121)).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.attempt, 2);
    assert_done_once(&story, &ended).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_after_its_push_has_its_commit_adopted() {
    let (_holds, story, job) = killed_at("pushed", settings(Limits::default(), OfflinePolicy::Requeue)).await;
    let pushed = story.git(&["rev-parse", "pullyard/acme/app-1-1"]).await;
    assert_eq!(story.pulls().await.len(), 0);
    story.pass(Duration::from_secs(121)).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.attempt, 2);
    assert_eq!(ended.result.as_ref().unwrap().head, pushed);
    assert_done_once(&story, &ended).await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runner_that_dies_while_it_pushes_fails_the_job_by_default_and_only_after_its_time() {
    let (_holds, story, job) = killed_at("push", Setup::default().settings).await;
    story.pass(GRACE).await;
    assert_eq!(story.api.job(&job).await.unwrap().status, Status::Syncing);
    story.pass(Duration::from_secs(105)).await;
    // Nothing of it is at the forge: it fails as it was lost.
    let ended = story.ended(&job).await;
    let failure = ended.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["exit"].as_str()), ("runner_crashed", Some("signal 9")));
    assert_eq!(ended.attempt, 2);
    assert_only_looked(&story, &job, "found_nothing").await;
    assert_failed(&story, "APP-1").await;
    assert_eq!((story.branches().await.len(), story.pulls().await.len()), (0, 0));
    story.end().await;
}

/// The second attempt looked for what the first had pushed, and had no agent.
async fn assert_only_looked(story: &Story, job: &JobId, how: &str) {
    let ended = async |number: u32| story.item(&format!("JOB#{job}"), &format!("ATTEMPT#{number:04}")).await;
    let (first, second) = (ended(1).await, ended(2).await);
    assert_eq!((&first["ended"]["how"], &second["ended"]["how"]), (&json!("requeued"), &json!(how)));
    assert!(second["work"].is_null(), "an agent began: {second}");
    assert_eq!(story.stored(job).await["requeues"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_cut_off_is_adopted_before_its_job_would_fail() {
    // Pushed, not told, and the project lets such a job fail: nobody else would ever link the branch.
    let (_holds, story, job) = killed_at("pushed", Setup::default().settings).await;
    let pushed = story.git(&["rev-parse", "pullyard/acme/app-1-1"]).await;
    assert_eq!(story.pulls().await.len(), 0);
    story.pass(Duration::from_secs(121)).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.attempt, 2);
    assert_eq!(ended.result.as_ref().unwrap().head, pushed);
    assert_done_once(&story, &ended).await;
    assert_only_looked(&story, &job, "completed").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ecs_stops_says_so() {
    let holds = Holds::new();
    holds.hold("agent");
    let story = holds.story(Setup::default().settings).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    holds.reached("agent").await;
    let reason = "Your Fargate task is retiring";
    story.ecs("StopTask", json!({ "cluster": "pullyard", "task": task["taskArn"], "reason": reason })).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    let failure = story.ended(&job).await.failure.unwrap();
    assert_eq!((failure.code.as_str(), failure.facts["reason"].as_str()), ("task_stopped", Some(reason)));
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_back_as_often_as_the_limit_allows() {
    let limits = Limits { requeues: 2, ..Limits::default() };
    let setup = Setup { task: Task::Waiting, settings: settings(limits, OfflinePolicy::Fail), ..Setup::default() };
    let story = Story::with(setup).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    for number in 1..=3 {
        let task = story.task_of(&job, number).await;
        let (assignment, client) = story.claim(&job, &format!("c{number}")).await.unwrap();
        assert_eq!(assignment.attempt as usize, number);
        begin_all(&client, Phase::Preparing).await;
        story.kill(&task).await;
        story.died(&job).await;
        story.pass(GRACE).await;
    }
    let ended = story.ended(&job).await;
    assert_eq!((ended.attempt, ended.failure.unwrap().code.as_str()), (3, "runner_crashed"));
    assert_eq!(story.tasks_of(&job).await.len(), 3);
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_requeues_fails_at_the_first_death() {
    let limits = Limits { requeues: 0, ..Limits::default() };
    let setup = Setup { task: Task::Waiting, settings: settings(limits, OfflinePolicy::Requeue), ..Setup::default() };
    let story = Story::with(setup).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let task = story.task_of(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&task).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "runner_crashed");
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_past_its_time_limit_and_grace_is_ended_and_not_before() {
    let limits = Limits { wall_secs: 600, ..Limits::default() };
    let setup = Setup { task: Task::Waiting, settings: settings(limits, OfflinePolicy::Requeue), ..Setup::default() };
    let story = Story::with(setup).await;
    for (n, phase) in [Phase::Preparing, Phase::Executing].into_iter().enumerate() {
        let (event, key) = (format!("e{n}"), format!("APP-{n}"));
        let job = story.job_for(&event, &key, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        begin_all(&client, phase).await;
        story.pass(Duration::from_secs(650)).await;
        assert!(story.api.job(&job).await.unwrap().status.is_active());
        story.pass(Duration::from_secs(15)).await;
        let ended = story.ended(&job).await;
        assert_eq!((ended.attempt, ended.failure.unwrap().code.as_str()), (1, "time_limit"));
        assert_eq!(client.credentials().await.unwrap_err().code(), Some("lease_lost"));
        assert_failed(&story, &key).await;
    }
    story.end().await;
}
