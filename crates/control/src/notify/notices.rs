//! Lists notices, and sends failed ones again.

use super::endpoint_state::load_state;
use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use futures::future::try_join_all;
use pullyard_domain::run::notice::{EndpointState, Notice};
use pullyard_domain::text::id::{NoticeId, ProjectId};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::Write;

const PAGE_SIZE: i32 = 50;

/// Limit of pages that one call reads to find a match.
const MAX_PAGES: u32 = 10;

/// Notices, and the cursor of the next page.
type NoticePage = (Vec<Notice>, Option<String>);

/// Lists the notices of a project, newest first. `only_dead`: only notices that did not reach an endpoint.
/// A page may be empty although another one follows.
/// Errors: `BadCursor`.
pub async fn list_notices(
    ctx: &Context,
    project: &ProjectId,
    only_dead: bool,
    after: Option<&str>,
) -> Result<NoticePage, Error> {
    let mut page = (Vec::new(), after.map(str::to_owned));
    for _ in 0..MAX_PAGES {
        page = load_notices(ctx, project, page.1.as_deref()).await?;
        page.0.retain(|notice| !only_dead || notice.is_dead());
        if !page.0.is_empty() || page.1.is_none() {
            break;
        }
    }
    Ok(page)
}

/// Reads each notice alone, and skips unreadable ones.
pub(super) async fn load_notices(ctx: &Context, project: &ProjectId, after: Option<&str>) -> Result<NoticePage, Error> {
    let (ids, next) = ctx.store.list_notice_ids(project, after, PAGE_SIZE).await?;
    let found = try_join_all(ids.iter().map(|id| load_readable(ctx, id))).await?;
    Ok((found.into_iter().flatten().collect(), next))
}

/// A notice of an event that this version does not know must not hide the others.
async fn load_readable(ctx: &Context, id: &NoticeId) -> Result<Option<Notice>, Error> {
    Ok(skip_corrupt(ctx, ctx.store.load_notice(id).await)?.flatten())
}

/// Makes a notice due now for the endpoints that it did not reach, except those that are disabled or in a pause after a
/// failure.
/// Writes: NOTICE over its `rev`, unless it is due already.
/// Idempotent: a repeat writes nothing.
/// Errors: `NotFound`; `Invalid`, also if no endpoint can receive it now; `Contended`.
pub async fn redeliver_notice(ctx: &Context, id: &NoticeId) -> Result<Notice, Error> {
    let mut rounds = ctx.retries(id);
    loop {
        let stored = ctx.store.load_notice(id).await?.ok_or_else(|| Error::not_found("notice", id))?;
        let (now, mut open, mut refusal) = (ctx.clock.now(), Vec::new(), None);
        for endpoint in stored.unreached() {
            match refusal_of(&load_state(ctx, &stored.data.project, endpoint).await?, now) {
                Some(fault) => refusal = Some(fault),
                None => open.push(endpoint.clone()),
            }
        }
        if open.is_empty() {
            let fault = refusal.unwrap_or_else(|| "it reached all of its endpoints".into());
            return Err(Error::Invalid { pointer: "/notice", fault });
        }
        let notice = stored.clone().redeliver(&open, now);
        if notice == stored {
            return Ok(notice);
        }
        if ctx.store.record_notice(&notice.clone().into()).await? == Write::Applied {
            ctx.send_hints(ctx.wake_notice(&notice)).await;
            return Ok(notice);
        }
        rounds.backoff().await?;
    }
}

/// Why an endpoint cannot receive a notice now.
fn refusal_of(state: &EndpointState, now: Timestamp) -> Option<String> {
    let EndpointState { endpoint, disabled, rest_until, .. } = state;
    let why = match rest_until.filter(|until| *until > now) {
        _ if disabled.is_some() => "is disabled".to_owned(),
        Some(until) => format!("rests until {until} after a failure"),
        None => return None,
    };
    Some(format!("{endpoint} {why}: enable it with `pullyard notifications enable {endpoint}`"))
}
