//! The system is gone at the worst moments of a revision: after it began again there is one commit, one answer
//! in each thread, and one request to look again.

use super::desk::{Begin, Desk};
use crate::story::{REPOSITORY, Tasks, until};
use pullyard_domain::id::JobId;
use pullyard_domain::job::Status;
use pullyard_domain::project::OfflinePolicy;
use pullyard_fake_forge::{Calls, Fault, TestForge as _};
use pullyard_local::Hints;

const REMARKS: [(&str, u64, &str); 2] = [("change.txt", 1, "The first."), ("change.txt", 2, "The second.")];

fn requeueing() -> Begin {
    Begin { settings: |settings| settings.offline = OfflinePolicy::Requeue, ..Begin::default() }
}

impl Desk {
    fn fault(&self, method: &str, path: &str, times: usize, fault: Fault) {
        let calls = Calls { method: Some(method.into()), path: path.into() };
        self.story.local.forge().order_fault(calls, times, fault);
    }

    /// Waits until the job's commit is at the forge.
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
        assert_eq!(job.status, Status::Completed, "{job:?}");
        self.is_answered_once(&[&job.id], REMARKS.len()).await;
        assert_eq!(self.revisions().await.len(), 1);
        self.told("success", "revised").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_right_after_a_review_was_accepted() {
    let desk = Desk::begin(Begin { hints: Hints::AreLost, ..Begin::default() }).await;
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    assert_eq!(job.status, Status::Pending);
    let desk = desk.begun_again(Tasks::Die).await;
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_while_the_review_is_read() {
    let desk = Desk::linked().await;
    // Read half, over and over: its words are there and its comments are not.
    desk.fault("GET", "/comments", 1_000, Fault::HangUpAfter);
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    let desk = desk.begun_again(Tasks::Die).await;
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_with_its_task_between_push_and_answers() {
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
async fn gone_with_its_task_between_the_answers_and_the_end() {
    let desk = Desk::begin(requeueing()).await;
    desk.fault("POST", "/requested_reviewers", 1, Fault::too_many(60));
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    until("the threads are answered", async || {
        let seen = desk.story.local.forge().look(REPOSITORY, desk.number).await.unwrap().unwrap();
        let answers = seen.comments.iter().filter(|(author, _)| author == "pullyard-bot").count();
        if answers == REMARKS.len() { Ok(()) } else { Err(format!("{answers} answers")) }
    })
    .await;
    let desk = desk.begun_again(Tasks::Die).await;
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_between_push_and_end_while_its_task_goes_on() {
    let desk = Desk::linked().await;
    desk.fault("POST", "/requested_reviewers", 1, Fault::too_many(3));
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.pushed(&job.id).await;
    let desk = desk.begun_again(Tasks::GoOn).await;
    let ended = desk.story.ended(&job.id).await;
    assert_eq!((ended.status, ended.attempt), (Status::Completed, 1), "{ended:?}");
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_after_the_push_where_nothing_is_put_back_what_was_pushed_is_adopted() {
    let desk = Desk::linked().await;
    desk.fault("POST", "/graphql", 1, Fault::too_many(60));
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.pushed(&job.id).await;
    let desk = desk.begun_again(Tasks::Die).await;
    let adopted = desk.swept_until_ended(&job.id).await;
    assert_eq!((adopted.status, adopted.attempt), (Status::Completed, 2), "{adopted:?}");
    desk.is_done_once(&job.id).await;
    desk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_while_the_agent_works_where_nothing_is_put_back_a_retry_does_what_was_asked() {
    let desk = Desk::linked().await;
    desk.wait();
    desk.ask("Not yet.", &REMARKS).await;
    let job = desk.revision().await;
    desk.prompt(&job.id).await;
    let desk = desk.begun_again(Tasks::Die).await;
    let failed = desk.swept_until_ended(&job.id).await;
    assert_eq!(failed.status, Status::Failed, "{failed:?}");
    desk.go();
    desk.shown().await;
    let answer = desk.story.api.retry_job(&job.id, None).await.unwrap();
    let again = desk.swept_until_ended(&answer.job.unwrap()).await;
    assert_eq!(again.status, Status::Completed, "{again:?}");
    desk.end().await;
}
