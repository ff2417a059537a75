//! Downloads the newest checkpoint of an earlier attempt, and verifies its hash.

use super::lost::Lost;
use crate::api::attempt::Attempt;
use crate::api::retry::while_away;
use crate::stop::Stop;
use pullyard_domain::artifact::MAX_SIZE_BYTES;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol::attempt::Checkpoint;
use reqwest::StatusCode;
use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The slowest accepted connection. Units: bytes per second.
const SLOWEST: u64 = 100_000;
const LEAST_LIMIT: Duration = Duration::from_secs(20);

enum Failed {
    Passing(String),
    ForGood(Lost),
    Stopped(Stop),
}

impl Failed {
    fn differs() -> Self {
        Self::ForGood(Lost::Unreadable("it is not what was kept".into()))
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::ForGood(Lost::Unreachable(error.to_string()))
    }
}

/// Downloads the newest checkpoint and returns its attempt, or `None`. `limit` bounds the retries of a failing bucket.
///
/// Errors: a stop of the attempt; inside, why there is no checkpoint.
pub(super) async fn fetch(this: &Attempt<'_>, to: &Path, limit: Duration) -> Result<Result<Option<u32>, Lost>, Stop> {
    let is_away = |failed: &Failed| match failed {
        Failed::Passing(reason) => {
            tracing::warn!("checkpoint download failed, retrying: {reason}");
            true
        }
        Failed::ForGood(_) | Failed::Stopped(_) => false,
    };
    match while_away(limit, is_away, async || once(this, to).await).await {
        Ok(attempt) => Ok(Ok(attempt)),
        Err(Failed::Passing(reason)) => Ok(Err(Lost::Unreachable(reason))),
        Err(Failed::ForGood(lost)) => Ok(Err(lost)),
        Err(Failed::Stopped(stop)) => Err(stop),
    }
}

async fn once(this: &Attempt<'_>, to: &Path) -> Result<Option<u32>, Failed> {
    // Request it in each try, because the address expires.
    let answer = match this.checkpoint().await {
        Ok(answer) => answer,
        // An older control plane stores no checkpoints.
        Err(Stop::Failed(_)) => return Ok(None),
        Err(stop) => return Err(Failed::Stopped(stop)),
    };
    if let Some(missing) = answer.missing {
        let words = format!("what attempt {} kept is missing: {}", missing.attempt, missing.why.label());
        return Err(Failed::ForGood(Lost::NotKept(words)));
    }
    let Some(checkpoint) = answer.checkpoint else { return Ok(None) };
    if checkpoint.size_bytes > MAX_SIZE_BYTES {
        return Err(Failed::differs());
    }
    download(&checkpoint, to).await?;
    Ok(Some(checkpoint.attempt))
}

async fn download(checkpoint: &Checkpoint, to: &Path) -> Result<(), Failed> {
    // Without the address, which is a credential.
    let failed = |error: reqwest::Error| Failed::Passing(format_error_chain(&error.without_url()));
    let limit = LEAST_LIMIT + Duration::from_secs(checkpoint.size_bytes / SLOWEST);
    let mut http = reqwest::Client::builder().timeout(limit).connect_timeout(CONNECT_LIMIT).redirect(Policy::none());
    if checkpoint.get_url.starts_with("http://127.0.0.1:") {
        // A proxy cannot reach this machine's loopback address.
        http = http.no_proxy();
    }
    let mut answer = http.build().map_err(failed)?.get(&checkpoint.get_url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        let said = format!("the bucket answered {}", answer.status());
        // A missing object does not return. Other refusals may come from a proxy, or concern our key.
        return Err(match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                Failed::ForGood(Lost::NotKept(format!("it could not be fetched: {said}")))
            }
            _ => Failed::Passing(said),
        });
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(to).await?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        size += piece.len() as u64;
        if size > checkpoint.size_bytes {
            return Err(Failed::differs());
        }
        hash.update(&piece);
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if size == checkpoint.size_bytes && hex == checkpoint.sha256.as_str() { Ok(()) } else { Err(Failed::differs()) }
}
