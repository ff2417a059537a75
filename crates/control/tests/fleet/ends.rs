//! What the end of an attempt writes with the job.

use crate::world::{World, applied, pushed};
use pullyard_control::attempt::{Finish, finish};
use pullyard_control::review::pull_request_views;
use pullyard_control::{Move, Requester, cancel_job, pause_job, put_ticket};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::{FinishId, JobId, TicketKey};
use pullyard_domain::job::{End, Fence, Job, Status};
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
    /// With a ticket of the board that nobody moved yet.
    async fn begin() -> Self {
        let world = World::begin().await;
        world.connect().await;
        let desk = Self { world, key: TicketKey::new("APP-1").unwrap() };
        desk.settings(Settings::default()).await;
        desk.world.write(&desk.key).await;
        desk
    }

    /// The project's, whose tickets start jobs, on runners: nobody is to be woken for them.
    async fn settings(&self, settings: Settings) {
        let default_repository = Some(self.world.repository().name);
        let compute = Compute::Runners;
        self.world.set(Settings { auto_create: true, default_repository, compute, ..settings }).await;
    }

    /// Somebody moves the ticket; the job that it got.
    async fn moved(&self, status: &str) -> Option<JobId> {
        let caller = Requester { id: "ana".into(), name: "ana".into() };
        let (project, key) = (self.world.project.clone(), self.key.clone());
        put_ticket(&self.world.ctx, Move { project, key, status: status.into(), caller, request: None })
            .await
            .unwrap()
            .job
    }

    /// The ticket's job, whose attempt has got so far.
    async fn works(&self, status: Status) -> (Job, Fence) {
        let id = self.moved(TRIGGER).await.unwrap();
        let fence = self.world.claimed(&id, None).await;
        let mut job = self.world.stored(&id).await;
        for phase in [Status::Preparing, Status::Executing, Status::Syncing] {
            if job.status != status {
                let next = job.progressed(&fence, phase, self.world.ctx.clock.now()).unwrap();
                applied(self.world.ctx.store.update_job(&next).await);
                job = self.world.stored(&id).await;
            }
        }
        assert_eq!(job.status, status);
        (job, fence)
    }

    async fn ends(&self, fence: &Fence, end: End) -> Status {
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

    /// The pull request that the job will push to is linked to another ticket.
    async fn linked_elsewhere(&self) {
        let other = Some(TicketKey::new("APP-2").unwrap());
        let linked = PullRequest::linked(self.pull_request_id(), self.world.project.clone(), other, None);
        applied(self.world.ctx.store.update_pull_request(&linked).await);
    }
}

#[tokio::test]
async fn an_end_frees_the_ticket_and_links_the_pull_request() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(Status::Syncing).await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, Status::Completed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, REVIEW));
    assert_eq!(ticket.pull_request.map(|link| link.id), Some(desk.pull_request_id()));
    let linked = desk.pull_request().await.unwrap();
    assert_eq!((linked.job, linked.ticket), (Some(job.id), Some(desk.key.clone())));
}

#[tokio::test]
async fn a_pull_request_in_a_repository_that_was_removed_meanwhile_has_its_name_and_can_be_listed() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(Status::Syncing).await;
    let (repository, ctx) = (desk.world.repository(), &desk.world.ctx);
    let names = [repository.name.clone()];
    let removal = Removal { repository: &repository, names: &names, poll: None, project: None };
    applied(ctx.store.remove_repository(&removal).await);
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, Status::Completed);
    let (listed, _) = pull_request_views(ctx, &desk.world.project, None, 10).await.unwrap();
    let said: Vec<(String, &str)> =
        listed.iter().map(|view| (view.pull_request.label(), view.sentence.as_str())).collect();
    assert_eq!(said, [("acme/app#7".to_owned(), "acme/app is not connected to acme.")]);
}

#[tokio::test]
async fn a_failed_job_frees_its_ticket() {
    let desk = Desk::begin().await;
    let (_, fence) = desk.works(Status::Executing).await;
    assert_eq!(desk.ends(&fence, End::Failed(Failure::NoChanges {}, None)).await, Status::Failed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, TODO));
    assert_eq!(ticket.shown.badge, Some(Badge::AiFailed));
}

/// No transaction of ours leaves it so.
#[tokio::test]
async fn a_ticket_that_has_another_job_is_left_alone_by_what_rests_or_ends() {
    for ends in [false, true] {
        let desk = Desk::begin().await;
        let id = desk.moved(TRIGGER).await.unwrap();
        let other = JobId::of_request(&desk.world.project, "other", "1");
        let taken = Ticket { active_job: Some(other), ..desk.ticket().await };
        applied(desk.world.ctx.store.update_ticket(&taken).await);
        let before = desk.ticket().await;
        let status = match ends {
            false => pause_job(&desk.world.ctx, &id, "ana").await.unwrap().status,
            true => cancel_job(&desk.world.ctx, &id, "ana", None).await.unwrap().status,
        };
        assert_eq!(status, if ends { Status::Cancelled } else { Status::Paused });
        assert_eq!(desk.ticket().await, before);
    }
}

#[tokio::test]
async fn a_move_during_the_job_is_not_undone_by_its_end() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(Status::Syncing).await;
    desk.moved("Blocked").await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, Status::Completed);
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, "Blocked"));
}

#[tokio::test]
async fn a_pull_request_of_another_ticket_is_not_linked_again() {
    let desk = Desk::begin().await;
    let (job, fence) = desk.works(Status::Syncing).await;
    desk.linked_elsewhere().await;
    let before = desk.pull_request().await;
    assert_eq!(desk.ends(&fence, End::Completed(pushed(&job))).await, Status::Completed);
    assert_eq!(desk.pull_request().await, before);
}

#[tokio::test]
async fn a_cancel_moves_the_ticket_by_the_settings_of_now() {
    let desk = Desk::begin().await;
    let job = desk.moved(TRIGGER).await.unwrap();
    let statuses = Statuses { todo: "Backlog".into(), ..Statuses::default() };
    desk.settings(Settings { statuses, ..Settings::default() }).await;
    cancel_job(&desk.world.ctx, &job, "ana", None).await.unwrap();
    let ticket = desk.ticket().await;
    assert_eq!((ticket.active_job, ticket.status.as_str()), (None, "Backlog"));
}
