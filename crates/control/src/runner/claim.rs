//! A self-hosted runner takes a job.

use super::{RunnerToken, own};
use crate::breaker::{Breakers, Turn, note_claimed, take_turn};
use crate::proof::Bootstrap;
use crate::{Context, Error};
use pullyard_domain::breaker::{Breaker, Gate, asked, gate};
use pullyard_domain::id::{ClaimId, ClassId, InstanceId, ProjectId, RunnerId};
use pullyard_domain::job::{Claim, Job, START_WITHIN};
use pullyard_domain::runner::sweep::holds;
use pullyard_domain::runner::{Closed, Runner};
use pullyard_domain::select::{Candidate, Needs, Next, Search, in_order, is_claimable, matches};
use pullyard_store::Write;
use std::collections::BTreeMap;

/// How many projects are read at once.
const PAGE: i32 = 100;

/// A job that a runner got.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job as claimed.
    pub job: Job,
    /// What its `run-job` exchanges for the assignment.
    pub bootstrap: String,
}

/// What a claim brings.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A job.
    Job(Box<Claimed>),
    /// There is none to take now.
    Nothing,
    /// This very claim has had its job, which the runner holds no more.
    Spent,
}

/// Gives a runner the first Ready job that it may take, if there is one.
///
/// Only jobs of the projects that its token is for, of classes whose capability and labels it has, oldest
/// first; where other runners were quicker, as [`Search`] says.
/// Idempotent: by `claim`; repeating it returns the same job, and never a second one.
/// Errors: `NotFound`; `Runner` when another process has taken over or the runner is being removed.
pub async fn claim(
    ctx: &Context,
    token: &RunnerToken,
    id: &RunnerId,
    instance: &InstanceId,
    claim: &ClaimId,
) -> Result<Answer, Error> {
    let (mut search, mut classes, mut seen) = (Search::default(), None, None);
    loop {
        let runner = own(ctx, token, id).await?;
        if let Some(job) = claimed_before(ctx, &runner, instance, claim).await? {
            return handed_out(ctx, job).await;
        }
        if let Some(closed) = runner.may_claim(instance, claim, ctx.clock.now()).map_err(Error::Runner)? {
            tracing::debug!(runner = %id, why = ?closed, "a runner gets no job now");
            return Ok(if closed == Closed::Answered { Answer::Spent } else { Answer::Nothing });
        }
        let classes = match &classes {
            Some(classes) => classes,
            None => classes.insert(classes_of(ctx, token, id).await?),
        };
        let Some((job, breakers)) = next(ctx, classes, id, claim, &mut search, &mut seen).await? else {
            return Ok(Answer::Nothing);
        };
        let job = match take_turn(ctx, &breakers, &job).await? {
            Turn::Any => job,
            Turn::First => job.tries_first(),
            Turn::Lost => {
                // Whose turn it is now is not known: all of it is read again.
                seen = None;
                if search.again() == Next::GiveUp {
                    return Ok(Answer::Nothing);
                }
                continue;
            }
        };
        let asked = Claim {
            attempt: job.attempt + 1,
            claim: claim.clone(),
            instance: instance.clone(),
            runner: Some(id.clone()),
            task: None,
        };
        let Ok(job) = job.claimed(&asked, ctx.clock.now()) else { continue };
        if ctx.store.claim(&job).await? == Write::Applied {
            tracing::info!(job.id = %job.id, attempt = job.attempt, runner = %id, "a runner claimed a job");
            if job.run.as_ref().is_some_and(|run| run.first) {
                note_claimed(ctx, &job).await;
            }
            return handed_out(ctx, job).await;
        }
    }
}

/// The job that this very claim got before, if the runner still holds it.
async fn claimed_before(
    ctx: &Context,
    runner: &Runner,
    instance: &InstanceId,
    claim: &ClaimId,
) -> Result<Option<Job>, Error> {
    let Some((job, slot)) = runner.claimed_by(claim).filter(|_| runner.instance == *instance) else {
        return Ok(None);
    };
    Ok(ctx.store.job(job).await?.filter(|job| holds(job, runner, slot)))
}

