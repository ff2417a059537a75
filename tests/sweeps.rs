//! What heals by itself: lost hints, dead containers, overdue jobs, poisoned items, moves at a bad time.

use crate::story::{REVIEW, Setup, Story, TODO, TRIGGER, Task, WORKING_AGENT, is, told, until};
use futures::future::join_all;
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{FinishId, JobId};
use pullyard_domain::job::Status;
use pullyard_domain::project::{Limits, OfflinePolicy, Settings};
use pullyard_local::Hints;
use pullyard_protocol::attempt::{FinishOutcome, FinishRequest, Phase, StatusRequest};
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::job::Job;
use reqwest::Method;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// Longer than a wake-up may be on its way.
const WAKE: Duration = Duration::from_secs(61);
/// Longer than a finish may be on its way after a death.
const GRACE: Duration = Duration::from_secs(16);

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
struct Holds(TempDir);

impl Holds {
    fn new() -> Self {
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

    fn hold(&self, at: &str) {
        std::fs::write(self.path(at), "").unwrap();
    }

    fn let_go(&self, at: &str) {
        std::fs::remove_file(self.path(at)).unwrap();
    }

    /// Waits until it is held there, and gives what the holder said of itself.
    async fn reached(&self, at: &str) -> String {
        let path = self.path(&format!("{at}.reached"));
        until("it is held", async || std::fs::read_to_string(Path::new(&path)).map_err(|error| error.to_string())).await
    }

    /// A story whose real runner finds this git first.
    async fn story(&self, settings: Settings) -> Story {
        let start = format!("PATH=\"{}:$PATH\" exec \"$0\" runner run-job", self.0.path().display());
        let program = ["sh", "-c", &start, env!("CARGO_BIN_EXE_pullyard")].map(str::to_owned);
        let command = vec!["./agent.sh".into(), self.path("agent")];
        let setup = Setup { task: Task::Program(program.to_vec()), agent: HELD_AGENT, command, ..Setup::default() };
        Story::with(Setup { settings, ..setup }).await
    }
}

fn settings(limits: Limits, offline: OfflinePolicy) -> Settings {
    Settings { limits, offline, ..Setup::default().settings }
}

fn failed(id: &str) -> FinishRequest {
    FinishRequest {
        finish_id: FinishId::new(id).unwrap(),
        outcome: FinishOutcome::Failed,
        failure: Some(Failure::NoChanges {}),
        result: None,
        spent_usd_micros: None,
    }
}

async fn begin_all(client: &AttemptClient, last: Phase) {
    for phase in [Phase::Preparing, Phase::Executing, Phase::Syncing].into_iter().filter(|phase| *phase <= last) {
        client.status(&StatusRequest { status: phase }).await.unwrap();
    }
}

/// Goes round until it is so: where hints are lost, every step waits for a sweep.
async fn swept<T>(story: &Story, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    until(what, async || {
        story.local.sweep().await.unwrap();
        look().await
    })
    .await
}

/// What a ticket shows after a job that failed.
async fn assert_failed(story: &Story, key: &str) {
    let ticket = story.settled(key).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), (TODO, &["AI Failed".to_owned()][..]));
}

