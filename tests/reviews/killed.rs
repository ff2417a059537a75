//! Tests restarts of the system during a revision: each revision still happens exactly once.

use super::desk::{Begin, Desk};
use crate::story::{Tasks, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::JobStatus;
use pullyard_domain::project::OfflinePolicy;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};

const REMARKS: [(&str, u64, &str); 2] = [("change.txt", 1, "The first."), ("change.txt", 2, "The second.")];

fn requeueing() -> Begin {
    Begin { settings: |settings| settings.offline = OfflinePolicy::Requeue, ..Begin::default() }
}

impl Desk {
    fn fault(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let calls = Calls { method: Some(method.into()), path: path.into() };
        self.story.local.forge().order_fault(calls, times, fault);
    }

    async fn pushed(&self, job: &JobId) {
        until(
            "the commit is pushed",
            async || {
                if self.commits_of(&[job]).await == 1 { Ok(()) } else { Err("not yet".into()) }
            },
        )
        .await
    }

    async fn is_done_once(&self, job: &JobId) {
        let job = self.swept_until_ended(job).await;
        assert_eq!(job.status, JobStatus::Completed, "{job:?}");
        self.is_answered_once(&[&job.id], REMARKS.len()).await;
        assert_eq!(self.revisions().await.len(), 1);
        self.told("success", "revised").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revision_completes_once_after_a_kill_before_the_replies() {
    let desk = Desk::begin(requeueing()).await;
    desk.fault("POST", "/graphql", 1, Fault::too_many(60));
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.pushed(&job.id).await;
    let desk = desk.begun_again(Tasks::Die).await;
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn task_survives_a_restart_after_the_push_and_completes() {
    let desk = Desk::linked().await;
    desk.fault("POST", "/requested_reviewers", 1, Fault::too_many(3));
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.pushed(&job.id).await;
    let desk = desk.begun_again(Tasks::GoOn).await;
    let ended = desk.story.ended(&job.id).await;
    assert_eq!((ended.status, ended.attempt), (JobStatus::Completed, 1), "{ended:?}");
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_completes_a_revision_killed_while_executing() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let desk = desk.begun_again(Tasks::Die).await;
    let failed = desk.swept_until_ended(&job.id).await;
    assert_eq!(failed.status, JobStatus::Failed, "{failed:?}");
    desk.go();
    desk.shown().await;
    let answer = desk.story.api.retry_job(&job.id, None).await.unwrap();
    let again = desk.swept_until_ended(&answer.job.unwrap()).await;
    assert_eq!(again.status, JobStatus::Completed, "{again:?}");
    desk.end().await;
}
