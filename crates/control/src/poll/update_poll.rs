//! Changes the poll of a repository.

use crate::{Context, Error};
use pullyard_domain::project::Repository;
use pullyard_domain::project::hook::Poll;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;

/// Stores the change of a repository's poll, unless `change` returns that there is none.
pub(crate) async fn update_poll(
    ctx: &Context,
    repository: &Repository,
    change: impl Fn(Poll, Timestamp) -> Option<Poll>,
) -> Result<Poll, Error> {
    let mut rounds = ctx.retries(&repository.name);
    loop {
        let now = ctx.clock.now();
        let stored = ctx.store.load_poll(&repository.project, &repository.integration, repository.id).await?;
        let poll = stored.unwrap_or_else(|| Poll::new(repository, now));
        let Some(changed) = change(poll.clone(), now) else { return Ok(poll) };
        if ctx.store.put_poll(&changed).await? == Write::Applied {
            return Ok(Poll { rev: changed.rev + 1, ..changed });
        }
        rounds.backoff().await?;
    }
}
