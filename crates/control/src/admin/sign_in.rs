//! Signs a browser in, with a single-use link or an API token. The session is a signed cookie that names a token. Each
//! request reads the token, so revoking it ends the session.

use crate::signed_tokens::{Session, SignInCode};
use crate::{Context, Error};
use pullyard_domain::text::time::Timestamp;
use pullyard_store::{Token, TokenKind, Write};
use std::time::Duration;

const LINK_TTL: Duration = Duration::from_secs(600);

const SESSION_TTL: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Clone)]
pub struct SignInLink {
    /// Contains a credential: never log it.
    pub url: String,
    pub expires_in: Duration,
}

#[derive(Clone)]
pub struct SessionCookie {
    /// The session's cookie, a credential: never log it.
    pub cookie: String,
    pub expires_in: Duration,
}

/// Creates a sign-in link for the API token with this hash. Nothing is stored until the link is used.
pub async fn create_sign_in_link(ctx: &Context, token: String) -> Result<SignInLink, Error> {
    let nonce = ulid::Ulid::generate().to_string().to_lowercase();
    let code = SignInCode { token, nonce, expires: ctx.clock.now().plus(LINK_TTL) };
    let code = ctx.load_signing_key().await?.sign_sign_in_code(&code)?;
    let url = format!("{}/sign-in?code={code}", ctx.pages_url());
    Ok(SignInLink { url, expires_in: LINK_TTL })
}

/// Signs a browser in and uses up the link's code. After a crash that follows the write, the user needs another link.
/// Errors: `InvalidToken` if the code is forged, expired or used, or its token is not valid.
pub async fn sign_in(ctx: &Context, code: &str) -> Result<SessionCookie, Error> {
    let now = ctx.clock.now();
    let code = ctx.load_signing_key().await?.verify_sign_in_code(code, now)?;
    load_valid_token(ctx, &code.token).await?.ok_or(Error::InvalidToken)?;
    match ctx.store.use_sign_in(&code.nonce, code.expires).await? {
        Write::Applied => create_session(ctx, code.token, now).await,
        Write::Stale => Err(Error::InvalidToken),
    }
}

/// Errors: `InvalidToken` if the token does not exist, has expired or was revoked.
pub async fn sign_in_with_token(ctx: &Context, token: String) -> Result<SessionCookie, Error> {
    load_valid_token(ctx, &token).await?.ok_or(Error::InvalidToken)?;
    create_session(ctx, token, ctx.clock.now()).await
}

async fn create_session(ctx: &Context, token: String, now: Timestamp) -> Result<SessionCookie, Error> {
    let session = Session { token, issued: now, expires: now.plus(SESSION_TTL) };
    Ok(SessionCookie { cookie: ctx.load_signing_key().await?.sign_session(&session)?, expires_in: SESSION_TTL })
}

/// Returns the valid API token with this hash. A strong read, so that a revocation takes effect at once.
pub async fn load_valid_token(ctx: &Context, hash: &str) -> Result<Option<Token>, Error> {
    let now = ctx.clock.now();
    Ok(ctx.store.load_token(hash).await?.filter(|token| token.kind == TokenKind::Api && token.is_valid(now)))
}
