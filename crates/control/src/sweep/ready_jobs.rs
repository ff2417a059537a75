//! Sweeps Ready jobs that wait for a runner: ends or moves them when it is time, and wakes runners again.
//! These jobs have no due time, so the sweeper lists them by class. It counts all rows first, then handles the jobs of
//! the classes in turns until the time is over. An unfinished class continues behind its last row in the next round, so
//! that no row blocks the rows behind it.

use super::deadlines::{READY_LISTED_UNTIL, READY_UNTIL, RoundTimer};
use super::gauges::count_waiting;
use super::projects::list_projects_rotated;
use super::report::Report;
use crate::jobs::finish_job::{WriteParts, write_end};
use crate::jobs::places::recount_places;
use crate::runner::WaitExplainer;
use crate::{Context, Error};
use futures::StreamExt as _;
use pullyard_domain::agent::breaker::Breaker;
use pullyard_domain::job::select::{Candidate, ClassRequirements};
use pullyard_domain::job::sweep::{ClassFacts, WaitingStep, required_place, unclaimed_failure};
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::project::{Compute, Project};
use pullyard_domain::text::id::{ClassId, JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::ticket::required_labels::required_labels;
use pullyard_store::{Gauges, ReadyCursors, Write};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Mutex;

/// The first jobs of a class are read in each round, for the gauge of the longest wait. The gauge misses a job behind
/// more jobs of a higher priority for up to two hours.
const ALWAYS_READ: usize = 25;
/// Rows read at once. A read costs half a unit per about 35 rows.
const ROWS_PER_PAGE: i32 = 500;
/// Rows counted and handled per class in one round.
const MAX_ROWS: usize = 10_000;
/// Jobs of a class that are handled before the next class has its turn.
const JOBS_PER_TURN: usize = 200;
/// Ending a job needs several calls of some milliseconds.
const CONCURRENCY: usize = 16;
/// Most classes whose progress is stored. The note of the round must stay one small item.
const MAX_CURSORS: usize = 20;

/// `cursors`: the positions where the last round stopped; updated to those of this round.
/// Errors: the time was over before all classes were listed. The listed jobs were handled, and the other cursors stay.
pub(super) async fn sweep_ready(
    ctx: &Context,
    time: &RoundTimer<'_>,
    cursors: &mut ReadyCursors,
    gauges: &mut Gauges,
    report: &mut Report,
) -> Result<(), Error> {
    let mut queues = VecDeque::new();
    let wakes = AtomicU32::new(gauges.slots_free);
    let mut sweep = ReadySweep { ctx, time, waits: Mutex::default(), wakes, gauges, report };
    let failed = sweep.report.failed;
    let listed = sweep.list_queues(cursors, &mut queues).await;
    match &listed {
        // The remaining classes no longer exist.
        Ok(()) if sweep.report.failed == failed => cursors.clear(),
        Ok(()) => {}
        Err(_) => sweep.report.has_more = true,
    }
    merge_cursors(cursors, sweep.handle_queues(queues).await);
    listed
}

struct ReadySweep<'a> {
    ctx: &'a Context,
    time: &'a RoundTimer<'a>,
    waits: Mutex<WaitExplainer>,
    /// Hints left in this round: one for each free slot, because more cannot be of use.
    wakes: AtomicU32,
    gauges: &'a mut Gauges,
    report: &'a mut Report,
}

/// The jobs of a class that may need a step.
struct ClassQueue {
    project: Arc<Project>,
    class: ClassId,
    needs: ClassRequirements,
    rows: VecDeque<Candidate>,
    last: Option<Candidate>,
}

