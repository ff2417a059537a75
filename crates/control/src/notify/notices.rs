//! Lists notices, and sends those again that did not reach an endpoint.

use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::id::{NoticeId, ProjectId};
use pullyard_domain::notice::{DeliveryState, Notice};
use pullyard_store::Write;

const PAGE_SIZE: i32 = 50;

/// Pages that are read for one that has a match.
const MAX_PAGES: u32 = 10;

#[derive(Clone, Debug)]
pub struct NoticeList {
    pub notices: Vec<Notice>,
    pub next: Option<String>,
}

/// The notices of a project, newest first; with `only_dead`, those that did not reach an endpoint. A page may be empty
/// without being the last.
/// Errors: `BadCursor`.
pub async fn list_notices(
    ctx: &Context,
    project: &ProjectId,
    only_dead: bool,
    after: Option<&str>,
) -> Result<NoticeList, Error> {
    let mut list = NoticeList { notices: Vec::new(), next: after.map(str::to_owned) };
    for _ in 0..MAX_PAGES {
        let (ids, next) = ctx.store.list_notice_ids(project, list.next.as_deref(), PAGE_SIZE).await?;
        let found = try_join_all(ids.iter().map(|id| ctx.store.load_notice(id))).await?.into_iter().flatten();
        let is_dead = |notice: &Notice| notice.to.values().any(|delivery| delivery.state == DeliveryState::Dead);
        list = NoticeList { notices: found.filter(|notice| !only_dead || is_dead(notice)).collect(), next };
        if !list.notices.is_empty() || list.next.is_none() {
            break;
        }
    }
    Ok(list)
}

/// Errors: `NotFound`.
pub async fn load_notice(ctx: &Context, id: &NoticeId) -> Result<Notice, Error> {
    ctx.store.load_notice(id).await?.ok_or_else(|| Error::not_found("notice", id))
}

/// Makes a notice due at the endpoints that it did not reach.
/// Writes: NOTICE over its `rev`.
/// Idempotent: a notice that waits already does not change.
/// Errors: `NotFound`; `Invalid`; `Contended`.
pub async fn redeliver_notice(ctx: &Context, id: &NoticeId) -> Result<Notice, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let stored = load_notice(ctx, id).await?;
        let is_waiting = stored.next().is_some();
        let notice = match stored.clone().redeliver(ctx.clock.now()) {
            Some(notice) => notice,
            None if is_waiting => return Ok(stored),
            None => {
                return Err(Error::Invalid { pointer: "/notice", fault: "it reached all of its endpoints".into() });
            }
        };
        if ctx.store.record_notice(&notice, None, None).await? == Write::Applied {
            tracing::info!(notice = %id, "notice is sent again");
            ctx.send_hints(ctx.wake_notice(&notice)).await;
            return Ok(notice);
        }
        rounds.backoff().await?;
    }
}
