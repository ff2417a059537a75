//! Explains what jobs wait for.

use super::view::list_summaries;
use crate::jobs::places::PlaceQueue;
use crate::{Context, Error};
use pullyard_domain::agent::breaker::Breaker;
use pullyard_domain::job::fleet::{Fleet, MemberSummary};
use pullyard_domain::job::select::ClassRequirements;
use pullyard_domain::job::sweep::ClassFacts;
use pullyard_domain::job::{Job, JobStatus, Placement, explanation};
use pullyard_domain::project::Project;
use pullyard_domain::text::id::{ClassId, JobId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_domain::text::wait::Wait;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

const MAX_AHEAD: i32 = 200;

/// Reads the runners, the breakers, each class and each repository's waiting jobs at most once for all jobs.
#[derive(Default)]
pub(crate) struct WaitExplainer {
    members: Option<Vec<MemberSummary>>,
    breakers: Option<Vec<Breaker>>,
    classes: BTreeMap<ClassId, ClassQueue>,
    places: BTreeMap<(ProjectId, String), PlaceQueue>,
}

struct ClassQueue {
    /// `None` also if the project uses no runners any more: the sweeper moves its jobs.
    requirements: Option<(ClassRequirements, Project)>,
    ready_jobs: Vec<(i64, JobId)>,
}

impl WaitExplainer {
    pub(crate) async fn explain(&mut self, ctx: &Context, job: &Job, now: Timestamp) -> Result<Option<Wait>, Error> {
        if job.awaits_place() {
            let key = (job.project.clone(), job.repository_key());
            let queue = match self.places.entry(key) {
                Entry::Occupied(queue) => queue.into_mut(),
                Entry::Vacant(entry) => entry.insert(PlaceQueue::load(ctx, job).await?),
            };
            return Ok(Some(queue.explain(job)));
        }
        if job.status != JobStatus::Ready || job.place != Placement::Runners {
            return Ok(explanation::wait_reason(job, None, now));
        }
        if self.members.is_none() {
            self.members = Some(list_summaries(ctx).await?);
        }
        self.load_breakers(ctx).await?;
        if !self.classes.contains_key(&job.class) {
            let project = ctx.store.load_project(&job.project).await?;
            let requirements = match project.filter(|project| project.settings.compute.uses_runners()) {
                Some(project) => ctx.store.load_class(&job.project, &job.class).await?.map(|class| (class, project)),
                None => None,
            };
            let rows = ctx.store.list_ready_jobs(&job.class, MAX_AHEAD).await?;
            let ready_jobs = rows.into_iter().map(|row| (row.order, row.job)).collect();
            self.classes.insert(job.class.clone(), ClassQueue { requirements, ready_jobs });
        }
        let (
            Some(members),
            Some(breakers),
            Some(ClassQueue { requirements: Some((requirements, project)), ready_jobs }),
        ) = (&self.members, &self.breakers, self.classes.get(&job.class))
        else {
            return Ok(explanation::wait_reason(job, None, now));
        };
        // The index may not list the job yet.
        let jobs_ahead = ready_jobs.iter().filter(|(order, id)| (*order, id) < (job.order(), &job.id)).count();
        let jobs_ahead = u64::try_from(jobs_ahead).unwrap_or(u64::MAX);
        let class =
            ClassFacts { requirements, settings: &project.settings, breakers, on_one_machine: ctx.on_one_machine };
        Ok(explanation::wait_reason(job, Some(&Fleet { members, class, jobs_ahead }), now))
    }

    pub(crate) async fn load_breakers(&mut self, ctx: &Context) -> Result<&[Breaker], Error> {
        if self.breakers.is_none() {
            self.breakers = Some(ctx.store.list_breakers().await?);
        }
        Ok(self.breakers.as_deref().unwrap_or_default())
    }
}
