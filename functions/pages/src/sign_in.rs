//! Signs visitors in with a link that works once or with an API token, and out.

use crate::fault::Fault;
use crate::form::{Form, given};
use crate::frame::{Frame, go, own_path, page};
use crate::guard::came_from_elsewhere;
use crate::text::{Text, line};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use pullyard_control::{self as control, Context, Error, SignedIn};
use pullyard_domain::token::TokenKind;
use pullyard_entry::auth::hash_of;
use pullyard_entry::{Query, Visitor, session};
use serde::Deserialize;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    code: Option<String>,
    to: String,
    fault: Option<Text>,
}

impl SignIn {
    fn new(code: Option<String>, to: &str, fault: Option<&str>) -> Self {
        Self { frame: Frame::bare("Sign in"), code, to: to.to_owned(), fault: fault.map(line) }
    }
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    code: Option<String>,
    to: Option<String>,
}

/// Shows one button, or a field for a token. GET does not use up the link, because previews follow links.
pub(crate) async fn show(
    State(ctx): State<Context>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, pullyard_entry::Problem>,
) -> Result<Response, Fault> {
    let Query(Asked { code, to }) = asked?;
    let to = own_path(to.as_deref());
    let signed_in = code.is_none() && !came_from_elsewhere(&headers) && Visitor::of(&ctx, &headers).await?.is_some();
    if signed_in {
        return Ok(go(to));
    }
    Ok(page(StatusCode::OK, &SignIn::new(code, to, None)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shown {
    code: Option<String>,
    token: Option<String>,
    to: Option<String>,
}

pub(crate) async fn enter(State(ctx): State<Context>, Form(shown): Form<Shown>) -> Result<Response, Fault> {
    let to = own_path(shown.to.as_deref());
    let by_link = shown.code.is_some();
    let signed = match (shown.code, shown.token.as_deref().and_then(given)) {
        (Some(code), _) => control::sign_in(&ctx, &code).await,
        (None, Some(token)) if token.starts_with(TokenKind::Api.prefix()) => {
            control::sign_in_with_token(&ctx, hash_of(&token)).await
        }
        _ => Err(Error::BadProof),
    };
    let fault = if by_link {
        "This link was used before, has expired, or its token was revoked. Run `pullyard open` for a new link."
    } else {
        "That token is not valid, has expired, or was revoked."
    };
    match signed {
        Ok(signed) => Ok(entered(&ctx, &signed, to)),
        Err(Error::BadProof) => Ok(page(StatusCode::FORBIDDEN, &SignIn::new(None, to, Some(fault)))),
        Err(error) => Err(error.into()),
    }
}

fn entered(ctx: &Context, signed: &SignedIn, to: &str) -> Response {
    with_cookie(go(to), &session::signed_in(&ctx.api_url, signed))
}

pub(crate) async fn leave(State(ctx): State<Context>) -> Response {
    with_cookie(go("/sign-in"), &session::signed_out(&ctx.api_url))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
