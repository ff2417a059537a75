//! Lists webhooks page by page.

use super::compare::{HookView, load_hook_view, signature_drift};
use super::drift::Drift;
use crate::corrupt::{skip_corrupt, skip_corrupt_items};
use crate::{Context, Error};
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::text::id::HookName;
use pullyard_store::VisibleRows;

/// A page of the webhooks that the caller may see, without those that this version cannot parse. Reads on behind the
/// others, because a cursor names its row.
pub async fn list_hook_views(
    ctx: &Context,
    after: Option<&str>,
    limit: i32,
    may_see: impl Fn(&Webhook) -> bool,
) -> Result<(Vec<HookView>, Option<String>), Error> {
    let (mut visible, mut from) = (VisibleRows::new(limit), after.map(str::to_owned));
    let (hooks, next) = loop {
        let (rows, next) = ctx.store.list_hook_rows(from.as_deref(), limit + 1).await?;
        let names: Vec<_> = rows.iter().map(|(name, _)| name.clone()).collect();
        let mut hooks = skip_corrupt_items(ctx, ctx.store.load_hooks(&names).await?)?;
        hooks.retain(&may_see);
        let find = |name: &HookName| hooks.iter().find(|hook| hook.name == *name).cloned();
        visible.rows.extend(rows.into_iter().filter_map(|(name, cursor)| Some((find(&name)?, cursor))));
        if next.is_none() || visible.is_full() {
            break visible.into_page();
        }
        from = next;
    };
    let mut views = Vec::new();
    for hook in hooks {
        views.extend(skip_corrupt(ctx, load_hook_view(ctx, hook).await)?);
    }
    Ok((views, next))
}

/// The webhooks whose newest delivery was refused, among the first `limit` names. Reads only the table.
pub async fn list_failing_hooks(
    ctx: &Context,
    limit: i32,
    may_see: impl Fn(&Webhook) -> bool,
) -> Result<Vec<(Webhook, Drift)>, Error> {
    let (names, _) = ctx.store.list_hook_names(None, limit).await?;
    let mut failing = Vec::new();
    for name in names {
        let hook = skip_corrupt(ctx, ctx.store.load_hook(&name).await)?.flatten();
        let Some(hook) = hook.filter(&may_see) else { continue };
        let stats = skip_corrupt(ctx, ctx.store.load_hook_stats(&hook).await)?.unwrap_or_default();
        failing.extend(signature_drift(&stats).map(|drift| (hook, drift)));
    }
    Ok(failing)
}
