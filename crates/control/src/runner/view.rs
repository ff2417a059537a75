//! Lists self-hosted runners.

use crate::corrupt::{skip_corrupt, skip_corrupt_items};
use crate::{Context, Error};
use pullyard_domain::agent::runner::{Runner, validate_name};
use pullyard_domain::job::fleet::{Member, MemberSummary};
use pullyard_domain::text::id::RunnerId;
use std::collections::BTreeMap;

/// All runners by name, without those that this version cannot parse.
pub async fn list_runners(ctx: &Context) -> Result<Vec<Member>, Error> {
    let runners = skip_corrupt_items(ctx, ctx.store.list_runners().await?)?;
    load_profiles(ctx, runners).await
}

/// These runners by name, without those whose profile is missing or cannot be parsed.
pub(crate) async fn load_profiles(ctx: &Context, runners: Vec<Runner>) -> Result<Vec<Member>, Error> {
    let ids: Vec<_> = runners.iter().map(|runner| runner.id.clone()).collect();
    let profiles = skip_corrupt_items(ctx, ctx.store.load_runner_profiles(&ids).await?)?;
    let mut profiles: BTreeMap<_, _> = profiles.into_iter().map(|profile| (profile.id.clone(), profile)).collect();
    let member = |runner: Runner| Some(Member { profile: profiles.remove(&runner.id)?, runner });
    let mut members = runners.into_iter().filter_map(member).collect::<Vec<_>>();
    members.sort_by(|a, b| a.profile.name.cmp(&b.profile.name));
    Ok(members)
}

/// Lists the runners for views, whose readers poll. A large fleet comes from the sweeper's item, at most 3 minutes old.
pub async fn list_summaries(ctx: &Context) -> Result<Vec<MemberSummary>, Error> {
    let now = ctx.clock.now();
    match skip_corrupt(ctx, ctx.store.load_fleet(now).await)?.flatten() {
        Some(fleet) => Ok(fleet.into_members(now)),
        None => Ok(list_runners(ctx).await?.iter().map(MemberSummary::from).collect()),
    }
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