impl ReadySweep<'_> {
    async fn list_queues(
        &mut self,
        cursors: &mut ReadyCursors,
        queues: &mut VecDeque<ClassQueue>,
    ) -> Result<(), Error> {
        for id in list_projects_rotated(self.ctx, self.time, READY_LISTED_UNTIL).await? {
            self.time.check(READY_LISTED_UNTIL, "sweep the waiting jobs of runners")?;
            let result = self.list_project(&id, cursors, queues).await;
            self.record_failure(result, &id, "project")?;
        }
        Ok(())
    }

    async fn list_project(
        &mut self,
        id: &ProjectId,
        cursors: &mut ReadyCursors,
        queues: &mut VecDeque<ClassQueue>,
    ) -> Result<(), Error> {
        let store = &self.ctx.store;
        // Read once for all jobs of the project; the next round sees changes.
        let project = self.time.run_before(READY_LISTED_UNTIL, "read a project", store.load_project(id)).await?;
        let Some(project) = project.map(Arc::new) else { return Ok(()) };
        let recount = recount_places(self.ctx, &project);
        match self.time.run_before(READY_LISTED_UNTIL, "count the places of a project", recount).await {
            Ok(waiting) => count_waiting(self.gauges, id, waiting, None),
            Err(error) => self.record_failure(Err(error), id, "limit")?,
        }
        let classes =
            self.time.run_before(READY_LISTED_UNTIL, "read the classes of a project", store.list_classes(id)).await?;
        for class in classes {
            self.time.check(READY_LISTED_UNTIL, "sweep the waiting jobs of a project")?;
            let result = match class {
                Ok((class, needs)) => {
                    let last = cursors.get(&class).cloned();
                    let queue = self.list_class(&project, (class.clone(), needs), last).await;
                    queue.map(|queue| {
                        cursors.remove(&class);
                        queues.extend(queue);
                    })
                }
                Err(error) => Err(error.into()),
            };
            self.record_failure(result, id, "class")?;
        }
        Ok(())
    }

    /// Counts and logs a failure, so that the rest is swept. Errors: the time for Ready jobs is over.
    fn record_failure(&mut self, result: Result<(), Error>, project: &ProjectId, part: &str) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        if matches!(error, Error::Timeout { .. }) && self.time.is_past(READY_LISTED_UNTIL) {
            return Err(error);
        }
        self.report.failed += 1;
        self.gauges.more = true;
        tracing::error!(project = %project, error = %error, "sweep of a {part}'s waiting jobs failed");
        Ok(())
    }

    async fn list_class(
        &mut self,
        project: &Arc<Project>,
        (class, needs): (ClassId, ClassRequirements),
        last: Option<Candidate>,
    ) -> Result<Option<ClassQueue>, Error> {
        let (mut rows, now) = (Vec::<Candidate>::new(), self.ctx.clock.now());
        loop {
            let read = self.ctx.store.list_ready_jobs_after(&class, rows.last(), ROWS_PER_PAGE);
            let page = self.time.run_before(READY_LISTED_UNTIL, "read the waiting jobs of a class", read).await?;
            // The next page begins behind a row that was parsed, so one without such a row would be read again.
            let is_unreadable = page.rows.is_empty();
            rows.extend(page.rows);
            if !page.is_full {
                break;
            }
            if is_unreadable || rows.len() >= MAX_ROWS {
                self.gauges.more = true;
                break;
            }
        }
        count_waiting(self.gauges, &project.id, u32::try_from(rows.len()).unwrap_or(u32::MAX), None);
        let may_overflow = project.settings.compute == Compute::RunnersThenFargate;
        let breakers: &[Breaker] = if may_overflow && rows.len() > ALWAYS_READ {
            let load = self.waits.get_mut().load_breakers(self.ctx);
            let read = self.time.run_before(READY_LISTED_UNTIL, "read the breakers", load).await;
            // Without breakers, all jobs that may overflow are read.
            read.inspect_err(|error| tracing::warn!(error = %error, "breakers not read")).unwrap_or_default()
        } else {
            &[]
        };
        let facts = class_facts(self.ctx, &needs, project, breakers);
        let is_due = |row: &Candidate| facts.may_need_step(&project.id, Timestamp::from_millis(row.order), now);
        let needs_read =
            |nth: usize, row: &Candidate| nth < ALWAYS_READ || is_due(row) && is_behind(row, last.as_ref());
        let rows = rows.into_iter().enumerate().filter(|(nth, row)| needs_read(*nth, row));
        let rows = rows.map(|(_, row)| row).collect::<VecDeque<_>>();
        Ok((!rows.is_empty()).then(|| ClassQueue { project: project.clone(), class, needs, rows, last: last.clone() }))
    }

    /// Handles the queues by turns. Returns where it stopped.
    async fn handle_queues(&mut self, mut queues: VecDeque<ClassQueue>) -> ReadyCursors {
        while let Some(mut queue) = queues.pop_front() {
            if self.time.is_past(READY_UNTIL) {
                queues.push_back(queue);
                break;
            }
            self.handle_turn(&mut queue).await;
            if !queue.rows.is_empty() {
                queues.push_back(queue);
            }
        }
        if !queues.is_empty() {
            self.report.has_more = true;
            self.gauges.more = true;
        }
        queues.into_iter().filter_map(|queue| Some((queue.class, queue.last?))).collect()
    }

    async fn handle_turn(&mut self, queue: &mut ClassQueue) {
        let turn = queue.rows.iter().take(JOBS_PER_TURN).cloned().collect::<Vec<_>>();
        let (ctx, time, class) = (self.ctx, self.time, (queue.project.as_ref(), &queue.needs));
        let (waits, wakes) = (&self.waits, &self.wakes);
        let jobs = turn.iter().map(|row| row.job.clone()).collect::<Vec<_>>();
        let results = futures::stream::iter(jobs).map(|job| async move {
            if time.is_past(READY_UNTIL) {
                return None;
            }
            let result = time.run("sweep a waiting job", sweep_job(ctx, (waits, wakes), class, &job)).await;
            if let Err(error) = &result {
                tracing::error!(job.id = %job, error = %error, "sweep of a waiting job failed");
            }
            Some(result)
        });
        let mut results = std::pin::pin!(results.buffered(CONCURRENCY));
        let mut handled = 0;
        while let Some(Some(result)) = results.next().await {
            handled += 1;
            match result {
                Ok(swept) => {
                    self.report.checked += u32::from(swept.is_read);
                    self.report.written += u32::from(swept.has_ended);
                    self.gauges.oldest = [self.gauges.oldest, swept.waits_since].into_iter().flatten().min();
                }
                Err(_) => self.report.failed += 1,
            }
        }
        queue.rows.drain(..handled);
        let last = turn.get(..handled).and_then(<[_]>::last).filter(|row| is_behind(row, queue.last.as_ref()));
        queue.last = last.cloned().or_else(|| queue.last.take());
    }
}

