//! Lists the jobs that wait for a runner. Index rows may be outdated, so each job is read strongly before its claim.

use super::RunnerToken;
use crate::{Context, Error};
use pullyard_domain::agent::breaker::{Breaker, BreakerId, breaker_ids, longest_delay};
use pullyard_domain::agent::runner::Profile;
use pullyard_domain::job::Job;
use pullyard_domain::job::select::{
    Candidate, ClassRequirements, MAX_TRIES, READ_LIMITS, candidate_index, is_claimable, matches, sort_candidates,
};
use pullyard_domain::text::id::{ClaimId, ClassId, JobId, ProjectId, RunnerId};
use std::collections::BTreeSet;

pub(super) struct Class {
    project: ProjectId,
    id: ClassId,
    requirements: ClassRequirements,
}

impl Class {
    fn breaker_ids(&self, runner: &RunnerId) -> Vec<BreakerId> {
        breaker_ids(self.requirements.key, &self.requirements.capability, &self.project, Some(runner))
    }
}

pub(super) async fn list_matching_classes(
    ctx: &Context,
    token: &RunnerToken,
    profile: &Profile,
) -> Result<Vec<Class>, Error> {
    let projects = match &token.projects {
        Some(projects) => projects.iter().cloned().collect(),
        None => ctx.store.list_all_project_ids().await?,
    };
    let mut classes = Vec::new();
    for project in projects {
        for (id, requirements) in ctx.store.list_classes(&project).await?.into_iter().flatten() {
            if matches(&requirements, profile) {
                classes.push(Class { project: project.clone(), id, requirements });
            }
        }
    }
    Ok(classes)
}

/// Tries the oldest job first, then a random one of the oldest. Reads more when these are gone.
pub(super) struct CandidateSearch<'a> {
    ctx: &'a Context,
    claim: &'a ClaimId,
    runner: &'a RunnerId,
    protocol: u32,
    classes: Vec<Class>,
    widths: std::slice::Iter<'static, usize>,
    candidates: Vec<Candidate>,
    /// Jobs of a kind that the runner's protocol does not have.
    unknown: BTreeSet<JobId>,
    has_more: bool,
    attempts: usize,
}

impl<'a> CandidateSearch<'a> {
    pub(super) fn new(
        ctx: &'a Context,
        claim: &'a ClaimId,
        (runner, protocol): (&'a RunnerId, u32),
        classes: Vec<Class>,
    ) -> Self {
        Self {
            ctx,
            claim,
            runner,
            protocol,
            classes,
            widths: READ_LIMITS.iter(),
            candidates: Vec::new(),
            unknown: BTreeSet::new(),
            has_more: true,
            attempts: 0,
        }
    }

    /// A refused job stays a candidate until a read shows that it is gone, because the refusal may concern the runner.
    pub(super) async fn next(&mut self) -> Result<Option<Job>, Error> {
        while self.attempts < MAX_TRIES {
            let index = candidate_index(self.claim, self.attempts, self.candidates.len());
            let Some(row) = self.candidates.get(index) else {
                let Some(width) = self.widths.next().filter(|_| self.has_more) else { break };
                self.load_candidates(*width).await?;
                continue;
            };
            let job = self.ctx.store.load_job(&row.job).await?;
            if let Some(job) = job.as_ref().filter(|job| !job.is_known_by(self.protocol)) {
                self.unknown.insert(job.id.clone());
                self.candidates.remove(index);
                continue;
            }
            self.attempts += 1;
            let now = self.ctx.clock.now();
            if let Some(job) = job.filter(|job| is_claimable(job, &row.class, self.runner, now)) {
                return Ok(Some(job));
            }
            self.candidates.remove(index);
        }
        Ok(None)
    }

    async fn load_candidates(&mut self, width: usize) -> Result<(), Error> {
        let limit = i32::try_from(width).unwrap_or(i32::MAX);
        let (mut waiting, mut accounts) = (Vec::new(), BTreeSet::new());
        for class in &self.classes {
            let page = self.ctx.store.list_ready_jobs_after(&class.id, None, limit).await?;
            if !page.rows.is_empty() {
                let breaker_ids = class.breaker_ids(self.runner);
                accounts.extend(breaker_ids.iter().cloned());
                waiting.push((breaker_ids, page));
            }
        }
        let breakers = self.ctx.store.load_breakers(&accounts).await?;
        let now = self.ctx.clock.now();
        let (mut candidates, mut more) = (Vec::new(), false);
        for (breaker_ids, page) in waiting {
            let breakers: Vec<&Breaker> = breakers.iter().filter(|breaker| breaker_ids.contains(&breaker.id)).collect();
            let may_start = |row: &Candidate| longest_delay(breakers.iter().copied(), &row.job, now).is_none();
            let is_breaker_open = breakers.iter().any(|breaker| now < breaker.until);
            more |= page.is_full && !is_breaker_open;
            candidates.extend(page.rows.into_iter().filter(may_start));
        }
        self.has_more = more || candidates.len() > width;
        candidates.retain(|row: &Candidate| !self.unknown.contains(&row.job));
        self.candidates = sort_candidates(candidates, width);
        Ok(())
    }
}
