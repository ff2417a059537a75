//! Sweeps the Ready jobs of runners that are unclaimed or misplaced. Without a due time, they are listed by class.

use super::deadlines::{READY_UNTIL, RoundTimer};
use super::gauges::count_waiting;
use super::projects::list_projects_rotated;
use super::report::Report;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use pullyard_domain::id::{ClassId, JobId, ProjectId};
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::project::Project;
use pullyard_domain::select::ClassRequirements;
use pullyard_domain::sweep::{WaitingStep, next_waiting_step, required_place, unclaimed_failure};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Gauges, Write};

const MAX_JOBS_SWEPT: usize = 25;
/// Jobs counted per class. A read costs at least half a unit, which covers as many.
const MAX_COUNTED: i32 = 40;

pub(super) async fn sweep_ready(
    ctx: &Context,
    time: &RoundTimer<'_>,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<(), Error> {
    ReadySweep { ctx, time, waits: WaitExplainer::default(), gauges, report }.run().await
}

struct ReadySweep<'a> {
    ctx: &'a Context,
    time: &'a RoundTimer<'a>,
    waits: WaitExplainer,
    gauges: &'a mut Gauges,
    report: &'a mut Report,
}

impl ReadySweep<'_> {
    async fn run(mut self) -> Result<(), Error> {
        for id in list_projects_rotated(self.ctx, self.time, READY_UNTIL).await? {
            self.time.check(READY_UNTIL, "sweep the waiting jobs of runners")?;
            let result = self.sweep_project(&id).await;
            self.record_failure(result, &id, "project")?;
        }
        Ok(())
    }

    async fn sweep_project(&mut self, id: &ProjectId) -> Result<(), Error> {
        let store = &self.ctx.store;
        // Read once for all jobs of the project; the next round sees changes.
        let project = self.time.run_before(READY_UNTIL, "read a project", store.load_project(id)).await?;
        let Some(project) = project else { return Ok(()) };
        let classes =
            self.time.run_before(READY_UNTIL, "read the classes of a project", store.list_classes(id)).await?;
        for class in classes {
            self.time.check(READY_UNTIL, "sweep the waiting jobs of a project")?;
            let result = match class {
                Ok((class, _)) => self.sweep_class(&project, &class).await,
                Err(error) => Err(error.into()),
            };
            self.record_failure(result, id, "class")?;
        }
        Ok(())
    }

    /// Counts and logs a failure, so that the rest is swept. Errors: the time for Ready jobs is over.
    fn record_failure(&mut self, result: Result<(), Error>, project: &ProjectId, part: &str) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        if matches!(error, Error::Timeout { .. }) && self.time.is_past(READY_UNTIL) {
            return Err(error);
        }
        self.report.failed += 1;
        self.gauges.more = true;
        tracing::error!(project = %project, error = %error, "sweep of a {part}'s waiting jobs failed");
        Ok(())
    }

    async fn sweep_class(&mut self, project: &Project, class: &ClassId) -> Result<(), Error> {
        let read = self.ctx.store.list_ready_jobs(class, MAX_COUNTED);
        let rows = self.time.run_before(READY_UNTIL, "read the waiting jobs of a class", read).await?;
        self.gauges.more |= i32::try_from(rows.len()).is_ok_and(|len| len >= MAX_COUNTED);
        let (time, mut oldest) = (self.time, None);
        for row in rows.iter().take(MAX_JOBS_SWEPT) {
            time.check(READY_UNTIL, "sweep the waiting jobs of a class")?;
            match time.run("sweep a waiting job", self.sweep_job(project, &row.job)).await {
                Ok(since) => oldest = [oldest, since].into_iter().flatten().min(),
                Err(error) => {
                    self.report.failed += 1;
                    tracing::error!(job.id = %row.job, error = %error, "sweep of a waiting job failed");
                }
            }
        }
        count_waiting(self.gauges, &project.id, u32::try_from(rows.len()).unwrap_or(u32::MAX), oldest);
        Ok(())
    }

    /// Returns since when the job has been waiting, unless it stopped waiting.
    async fn sweep_job(&mut self, project: &Project, id: &JobId) -> Result<Option<Timestamp>, Error> {
        let ctx = self.ctx;
        let Some(job) = ctx.store.load_job(id).await? else { return Ok(None) };
        self.report.checked += 1;
        let now = ctx.clock.now();
        match next_waiting_step(&job, project.settings.compute, now) {
            WaitingStep::Skip => {}
            WaitingStep::Move(place) => {
                move_job(ctx, &job, place).await?;
            }
            WaitingStep::Fail => {
                let wait = self.waits.explain(ctx, &job, now).await?;
                let reason = wait.map(|wait| wait.sentence()).unwrap_or_default();
                let next =
                    job.fail(unclaimed_failure(&reason), now).map_err(|refusal| Error::from_refusal(refusal, now))?;
                let write = write_end(ctx, &job, &next, WriteParts::default(), now).await?;
                self.report.written += u32::from(write == Write::Applied);
                return Ok(None);
            }
        }
        Ok((job.status == JobStatus::Ready).then_some(job.ready_since))
    }
}

/// Writes: JOB if `rev` is unchanged; CLASS first, if the job moves to runners.
pub(super) async fn move_if_misplaced(ctx: &Context, job: &Job) -> Result<bool, Error> {
    let Some(project) = ctx.store.load_project(&job.project).await? else { return Ok(false) };
    match required_place(job, project.settings.compute, ctx.clock.now()) {
        None => Ok(false),
        Some(place) => move_job(ctx, job, place).await,
    }
}

async fn move_job(ctx: &Context, job: &Job, place: Placement) -> Result<bool, Error> {
    let now = ctx.clock.now();
    let Ok(mut next) = job.move_to(place, now) else { return Ok(false) };
    if place == Placement::Runners {
        // The class of a job planned for Fargate may lack labels.
        let context = ctx.load_context_of(job).await?;
        let labels = context.ticket.as_ref().map(|(_, text)| text.runner_labels()).unwrap_or_default();
        let capability = context.repository.agent.capability.clone();
        let requirements = ClassRequirements { capability, labels, key: job.policy.key_owner() };
        next.class =
            ClassId::for_key(job.project.as_str(), &requirements.capability, &requirements.labels, requirements.key);
        if ctx.store.load_class(&next.project, &next.class).await?.is_none() {
            ctx.store.create_class(&next.project, &next.class, &requirements).await?;
        }
    }
    let moved = ctx.store.update_job(&next).await? == Write::Applied;
    if moved {
        tracing::info!(job.id = %job.id, place = ?place, "waiting job moved to other compute");
        if place == Placement::Fargate {
            ctx.wake_job(&job.id).await;
        }
    }
    Ok(moved)
}
