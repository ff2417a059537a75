//! Creates, lists and revokes API and runner tokens.

use crate::requester::{Requester, find_first_result, new_request};
use crate::{Context, Error};
use data_encoding::HEXLOWER;
use pullyard_domain::project::token::{NewToken, VISIBLE_CHARS};
use pullyard_domain::text::id::{EventId, TokenId};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Request, Token, Write, hash_token};

pub struct CreatedToken {
    /// The token itself: never log it.
    pub text: String,
    pub record: Token,
}

impl std::fmt::Debug for CreatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedToken").field("record", &self.record).finish_non_exhaustive()
    }
}

/// Idempotent: by caller and key, for 24 hours; a token is shown only once, so a repeat is `TokenAlreadyShown`.
/// Errors: `Invalid`; `NotFound` (project); `TokenAlreadyShown`; `KeyReused`; `Contended`.
pub async fn create_token(
    ctx: &Context,
    new: NewToken,
    caller: &Requester,
    key: Option<EventId>,
) -> Result<CreatedToken, Error> {
    new.validate()?;
    let now = ctx.clock.now();
    let request = new_request(format!("{} tokens", caller.id), key, &new, now);
    refuse_repeat(ctx, request.as_ref()).await?;
    for project in new.projects.iter().flatten() {
        ctx.load_project(project).await?;
    }
    let mut rounds = ctx.retries("the tokens");
    loop {
        let generated = generate_token(&new, caller, now);
        if ctx.store.create_token(&generated.record, request.as_ref()).await? == Write::Applied {
            tracing::info!(token = %generated.record.id(), caller = caller.id, "token created");
            return Ok(generated);
        }
        refuse_repeat(ctx, request.as_ref()).await?;
        rounds.backoff().await?;
    }
}

async fn refuse_repeat(ctx: &Context, request: Option<&Request>) -> Result<(), Error> {
    let first = find_first_result(ctx, request).await?;
    first.map_or(Ok(()), |token| Err(Error::TokenAlreadyShown { token }))
}

fn generate_token(new: &NewToken, caller: &Requester, now: Timestamp) -> CreatedToken {
    // The thread's generator is cryptographic and seeded by the operating system.
    let text = format!("{}{}", new.kind.prefix(), HEXLOWER.encode(&rand::random::<[u8; 32]>()));
    let record = Token {
        hash: hash_token(&text),
        kind: new.kind,
        name: new.name.clone(),
        prefix: text.chars().take(VISIBLE_CHARS).collect(),
        scopes: new.scopes.clone(),
        projects: new.projects.clone(),
        expires_at: new.expires_in.map(|length| now.plus(length)),
        revoked: false,
        runner: new.runner.clone(),
        created: Some(now),
        created_by: Some(caller.name.clone()),
        last_used: None,
    };
    CreatedToken { text, record }
}

/// Returns a page of all tokens, newest first, and the next cursor. Includes revoked and expired ones.
pub async fn list_tokens(
    ctx: &Context,
    after: Option<&str>,
    limit: i32,
) -> Result<(Vec<Token>, Option<String>), Error> {
    let (hashes, next) = ctx.store.list_token_hashes(after, limit).await?;
    let mut tokens = Vec::with_capacity(hashes.len());
    for hash in hashes {
        tokens.extend(ctx.store.load_token(&hash).await?);
    }
    Ok((tokens, next))
}

/// Idempotent: a revoked token stays revoked.
/// Errors: `NotFound`.
pub async fn revoke_token(ctx: &Context, id: &TokenId, caller: &Requester) -> Result<Token, Error> {
    let missing = || Error::not_found("token", id);
    let token = ctx.store.load_token_by_id(id).await?.ok_or_else(missing)?;
    if !token.revoked {
        if ctx.store.revoke_token(&token.hash).await? == Write::Stale {
            return Err(missing());
        }
        tracing::info!(token = %id, caller = caller.id, "token revoked");
    }
    Ok(Token { revoked: true, ..token })
}
