//! Signs a browser in, with a single-use link or an API token. The session is a sealed cookie that names a token. Each
//! request reads the token, so revoking it ends the session.

use crate::admin::proof::{Session, SignInCode};
use crate::{Context, Error};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Token, TokenKind, Write};
use std::time::Duration;

const LINK_FOR: Duration = Duration::from_secs(600);

const SESSION_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Clone)]
pub struct SignInLink {
    /// Contains a credential: never log it.
    pub url: String,
    pub expires_in: Duration,
}

#[derive(Clone)]
pub struct SignedIn {
    /// The session's cookie, a credential: never log it.
    pub cookie: String,
    pub expires_in: Duration,
}

/// Creates a sign-in link for the API token with this hash. Nothing is stored until the link is used.
pub async fn sign_in_link(ctx: &Context, token: String) -> Result<SignInLink, Error> {
    let nonce = ulid::Ulid::generate().to_string().to_lowercase();
    let code = SignInCode { token, nonce, expires: ctx.clock.now().plus(LINK_FOR) };
    let code = ctx.keys().await?.sign_in_code(&code)?;
    let url = format!("{}/sign-in?code={code}", ctx.api_url.trim_end_matches('/'));
    Ok(SignInLink { url, expires_in: LINK_FOR })
}

/// Signs a browser in and uses up the link's code. After a crash behind the write, the user needs another link.
/// Errors: `BadProof` if the code is forged, expired or used, or its token is not valid.
pub async fn sign_in(ctx: &Context, code: &str) -> Result<SignedIn, Error> {
    let now = ctx.clock.now();
    let code = ctx.keys().await?.read_sign_in_code(code, now)?;
    current_token(ctx, &code.token).await?.ok_or(Error::BadProof)?;
    match ctx.store.use_sign_in(&code.nonce, code.expires).await? {
        Write::Applied => session(ctx, code.token, now).await,
        Write::Stale => Err(Error::BadProof),
    }
}

/// Errors: `BadProof` if the token does not exist, has expired or was revoked.
pub async fn sign_in_with_token(ctx: &Context, token: String) -> Result<SignedIn, Error> {
    current_token(ctx, &token).await?.ok_or(Error::BadProof)?;
    session(ctx, token, ctx.clock.now()).await
}

async fn session(ctx: &Context, token: String, now: Timestamp) -> Result<SignedIn, Error> {
    let session = Session { token, issued: now, expires: now.plus(SESSION_FOR) };
    Ok(SignedIn { cookie: ctx.keys().await?.session(&session)?, expires_in: SESSION_FOR })
}

/// Returns the valid API token with this hash. A strong read, so that a revocation takes effect at once.
pub async fn current_token(ctx: &Context, hash: &str) -> Result<Option<Token>, Error> {
    let now = ctx.clock.now();
    Ok(ctx.store.token(hash).await?.filter(|token| token.kind == TokenKind::Api && token.is_good(now)))
}
