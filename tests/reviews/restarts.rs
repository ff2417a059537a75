//! Tests restarts of the system during a revision: each revision still happens exactly once.

use super::world::{ReviewSetup, ReviewWorld};
use crate::prelude::*;
use crate::story::Tasks;
use pullyard_domain::project::OfflinePolicy;

const REMARKS: [(&str, u64, &str); 2] = [("change.txt", 1, "The first."), ("change.txt", 2, "The second.")];

fn requeue_setup() -> ReviewSetup {
    ReviewSetup { settings: |settings| settings.offline = OfflinePolicy::Requeue, ..ReviewSetup::default() }
}

impl ReviewWorld {
    fn order_fault(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let calls = CallFilter { method: Some(method.into()), path: path.into() };
        self.story.local.forge().inject_fault(calls, times, fault);
    }

    async fn wait_for_push(&self, job: &JobId) {
        wait_until("the commit is pushed", async || {
            if self.commits_of(&[job]).await == 1 { Ok(()) } else { Err("not yet".into()) }
        })
        .await
    }

    async fn assert_revised_once(&self, job: &JobId) {
        let job = self.sweep_until_ended(job).await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        self.assert_one_commit_and_replies(&[&job.id], REMARKS.len()).await;
        assert_eq!(self.story.revisions().await.len(), 1);
        self.wait_for_status("success", "revised").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_completes_once_after_a_kill_before_the_replies() {
    let desk = ReviewWorld::start(requeue_setup()).await;
    desk.order_fault("POST", "/graphql", 1, Fault::secondary_rate_limit(60));
    desk.request_changes("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.wait_for_push(&job.id).await;
    let desk = desk.restart(Tasks::Die).await;
    desk.assert_revised_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_survives_a_restart_after_the_push_and_completes() {
    let desk = ReviewWorld::with_linked_pull_request().await;
    desk.order_fault("POST", "/requested_reviewers", 1, Fault::secondary_rate_limit(3));
    desk.request_changes("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.wait_for_push(&job.id).await;
    let desk = desk.restart(Tasks::Survive).await;
    let ended = desk.story.wait_for_end(&job.id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 1), "{ended:?}");
    desk.assert_revised_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_completes_a_revision_killed_while_executing() {
    let desk = ReviewWorld::with_blocked_agents().await;
    desk.request_changes("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let desk = desk.restart(Tasks::Die).await;
    let failed = desk.sweep_until_ended(&job.id).await;
    assert_eq!(failed.status, JobStatus::Failed, "{failed:?}");
    desk.unblock_agents();
    desk.wait_for_synced_ticket().await;
    let answer = desk.story.api.retry_job(&job.id, None).await.unwrap();
    let again = desk.sweep_until_ended(&answer.job.unwrap()).await;
    assert_eq!(again.status, JobStatus::Completed, "{again:?}");
    desk.end().await;
}
