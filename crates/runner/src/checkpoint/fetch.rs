//! Getting the newest checkpoint of an earlier attempt: from the bucket, and believed by its hash alone.

use super::take::Lost;
use crate::attempt::Attempt;
use crate::retry::BackOff;
use crate::stop::Stop;
use pullyard_domain::artifact::LARGEST;
use pullyard_domain::text::causes;
use pullyard_protocol::attempt::Checkpoint;
use reqwest::redirect::Policy;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

/// How often it is asked for in all.
const TRIES: u32 = 4;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A slower line than this is no line. Units: bytes a second.
const SLOWEST: u64 = 100_000;
const LEAST_LIMIT: Duration = Duration::from_secs(20);

/// Why one try came to nothing.
enum Failed {
    /// It may go better.
    Passing(String),
    /// It never will.
    ForGood(Lost),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::ForGood(Lost::Unreadable(error.to_string()))
    }
}

/// Puts the newest checkpoint into a file. Which it was.
///
/// Errors: what stops the attempt; inside, why there is none.
pub(super) async fn fetch(this: &Attempt<'_>, to: &Path) -> Result<Result<Checkpoint, Lost>, Stop> {
    let (mut tries, mut back_off) = (1, BackOff::new());
    loop {
        // Anew each time: an address ends.
        let checkpoint = match this.checkpoint().await {
            Ok(Some(checkpoint)) => checkpoint,
            // An older control plane keeps none.
            Ok(None) | Err(Stop::Failed(_)) => return Ok(Err(Lost::NotKept)),
            Err(stop) => return Err(stop),
        };
        if checkpoint.size_bytes > LARGEST {
            return Ok(Err(Lost::Differs));
        }
        match download(&checkpoint, to).await {
            Ok(()) => return Ok(Ok(checkpoint)),
            Err(Failed::ForGood(lost)) => return Ok(Err(lost)),
            Err(Failed::Passing(reason)) if tries == TRIES => return Ok(Err(Lost::NotFetched(reason))),
            Err(Failed::Passing(reason)) => tracing::warn!("a checkpoint was not fetched yet: {reason}"),
        }
        tries += 1;
        sleep(back_off.next()).await;
    }
}

async fn download(checkpoint: &Checkpoint, to: &Path) -> Result<(), Failed> {
    // Never the address: it is a credential.
    let failed = |error: reqwest::Error| Failed::Passing(causes(&error.without_url()));
    let limit = LEAST_LIMIT + Duration::from_secs(checkpoint.size_bytes / SLOWEST);
    let mut http = reqwest::Client::builder().timeout(limit).connect_timeout(CONNECT_LIMIT).redirect(Policy::none());
    if checkpoint.get_url.starts_with("http://127.0.0.1:") {
        // A proxy can't reach this machine from inside it.
        http = http.no_proxy();
    }
    let mut answer = http.build().map_err(failed)?.get(&checkpoint.get_url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        return Err(Failed::Passing(format!("the bucket answered {}", answer.status())));
    }
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(to).await?;
    let (mut hash, mut size) = (Sha256::new(), 0);
    while let Some(piece) = answer.chunk().await.map_err(failed)? {
        size += piece.len() as u64;
        if size > checkpoint.size_bytes {
            return Err(Failed::ForGood(Lost::Differs));
        }
        hash.update(&piece);
        file.write_all(&piece).await?;
    }
    file.flush().await?;
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if size == checkpoint.size_bytes && hex == checkpoint.sha256.as_str() {
        Ok(())
    } else {
        Err(Failed::ForGood(Lost::Differs))
    }
}
