//! From the text of a token to what the table knows of it, the same for people, programs and runners.

use crate::Problem;
use pullyard_control::{Context, Error, token_hash};
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::is_use_worth_noting;
use pullyard_store::{Token, TokenKind};
use std::time::Duration;

/// How long the note of a use may take. Nobody waits for it.
const NOTE: Duration = Duration::from_secs(3);

/// The stored token of this text, if it is of that kind and good now, read strongly.
///
/// Writes: that it was used, as [`note_use`] does.
/// Errors: 401, whatever is wrong with it; 503 when the table can't be read.
pub async fn stored_for(ctx: &Context, text: &str, kind: TokenKind) -> Result<Token, Problem> {
    if !text.starts_with(kind.prefix()) {
        return Err(Problem::not_signed_in());
    }
    let now = ctx.clock.now();
    let stored = ctx.store.token(&token_hash(text)).await.map_err(Error::from)?;
    let token = stored.filter(|token| token.kind == kind && token.is_good(now)).ok_or_else(Problem::not_signed_in)?;
    note_use(ctx, &token, now);
    Ok(token)
}

/// Notes beside the request, and at most once a minute, that this token was used now; a note that is lost makes
/// the shown time older and nothing else.
pub(crate) fn note_use(ctx: &Context, token: &Token, now: Timestamp) {
    if !is_use_worth_noting(token.last_used, now) {
        return;
    }
    let (ctx, hash) = (ctx.clone(), token.hash.clone());
    tokio::spawn(async move {
        match tokio::time::timeout(NOTE, ctx.store.note_token_use(&hash, now)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(error = %error, "the use of a token was not noted"),
            Err(_) => tracing::debug!("the use of a token was not noted in time"),
        }
    });
}
