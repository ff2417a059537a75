//! Lists self-hosted runners, and explains what jobs wait for.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::breaker::Breaker;
use pullyard_domain::explanation;
use pullyard_domain::fleet::{Fleet, Member};
use pullyard_domain::id::{ClassId, RunnerId};
use pullyard_domain::job::{Job, JobStatus, Placement};
use pullyard_domain::runner::{Profile, Runner};
use pullyard_domain::select::ClassRequirements;
use pullyard_domain::time::Timestamp;
use pullyard_domain::wait::Wait;
use std::collections::BTreeMap;

const MAX_AHEAD: i32 = 200;

/// All runners by name, without those that this version cannot parse.
pub async fn list_runners(ctx: &Context) -> Result<Vec<Member>, Error> {
    let mut runners = Vec::<Runner>::new();
    for runner in ctx.store.list_runners().await? {
        runners.extend(skip_corrupt(ctx, runner)?);
    }
    let ids = runners.iter().map(|runner| runner.id.clone()).collect::<Vec<_>>();
    let mut profiles = BTreeMap::<RunnerId, Profile>::new();
    for profile in ctx.store.load_runner_profiles(&ids).await? {
        profiles.extend(skip_corrupt(ctx, profile)?.map(|profile| (profile.id.clone(), profile)));
    }
    let member = |runner: Runner| Some(Member { profile: profiles.remove(&runner.id)?, runner });
    let mut members = runners.into_iter().filter_map(member).collect::<Vec<_>>();
    members.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
    Ok(members)
}

pub async fn load_runner(ctx: &Context, name_or_id: &str) -> Result<Member, Error> {
    let missing = || Error::NotFound { what: "runner", name: name_or_id.to_owned() };
    let by_id = RunnerId::new(name_or_id).ok();
    let named = match by_id {
        Some(id) => Some(id),
        None if pullyard_domain::runner::validate_name(name_or_id).is_ok() => {
            ctx.store.load_runner_id(name_or_id).await?
        }
        None => None,
    };
    let id = named.ok_or_else(missing)?;
    ctx.store.load_member(&id).await?.ok_or_else(missing)
}

/// Explains what jobs wait for. Reads the runners at most once for all jobs.
#[derive(Default)]
pub(crate) struct WaitExplainer {
    members: Option<Vec<Member>>,
    breakers: Option<Vec<Breaker>>,
    requirements: BTreeMap<ClassId, Option<ClassRequirements>>,
    orders: BTreeMap<ClassId, Vec<(i64, pullyard_domain::id::JobId)>>,
}

impl WaitExplainer {
    pub(crate) async fn explain(&mut self, ctx: &Context, job: &Job, now: Timestamp) -> Result<Option<Wait>, Error> {
        if job.status != JobStatus::Ready || job.place != Placement::Runners {
            return Ok(explanation::wait_reason(job, None, now));
        }
        if self.members.is_none() {
            self.members = Some(list_runners(ctx).await?);
        }
        if self.breakers.is_none() {
            self.breakers = Some(ctx.store.list_breakers().await?);
        }
        if !self.requirements.contains_key(&job.class) {
            let needs = ctx.store.load_class(&job.project, &job.class).await?;
            self.requirements.insert(job.class.clone(), needs);
            let rows = ctx.store.list_ready_jobs(&job.class, MAX_AHEAD).await?;
            self.orders.insert(job.class.clone(), rows.into_iter().map(|row| (row.order, row.job)).collect());
        }
        let (Some(members), Some(Some(needs))) = (&self.members, self.requirements.get(&job.class)) else {
            return Ok(explanation::wait_reason(job, None, now));
        };
        let rows = self.orders.get(&job.class).map(Vec::as_slice).unwrap_or_default();
        let before = rows.iter().take_while(|(_, id)| *id != job.id).count();
        let breakers = self.breakers.as_deref().unwrap_or_default();
        let fleet =
            Fleet { members, requirements: needs, jobs_ahead: u64::try_from(before).unwrap_or(u64::MAX), breakers };
        Ok(explanation::wait_reason(job, Some(&fleet), now))
    }
}
