//! Creates, lists and revokes tokens.

use crate::routes::prelude::*;
use pullyard_control::StoredToken;
use pullyard_domain::project::token::NewToken;
use pullyard_domain::text::id::TokenId;
use pullyard_domain::text::time::Timestamp;
use pullyard_entry::AnyTokenCaller;
use pullyard_entry::openapi::CreatedNoStore;
use pullyard_protocol::token::{CreateToken, CreatedToken, RevokedToken, Token, TokenPage, TokenState};
use std::time::Duration;

fn to_wire(token: StoredToken, now: Timestamp) -> Token {
    let state = match (token.revoked, token.is_valid(now)) {
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
    caller: Caller<scope::AdminAllProjects>,
    IdempotencyKey(key): IdempotencyKey,
    StrictJson(new): StrictJson<CreateToken>,
) -> Result<CreatedNoStore<CreatedToken>, Problem> {
    let CreateToken { name, kind, scopes, projects, runner, expires_in_secs } = new;
    let expires_in = expires_in_secs.map(Duration::from_secs);
    let new = NewToken { name, kind, scopes, projects, runner, expires_in };
    let token = control::create_token(&caller.ctx, new, &caller.requester(), key).await?;
    let created = CreatedToken { token: token.text, about: to_wire(token.record, caller.ctx.clock.now()) };
    Ok(CreatedNoStore(created))
}

pub(crate) async fn list(
    caller: Caller<scope::AdminAllProjects>,
    Query(CursorQuery { after }): Query<CursorQuery>,
) -> Result<Json<TokenPage>, Problem> {
    let (tokens, next) = control::list_tokens(&caller.ctx, after.as_deref(), PAGE_SIZE).await?;
    let now = caller.ctx.clock.now();
    Ok(Json(TokenPage { tokens: tokens.into_iter().map(|token| to_wire(token, now)).collect(), next }))
}

pub(crate) async fn show_own(State(ctx): State<Context>, AnyTokenCaller(token): AnyTokenCaller) -> Json<Token> {
    Json(to_wire(token, ctx.clock.now()))
}

pub(crate) async fn revoke(
    caller: Caller<scope::AdminAllProjects>,
    Path(id): Path<TokenId>,
) -> Result<Json<RevokedToken>, Problem> {
    let revoked = control::revoke_token(&caller.ctx, &id, &caller.requester()).await.map_err(|error| match error {
        Error::NotFound { .. } => Problem::not_found(format!("There is no token {id}."))
            .with_help("See `pullyard tokens list`; a token created a second ago may not be listed yet."),
        error => error.into(),
    })?;
    Ok(Json(RevokedToken { own: caller.id == id.as_str(), about: to_wire(revoked, caller.ctx.clock.now()) }))
}