/// What the index suggests.
struct Found {
    /// To this runner, oldest first.
    candidates: Vec<Candidate>,
    /// More wait behind them.
    more: bool,
    /// The breakers of the accounts that jobs of a class would ask with it, where there are any.
    breakers: BTreeMap<ClassId, Vec<Breaker>>,
}

/// A class whose jobs a runner can do.
struct Class {
    project: ProjectId,
    id: ClassId,
    needs: Needs,
}

async fn classes_of(ctx: &Context, token: &RunnerToken, runner: &RunnerId) -> Result<Vec<Class>, Error> {
    let Some(profile) = ctx.store.runner_profile(runner).await? else {
        return Err(Error::Inconsistent(format!("{runner} has no profile")));
    };
    let mut classes = Vec::new();
    for project in projects(ctx, token).await? {
        let of = ctx.store.classes(&project).await?.into_iter().filter(|(_, needs)| matches(needs, &profile));
        classes.extend(of.map(|(id, needs)| Class { project: project.clone(), id, needs }));
    }
    Ok(classes)
}

/// What the index suggests to this runner, that many of the oldest. What waits for an account is passed over here,
/// before the oldest are chosen: it keeps its place, and does not take that of others.
async fn look(ctx: &Context, classes: &[Class], runner: &RunnerId, most: usize) -> Result<Found, Error> {
    let (mut found, mut more) = (Vec::new(), false);
    let (mut breakers, mut read) = (BTreeMap::new(), Breakers::default());
    for Class { project, id, needs } in classes {
        let rows = ctx.store.ready(id, i32::try_from(most).unwrap_or(i32::MAX)).await?;
        if rows.is_empty() {
            continue;
        }
        let (full, before) = (rows.len() == most, found.len());
        let of = read.of(ctx, &asked(needs.key, &needs.capability, project, Some(runner))).await?;
        let now = ctx.clock.now();
        found.extend(rows.into_iter().filter(|row| !matches!(gate(&of, &row.job, now), Gate::Shut(_))));
        // Behind those that all wait for an account is none but the one that tries it first, if there is one.
        more |= full && (found.len() > before || of.iter().any(|breaker| breaker.probe.is_some()));
        if !of.is_empty() {
            breakers.insert(id.clone(), of);
        }
    }
    let more = more || found.len() > most;
    Ok(Found { candidates: in_order(found, most), more, breakers })
}

async fn projects(ctx: &Context, token: &RunnerToken) -> Result<Vec<ProjectId>, Error> {
    if let Some(projects) = &token.projects {
        return Ok(projects.iter().cloned().collect());
    }
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (ids, next) = ctx.store.project_ids(after.as_deref(), PAGE).await?;
        all.extend(ids);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// The next candidate that is what its row says, read strongly: a stale row costs a read, not a transaction. With it
/// come the breakers of the accounts that it would ask.
async fn next(
    ctx: &Context,
    classes: &[Class],
    runner: &RunnerId,
    claim: &ClaimId,
    search: &mut Search,
    seen: &mut Option<Found>,
) -> Result<Option<(Job, Vec<Breaker>)>, Error> {
    loop {
        let found = match seen {
            Some(found) => found,
            None => seen.insert(look(ctx, classes, runner, search.width()).await?),
        };
        match search.next(claim, found.candidates.len(), found.more) {
            Next::Try(place) => {
                let Candidate { job, class, .. } = found.candidates.remove(place);
                let now = ctx.clock.now();
                let job = ctx.store.job(&job).await?.filter(|job| is_claimable(job, &class, runner, now));
                if let Some(job) = job {
                    return Ok(Some((job, found.breakers.get(&class).cloned().unwrap_or_default())));
                }
            }
            Next::Look => *seen = None,
            Next::GiveUp => return Ok(None),
        }
    }
}

async fn handed_out(ctx: &Context, job: Job) -> Result<Answer, Error> {
    let bootstrap = Bootstrap {
        job: job.id.clone(),
        attempt: job.attempt,
        dispatch: job.dispatch.number,
        // Counted from each answer: a runner that had to repeat its claim has as much time as any.
        expires: ctx.clock.now().plus(START_WITHIN),
    };
    Ok(Answer::Job(Box::new(Claimed { bootstrap: ctx.keys().await?.bootstrap(&bootstrap)?, job })))
}
