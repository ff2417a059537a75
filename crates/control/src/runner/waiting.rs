//! What waits for a runner: what its claim looks at, and the job that it tries next.
//!
//! Claims of one process that come at once look together, those that come within the next seconds begin with the rows
//! that were read, and none of them tries what another one is trying.

use super::RunnerToken;
use super::rows::{Rows, Shelf};
use crate::breaker::without_lost;
use crate::together::{Together, locked};
use crate::{Context, Error};
use pullyard_domain::breaker::{Breaker, BreakerId, Gate, asked, gate};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::{ClaimId, ClassId, JobId, ProjectId, RunnerId};
use pullyard_domain::job::{Job, Status};
use pullyard_domain::runner::Profile;
use pullyard_domain::select::{Candidate, Needs, Next, Search, in_order, is_claimable, matches};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many projects are read at once.
const PAGE: i32 = 100;

/// How long a claim waits before it looks whether a job that another one tried is free again, and how often: a claim
/// takes some calls of the table.
const AGAIN: Duration = Duration::from_millis(20);
const MOST_WAITS: u32 = 50;

/// What claims of this process read for each other.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    members: Together<(), RunnerId, Arc<Vec<Member>>>,
    projects: Together<(), (), Arc<Vec<ProjectId>>>,
    classes: Together<ProjectId, (), Arc<Vec<(ClassId, Needs)>>>,
    ready: Together<(ClassId, usize), (), Arc<Rows>>,
    oldest: Together<(), Wanted, Arc<Stand>>,
    shelf: Shelf,
    hands: Hands,
}

/// The oldest job that a claim may try, and the accounts that jobs of its classes would ask.
type Wanted = (Option<JobId>, BTreeSet<BreakerId>);

/// Of what several claims wanted that which stands.
type Stand = (Vec<Job>, Vec<Breaker>);

/// The jobs that claims of this process try at this moment.
type Hands = Mutex<HashSet<JobId>>;

/// A job that one claim tries; the others leave it alone until this is dropped.
pub(super) struct Hand {
    row: Candidate,
    ctx: Context,
}

impl Hand {
    /// It is Ready no more: nobody who saw rows of before need try it.
    pub(super) fn is_gone(&self) {
        self.ctx.waiting().shelf.gone(&self.row);
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        locked(&self.ctx.waiting().hands).remove(&self.row.job);
    }
}

/// A runner, as it is now, with what it can do.
pub(super) async fn member(ctx: &Context, id: &RunnerId) -> Result<Option<Member>, Error> {
    let read =
        |asked: Vec<RunnerId>| async move { ctx.store.members(&asked.into_iter().collect()).await.map(Arc::new) };
    let found = ctx.waiting().members.read(&(), id.clone(), read).await?;
    Ok(found.iter().find(|member| member.runner.id == *id).cloned())
}

/// A class whose jobs a runner can do.
pub(super) struct Class {
    project: ProjectId,
    id: ClassId,
    needs: Needs,
}

/// The classes that are of the token's projects and need no more than the runner has.
pub(super) async fn classes_of(ctx: &Context, token: &RunnerToken, profile: &Profile) -> Result<Vec<Class>, Error> {
    let projects = match &token.projects {
        Some(projects) => Arc::new(projects.iter().cloned().collect()),
        None => ctx.waiting().projects.read(&(), (), |_| all_projects(ctx)).await?,
    };
    let mut found = Vec::new();
    for project in projects.iter() {
        // One that can't be read is left out: the sweep says so.
        let readable = |classes: Vec<Result<_, _>>| Arc::new(classes.into_iter().flatten().collect::<Vec<_>>());
        let read = |_| async move { ctx.store.classes(project).await.map(readable) };
        let classes = ctx.waiting().classes.read(project, (), read).await?;
        let of = classes.iter().filter(|(_, needs)| matches(needs, profile));
        found.extend(of.map(|(id, needs)| Class { project: project.clone(), id: id.clone(), needs: needs.clone() }));
    }
    Ok(found)
}

