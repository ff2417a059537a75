//! What keeps people from removing what is in use: the lists are read until one thing is found that is in the way. Which
//! is, the domain says; the lists may lag behind what was written a moment ago.

use crate::{Context, Error};
use pullyard_domain::denial::Denial;
use pullyard_domain::hook::Hook;
use pullyard_domain::id::ProjectId;
use pullyard_domain::job::Job;
use pullyard_store::Error as StoreError;

/// How many projects, jobs, pull requests or hooks are looked at together.
pub(crate) const TOGETHER: i32 = 100;

/// What a job among so many of the project's newest keeps: an older one that still rests is passed over, and goes on.
pub(crate) async fn kept_by_newest_jobs(
    ctx: &Context,
    project: &ProjectId,
    most: usize,
    keeps: impl Fn(&Job) -> Option<Denial>,
) -> Result<Option<Denial>, Error> {
    let (mut after, mut looked_at): (Option<String>, usize) = (None, 0);
    loop {
        let (ids, older) = ctx.store.job_ids(project, after.as_deref(), TOGETHER).await?;
        looked_at += ids.len();
        let jobs = ctx.store.jobs(&ids).await?;
        let denial = jobs.iter().find_map(&keeps);
        if denial.is_some() || older.is_none() || looked_at >= most {
            return Ok(denial);
        }
        after = older;
    }
}

/// What a hook keeps; one that is gone meanwhile keeps nothing.
pub(crate) async fn kept_by_hooks(
    ctx: &Context,
    keeps: impl Fn(&Hook) -> Option<Denial>,
) -> Result<Option<Denial>, Error> {
    let mut after: Option<String> = None;
    loop {
        let (names, next) = ctx.store.hook_names(after.as_deref(), TOGETHER).await?;
        for name in names {
            let hook = ctx.store.hook(&name).await?;
            if let Some(denial) = hook.as_ref().and_then(&keeps) {
                return Ok(Some(denial));
            }
        }
        if next.is_none() {
            return Ok(None);
        }
        after = next;
    }
}

/// Of a row that can't be read nobody can say whether it is in the way: it is named, and nothing is removed.
pub(crate) fn kept_by_unreadable(error: Error, of: &str) -> Result<Option<Denial>, Error> {
    match error {
        Error::Store(StoreError::Corrupt { key, reason }) => {
            tracing::error!(item = %key, reason = %reason, "what may need something that is to be removed can't be read");
            Ok(Some(Denial::RowUnreadable { item: key, of: of.to_owned() }))
        }
        other => Err(other),
    }
}
