//! Analyses of open pull requests and issues: their requests and their end.

use crate::prelude::*;
use crate::world::World;
use pullyard_control::attempt::{Finish, finish_attempt};
use pullyard_control::{Answer as Started, Error, StartAnalysis, hold_project, retry_job, start_analysis};
use pullyard_domain::job::{End, JobKind};
use pullyard_domain::review::analysis::{Analysis, AnalysisReport, ItemKind, ItemList};
use pullyard_domain::review::delivery::Source;
use pullyard_domain::review::output::{Answer, JobOutput};
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::{DeliveryId, EventId, IntegrationId};

async fn new_world() -> World {
    let world = World::begin().await;
    world.connect().await;
    world.set_settings(Settings { compute: Compute::Runners, ..Settings::default() }).await;
    world
}

fn request(world: &World, name: &str) -> StartAnalysis {
    let repository = world.repository();
    StartAnalysis {
        project: world.project.clone(),
        integration: repository.integration,
        repository: repository.id,
        what: None,
        request: name.into(),
        source: Source::Person,
        retry_of: None,
    }
}

async fn start(world: &World, name: &str) -> Started {
    start_analysis(&world.ctx, &request(world, name)).await.unwrap()
}

async fn created(world: &World, name: &str) -> JobId {
    let answer = start(world, name).await;
    assert_eq!(answer.reason.code(), "accepted");
    answer.job.unwrap()
}

async fn item(world: &World) -> Analysis {
    let repository = world.repository();
    let loaded = world.ctx.store.load_analysis(&world.project, &repository.integration, repository.id).await;
    loaded.unwrap().unwrap()
}

async fn finish(world: &World, job: &JobId, end: End, output: Option<JobOutput>) -> Result<JobStatus, Error> {
    let fence = world.claim(job, None).await;
    for phase in [JobStatus::Preparing, JobStatus::Executing, JobStatus::Syncing] {
        let next = world.load_job(job).await.advance(&fence, phase, world.ctx.clock.now()).unwrap();
        assert_applied(world.ctx.store.update_job(&next).await);
    }
    let id = FinishId::new("f1").unwrap();
    finish_attempt(&world.ctx, &fence, &Finish { id, end, spent_usd_micros: Some(310_000), work: None, output }).await
}

fn report(world: &World) -> AnalysisReport {
    let list = |open| ItemList { as_of: world.ctx.clock.now(), open };
    AnalysisReport {
        lists: [(ItemKind::Pulls, list(3)), (ItemKind::Issues, list(9))].into(),
        ..AnalysisReport::default()
    }
}

#[tokio::test]
async fn repository_has_one_analysis_at_a_time() {
    let world = new_world().await;
    let job = created(&world, "nightly 1").await;
    let stored = world.load_job(&job).await;
    assert_eq!((stored.kind, stored.status, stored.branch.as_str()), (JobKind::Analysis, JobStatus::Ready, "main"));
    let context = world.ctx.store.load_context(&job, &stored.context).await.unwrap().unwrap();
    assert_eq!(context.title(), "Open work in acme/app");
    let plan = context.analysis.unwrap();
    assert_eq!((plan.what.len(), plan.cost_usd_micros, plan.previous), (2, 1_000_000, None));
    let repeat = start(&world, "nightly 1").await;
    assert_eq!((repeat.reason.code(), repeat.job), ("repeat", Some(job.clone())));
    let answer = start(&world, "ann k1").await;
    assert_eq!((&answer.job, &answer.reason), (&Some(job.clone()), &Reason::AnalysisRunning { job: job.clone() }));
    assert!(world.ctx.store.load_delivery(&answer.delivery).await.unwrap().is_some());
    assert!(!stored.is_known_by(3) && stored.is_known_by(4));

    finish(&world, &job, End::Completed(None), Some(JobOutput::Analysis(report(&world)))).await.unwrap();
    let Analysis { active_job, last, failed, .. } = item(&world).await;
    let last = last.unwrap();
    assert_eq!((active_job, failed, &last.job, last.spent_usd_micros), (None, None, &job, 310_000));
    assert_eq!((last.counts.pulls, last.counts.issues, last.counts.not_listed), (Some(3), Some(9), 12));
    // A repeat after the end starts nothing; another request reads the previous report.
    let repeat = start(&world, "nightly 1").await;
    assert_eq!((repeat.reason.code(), repeat.job), ("repeat", Some(job.clone())));
    let next = world.load_job(&created(&world, "nightly 2").await).await;
    let context = world.ctx.store.load_context(&next.id, &next.context).await.unwrap().unwrap();
    assert_eq!(context.analysis.unwrap().previous, Some(job));
}

