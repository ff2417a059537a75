//! Names the runner of an attempt, with a link to its page.

use crate::prelude::*;
use pullyard_domain::text::id::RunnerId;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(crate) struct RunnerLink {
    /// `None` if the runner was deleted.
    pub(crate) address: Option<String>,
    pub(crate) name: SafeText,
}

impl RunnerLink {
    pub(super) async fn load_all(ctx: &Context, ids: BTreeSet<RunnerId>) -> Result<BTreeMap<RunnerId, Self>, Error> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let members = ctx.store.load_members(&ids).await?;
        let deleted = || Self { address: None, name: line("a runner that was deleted") };
        let mut links: BTreeMap<_, _> = ids.into_iter().map(|id| (id, deleted())).collect();
        for member in members {
            let address = Some(format!("/setup/runners/{}", member.runner.id));
            links.insert(member.runner.id, Self { address, name: line(&member.runner.name) });
        }
        Ok(links)
    }
}
