//! Uploads one artifact: reserves a place, sends the bytes, and confirms them.
//! Each step can be repeated: the same name reserves the same place, and the same bytes replace themselves. A crash in
//! between leaves a place without bytes: it is listed as not stored, and cannot be downloaded.

use super::{PendingArtifact, bucket, size_and_hash};
use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use futures::TryStreamExt;
use http_body::Frame;
use http_body_util::StreamBody;
use pullyard_domain::job::artifact::ArtifactKind;
use pullyard_protocol::artifact::{ArtifactUpload, NewArtifact};
use pullyard_protocol::client::{self, AttemptClient};
use reqwest::header::CONTENT_LENGTH;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};
use tokio_util::io::ReaderStream;

const MIN_TRIES: u32 = 4;
const CHUNK_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    #[error("read it: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("{0}")]
    ControlPlane(#[from] client::Error),
    #[error("put it into the bucket: {0}")]
    Bucket(String),
}

impl UploadError {
    pub(super) fn is_lease_lost(&self) -> bool {
        matches!(self, Self::ControlPlane(error) if matches!(classify_error(error), AttemptCallFailure::LeaseLost | AttemptCallFailure::JobCancelled))
    }
}

/// Uploads an artifact. A checkpoint is retried for `bucket_away`, because the next attempt continues from it.
pub(super) async fn upload(
    client: &AttemptClient,
    pending: PendingArtifact,
    bucket_away: Duration,
) -> Result<(), UploadError> {
    let path = pending.path.clone();
    let retry_limit = if pending.kind == ArtifactKind::Checkpoint { bucket_away } else { Duration::ZERO };
    let (size_bytes, sha256) =
        tokio::task::spawn_blocking(move || size_and_hash(&path)).await.map_err(std::io::Error::from)??;
    let request = NewArtifact { kind: pending.kind, name: pending.name, size_bytes, sha256 };
    let (start, mut tries, mut back_off) = (Instant::now(), 1, BackOff::new());
    loop {
        // Reserve in each try: the address expires, and the control plane returns no address for stored bytes.
        match upload_once(client, &request, &pending.path).await {
            Err(error) if is_transient(&error) && (tries < MIN_TRIES || start.elapsed() < retry_limit) => {
                sleep(back_off.next()).await;
            }
            result => return result,
        }
        tries += 1;
    }
}

fn is_transient(error: &UploadError) -> bool {
    match error {
        UploadError::Unreadable(_) => false,
        // The place has no bytes yet, so they are sent again.
        UploadError::ControlPlane(error) => {
            classify_error(error) == AttemptCallFailure::Transient || error.code() == Some("artifact_missing")
        }
        UploadError::Bucket(_) => true,
    }
}

async fn upload_once(client: &AttemptClient, request: &NewArtifact, path: &Path) -> Result<(), UploadError> {
    let ArtifactUpload { id, put_url, headers } = client.reserve_artifact(request).await?;
    let Some(url) = put_url else { return Ok(()) };
    put_file(&url, &headers, path, request.size_bytes).await?;
    client.confirm_artifact(&id).await?;
    Ok(())
}

async fn put_file(url: &str, headers: &BTreeMap<String, String>, path: &Path, size: u64) -> Result<(), UploadError> {
    let bucket_error = |error| UploadError::Bucket(bucket::describe(error));
    // The file may have become longer. Only the announced size is sent.
    let file = tokio::fs::File::open(path).await?.take(size);
    let body = reqwest::Body::wrap(StreamBody::new(ReaderStream::with_capacity(file, CHUNK_BYTES).map_ok(Frame::data)));
    let request = bucket::client(url, size).map_err(bucket_error)?.put(url).header(CONTENT_LENGTH, size);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.body(body).send().await.map_err(bucket_error)?;
    let status = answer.status();
    // Read the answer to its end, because a broken answer proves no success.
    let error_text = answer.text().await.map_err(bucket_error)?;
    if status.is_success() {
        return Ok(());
    }
    let code = error_text.split_once("<Code>").and_then(|(_, rest)| rest.split('<').next()).unwrap_or_default();
    Err(UploadError::Bucket(format!("it answered {status} {code}")))
}