async fn all_projects(ctx: &Context) -> Result<Arc<Vec<ProjectId>>, Error> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (ids, next) = ctx.store.project_ids(after.as_deref(), PAGE).await?;
        all.extend(ids);
        after = next;
        if after.is_none() {
            return Ok(Arc::new(all));
        }
    }
}

/// A claim's way through what waits, as [`Search`] says.
///
/// Its first look may be at rows that another claim read. What they lead to is read as it is now, and where they lead to
/// nothing, it begins anew with a look of its own: no answer is made of them.
pub(super) struct Seeker<'a> {
    ctx: &'a Context,
    claim: &'a ClaimId,
    runner: &'a RunnerId,
    classes: Vec<Class>,
    search: Search,
    seen: Option<Seen>,
    /// It has looked: from now on it reads rows itself.
    looked: bool,
    waited: u32,
}

/// One look.
struct Seen {
    /// What it has not tried, oldest first.
    candidates: Vec<Candidate>,
    rows: BTreeMap<ClassId, Arc<Rows>>,
    /// Some of those were read before the claim came.
    kept: bool,
    /// More wait behind them.
    more: bool,
    /// The breakers of the accounts that jobs of a class would ask with this runner, where there are any.
    breakers: BTreeMap<ClassId, Vec<Breaker>>,
    /// The oldest that no other claim tries, read with the breakers.
    ahead: Option<(Hand, Option<Box<Job>>)>,
}

/// A job that is the runner's to take, as it was just read.
pub(super) struct Found {
    pub(super) job: Job,
    /// Those of the accounts that it would ask.
    pub(super) breakers: Vec<Breaker>,
    pub(super) hand: Hand,
}

/// What a claim does with what it sees.
enum Choice {
    /// It tries a job that was read already.
    Ahead(Hand, Option<Box<Job>>),
    Try(Hand),
    /// Others try all that is left, and may leave some of it.
    Wait,
    Look,
    GiveUp,
}

impl<'a> Seeker<'a> {
    pub(super) fn new(ctx: &'a Context, claim: &'a ClaimId, runner: &'a RunnerId, classes: Vec<Class>) -> Self {
        Self { ctx, claim, runner, classes, search: Search::default(), seen: None, looked: false, waited: 0 }
    }

