//! Tests limits of the jobs that run at once, per project and per repository.

use crate::prelude::*;

impl Story {
    async fn limited(max: u32, setup: Setup) -> Self {
        let mut settings = setup.settings;
        settings.limits.running_jobs = Some(max);
        Self::start_with(Setup { task: Task::Waiting, settings, ..setup }).await
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

    async fn wait_reason(&self, job: &JobId) -> (Option<String>, String) {
        let explanation = self.api.explain_job(job).await.unwrap();
        (explanation.code, explanation.sentence)
    }

    async fn assert_limited(&self, job: &JobId, code: &str, sentence: &str) {
        assert_eq!(self.wait_reason(job).await, (Some(code.to_owned()), sentence.to_owned()));
        assert!(self.list_tasks(job).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_beyond_the_projects_limit_wait_in_order() {
    let story = Story::limited(1, Setup::default()).await;
    let [first, second, third] = story.create_jobs().await;
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    story.assert_limited(&second, "project_limit", "1 of 1 jobs of acme run; 0 are ahead.").await;
    story.assert_limited(&third, "project_limit", "1 of 1 jobs of acme run; 1 are ahead.").await;
    client.finish(&failed_finish("f1")).await.unwrap();
    story.wait_for_task(&second, 1).await;
    story.wait_for_empty_queues().await;
    story.assert_limited(&third, "project_limit", "1 of 1 jobs of acme run; 0 are ahead.").await;
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
    story.api.continue_job(&first).await.unwrap();
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
    // One sweep has the first job admitted, the next one has it started.
    for _ in 0..2 {
        story.advance_and_sweep(Duration::from_secs(61)).await;
        story.wait_for_empty_queues().await;
    }
    let (_, client) = story.claim(&first, "c1").await.unwrap();
    client.finish(&failed_finish("f1")).await.unwrap();
    for _ in 0..2 {
        story.advance_and_sweep(Duration::from_secs(61)).await;
        story.wait_for_empty_queues().await;
    }
    story.wait_for_task(&second, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repository_limit_is_set_and_removed_by_command() {
    let (story, user) = Story::with_user().await;
    user.ok(&["repos", "set", REPOSITORY, "--running-jobs", "1"]).await;
    let [first, second] = story.create_jobs().await;
    story.wait_for_task(&first, 1).await;
    story.assert_limited(&second, "repository_limit", "1 of 1 jobs of acme/app run; 0 are ahead.").await;
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
