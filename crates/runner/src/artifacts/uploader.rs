//! Uploads artifacts one after the other.

use super::{
    Artifacts, MAX_REASON_CHARS, QueueEntry, checkpoint_lost_message, is_reported_kind, not_stored_message, upload,
};
use crate::api::reporter::EventSink;
use pullyard_domain::text::truncate;
use pullyard_protocol::client::AttemptClient;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::task::AbortOnDropHandle;

pub(crate) struct Uploader {
    artifacts: Artifacts,
    _task: AbortOnDropHandle<()>,
}

impl Uploader {
    /// Starts uploading, and logs each artifact that is not stored. A checkpoint's upload is retried for `bucket_away`.
    pub(crate) fn start(client: AttemptClient, events: EventSink, bucket_away: Duration) -> Self {
        let (artifacts, entries) = Artifacts::new();
        let task = tokio::spawn(run((client, bucket_away), entries, artifacts.clone(), events));
        Self { artifacts, _task: AbortOnDropHandle::new(task) }
    }

    pub(crate) fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }
}

async fn run(
    (client, bucket_away): (AttemptClient, Duration),
    mut entries: UnboundedReceiver<QueueEntry>,
    artifacts: Artifacts,
    events: EventSink,
) {
    let log = |message: String| events.log(message);
    let mut is_lease_lost = false;
    while let Some(entry) = entries.recv().await {
        let is_checkpoint = entry.is_checkpoint();
        match entry {
            QueueEntry::Upload(pending) if !is_lease_lost => {
                let (kind, name, again) = (pending.kind, pending.name.clone(), pending.clone());
                match upload::upload(&client, pending, bucket_away).await {
                    Ok(()) => tracing::debug!(kind = kind.as_str(), name = %name, "artifact uploaded"),
                    Err(error) => {
                        // The attempt that has the lease now stores its own artifacts.
                        is_lease_lost = error.is_lease_lost();
                        let label = kind.as_str();
                        tracing::warn!(kind = label, name = %name, error = %error, "artifact not stored: {error}");
                        let reason = truncate(&error.to_string(), MAX_REASON_CHARS);
                        if is_checkpoint {
                            *artifacts.0.lost_checkpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(again);
                            log(checkpoint_lost_message(&format!("its upload failed: {reason}")));
                        } else if !is_lease_lost && is_reported_kind(kind) {
                            log(not_stored_message(name.as_str(), &reason));
                        }
                    }
                }
            }
            QueueEntry::Upload(_) => {}
            QueueEntry::Message(message) => log(message),
        }
        if is_checkpoint {
            artifacts.0.pending_checkpoints.fetch_sub(1, Ordering::Relaxed);
        }
        artifacts.0.finished_count.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::reporter::{AnswerHandlers, Reporter};
    use crate::inputs::messages::input_counts::InputCounts;
    use crate::inputs::orders::Orders;
    use crate::secrets::redact::Redactor;
    use pullyard_domain::job::artifact::ArtifactKind;
    use pullyard_domain::text::id::JobId;

    #[tokio::test]
    async fn lost_checkpoint_is_uploaded_again() {
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let client = AttemptClient::new("http://127.0.0.1:9", "pyl_x", &job, 1).unwrap();
        let handlers = AnswerHandlers { orders: Orders::new(), input_counts: InputCounts::new() };
        let reporter = Reporter::start(client.clone(), Duration::from_secs(3_600), handlers, Redactor::new([]));
        let uploader = Uploader::start(client, reporter.events().clone(), Duration::ZERO);
        let (dir, artifacts) = (tempfile::tempdir().unwrap(), uploader.artifacts());
        artifacts.set_folder(dir.path().to_owned()).unwrap();
        artifacts.repeat_lost_checkpoint();
        assert!(artifacts.store_text(ArtifactKind::Checkpoint, "checkpoint.tar.zst", "a session"));
        for queued in [1, 2] {
            artifacts.flush(Duration::from_secs(60)).await;
            assert_eq!(*artifacts.0.finished_count.borrow(), queued);
            [(); 2].iter().for_each(|()| artifacts.repeat_lost_checkpoint());
            assert_eq!(artifacts.0.queued_count.load(Ordering::Relaxed), queued + 1);
        }
    }
}
