//! Getting the newest checkpoint of an earlier attempt: from the bucket, and believed by its hash alone.

use super::take::{Lost, may_bind};
use crate::attempt::Attempt;
use crate::retry::while_away;
use crate::stop::Stop;
use pullyard_domain::artifact::LARGEST;
use pullyard_domain::text::causes;
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
/// A slower line than this is no line. Units: bytes a second.
const SLOWEST: u64 = 100_000;
const LEAST_LIMIT: Duration = Duration::from_secs(20);

/// Why one try came to nothing.
enum Failed {
    /// It may go better; and why one that was kept later is not there.
    Passing(String, Option<Lost>),
    /// It never will, or not on this machine.
    ForGood(Lost),
    /// Something else ends the attempt.
    Stopped(Stop),
}

impl Failed {
    /// Where the newest is missing as well, that is what there is to say.
    fn but_first(self, newer: Option<Lost>) -> Self {
        match (self, newer) {
            (Self::Passing(reason, _), newer) => Self::Passing(reason, newer),
            (Self::ForGood(_), Some(newer)) => Self::ForGood(newer),
            (failed, _) => failed,
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::ForGood(Lost::Machine(error.to_string()))
    }
}

/// What was got.
pub(super) struct Fetched {
    /// Whose it is: the attempt that left it.
    pub(super) attempt: u32,
    /// Why one that was kept later was not.
    pub(super) newer: Option<Lost>,
}

/// Puts the newest checkpoint into a file, and waits so long for a bucket that is away. Which it was. A job that is
/// bound to the newest gets none of before it.
///
/// Errors: what stops the attempt; inside, why there is none.
pub(super) async fn fetch(this: &Attempt<'_>, to: &Path, limit: Duration) -> Result<Result<Fetched, Lost>, Stop> {
    let is_away = |failed: &Failed| match failed {
        Failed::Passing(reason, _) => {
            tracing::warn!("a checkpoint was not fetched yet: {reason}");
            true
        }
        Failed::ForGood(_) | Failed::Stopped(_) => false,
    };
    match while_away(limit, is_away, async || once(this, to).await).await {
        Ok(fetched) => Ok(Ok(fetched)),
        Err(Failed::Passing(reason, newer)) => Ok(Err(newer.unwrap_or(Lost::Away(reason)))),
        Err(Failed::ForGood(lost)) => Ok(Err(lost)),
        Err(Failed::Stopped(stop)) => Err(stop),
    }
}

async fn once(this: &Attempt<'_>, to: &Path) -> Result<Fetched, Failed> {
    // Anew each time: an address ends.
    let answer = match this.checkpoint().await {
        Ok(answer) => answer,
        // An older control plane keeps none.
        Err(Stop::Failed(_)) => return Err(Failed::ForGood(Lost::NotKept)),
        Err(stop) => return Err(Failed::Stopped(stop)),
    };
    let newer = answer.missing.map(|missing| Lost::Missing { attempt: missing.attempt, why: missing.why.words() });
    let Some(checkpoint) = answer.checkpoint.filter(|_| newer.is_none() || !may_bind(this)) else {
        return Err(Failed::ForGood(newer.unwrap_or(Lost::NotKept)));
    };
    if checkpoint.size_bytes > LARGEST {
        return Err(Failed::ForGood(Lost::Differs).but_first(newer));
    }
    match download(&checkpoint, to).await {
        Ok(()) => Ok(Fetched { attempt: checkpoint.attempt, newer }),
        Err(failed) => Err(failed.but_first(newer)),
    }
}

async fn download(checkpoint: &Checkpoint, to: &Path) -> Result<(), Failed> {
    // Never the address: it is a credential.
    let failed = |error: reqwest::Error| Failed::Passing(causes(&error.without_url()), None);
    let limit = LEAST_LIMIT + Duration::from_secs(checkpoint.size_bytes / SLOWEST);
    let mut http = reqwest::Client::builder().timeout(limit).connect_timeout(CONNECT_LIMIT).redirect(Policy::none());
    if checkpoint.get_url.starts_with("http://127.0.0.1:") {
        // A proxy can't reach this machine from inside it.
        http = http.no_proxy();
    }
    let mut answer = http.build().map_err(failed)?.get(&checkpoint.get_url).send().await.map_err(failed)?;
    if !answer.status().is_success() {
        let said = format!("the bucket answered {}", answer.status());
        // What is gone does not come back. Any other refusal may be of somebody in between, or of a key of ours.
        return Err(match answer.status() {
            StatusCode::NOT_FOUND | StatusCode::GONE => Failed::ForGood(Lost::NotFetched(said)),
            _ => Failed::Passing(said, None),
        });
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
