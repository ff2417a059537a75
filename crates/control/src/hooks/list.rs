//! Lists webhooks page by page.

use super::compare::{HookView, load_hook_view};
use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::hook::Webhook;

/// A page of webhooks with the cursor of the next page, without those that this version cannot parse.
pub async fn list_hook_views(
    ctx: &Context,
    after: Option<&str>,
    limit: i32,
    may_see: impl Fn(&Webhook) -> bool,
) -> Result<(Vec<HookView>, Option<String>), Error> {
    let (names, next) = ctx.store.list_hook_names(after, limit).await?;
    let mut views = Vec::new();
    for name in names {
        let hook = skip_corrupt(ctx, ctx.store.load_hook(&name).await)?.flatten();
        if let Some(hook) = hook.filter(&may_see) {
            views.extend(skip_corrupt(ctx, load_hook_view(ctx, hook).await)?);
        }
    }
    Ok((views, next))
}
