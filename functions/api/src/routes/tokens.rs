//! Creates, lists and revokes tokens.

use super::page::{After, PAGE};
use axum::Json;
use axum::extract::State;
use pullyard_control::{self as control, Context, Error, StoredToken};
use pullyard_domain::id::TokenId;
use pullyard_domain::time::Timestamp;
use pullyard_domain::token::NewToken;
use pullyard_entry::openapi::Unkept;
use pullyard_entry::{Caller, Key, Path, Problem, Query, SignedIn, Strict, scope};
use pullyard_protocol::token::{CreateToken, CreatedToken, RevokedToken, Token, TokenPage, TokenState};
use std::time::Duration;

fn shown(token: StoredToken, now: Timestamp) -> Token {
    let state = match (token.revoked, token.is_good(now)) {
        (true, _) => TokenState::Revoked,
        (false, true) => TokenState::Active,
        (false, false) => TokenState::Expired,
    };
    Token {
        id: token.id(),
        name: token.name,
        kind: token.kind,
        prefix: token.prefix,
        scopes: token.scopes,
        projects: token.projects,
        runner: token.runner,
        created: token.created,
        created_by: token.created_by,
        last_used: token.last_used,
        expires_at: token.expires_at,
        state,
    }
}

/// Requires access to all projects, because a limited token could otherwise create an unlimited one.
pub(crate) async fn create(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Key(key): Key,
    Strict(new): Strict<CreateToken>,
) -> Result<Unkept<CreatedToken>, Problem> {
    caller.may_touch_all()?;
    let CreateToken { name, kind, scopes, projects, runner, expires_in_secs } = new;
    let expires_in = expires_in_secs.map(Duration::from_secs);
    let new = NewToken { name, kind, scopes, projects, runner, expires_in };
    let made = control::create_token(&ctx, new, &caller.requester(), key).await?;
    let created = CreatedToken { token: made.text, about: shown(made.stored, ctx.clock.now()) };
    Ok(Unkept(created))
}

pub(crate) async fn list(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Query(After { after }): Query<After>,
) -> Result<Json<TokenPage>, Problem> {
    caller.may_touch_all()?;
    let (tokens, next) = control::tokens(&ctx, after.as_deref(), PAGE).await?;
    let now = ctx.clock.now();
    Ok(Json(TokenPage { tokens: tokens.into_iter().map(|token| shown(token, now)).collect(), next }))
}

pub(crate) async fn own(State(ctx): State<Context>, SignedIn(token): SignedIn) -> Json<Token> {
    Json(shown(token, ctx.clock.now()))
}

pub(crate) async fn revoke(
    State(ctx): State<Context>,
    caller: Caller<scope::Admin>,
    Path(id): Path<TokenId>,
) -> Result<Json<RevokedToken>, Problem> {
    caller.may_touch_all()?;
    let revoked = control::revoke_token(&ctx, &id, &caller.requester()).await.map_err(|error| match error {
        Error::NotFound { .. } => Problem::not_found(format!("There is no token {id}."))
            .help("See `pullyard tokens list`; a token created a second ago may not be listed yet."),
        error => error.into(),
    })?;
    Ok(Json(RevokedToken { own: caller.id == id.as_str(), about: shown(revoked, ctx.clock.now()) }))
}
