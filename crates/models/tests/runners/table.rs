//! Models the table's writes, with the conditions of `crates/store/src/write`. `Ok(None)`: stale facts refused the
//! write. `Err`: the write would break an invariant.

use super::Setting;
use super::rules::{ItemVersion, LossKind, Rules};
use super::state::State;
use pullyard_domain::agent::runner::{OFFLINE_AFTER, Presence};

pub(super) type Write = Result<Option<State>, String>;

#[derive(Clone, Copy)]
pub(super) struct JobEnd {
    pub(super) job: u8,
    pub(super) before: ItemVersion,
    pub(super) after: ItemVersion,
    pub(super) ticket: ItemVersion,
    pub(super) fresh: bool,
    pub(super) proof: Option<(ItemVersion, LossKind)>,
}

pub(super) fn update_job(state: &State, job: u8, after: ItemVersion, fresh: bool) -> Option<State> {
    if !fresh {
        return None;
    }
    let mut next = *state;
    next.jobs[usize::from(job)] = after;
    next.mark_reads_stale(usize::from(job));
    Some(next)
}

#[derive(Clone, Copy)]
pub(super) struct NewClaim {
    pub(super) claim: u8,
    pub(super) job: u8,
    pub(super) after: ItemVersion,
    pub(super) fresh: bool,
}

/// `claim`: the job, and a slot of its runner.
pub(super) fn claim(state: &State, claiming: NewClaim, rules: &mut Rules) -> Write {
    let NewClaim { claim: number, job, after, fresh } = claiming;
    let Some(runner) = rules.runner_of(after) else { return Err(format!("job {job} is claimed without a runner")) };
    let stored = rules.runner(state.runners[runner]);
    let claim = rules.job(after).run.as_ref().map(|run| &run.claim);
    let may = stored.status == Presence::Online
        && !stored.draining
        && !stored.slots.contains_key(&rules.job(after).id)
        && stored.free_slots() > 0
        && claim.is_none_or(|claim| !stored.claims.contains(claim));
    let Some(mut next) = update_job(state, job, after, fresh).filter(|_| may) else { return Ok(None) };
    let bit = 1 << number;
    if state.used_claims[runner] & bit != 0 {
        return Err(format!("one claim of runner {runner} got two attempts"));
    }
    next.used_claims[runner] |= bit;
    next.runners[runner] = rules.with_slot(state.runners[runner], after);
    Ok(Some(next))
}

pub(super) fn end(state: &State, ending: JobEnd, rules: &mut Rules, setting: &Setting) -> Write {
    let runner = rules.runner_of(ending.before);
    if let (Some(runner), Some((seen, lost))) = (runner, ending.proof) {
        let (stored, seen) = (rules.runner(state.runners[runner]), rules.runner(seen));
        let same = stored.epoch == seen.epoch;
        let proven = match lost {
            LossKind::Silent => same && stored.status == Presence::Offline,
            LossKind::NoProcess => same && stored.last_heartbeat == seen.last_heartbeat,
        };
        if !proven {
            return Ok(None);
        }
    }
    let Some(mut next) = update_job(state, ending.job, ending.after, ending.fresh) else { return Ok(None) };
    if let Some(runner) = runner {
        match ending.proof {
            Some((_, LossKind::Silent))
                if setting.clock_skew_secs == 0
                    && setting.moments.time(state.now).since(setting.moments.time(state.last_heartbeat[runner]))
                        <= OFFLINE_AFTER =>
            {
                return Err(format!("runner {runner} sent a heartbeat and loses job {} for its silence", ending.job));
            }
            Some((_, LossKind::NoProcess)) if rules.lists_job(state.runners[runner], ending.job) => {
                return Err(format!("runner {runner} lists job {} in its heartbeat and loses it", ending.job));
            }
            _ => {}
        }
        next.runners[runner] = rules.without_slot(state.runners[runner], ending.before);
    }
    next.tickets[usize::from(ending.job)] = match rules.job(ending.after).status.is_terminal() {
        true => rules.ticket_after(ending.after, ending.ticket),
        false => rules.ticket_while(ending.after, ending.ticket),
    };
    Ok(Some(next))
}

pub(super) fn take_offline(
    state: &State,
    runner: usize,
    seen: ItemVersion,
    offline: ItemVersion,
    rules: &mut Rules,
) -> Option<State> {
    let (stored, seen) = (rules.runner(state.runners[runner]), rules.runner(seen));
    let is_silent = stored.last_heartbeat == seen.last_heartbeat;
    if stored.status != Presence::Online || stored.epoch != seen.epoch || !is_silent {
        return None;
    }
    let mut next = *state;
    next.runners[runner] = rules.mark_offline(state.runners[runner], offline);
    Some(next)
}

pub(super) fn drop_slot(state: &State, runner: usize, seen: ItemVersion, job: u8, rules: &mut Rules) -> Option<State> {
    let emptied = rules.drop_slot(state.runners[runner], seen, state.jobs[usize::from(job)])?;
    let mut next = *state;
    next.runners[runner] = emptied;
    Some(next)
}