fn merge_cursors(cursors: &mut ReadyCursors, stopped: ReadyCursors) {
    cursors.extend(stopped);
    while cursors.len() > MAX_CURSORS {
        cursors.pop_last();
    }
}

fn is_behind(row: &Candidate, last: Option<&Candidate>) -> bool {
    last.is_none_or(|last| (last.order, &last.job) < (row.order, &row.job))
}

#[derive(Default)]
struct SweptJob {
    is_read: bool,
    has_ended: bool,
    /// `None` if it stopped waiting.
    waits_since: Option<Timestamp>,
}

fn class_facts<'a>(
    ctx: &Context,
    requirements: &'a ClassRequirements,
    project: &'a Project,
    breakers: &'a [Breaker],
) -> ClassFacts<'a> {
    ClassFacts { requirements, settings: &project.settings, breakers, on_one_machine: ctx.on_one_machine }
}

async fn sweep_job(
    ctx: &Context,
    (waits, wakes): (&Mutex<WaitExplainer>, &AtomicU32),
    (project, needs): (&Project, &ClassRequirements),
    id: &JobId,
) -> Result<SweptJob, Error> {
    let Some(job) = ctx.store.load_job(id).await? else { return Ok(SweptJob::default()) };
    let now = ctx.clock.now();
    let mut step = class_facts(ctx, needs, project, &[]).next_step(&job, now);
    if matches!(step, WaitingStep::Fail | WaitingStep::Move(_)) {
        let mut waits = waits.lock().await;
        step = class_facts(ctx, needs, project, waits.load_breakers(ctx).await?).next_step(&job, now);
    }
    match step {
        WaitingStep::Skip => {}
        WaitingStep::Wake => {
            let is_left = |left: u32| left.checked_sub(1);
            if wakes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_left).is_ok() {
                ctx.wake_job(&job.id).await;
            }
        }
        WaitingStep::Move(place) => {
            move_job(ctx, project, &job, place).await?;
        }
        WaitingStep::Fail => {
            let wait = waits.lock().await.explain(ctx, &job, now).await?;
            let failure = unclaimed_failure(wait.as_ref(), &project.settings.limits);
            let next = job.fail(failure, now).map_err(|refusal| Error::from_refusal(refusal, now))?;
            let write = write_end(ctx, &job, &next, WriteParts::default(), now).await?;
            return Ok(SweptJob { is_read: true, has_ended: write == Write::Applied, waits_since: None });
        }
    }
    let waits_since = (job.status == JobStatus::Ready).then_some(job.ready_since);
    Ok(SweptJob { is_read: true, has_ended: false, waits_since })
}

/// Writes: JOB if `rev` is unchanged; CLASS first, if the job moves to runners.
pub(super) async fn move_if_misplaced(ctx: &Context, job: &Job, project: Option<&Project>) -> Result<bool, Error> {
    let Some(project) = project else { return Ok(false) };
    match required_place(job, &project.settings, ctx.clock.now()) {
        None => Ok(false),
        Some(place) => move_job(ctx, project, job, place).await,
    }
}

async fn move_job(ctx: &Context, project: &Project, job: &Job, place: Placement) -> Result<bool, Error> {
    let now = ctx.clock.now();
    let Ok(mut next) = job.move_to(place, now) else { return Ok(false) };
    if place == Placement::Runners {
        // The class of a job planned for Fargate may lack labels.
        let context = ctx.load_context_of(job).await?;
        let text = context.ticket.as_ref().map(|(_, text)| text);
        let labels = required_labels(&project.settings, &context.repository, text, &context.labels);
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
        ctx.wake_job(&job.id).await;
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursors(classes: std::ops::Range<usize>) -> ReadyCursors {
        let cursor = |number| {
            let class = ClassId::new(format!("{number:032x}")).unwrap();
            let job = JobId::new(format!("job_{number:026}")).unwrap();
            (class.clone(), Candidate { job, class, order: 1 })
        };
        classes.map(cursor).collect()
    }

    #[test]
    fn cursors_of_unlisted_classes_count_for_the_limit() {
        let mut merged = cursors(0..MAX_CURSORS);
        merge_cursors(&mut merged, cursors(5..MAX_CURSORS + 5));
        assert_eq!(merged, cursors(0..MAX_CURSORS));
    }
}
