//! Uploads one artifact: reserves a place, sends the bytes, and confirms them.
//!
//! Each step can be repeated: the place is found by its name, and the same bytes replace themselves. A crash in between
//! leaves a place without bytes, to which no reader is sent.

use super::body::FileBody;
use super::{Kept, measured};
use crate::api::retry::{BackOff, Refusal, refusal};
use pullyard_domain::artifact::ArtifactKind;
use pullyard_domain::text::format_error_chain;
use pullyard_protocol::artifact::{ArtifactPlace, ReserveArtifact};
use pullyard_protocol::client::{self, AttemptClient};
use reqwest::redirect::Policy;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Number of tries, unless a retry time is given.
const TRIES: u32 = 4;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The slowest accepted connection. Units: bytes per second.
const SLOWEST: u64 = 100_000;
const LEAST_LIMIT: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("read it: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error("{0}")]
    Plane(#[from] client::Error),
    #[error("put it into the bucket: {0}")]
    Bucket(String),
}

impl Failed {
    /// Whether the attempt lost its lease, so that no other upload succeeds either.
    pub(super) fn is_for_all(&self) -> bool {
        matches!(self, Self::Plane(error) if matches!(refusal(error), Refusal::LeaseLost | Refusal::Unwanted))
    }
}

/// Uploads an artifact. A checkpoint is retried for `away`, because the next attempt continues from it.
pub(super) async fn upload(client: &AttemptClient, kept: Kept, away: Duration) -> Result<(), Failed> {
    let path = kept.path.clone();
    let lasts = if kept.kind == ArtifactKind::Checkpoint { away } else { Duration::ZERO };
    let (size_bytes, sha256) =
        tokio::task::spawn_blocking(move || measured(&path)).await.map_err(std::io::Error::from)??;
    let request = ReserveArtifact { kind: kept.kind, name: kept.name, size_bytes, sha256 };
    let (since, mut tries, mut back_off) = (Instant::now(), 1, BackOff::new());
    loop {
        // Reserve in each try: the address expires, and bytes that arrived without an answer need none.
        match once(client, &request, &kept.path).await {
            Err(failed) if is_passing(&failed) && (tries < TRIES || since.elapsed() < lasts) => {
                sleep(back_off.next()).await;
            }
            ended => return ended,
        }
        tries += 1;
    }
}

fn is_passing(failed: &Failed) -> bool {
    match failed {
        Failed::Unreadable(_) => false,
        // The place has no bytes yet, so they are sent again.
        Failed::Plane(error) => refusal(error) == Refusal::Transient || error.code() == Some("artifact_missing"),
        Failed::Bucket(_) => true,
    }
}

async fn once(client: &AttemptClient, request: &ReserveArtifact, path: &Path) -> Result<(), Failed> {
    let ArtifactPlace { id, put_url, headers } = client.reserve_artifact(request).await?;
    let Some(url) = put_url else { return Ok(()) };
    put(&url, &headers, path, request.size_bytes).await?;
    client.artifact_stored(&id).await?;
    Ok(())
}

async fn put(url: &str, headers: &BTreeMap<String, String>, path: &Path, size: u64) -> Result<(), Failed> {
    // Without the address, which is a credential.
    let failed = |error: reqwest::Error| Failed::Bucket(format_error_chain(&error.without_url()));
    let limit = LEAST_LIMIT + Duration::from_secs(size / SLOWEST);
    let mut http = reqwest::Client::builder().timeout(limit).connect_timeout(CONNECT_LIMIT).redirect(Policy::none());
    if url.starts_with("http://127.0.0.1:") {
        // A proxy cannot reach this machine's loopback address.
        http = http.no_proxy();
    }
    let body = reqwest::Body::wrap(FileBody::new(tokio::fs::File::open(path).await?, size));
    let request = http.build().map_err(failed)?.put(url);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
    let answer = request.body(body).send().await.map_err(failed)?;
    let status = answer.status();
    // Read the answer to its end, because a broken answer proves no success.
    let said = answer.text().await.map_err(failed)?;
    if status.is_success() {
        return Ok(());
    }
    let code = said.split_once("<Code>").and_then(|(_, rest)| rest.split('<').next()).unwrap_or_default();
    Err(Failed::Bucket(format!("it answered {status} {code}")))
}
