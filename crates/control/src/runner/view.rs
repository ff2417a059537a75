//! Lists self-hosted runners.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::fleet::Member;
use pullyard_domain::id::RunnerId;
use pullyard_domain::runner::{Profile, Runner};
use std::collections::BTreeMap;

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
    let missing = || Error::NotFound { resource: "runner", name: name_or_id.to_owned() };
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
