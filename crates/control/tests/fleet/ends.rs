//! The pull request of a completed job.

use crate::prelude::*;
use crate::world::{World, job_result};
use pullyard_control::attempt::{Finish, finish_attempt};
use pullyard_control::review::list_pull_request_views;
use pullyard_control::{TicketMove, move_board_ticket};
use pullyard_domain::job::End;
use pullyard_domain::text::failure::Failure;
use pullyard_store::RepositoryRemoval;

async fn syncing(world: &World) -> (Job, Fence) {
    world.connect().await;
    let default_repository = Some(world.repository().name);
    // On runners, so that no wake-up is sent.
    let compute = Compute::Runners;
    world.set_settings(Settings { auto_create: true, default_repository, compute, ..Settings::default() }).await;
    let key = TicketKey::new("APP-1").unwrap();
    world.create_ticket(&key).await;
    let caller = Requester { id: "ana".into(), name: "ana".into() };
    let (project, status) = (world.project.clone(), Some("AI Processing".into()));
    let put = TicketMove { project, key, status, place: None, caller, request: None };
    let id = move_board_ticket(&world.ctx, put).await.unwrap().unwrap().job.unwrap();
    let fence = world.claim(&id, None).await;
    for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        let next = world.load_job(&id).await.advance(&fence, phase, world.ctx.clock.now()).unwrap();
        assert_applied(world.ctx.store.update_job(&next).await);
    }
    (world.load_job(&id).await, fence)
}

async fn completes(world: &World, job: &Job, fence: &Fence) {
    let id = FinishId::new("f1").unwrap();
    let finish =
        Finish { id, end: End::Completed(Some(job_result(job))), spent_usd_micros: None, work: None, output: None };
    assert_eq!(finish_attempt(&world.ctx, fence, &finish).await.unwrap(), JobStatus::Completed);
}

#[tokio::test]
async fn pull_request_of_a_removed_repository_is_listed_by_name() {
    let world = World::begin().await;
    let (job, fence) = syncing(&world).await;
    let repository = world.repository();
    let names = [repository.name.clone()];
    let removal =
        RepositoryRemoval { repository: &repository, names: &names, poll: None, analysis: None, project: None };
    assert_applied(world.ctx.store.remove_repository(&removal).await);
    completes(&world, &job, &fence).await;
    let (listed, _) = list_pull_request_views(&world.ctx, &world.project, None, 10).await.unwrap();
    let rows: Vec<(String, &str)> =
        listed.iter().map(|view| (view.pull_request.label(), view.sentence.as_str())).collect();
    assert_eq!(rows, [("acme/app#7".to_owned(), "acme/app is not connected to acme.")]);
}

#[tokio::test]
async fn pull_request_of_another_ticket_is_not_relinked() {
    let world = World::begin().await;
    let (job, fence) = syncing(&world).await;
    let store = &world.ctx.store;
    let repository = world.repository();
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: 7 };
    let other = Some(TicketKey::new("APP-2").unwrap());
    let linked = PullRequest::new(id.clone(), world.project.clone(), other, None);
    assert_applied(store.update_pull_request(&linked).await);
    let before = store.load_pull_request(&id).await.unwrap();
    completes(&world, &job, &fence).await;
    assert_eq!(store.load_pull_request(&id).await.unwrap(), before);
}

#[tokio::test]
async fn pull_request_stored_by_a_review_is_linked_by_its_job() {
    let world = World::begin().await;
    let (job, fence) = syncing(&world).await;
    let repository = world.repository();
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: 7 };
    let stored = PullRequest::new(id.clone(), world.project.clone(), None, None);
    assert_applied(world.ctx.store.update_pull_request(&stored).await);
    completes(&world, &job, &fence).await;
    let linked = world.ctx.store.load_pull_request(&id).await.unwrap().unwrap();
    assert_eq!((linked.ticket, linked.job), (job.ticket, Some(job.id)));
}

#[tokio::test]
async fn late_result_links_a_pull_request_that_a_review_stored() {
    let world = World::begin().await;
    let (job, fence) = syncing(&world).await;
    let lost = job
        .fail(Failure::Unknown { last_words: String::new() }, world.ctx.clock.now().plus(Duration::from_secs(600)))
        .unwrap();
    assert_applied(world.ctx.store.update_job(&lost).await);
    let repository = world.repository();
    let id = PullRequestId { integration: repository.integration, repository: repository.id, number: 7 };
    let stored = PullRequest::new(id.clone(), world.project.clone(), None, None);
    assert_applied(world.ctx.store.update_pull_request(&stored).await);
    let end = End::Completed(Some(job_result(&job)));
    let finish = Finish { id: FinishId::new("f1").unwrap(), end, spent_usd_micros: None, work: None, output: None };
    finish_attempt(&world.ctx, &fence, &finish).await.unwrap_err();
    let linked = world.ctx.store.load_pull_request(&id).await.unwrap().unwrap();
    assert_eq!((linked.ticket, linked.job), (job.ticket, Some(job.id)));
}
