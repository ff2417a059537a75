//! Signs a browser in: by a link that works once, or by an API token. A session is a sealed cookie that names a token,
//! which is read at every request: revoking it ends the session.

use crate::admin::proof::{Session, SignInCode};
use crate::{Context, Error};
use pullyard_domain::time::Timestamp;
use pullyard_store::{Token, TokenKind, Write};
use std::time::Duration;

const LINK_FOR: Duration = Duration::from_secs(600);

const SESSION_FOR: Duration = Duration::from_secs(30 * 24 * 3_600);

#[derive(Clone)]
pub struct SignInLink {
    /// A credential: not for logs.
    pub url: String,
    pub expires_in: Duration,
}

#[derive(Clone)]
pub struct SignedIn {
    /// The session's cookie. A credential: not for logs.
    pub cookie: String,
    pub expires_in: Duration,
}

/// Creates a sign-in link for the API token of this hash. Stores nothing; its use is stored.
pub async fn sign_in_link(ctx: &Context, token: String) -> Result<SignInLink, Error> {
    let nonce = ulid::Ulid::generate().to_string().to_lowercase();
    let code = SignInCode { token, nonce, expires: ctx.clock.now().plus(LINK_FOR) };
    let code = ctx.keys().await?.sign_in_code(&code)?;
    let url = format!("{}/sign-in?code={code}", ctx.api_url.trim_end_matches('/'));
    Ok(SignInLink { url, expires_in: LINK_FOR })
}

/// Signs a browser in with a link's code, which is used up.
///
/// Errors: `BadProof` when the code is forged, expired or used, or when its token is gone. After a crash behind the
/// write, the link is used up without a session: create another.
pub async fn sign_in(ctx: &Context, code: &str) -> Result<SignedIn, Error> {
    let now = ctx.clock.now();
    let code = ctx.keys().await?.read_sign_in_code(code, now)?;
    current_token(ctx, &code.token).await?.ok_or(Error::BadProof)?;
    match ctx.store.use_sign_in(&code.nonce, code.expires).await? {
        Write::Applied => session(ctx, code.token, now).await,
        Write::Stale => Err(Error::BadProof),
    }
}

/// Errors: `BadProof` when there is no such token, or it has expired or was revoked.
pub async fn sign_in_with_token(ctx: &Context, token: String) -> Result<SignedIn, Error> {
    current_token(ctx, &token).await?.ok_or(Error::BadProof)?;
    session(ctx, token, ctx.clock.now()).await
}

async fn session(ctx: &Context, token: String, now: Timestamp) -> Result<SignedIn, Error> {
    let session = Session { token, issued: now, expires: now.plus(SESSION_FOR) };
    Ok(SignedIn { cookie: ctx.keys().await?.session(&session)?, expires_in: SESSION_FOR })
}

/// The valid API token of this hash. Read strongly: a revocation acts at once.
pub async fn current_token(ctx: &Context, hash: &str) -> Result<Option<Token>, Error> {
    let now = ctx.clock.now();
    Ok(ctx.store.token(hash).await?.filter(|token| token.kind == TokenKind::Api && token.is_good(now)))
}
