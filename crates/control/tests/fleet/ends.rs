//! The writes at the end of an attempt: ticket, pull request and job.

use crate::world::{World, applied, pushed};
use pullyard_control::attempt::{Finish, finish};
use pullyard_control::review::pull_request_views;
use pullyard_control::{Move, Requester, cancel_job, pause_job, put_ticket};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{FinishId, JobId, TicketKey};
use pullyard_domain::job::{End, Fence, Job, JobStatus};
use pullyard_domain::project::{Compute, Settings, Statuses};
use pullyard_domain::pull_request::{PullRequest, PullRequestId};
use pullyard_domain::ticket::{Badge, Ticket};
use pullyard_store::Removal;

const TODO: &str = "Todo";
const TRIGGER: &str = "AI Processing";
const REVIEW: &str = "In Review";

struct Desk {
    world: World,
    key: TicketKey,
}

impl Desk {
    async fn begin() -> Self {
        let world = World::begin().await;
        world.connect().await;
        let desk = Self { world, key: TicketKey::new("APP-1").unwrap() };
        desk.settings(Settings::default()).await;
        desk.world.write(&desk.key).await;
        desk
    }

    /// On runners, so that no wake-up is sent.
    async fn settings(&self, settings: Settings) {
        let default_repository = Some(self.world.repository().name);
        let compute = Compute::Runners;
        self.world.set(Settings { auto_create: true, default_repository, compute, ..settings }).await;
    }

    /// Moves the ticket and returns its new job.
    async fn moved(&self, status: &str) -> Option<JobId> {
        let caller = Requester { id: "ana".into(), name: "ana".into() };
        let (project, key) = (self.world.project.clone(), self.key.clone());
        put_ticket(&self.world.ctx, Move { project, key, status: status.into(), caller, request: None })
            .await
            .unwrap()
            .job
    }

    /// Creates the ticket's job and advances its attempt to this status.
    async fn works(&self, status: JobStatus) -> (Job, Fence) {
        let id = self.moved(TRIGGER).await.unwrap();
        let fence = self.world.claimed(&id, None).await;
        let mut job = self.world.stored(&id).await;
        for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
            if job.status != status {
                let next = job.advance(&fence, phase, self.world.ctx.clock.now()).unwrap();
                applied(self.world.ctx.store.update_job(&next).await);
                job = self.world.stored(&id).await;
            }
        }
        assert_eq!(job.status, status);
        (job, fence)
    }

    async fn ends(&self, fence: &Fence, end: End) -> JobStatus {
        let said = Finish { id: FinishId::new("f1").unwrap(), end, spent_usd_micros: None, work: None };
        finish(&self.world.ctx, fence, &said).await.unwrap()
    }

    async fn ticket(&self) -> Ticket {
        self.world.ctx.store.ticket(&self.world.project, &self.key).await.unwrap().unwrap()
    }

    fn pull_request_id(&self) -> PullRequestId {
        let repository = self.world.repository();
        PullRequestId { integration: repository.integration, repository: repository.id, number: 7 }
    }

    async fn pull_request(&self) -> Option<PullRequest> {
        self.world.ctx.store.pull_request(&self.pull_request_id()).await.unwrap()
    }

    /// Links the job's pull request to another ticket.
    async fn linked_elsewhere(&self) {
        let other = Some(TicketKey::new("APP-2").unwrap());
        let linked = PullRequest::new(self.pull_request_id(), self.world.project.clone(), other, None);
        applied(self.world.ctx.store.update_pull_request(&linked).await);
    }
}

#[tokio::test]
async fn completed_job_frees_its_ticket_and_links_the_pull_request() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(JobStatus::Syncing).await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, JobStatus::Completed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, REVIEW));
    assert_eq!(ticket.pull_request.map(|link| link.id), Some(desk.pull_request_id()));
    let linked = desk.pull_request().await.unwrap();
    assert_eq!((linked.job, linked.ticket), (Some(job.id), Some(desk.key.clone())));
}

#[tokio::test]
async fn pull_request_of_a_removed_repository_is_listed_by_name() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(JobStatus::Syncing).await;
    let (repository, ctx) = (desk.world.repository(), &desk.world.ctx);
    let names = [repository.name.clone()];
    let removal = Removal { repository: &repository, names: &names, poll: None, project: None };
    applied(ctx.store.remove_repository(&removal).await);
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, JobStatus::Completed);
    let (listed, _) = pull_request_views(ctx, &desk.world.project, None, 10).await.unwrap();
    let said: Vec<(String, &str)> =
        listed.iter().map(|view| (view.pull_request.label(), view.sentence.as_str())).collect();
    assert_eq!(said, [("acme/app#7".to_owned(), "acme/app is not connected to acme.")]);
}

#[tokio::test]
async fn failed_job_frees_its_ticket() {
    let desk = Desk::begin().await;
    let (_, fence) = desk.works(JobStatus::Executing).await;
    assert_eq!(desk.ends(&fence, End::Failed(Failure::NoChanges {}, None)).await, JobStatus::Failed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, TODO));
    assert_eq!(ticket.shown.badge, Some(Badge::AiFailed));
}

/// The store's own transactions never lead to this state.
#[tokio::test]
async fn ticket_of_another_job_is_unchanged_by_pause_and_cancel() {
    for ends in [false, true] {
        let desk = Desk::begin().await;
        let id = desk.moved(TRIGGER).await.unwrap();
        let other = JobId::for_request(&desk.world.project, "other", "1");
        let taken = Ticket { active_job: Some(other), ..desk.ticket().await };
        applied(desk.world.ctx.store.update_ticket(&taken).await);
        let before = desk.ticket().await;
        let status = match ends {
            false => pause_job(&desk.world.ctx, &id, "ana").await.unwrap().status,
            true => cancel_job(&desk.world.ctx, &id, "ana", None).await.unwrap().status,
        };
        assert_eq!(status, if ends { JobStatus::Cancelled } else { JobStatus::Paused });
        assert_eq!(desk.ticket().await, before);
    }
}

#[tokio::test]
async fn move_during_a_job_survives_its_end() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(JobStatus::Syncing).await;
    desk.moved("Blocked").await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, JobStatus::Completed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, "Blocked"));
}

#[tokio::test]
async fn pull_request_of_another_ticket_is_not_relinked() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(JobStatus::Syncing).await;
    desk.linked_elsewhere().await;
    let before = desk.pull_request().await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, JobStatus::Completed);
    assert_eq!(desk.pull_request().await, before);
}

#[tokio::test]
async fn cancel_moves_the_ticket_by_the_current_settings() {
    let desk = Desk::begin().await;
    let job = desk.moved(TRIGGER).await.unwrap();
    let statuses = Statuses { todo: "Backlog".into(), ..Statuses::default() };
    desk.settings(Settings { statuses, ..Settings::default() }).await;
    cancel_job(&desk.world.ctx, &job, "ana", None).await.unwrap();
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, "Backlog"));
}