/// One branch with one commit of the job, one pull request of it, and the ticket in review.
async fn assert_done_once(story: &Story, job: &Job) {
    assert_eq!(job.status, Status::Completed, "{:?}", job.failure);
    let branches = story.branches().await;
    assert_eq!(branches.len(), 1, "{branches:?}");
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", branches[0])]).await, "1");
    let pulls = story.pulls().await;
    assert_eq!(pulls.len(), 1, "{pulls:?}");
    let result = job.result.as_ref().unwrap();
    assert_eq!(pulls[0]["head"]["sha"], result.head);
    assert_eq!(pulls[0]["number"], result.number);
    let ticket = story.settled(job.ticket.as_ref().unwrap().as_str()).await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (REVIEW, 0));
    assert_eq!(ticket.pull_request.as_ref(), Some(&result.url));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_story_whose_every_hint_is_lost_is_completed_by_sweeps() {
    let story = Story::with(Setup { hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    // Not before a wake-up may count as lost.
    story.local.sweep().await.unwrap();
    story.quiet().await;
    assert_eq!(story.tasks_of(&job).await.len(), 0);
    story.pass(WAKE).await;
    let ended = story.ended(&job).await;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    // The end of its job has written the ticket back.
    assert_done_once(&story, &ended).await;
    // Nothing is left to do.
    story.quiet().await;
    story.clock.advance(Duration::from_secs(86_400));
    assert_eq!(story.api.sweep().await.unwrap().looked_at, 0);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_start_and_a_death_are_healed_by_sweeps_alone() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    story.local.aws().ecs().script(vec![pullyard_emulator::ecs::Outcome::CapacityUnavailable]);
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    story.job_until(&job, |job| job.waits.as_ref().is_some_and(|wait| wait.code == "fargate_capacity")).await;
    story.pass(Duration::from_secs(6)).await;
    let task = story.task_of(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&task).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    story.job_until(&job, is(Status::Ready)).await;
    story.pass(WAKE).await;
    story.task_of(&job, 2).await;
    let (assignment, client) = story.claim(&job, "c2").await.unwrap();
    assert_eq!(assignment.attempt, 2);
    client.finish(&failed("f1")).await.unwrap();
    story.local.sweep().await.unwrap();
    assert_failed(&story, "APP-1").await;
    story.end().await;
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
    assert_eq!(story.ended(&job).await.failure.unwrap().code, "runner_crashed");
    assert_failed(&story, "APP-1").await;
    assert_eq!((story.branches().await.len(), story.pulls().await.len()), (0, 0));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_ecs_cut_off_is_done_once_by_the_next_job_of_the_ticket() {
    // Pushed, not told: the job fails, and the ticket is dragged again.
    let (_holds, story, job) = killed_at("pushed", Setup::default().settings).await;
    story.pass(Duration::from_secs(121)).await;
    assert_eq!(story.ended(&job).await.status, Status::Failed);
    assert_failed(&story, "APP-1").await;
    let next = story.job_for("e2", "APP-1", 2).await;
    let ended = story.ended(&next).await;
    assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
    assert_eq!(story.pulls().await.len(), 1);
    assert_eq!(story.settled("APP-1").await.status, REVIEW);
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

#[tokio::test(flavor = "multi_thread")]
async fn many_sweeps_at_once_do_what_one_does() {
    let story = Story::waiting().await;
    let mut jobs = Vec::new();
    for n in 0..3 {
        let job = story.job_for(&format!("e{n}"), &format!("APP-{n}"), 1).await;
        let task = story.task_of(&job, 1).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        begin_all(&client, if n == 0 { Phase::Executing } else { Phase::Preparing }).await;
        story.kill(&task).await;
        story.died(&job).await;
        jobs.push(job);
    }
    story.clock.advance(GRACE);
    join_all((0..12).map(|n| {
        let story = &story;
        async move {
            if n % 2 == 0 {
                story.local.sweep().await.unwrap();
            } else {
                story.api.sweep().await.unwrap();
            }
        }
    }))
    .await;
    assert_eq!(story.ended(&jobs[0]).await.failure.unwrap().code, "runner_crashed");
    assert_failed(&story, "APP-0").await;
    for job in &jobs[1..] {
        story.task_of(job, 2).await;
        story.quiet().await;
        assert_eq!(story.tasks_of(job).await.len(), 2);
        assert_eq!(story.stored(job).await["requeues"], 1);
        let (assignment, _) = story.claim(job, "c2").await.unwrap();
        assert_eq!(assignment.attempt, 2);
    }
    let before = join_all(jobs.iter().map(|job| story.stored(job))).await;
    join_all((0..6).map(|_| story.api.sweep())).await;
    assert_eq!(join_all(jobs.iter().map(|job| story.stored(job))).await, before);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_can_not_be_swept_is_put_off_and_keeps_no_other_waiting() {
    let story = Story::waiting().await;
    let (sick, well) = (story.job_for("e1", "APP-1", 1).await, story.job_for("e2", "APP-2", 1).await);
    for job in [&sick, &well] {
        let (_, client) = story.claim(job, "c1").await.unwrap();
        begin_all(&client, Phase::Executing).await;
    }
    story.quiet().await;
    // The ticket can't be read any more, so its job can't be ended.
    let edit = |expression: &str, values: Value| {
        let mut edit = json!({
            "TableName": "pullyard",
            "Key": { "pk": { "S": "TICKET#acme#APP-1" }, "sk": { "S": "TICKET" } },
            "UpdateExpression": expression,
            "ExpressionAttributeNames": { "#status": "status" },
        });
        if !values.is_null() {
            edit["ExpressionAttributeValues"] = values;
        }
        edit
    };
    story.dynamodb("UpdateItem", edit("REMOVE #status", Value::Null)).await;
    story.clock.advance(Duration::from_secs(3_661));
    let report = story.api.sweep().await.unwrap();
    assert_eq!((report.failed, report.ended), (1, 1), "{report:?}");
    assert_eq!(story.ended(&well).await.failure.unwrap().code, "time_limit");
    // Left alone for a minute, then for two.
    for (tries, wait) in [(1, 61), (2, 121)] {
        assert_eq!(story.stored(&sick).await["tries"], tries);
        assert_eq!(story.api.sweep().await.unwrap().failed, 0);
        story.clock.advance(Duration::from_secs(wait - 10));
        assert_eq!(story.api.sweep().await.unwrap().failed, 0);
        story.clock.advance(Duration::from_secs(10));
        if tries == 1 {
            assert_eq!(story.api.sweep().await.unwrap().failed, 1);
        }
    }
    story.dynamodb("UpdateItem", edit("SET #status = :status", json!({ ":status": { "S": TRIGGER } }))).await;
    assert_eq!(story.api.sweep().await.unwrap().ended, 1);
    assert_eq!(story.ended(&sick).await.failure.unwrap().code, "time_limit");
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_can_not_be_settled_is_put_off_and_keeps_no_other_waiting() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let mut finished = Vec::new();
    for key in ["APP-1", "APP-2"] {
        let job = story.job_for(key, key, 1).await;
        story.pass(WAKE).await;
        let (_, client) = story.claim(&job, "c1").await.unwrap();
        client.finish(&failed("f1")).await.unwrap();
        finished.push(job);
        if key == "APP-1" {
            // Its project is gone from under it.
            let key = json!({ "pk": { "S": "PROJECT#acme" }, "sk": { "S": "SETTINGS" } });
            let kept = story.dynamodb("GetItem", json!({ "TableName": "pullyard", "Key": key })).await["Item"].take();
            story.dynamodb("DeleteItem", json!({ "TableName": "pullyard", "Key": key })).await;
            story.local.sweep().await.unwrap();
            until("it is put off", async || {
                let ticket = story.item("TICKET#acme#APP-1", "TICKET").await;
                if ticket["tries"] == 1 { Ok(()) } else { Err(ticket.to_string()) }
            })
            .await;
            story.dynamodb("PutItem", json!({ "TableName": "pullyard", "Item": kept })).await;
            // Not before its time.
            let report = story.api.sweep().await.unwrap();
            assert_eq!(report.tickets, 0, "{report:?}");
        }
    }
    swept(&story, "both are settled", async || {
        let (one, two) = (story.ticket("APP-1").await, story.ticket("APP-2").await);
        if one.synced && two.synced { Ok(()) } else { Err(format!("{one:?} {two:?}")) }
    })
    .await;
    assert_failed(&story, "APP-1").await;
    assert_failed(&story, "APP-2").await;
    story.end().await;
}

/// A job that works, and its ticket, moved out of the trigger status and in again meanwhile.
async fn reentered() -> (Story, JobId, AttemptClient) {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    begin_all(&client, Phase::Executing).await;
    assert_eq!(story.tell("e2", "APP-1", TODO, 2).await.code, "not_trigger_status");
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    (story, job, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_entry_during_a_job_that_fails_gets_a_job_of_its_own() {
    let (story, first, client) = reentered().await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = until("the next job is made", async || {
        let ticket = story.ticket("APP-1").await;
        let made = ticket.active_job.as_ref().is_some_and(|job| *job != first) && ticket.synced;
        if made { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    assert_eq!(story.jobs().await.len(), 2);
    let second = ticket.active_job.unwrap();
    // Told again, it is known; and it is its entry's own job.
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.job, Some(second.clone()));
    story.quiet().await;
    story.pass(WAKE).await;
    assert_eq!(story.jobs().await.len(), 2);
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    client.finish(&failed("f2")).await.unwrap();
    assert_failed(&story, "APP-1").await;
    assert_eq!(story.jobs().await.len(), 2);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_entry_during_a_job_that_completes_has_got_what_it_wanted() {
    let holds = Holds::new();
    holds.hold("agent");
    let story = holds.story(Setup::default().settings).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    holds.reached("agent").await;
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    holds.let_go("agent");
    let ended = story.ended(&job).await;
    assert_done_once(&story, &ended).await;
    story.quiet().await;
    story.pass(WAKE).await;
    assert_eq!(story.jobs().await.len(), 1);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_entry_that_a_guard_refuses_leads_nowhere_and_the_failure_shows() {
    let (story, _, client) = reentered().await;
    story.settings(|settings| settings.auto_create = false).await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = story.settled("APP-1").await;
    assert_eq!(story.jobs().await.len(), 1);
    assert_eq!((ticket.status.as_str(), ticket.badges), (TODO, vec!["AI Failed".to_owned()]));
    let ledger = story.api.deliveries(&story.project, None, None).await.unwrap().deliveries;
    let entry = ledger.iter().find(|entry| entry.event.as_str() == "e3").unwrap();
    assert_eq!((entry.code.as_str(), entry.repeats), ("auto_create_off", 0));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_entry_that_was_left_again_leads_nowhere_and_the_failure_shows() {
    let (story, _, client) = reentered().await;
    story.tell("e4", "APP-1", "Blocked", 4).await;
    client.finish(&failed("f1")).await.unwrap();
    let ticket = story.settled("APP-1").await;
    story.quiet().await;
    assert_eq!(story.jobs().await.len(), 1);
    assert_eq!(ticket.status, "Blocked");
    assert_eq!(ticket.badges, ["AI Failed"]);
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_entry_is_found_by_the_sweeper_when_its_hint_is_lost() {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    story.tell("e2", "APP-1", TODO, 2).await;
    assert_eq!(story.tell("e3", "APP-1", TRIGGER, 3).await.code, "job_active");
    client.finish(&failed("f1")).await.unwrap();
    story.local.sweep().await.unwrap();
    until("the next job is made", async || {
        let jobs = story.jobs().await;
        if jobs.len() == 2 { Ok(()) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    story.end().await;
}

/// A job that failed, and whose write-back has not happened yet: as it is left where the settings could not be
/// read when it ended.
async fn unsettled() -> Story {
    let story = Story::with(Setup { task: Task::Waiting, hints: Hints::AreLost, ..Setup::default() }).await;
    let job = story.job_for("e1", "APP-1", 1).await;
    story.pass(WAKE).await;
    let (_, client) = story.claim(&job, "c1").await.unwrap();
    begin_all(&client, Phase::Executing).await;
    client.finish(&failed("f1")).await.unwrap();
    let pk = "TICKET#acme#APP-1";
    let row = format!("DUE#{}", pullyard_domain::due::shard(pk));
    let left = json!({
        "TableName": "pullyard",
        "Key": { "pk": { "S": pk }, "sk": { "S": "TICKET" } },
        "UpdateExpression": "SET #status = :status, synced_version = :none, wk = :row, ws = :none REMOVE #written",
        "ExpressionAttributeNames": { "#status": "status", "#written": "written" },
        "ExpressionAttributeValues": { ":status": { "S": TRIGGER }, ":none": { "N": "0" }, ":row": { "S": row } },
    });
    story.dynamodb("UpdateItem", left).await;
    let ticket = story.ticket("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.synced), (TRIGGER, false));
    story
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_back_leaves_a_persons_move_alone() {
    let story = unsettled().await;
    story.tell("e2", "APP-1", "Blocked", 2).await;
    story.local.sweep().await.unwrap();
    let ticket = story.settled("APP-1").await;
    assert_eq!((ticket.status.as_str(), ticket.badges.as_slice()), ("Blocked", &["AI Failed".to_owned()][..]));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_back_does_not_overtake_the_next_job() {
    let story = unsettled().await;
    story.tell("e2", "APP-1", TODO, 2).await;
    let next = story.job_for("e3", "APP-1", 3).await;
    story.pass(WAKE).await;
    story.quiet().await;
    let ticket = swept(&story, "it is written back", async || {
        let ticket = story.ticket("APP-1").await;
        if ticket.synced { Ok(ticket) } else { Err(format!("{ticket:?}")) }
    })
    .await;
    assert_eq!((ticket.status.as_str(), ticket.badges.len()), (TRIGGER, 0));
    assert_eq!(ticket.active_job, Some(next.clone()));
    let (_, client) = story.claim(&next, "c2").await.unwrap();
    client.finish(&failed("f2")).await.unwrap();
    story.local.sweep().await.unwrap();
    assert_failed(&story, "APP-1").await;
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_dragged_again_goes_on_with_its_open_pull_request_and_begins_anew_after_a_closed_one() {
    let story = Story::with(Setup { agent: WORKING_AGENT, ..Setup::default() }).await;
    let work = async |event: &str, minute| {
        let job = story.job_for(event, "APP-1", minute).await;
        let ended = story.ended(&job).await;
        assert_eq!(ended.status, Status::Completed, "{:?}", ended.failure);
        assert_eq!(story.settled("APP-1").await.status, REVIEW);
        ended.result.unwrap()
    };
    let first = work("e1", 1).await;
    let second = work("e2", 2).await;
    assert_eq!((second.number, &second.branch), (first.number, &first.branch));
    assert_ne!(second.head, first.head);
    assert_eq!(story.branches().await, std::slice::from_ref(&first.branch));
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", first.branch)]).await, "2");
    assert_eq!(story.git(&["rev-parse", &format!("{}^", second.head)]).await, first.head);
    assert_eq!(story.pulls().await.len(), 1);

    story.forge(Method::PATCH, &format!("/pulls/{}", first.number), json!({ "state": "closed" })).await;
    let third = work("e3", 3).await;
    assert_ne!(third.number, first.number);
    assert_ne!(third.branch, first.branch);
    assert_eq!(story.git(&["rev-parse", &first.branch]).await, second.head);
    assert_eq!(story.git(&["rev-list", "--count", &format!("main..{}", third.branch)]).await, "1");
    assert_eq!((story.branches().await.len(), story.pulls().await.len()), (2, 2));
    assert_eq!(story.settled("APP-1").await.pull_request, Some(third.url));
    story.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bootstrap_token_of_an_attempt_that_died_claims_nothing_more() {
    let story = Story::waiting().await;
    let job = story.job_for("e1", "APP-1", 1).await;
    let first = story.task_of(&job, 1).await;
    story.claim(&job, "c1").await.unwrap();
    story.kill(&first).await;
    story.died(&job).await;
    story.pass(GRACE).await;
    let second = story.task_of(&job, 2).await;
    assert_eq!(told(&second, "PULLYARD_ATTEMPT"), "2");
    let late = story.claim_as(&first, &job, "c3").await.err().unwrap();
    assert_eq!(late.code(), Some("lease_lost"));
    assert_eq!(story.claim_as(&second, &job, "c2").await.unwrap().0.attempt, 2);
    story.end().await;
}
