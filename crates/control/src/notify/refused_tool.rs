//! Notifies the projects of a ticket tool that refused its credential.

use crate::corrupt::skip_corrupt;
use crate::{Context, Error};
use pullyard_domain::project::Project;
use pullyard_domain::project::tracker::Tracker;
use pullyard_domain::run::notice::{Notice, NoticeData, NoticeEvent};
use pullyard_domain::text::id::NoticeId;
use pullyard_store::Write;

/// A failure is only logged, because it must not delay the ticket.
/// Writes: NOTICE if absent, for each project that uses the tool.
/// Idempotent: by the day.
pub(crate) async fn notify_refusal(ctx: &Context, tool: &Tracker, status: u16) {
    if let Err(error) = Box::pin(create_notices(ctx, tool, status)).await {
        tracing::warn!(error = &error as &dyn std::error::Error, tracker = %tool.id, "notice of a refusal not stored");
    }
}

async fn create_notices(ctx: &Context, tool: &Tracker, status: u16) -> Result<(), Error> {
    let (id, now) = (&tool.id, ctx.clock.now());
    for project in ctx.store.list_all_project_ids().await? {
        // One by one, because the functions that call tools may not read items in batches. A project that this version
        // cannot parse must not hide the others.
        let stored = skip_corrupt(ctx, ctx.store.load_project(&project).await)?.flatten();
        let Some(Project { settings, .. }) = stored else { continue };
        if settings.tracker.as_ref().is_none_or(|used| used.connection != *id) {
            continue;
        }
        let sentence = format!("The ticket tool {id} refused the credential ({status}).");
        let help = format!("Replace the credential; then `pullyard trackers test {id}`.");
        let url = format!("{}/setup/tracker?project={project}", ctx.pages_url());
        let notice_id = NoticeId::for_tool(&project, id, now);
        let data = NoticeData::new(project, &sentence, &help, url);
        let notice = Notice::new(notice_id, NoticeEvent::ToolRefused, data, &settings.notifications, now);
        let Some(notice) = notice else { continue };
        if ctx.store.record_notice(&notice.clone().into()).await? == Write::Applied {
            ctx.send_hints(ctx.wake_notice(&notice)).await;
        }
    }
    Ok(())
}
