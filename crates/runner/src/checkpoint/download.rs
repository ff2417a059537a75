//! Downloads the newest checkpoint of an earlier attempt, and verifies its hash.

use super::loss::SessionLoss;
use crate::api::calls::Calls;
use crate::api::retry::retry_while_unreachable;
use crate::artifacts::bucket;
use crate::hash::to_hex;
use crate::stop::Stop;
use pullyard_domain::job::artifact::MAX_SIZE_BYTES;
use pullyard_protocol::attempt::Checkpoint;
use reqwest::StatusCode;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;

enum DownloadError {
    Transient(String),
    Permanent(SessionLoss),
    Stopped(Stop),
}

impl DownloadError {
    fn content_mismatch() -> Self {
        Self::Permanent(SessionLoss::Unreadable("it differs from the uploaded one".into()))
    }
}

impl From<io::Error> for DownloadError {
    fn from(error: io::Error) -> Self {
        Self::Permanent(SessionLoss::Unreachable(error.to_string()))
    }
}

/// Downloads the newest checkpoint and returns its attempt, or `None`. `limit` bounds the retries of a failing bucket.
/// Errors: a stop of the attempt; inside, why there is no checkpoint.
pub(super) async fn download_checkpoint(
    attempt: &Calls<'_>,
    to: &Path,
    limit: Duration,
) -> Result<Result<Option<u32>, SessionLoss>, Stop> {
    let is_transient = |error: &DownloadError| match error {
        DownloadError::Transient(reason) => {
            tracing::warn!("checkpoint download failed, retrying: {reason}");
            true
        }
        DownloadError::Permanent(_) | DownloadError::Stopped(_) => false,
    };
    match retry_while_unreachable(limit, is_transient, async || download_once(attempt, to).await).await {
        Ok(number) => Ok(Ok(number)),
        Err(DownloadError::Transient(reason)) => Ok(Err(SessionLoss::Unreachable(reason))),
        Err(DownloadError::Permanent(loss)) => Ok(Err(loss)),
        Err(DownloadError::Stopped(stop)) => Err(stop),
    }
}

async fn download_once(attempt: &Calls<'_>, to: &Path) -> Result<Option<u32>, DownloadError> {
    // Request the checkpoint in each try, because its address expires.
    let answer = match attempt.get_checkpoint().await {
        Ok(answer) => answer,
        // An older control plane stores no checkpoints.
        Err(Stop::Failure(_)) => return Ok(None),
        Err(stop) => return Err(DownloadError::Stopped(stop)),
    };
    if let Some(missing) = answer.missing {
        let reason = format!("what attempt {} kept is missing: {}", missing.attempt, missing.why.label());
        return Err(DownloadError::Permanent(SessionLoss::NotStored(reason)));
    }
    let Some(checkpoint) = answer.checkpoint else { return Ok(None) };
    if checkpoint.size_bytes > MAX_SIZE_BYTES {
        return Err(DownloadError::content_mismatch());
    }
    download_file(&checkpoint, to).await?;
    Ok(Some(checkpoint.attempt))
}

async fn download_file(checkpoint: &Checkpoint, to: &Path) -> Result<(), DownloadError> {
    let transient = |error| DownloadError::Transient(bucket::describe(error));
    let http = bucket::client(&checkpoint.get_url, checkpoint.size_bytes).map_err(transient)?;
    let mut answer = http.get(&checkpoint.get_url).send().await.map_err(transient)?;
    if !answer.status().is_success() {
        let reason = format!("the bucket answered {}", answer.status());
        // A retry cannot find a missing object. Other refusals may come from a proxy, or concern our key.
        return Err(match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                DownloadError::Permanent(SessionLoss::NotStored(format!("it could not be fetched: {reason}")))
            }
            _ => DownloadError::Transient(reason),
        });
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(to).await?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(transient)? {
        size += chunk.len() as u64;
        if size > checkpoint.size_bytes {
            return Err(DownloadError::content_mismatch());
        }
        hash.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    if size == checkpoint.size_bytes && to_hex(&hash.finalize()) == checkpoint.sha256.as_str() {
        Ok(())
    } else {
        Err(DownloadError::content_mismatch())
    }
}