#[tokio::test]
async fn failed_analysis_shows_its_failure_and_is_retried() {
    let world = new_world().await;
    let job = created(&world, "1").await;
    finish(&world, &job, End::Failed(Failure::SessionLost {}, None), None).await.unwrap();
    let failed = item(&world).await;
    assert_eq!((failed.active_job, failed.last), (None, None));
    assert_eq!(failed.failed.map(|failed| failed.job), Some(job.clone()));
    let ann = Requester { id: "ann".into(), name: "ann".into() };
    let retry = async |key: &str| {
        let retry = retry_job(&world.ctx, &job, &ann, Some(EventId::new(key).unwrap())).await.unwrap();
        (retry.job.unwrap(), retry.reason.code())
    };
    let (first, _) = retry("k1").await;
    let stored = world.load_job(&first).await;
    assert_eq!((stored.kind, stored.retry_of), (JobKind::Analysis, Some(job.clone())));
    assert_eq!(retry("k1").await, (first.clone(), "repeat"));
    finish(&world, &first, End::Failed(Failure::SessionLost {}, None), None).await.unwrap();
    let (retried, code) = retry("k2").await;
    assert_eq!((retried != first, code), (true, "accepted"));
    finish(&world, &retried, End::Completed(None), Some(JobOutput::Analysis(report(&world)))).await.unwrap();
    assert_eq!(item(&world).await.failed, None);
}

#[tokio::test]
async fn analysis_ends_with_a_report_only() {
    let world = new_world().await;
    let job = created(&world, "1").await;
    let answer = JobOutput::Read(Answer { text: "Yes.".into(), ..Default::default() });
    let refused = finish(&world, &job, End::Completed(None), Some(answer)).await;
    assert!(matches!(refused, Err(Error::Invalid { pointer: "/output", .. })), "{refused:?}");
}

#[tokio::test]
async fn held_project_starts_no_analysis() {
    let world = new_world().await;
    hold_project(&world.ctx, &world.project, "ann", "a freeze").await.unwrap();
    let Started { delivery, reason, job: None } = start(&world, "1").await else { panic!("it started") };
    assert_eq!(reason.code(), "project_held");
    let stored = world.ctx.store.load_delivery(&delivery).await.unwrap().unwrap();
    assert_eq!((stored.reason, stored.job), (reason, None));
    pullyard_control::release_project(&world.ctx, &world.project).await.unwrap();
    let job = created(&world, "1").await;
    assert_eq!(delivery, DeliveryId::for_request(&job), "the decision is replaced");
}

#[tokio::test]
async fn items_of_an_analysis_must_exist_at_the_forge() {
    let world = new_world().await;
    let start = async |start: StartAnalysis| start_analysis(&world.ctx, &start).await;
    let none = start(StartAnalysis { what: Some(BTreeSet::new()), ..request(&world, "1") }).await;
    assert!(matches!(none, Err(Error::Invalid { pointer: "/what", .. })), "{none:?}");
    let unknown = IntegrationId::new("elsewhere").unwrap();
    let unknown = start(StartAnalysis { integration: unknown, ..request(&world, "1") }).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
}

#[tokio::test]
async fn ended_job_blocks_no_further_analysis() {
    let world = new_world().await;
    let job = created(&world, "1").await;
    // A write that ended the job without its analyses, or a deleted job.
    let ended = Job { status: JobStatus::Cancelled, ..world.load_job(&job).await };
    assert_applied(world.ctx.store.update_job(&ended).await);
    assert_eq!(item(&world).await.active_job, Some(job));
    let next = created(&world, "2").await;
    assert_eq!(item(&world).await.active_job, Some(next));
    assert_eq!(world.ctx.store.list_analyses(&world.project).await.unwrap().len(), 1);
}

#[tokio::test]
async fn request_with_other_items_is_no_repeat() {
    let world = new_world().await;
    created(&world, "1").await;
    let pulls = Some([ItemKind::Pulls].into());
    let other = start_analysis(&world.ctx, &StartAnalysis { what: pulls, ..request(&world, "1") }).await;
    assert!(matches!(other, Err(Error::KeyReused)), "{other:?}");
}
