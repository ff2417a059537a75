//! Lists self-hosted runners.

use crate::corrupt::skip_corrupt_items;
use crate::{Context, Error};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Runner, validate_name};
use pullyard_domain::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Shorter than the least time of silence after which a runner is offline, minus its heartbeat interval.
const CACHE_TTL: Duration = Duration::from_secs(30);
/// Smaller fleets are read anew, so that a command has its effect at once.
const MAX_UNCACHED: usize = 50;

#[derive(Debug, Default)]
pub(crate) struct FleetCache(Mutex<Option<(Timestamp, Arc<Vec<Member>>)>>);

/// All runners by name, without those that this version cannot parse.
pub async fn list_runners(ctx: &Context) -> Result<Vec<Member>, Error> {
    let runners = skip_corrupt_items(ctx, ctx.store.list_runners().await?)?;
    let ids: Vec<_> = runners.iter().map(|runner| runner.id.clone()).collect();
    let profiles = skip_corrupt_items(ctx, ctx.store.load_runner_profiles(&ids).await?)?;
    let mut profiles: BTreeMap<_, _> = profiles.into_iter().map(|profile| (profile.id.clone(), profile)).collect();
    let member = |runner: Runner| Some(Member { profile: profiles.remove(&runner.id)?, runner });
    let mut members = runners.into_iter().filter_map(member).collect::<Vec<_>>();
    members.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
    Ok(members)
}

/// As `list_runners`; a fleet of over 50 runners may be 30 s old. For views, whose readers poll.
pub async fn list_recent_runners(ctx: &Context) -> Result<Arc<Vec<Member>>, Error> {
    let cache = &ctx.fleet_cache().0;
    let now = ctx.clock.now();
    let cached = cache.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((at, members)) = cached
        && now.since(at) < CACHE_TTL
    {
        return Ok(members);
    }
    let members = Arc::new(list_runners(ctx).await?);
    let entry = (members.len() > MAX_UNCACHED).then(|| (now, members.clone()));
    *cache.lock().unwrap_or_else(PoisonError::into_inner) = entry;
    Ok(members)
}

pub async fn load_runner(ctx: &Context, name_or_id: &str) -> Result<Member, Error> {
    let not_found = || Error::not_found("runner", name_or_id);
    let id = match RunnerId::new(name_or_id) {
        Ok(id) => Some(id),
        Err(_) if validate_name(name_or_id).is_ok() => ctx.store.load_runner_id(name_or_id).await?,
        Err(_) => None,
    };
    let id = id.ok_or_else(not_found)?;
    ctx.store.load_member(&id).await?.ok_or_else(not_found)
}
