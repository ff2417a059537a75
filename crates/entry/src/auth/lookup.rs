//! Looks up a stored token by its text.

use crate::Problem;
use crate::invocation::record_id;
use pullyard_control::Context;
use pullyard_domain::project::token::should_record_use;
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Token, TokenKind, hash_token};
use std::time::Duration;

const RECORD_TIMEOUT: Duration = Duration::from_secs(3);

/// Returns the token if it is of this kind and valid now. Reads consistently, so that a revoked token fails at once.
/// Writes: the token's last use. Errors: 401 for any invalid token; 503 when the table is unavailable.
pub async fn load_valid_token(ctx: &Context, text: &str, kind: TokenKind) -> Result<Token, Problem> {
    if !text.starts_with(kind.prefix()) {
        return Err(Problem::not_signed_in());
    }
    let now = ctx.clock.now();
    let stored = ctx.store.load_token(&hash_token(text)).await?;
    let token = stored.filter(|token| token.kind == kind && token.is_valid(now)).ok_or_else(Problem::not_signed_in)?;
    record_token_use(ctx, &token, now);
    Ok(token)
}

/// Stores the last use in the background, at most once a minute. A lost write only makes the displayed time older.
/// Adds the token's id to the invocation's log lines. Its name is a text of a user, and never logged.
pub(crate) fn record_token_use(ctx: &Context, token: &Token, now: Timestamp) {
    record_id("caller", token.id());
    if !should_record_use(token.last_used, now) {
        return;
    }
    let (ctx, hash) = (ctx.clone(), token.hash.clone());
    tokio::spawn(async move {
        match tokio::time::timeout(RECORD_TIMEOUT, ctx.store.note_token_use(&hash, now)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(error = %error, "token use not recorded"),
            Err(_) => tracing::debug!("token use not recorded in time"),
        }
    });
}