    /// The next job that is what its row says, read strongly: a stale row costs a read, not a transaction.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, Error> {
        if self.seen.as_ref().is_some_and(|seen| seen.kept) {
            // It comes back: somebody else was quicker with what was kept.
            self.begin_anew();
        }
        loop {
            let mut seen = match self.seen.take() {
                Some(seen) => seen,
                None => {
                    let seen = self.look().await?;
                    self.looked = true;
                    seen
                }
            };
            let (hand, job) = match self.choose(&mut seen) {
                Choice::Ahead(hand, job) => (hand, job.map(|job| *job)),
                Choice::Try(hand) => {
                    let job = self.ctx.store.job(&hand.row.job).await?;
                    (hand, job)
                }
                Choice::Wait => {
                    self.seen = Some(seen);
                    self.ctx.clock.pause(AGAIN).await;
                    continue;
                }
                Choice::Look => continue,
                Choice::GiveUp if seen.kept => {
                    self.begin_anew();
                    continue;
                }
                Choice::GiveUp => {
                    for class in seen.rows.keys() {
                        self.in_vain(class);
                    }
                    return Ok(None);
                }
            };
            let breakers = seen.breakers.get(&hand.row.class).cloned().unwrap_or_default();
            let kept = seen.kept;
            self.seen = Some(seen);
            match job {
                Some(job) if is_claimable(&job, &hand.row.class, self.runner, self.ctx.clock.now()) => {
                    return Ok(Some(Found { job, breakers, hand }));
                }
                // It may be left to another runner.
                Some(job) if job.status == Status::Ready => {}
                _ => {
                    hand.is_gone();
                    if kept {
                        // Another process takes from this class as well, and what is behind it may be gone, too.
                        self.in_vain(&hand.row.class);
                        self.begin_anew();
                    }
                }
            }
        }
    }

    /// As if there had been no rows that were kept.
    fn begin_anew(&mut self) {
        self.seen = None;
        self.search = Search::default();
    }

    fn in_vain(&self, class: &ClassId) {
        self.ctx.waiting().shelf.in_vain(class, self.ctx.clock.steady());
    }

    /// What it saw is not true any more. False: it has looked often enough.
    pub(super) fn look_again(&mut self) -> bool {
        self.seen = None;
        self.search.again() == Next::Look
    }

    /// What is tried now. What another claim tries is passed over, and counts again once that one leaves it.
    fn choose(&mut self, seen: &mut Seen) -> Choice {
        if let Some((hand, job)) = seen.ahead.take() {
            // The first try of all, which is always of the oldest.
            self.search.next(self.claim, 1, seen.more);
            return Choice::Ahead(hand, job);
        }
        let Waiting { shelf, hands, .. } = self.ctx.waiting();
        seen.candidates.retain(|row| seen.rows.get(&row.class).is_some_and(|rows| !shelf.is_gone(rows, row)));
        let mut held = locked(hands);
        let free = |(_, row): &(usize, &Candidate)| !held.contains(&row.job);
        let left: Vec<usize> = seen.candidates.iter().enumerate().filter(free).map(|(at, _)| at).collect();
        let all_held = left.is_empty() && !seen.candidates.is_empty();
        match self.search.next(self.claim, left.len(), seen.more) {
            Next::Try(place) => match left.get(place).map(|at| seen.candidates.remove(*at)) {
                Some(row) => {
                    held.insert(row.job.clone());
                    Choice::Try(Hand { row, ctx: self.ctx.clone() })
                }
                None => Choice::GiveUp,
            },
            Next::Look => Choice::Look,
            // Of rows that were kept nothing follows: it looks before it waits.
            Next::GiveUp if all_held && !seen.kept && self.waited < MOST_WAITS => {
                self.waited += 1;
                Choice::Wait
            }
            Next::GiveUp => Choice::GiveUp,
        }
    }

    /// What the index suggests to this runner, that many of the oldest. What waits for an account is passed over here,
    /// before the oldest are chosen: it keeps its place, and does not take that of others. What only adopts waits for
    /// none.
    async fn look(&self) -> Result<Seen, Error> {
        let most = self.search.width();
        let mut seen = Seen {
            candidates: Vec::new(),
            rows: BTreeMap::new(),
            kept: false,
            more: false,
            breakers: BTreeMap::new(),
            ahead: None,
        };
        let mut accounts = BTreeMap::new();
        for Class { project, id, needs } in &self.classes {
            let rows = match self.kept(id) {
                Some(rows) => {
                    seen.kept = true;
                    rows
                }
                None => self.rows(id, most).await?,
            };
            if !rows.all.is_empty() {
                seen.rows.insert(id.clone(), rows);
                accounts.insert(id.clone(), asked(needs.key, &needs.capability, project, Some(self.runner)));
            }
        }
        let oldest = if self.search.is_new() { self.oldest(&seen.rows) } else { None };
        let ids: BTreeSet<BreakerId> = accounts.values().flatten().cloned().collect();
        let (job, breakers) = self.with_breakers(oldest.as_ref().map(|hand| &hand.row.job), ids).await?;
        let breakers = without_lost(self.ctx, breakers).await?;
        let now = self.ctx.clock.now();
        for (class, rows) in &seen.rows {
            let ids = accounts.remove(class).unwrap_or_default();
            let of: Vec<_> = breakers.iter().filter(|breaker| ids.contains(&breaker.id)).cloned().collect();
            let may = |row: &&Candidate| row.only_adopts() || !matches!(gate(&of, &row.job, now), Gate::Shut(_));
            let mut those: Vec<_> = rows.all.iter().filter(may).collect();
            // Behind one that waits for an account is none but the one that tries it first, if there is one.
            let waits = rows.all.last().is_some_and(|last| !may(&last));
            let some = !waits || of.iter().any(|breaker| breaker.probe.is_some());
            seen.more |= rows.more && some;
            if seen.kept {
                self.leave_free(rows, oldest.as_ref(), &mut those);
            }
            seen.candidates.extend(those.into_iter().cloned());
            if !of.is_empty() {
                seen.breakers.insert(class.clone(), of);
            }
        }
        seen.more |= seen.candidates.len() > most;
        seen.candidates = in_order(seen.candidates, most);
        if let Some(hand) = oldest
            && let Some(at) = seen.candidates.iter().position(|row| *row == hand.row)
        {
            seen.candidates.remove(at);
            seen.ahead = Some((hand, job.map(Box::new)));
        }
        Ok(seen)
    }

    /// What may be left in rows that were kept: they are many, of which others tried the first ones.
    fn leave_free(&self, rows: &Rows, own: Option<&Hand>, those: &mut Vec<&Candidate>) {
        let Waiting { shelf, hands, .. } = self.ctx.waiting();
        let held = locked(hands);
        let is_own = |row: &Candidate| own.is_some_and(|hand| hand.row.job == row.job);
        those.retain(|row| is_own(row) || !(held.contains(&row.job) || shelf.is_gone(rows, row)));
    }

    /// The rows of a class that the claim may begin with, if it does and there are any.
    fn kept(&self, class: &ClassId) -> Option<Arc<Rows>> {
        if self.looked { None } else { self.ctx.waiting().shelf.kept(class, self.ctx.clock.steady()) }
    }

    /// The rows of a class as they are now.
    async fn rows(&self, class: &ClassId, most: usize) -> Result<Arc<Rows>, Error> {
        let limit = i32::try_from(most).unwrap_or(i32::MAX);
        let read = |_| async move {
            let shelf = &self.ctx.waiting().shelf;
            let begun = shelf.begins(self.ctx.clock.steady());
            let rows = self.ctx.store.ready(class, limit).await?;
            Ok(shelf.keep(class, begun, rows, most))
        };
        self.ctx.waiting().ready.read(&(class.clone(), most), (), read).await
    }

    /// A job and these breakers, as they are now.
    async fn with_breakers(
        &self,
        job: Option<&JobId>,
        ids: BTreeSet<BreakerId>,
    ) -> Result<(Option<Job>, Vec<Breaker>), Error> {
        if job.is_none() && ids.is_empty() {
            return Ok((None, Vec::new()));
        }
        let read = |asked: Vec<Wanted>| async move {
            let (jobs, breakers): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            let (jobs, breakers) = (jobs.into_iter().flatten().collect(), breakers.into_iter().flatten().collect());
            self.ctx.store.jobs_and_breakers(&jobs, &breakers).await.map(Arc::new)
        };
        let found = self.ctx.waiting().oldest.read(&(), (job.cloned(), ids.clone()), read).await?;
        let (jobs, breakers) = &*found;
        let job = job.and_then(|id| jobs.iter().find(|job| job.id == *id)).cloned();
        Ok((job, breakers.iter().filter(|breaker| ids.contains(&breaker.id)).cloned().collect()))
    }

    /// The oldest job that no other claim tries.
    fn oldest(&self, rows: &BTreeMap<ClassId, Arc<Rows>>) -> Option<Hand> {
        let Waiting { shelf, hands, .. } = self.ctx.waiting();
        let mut held = locked(hands);
        let all = rows.values().flat_map(|rows| rows.all.iter().map(move |row| (rows, row)));
        let free = all.filter(|(rows, row)| !held.contains(&row.job) && !shelf.is_gone(rows, row));
        let row = free.map(|(_, row)| row).min_by_key(|row| (row.order, row.job.as_str()))?.clone();
        held.insert(row.job.clone());
        Some(Hand { row, ctx: self.ctx.clone() })
    }
}
