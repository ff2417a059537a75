//! Uploads artifacts one after the other.

use super::{Artifacts, Handed, LONGEST_REASON, is_looked_for, not_kept, upload, work_not_kept};
use crate::api::reporter::Events;
use crate::api::said::Said;
use pullyard_domain::text::truncate;
use pullyard_protocol::client::AttemptClient;
use pullyard_protocol::event::EventKind;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::task::AbortOnDropHandle;

/// The uploading task, which ends when this is dropped.
pub(crate) struct Uploads {
    artifacts: Artifacts,
    _task: AbortOnDropHandle<()>,
}

impl Uploads {
    /// Starts uploading, and logs each artifact that is not stored. Without a checkpoint, the next attempt may begin
    /// again, so its upload is retried for `away`.
    pub(crate) fn start(client: AttemptClient, events: Events, away: Duration) -> Self {
        let (artifacts, waiting) = Artifacts::new();
        let task = tokio::spawn(one_by_one((client, away), waiting, artifacts.clone(), events));
        Self { artifacts, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }
}

async fn one_by_one(
    (client, away): (AttemptClient, Duration),
    mut waiting: UnboundedReceiver<Handed>,
    artifacts: Artifacts,
    events: Events,
) {
    let say = |words: String| events.add(Said::words(EventKind::Log, words));
    let mut lost = false;
    while let Some(handed) = waiting.recv().await {
        let is_checkpoint = handed.is_checkpoint();
        match handed {
            Handed::In(kept) if !lost => {
                let (kind, name) = (kept.kind, kept.name.clone());
                let uploaded = upload::upload(&client, kept, away).await;
                if is_checkpoint {
                    artifacts.0.lost_checkpoint.store(uploaded.is_err(), Ordering::Relaxed);
                }
                match uploaded {
                    Ok(()) => tracing::debug!(kind = kind.as_str(), name = %name, "artifact uploaded"),
                    Err(failed) => {
                        // The attempt that has the lease now stores its own artifacts.
                        lost = failed.is_for_all();
                        let shown = kind.as_str();
                        tracing::warn!(kind = shown, name = %name, error = %failed, "artifact not stored: {failed}");
                        let reason = truncate(&failed.to_string(), LONGEST_REASON);
                        if is_checkpoint {
                            say(work_not_kept(&format!("its upload failed: {reason}")));
                        } else if !lost && is_looked_for(kind) {
                            say(not_kept(name.as_str(), &reason));
                        }
                    }
                }
            }
            Handed::In(_) => {}
            Handed::Not(words) => say(words),
        }
        if is_checkpoint {
            // Last, so that a reader that sees no open checkpoint also sees whether it was lost.
            artifacts.0.checkpoints.fetch_sub(1, Ordering::Release);
        }
        artifacts.0.done.send_modify(|done| *done += 1);
    }
}
