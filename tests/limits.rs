//! Tests limits of the jobs that run at once, per project and per repository.

use crate::prelude::*;
use pullyard_protocol::project::HoldProject;

const PROJECT_LIMIT: (&str, &str) = ("project_limit", "acme");

impl Story {
    async fn limited(max: u32, setup: Setup) -> Self {
        let mut settings = setup.settings;
        settings.limits.running_jobs = Some(max);
        let story = Self::start_with(Setup { task: Task::Waiting, settings, ..setup }).await;
        // Before the sweeper has counted the jobs of a limit, no job gets a place.
        story.sweep_twice().await;
        story
    }

    async fn create_jobs<const N: usize>(&self) -> [JobId; N] {
        let mut jobs = Vec::new();
        for number in 1..=N {
            self.clock.advance(Duration::from_secs(1));
            jobs.push(self.create_job(&format!("e{number}"), &format!("APP-{number}"), number as i64).await);
        }
        self.wait_for_empty_queues().await;
        jobs.try_into().unwrap()
    }

    async fn sweep_twice(&self) {
        for _ in 0..2 {
            self.advance_and_sweep(Duration::from_secs(61)).await;
            self.wait_for_empty_queues().await;
        }
    }

    async fn wait_reason(&self, job: &JobId) -> (Option<String>, String) {
        let explanation = self.api.explain_job(job).await.unwrap();
        (explanation.code, explanation.sentence)
    }

    /// The job waits for the place of `holder`, behind so many jobs.
    async fn assert_limited(&self, job: &JobId, limit: (&str, &str), holder: &JobId, older: usize) {
        let (code, of) = limit;
        let sentence = format!(
            "1 of 1 places of {of} are taken, the longest by {}; {older} jobs of the repository are ahead.",
            holder.short()
        );
        assert_eq!(self.wait_reason(job).await, (Some(code.to_owned()), sentence));
        assert!(self.list_tasks(job).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_beyond_the_projects_limit_wait_in_order() {
    let story = Story::limited(1, Setup::default()).await;
    let [first, second, third] = story.create_jobs().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    story.assert_limited(&second, PROJECT_LIMIT, &first, 0).await;
    story.assert_limited(&third, PROJECT_LIMIT, &first, 1).await;
    client.finish(&failed_finish("f1")).await.unwrap();
    story.wait_for_task(&second, 1).await;
    story.wait_for_empty_queues().await;
    story.assert_limited(&third, PROJECT_LIMIT, &second, 0).await;
    // A job that is cancelled before its start frees its place as well.
    story.api.cancel_job(&second, &CancelJob::default()).await.unwrap();
    story.wait_for_task(&third, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_job_frees_its_place_and_waits_to_continue() {
    let story = Story::limited(1, Setup::default()).await;
    let [first, second] = story.create_jobs().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    enter_phases(&client, Phase::Executing).await;
    story.api.pause_job(&first).await.unwrap();
    client.yield_job(&yield_request(None, 0)).await.unwrap();
    story.wait_for_task(&second, 1).await;
    let continued = story.api.continue_job(&first).await.unwrap();
    assert_eq!(continued.status, JobStatus::Ready);
    story.wait_for_empty_queues().await;
    assert_eq!(story.wait_reason(&first).await.0.as_deref(), Some("project_limit"));
    let (_, client) = story.claim(&second, "c2").await.unwrap();
    client.finish(&failed_finish("f2")).await.unwrap();
    story.wait_for_task(&first, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_work_without_any_hint() {
    let hints = HintDelivery::Drop;
    let story = Story::limited(1, Setup { hints, ..Setup::default() }).await;
    let [first, second] = story.create_jobs().await;
    // One sweep assigns the place, the next one starts the job.
    story.sweep_twice().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    story.sweep_twice().await;
    story.wait_for_task(&second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_limit_is_set_and_removed_by_command() {
    let (story, user) = Story::with_user().await;
    user.ok(&["repos", "set", REPOSITORY, "--running-jobs", "1"]).await;
    story.sweep_twice().await;
    let [first, second] = story.create_jobs().await;
    story.wait_for_task(&first, 1).await;
    story.assert_limited(&second, ("repository_limit", REPOSITORY), &first, 0).await;
    assert!(user.ok(&["repos", "list"]).await.contains("1 at once"));
    // Other commands keep the limit.
    let shown = user.ok(&["repos", "set", REPOSITORY, "--check", "npm test", "--json"]).await;
    assert!(shown.contains("\"running_jobs\":1"), "{shown}");
    user.run(&["repos", "set", REPOSITORY, "--running-jobs", "101"])
        .await
        .assert_exit(2, "use 1 to 100, or 0 for no limit");
    user.ok(&["repos", "set", REPOSITORY, "--running-jobs", "0"]).await;
    story.advance_and_sweep(Duration::from_secs(61)).await;
    story.wait_for_task(&second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn running_job_from_before_a_limit_holds_a_place() {
    let hints = HintDelivery::Drop;
    let story = Story::start_with(Setup { task: Task::Waiting, hints, ..Setup::default() }).await;
    let [first] = story.create_jobs().await;
    story.advance_and_sweep(Duration::from_secs(61)).await;
    story.wait_for_task(&first, 1).await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    story.update_settings(|settings| settings.limits.running_jobs = Some(1)).await;
    story.advance_and_sweep(Duration::from_secs(61)).await;
    let second = story.create_job("e7", "APP-7", 7).await;
    story.assert_limited(&second, PROJECT_LIMIT, &first, 0).await;
    client.finish(&failed_finish("f1")).await.unwrap();
    story.sweep_twice().await;
    story.wait_for_task(&second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreadable_job_blocks_no_other_one() {
    let story = Story::limited(1, Setup::default()).await;
    let [first, second, third] = story.create_jobs().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    let status = json!({
        "TableName": "pullyard", "Key": { "pk": { "S": format!("JOB#{second}") }, "sk": { "S": "JOB" } },
        "UpdateExpression": "SET #status = :odd", "ExpressionAttributeNames": { "#status": "status" },
        "ExpressionAttributeValues": { ":odd": { "S": "odd" } },
    });
    story.call_dynamodb("UpdateItem", status).await;
    client.finish(&failed_finish("f1")).await.unwrap();
    story.sweep_twice().await;
    story.wait_for_task(&third, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_project_assigns_no_place() {
    let story = Story::limited(1, Setup::default()).await;
    let [first, second] = story.create_jobs().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    story.api.hold_project(&story.project, &HoldProject { reason: "a look".into() }).await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    story.sweep_twice().await;
    assert_eq!(story.wait_reason(&second).await.0.as_deref(), Some("project_held"));
    story.api.release_project(&story.project).await.unwrap();
    story.sweep_twice().await;
    story.wait_for_task(&second, 1).await;
}
