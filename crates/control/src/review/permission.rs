//! Whether somebody may start jobs for a repository, asked of its forge.

use crate::forge::forge_of;
use crate::{Context, Error};
use pullyard_domain::id::IntegrationId;
use pullyard_domain::project::{ForgeKind, Integration, Repository};
use pullyard_domain::review::{Author, Permission};
use pullyard_domain::time::Timestamp;
use pullyard_forge::{Actor, Permission as Access};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// How long an answer is believed.
const BELIEVED: Duration = Duration::from_secs(600);

/// How many answers are kept.
const MOST: usize = 10_000;

/// Of which forge, which repository, which of its pull requests where that makes a difference, who.
type Question = (IntegrationId, u64, Option<u64>, u64);

/// The answer and when it was given; locked while the forge is asked.
type Slot = Arc<Mutex<Option<(Permission, Timestamp)>>>;

/// What forges said lately, kept by the process. A storm of one person's reviews asks once.
#[derive(Debug, Default)]
pub struct Permissions {
    known: Mutex<HashMap<Question, Slot>>,
}

/// Whether the author of a review of this pull request may write to the repository. A few seconds at most.
///
/// Only an answer of the forge is remembered: where it gave none, it is asked again the next time.
/// Errors: `Forge` where it did not say, `Cloud` where its token could not be read.
pub(super) async fn ask(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    number: u64,
    author: &Author,
) -> Result<Permission, Error> {
    let of = match integration.kind {
        ForgeKind::GitHub => None,
        // Where the token may not ask what somebody may do there, being one of its reviewers counts.
        ForgeKind::Bitbucket => Some(number),
    };
    let question = (integration.id.clone(), repository.id, of, author.id);
    let slot = {
        let mut known = ctx.permissions().known.lock().await;
        if known.len() >= MOST {
            known.clear();
        }
        known.entry(question).or_default().clone()
    };
    // Held while the forge is asked: whoever asks the same meanwhile gets the same answer.
    let mut answer = slot.lock().await;
    let now = ctx.clock.now();
    if let Some((permission, at)) = *answer
        && now.since(at) < BELIEVED
    {
        return Ok(permission);
    }
    let forge = forge_of(ctx, integration, repository).await?;
    let account = Actor { id: author.id, login: author.login.clone(), is_bot: author.bot };
    let access = forge.permission(repository.name.as_str(), number, &account).await?;
    // A name may have been given to somebody else since the review was written.
    let same = access.account.is_none_or(|account| account == author.id);
    let permission = match access.permission {
        Access::Admin | Access::Write if same => Permission::Write,
        _ => Permission::Less,
    };
    *answer = Some((permission, now));
    Ok(permission)
}

/// The same for whoever decides at once: `Unknown` where the forge does not say.
pub(super) async fn ask_now(
    ctx: &Context,
    integration: &Integration,
    repository: &Repository,
    number: u64,
    author: &Author,
) -> Permission {
    match ask(ctx, integration, repository, number, author).await {
        Ok(permission) => permission,
        Err(error) => {
            tracing::warn!(integration = %integration.id, repository = %repository.name, error = %error, "the forge did not say whether somebody may start jobs");
            Permission::Unknown
        }
    }
}
