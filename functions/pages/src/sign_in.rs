//! Signs visitors in with a link that works once or with an API token, and out.

use crate::frame::own_path;
use crate::guard::is_cross_site;
use crate::prelude::*;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use pullyard_domain::project::token::TokenKind;
use pullyard_entry::auth::hash_token;
use pullyard_entry::{Visitor, session};

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    frame: Frame,
    host: SafeText,
    code: Option<String>,
    to: String,
    fault: Option<SafeText>,
}

impl SignIn {
    fn new(ctx: &Context, headers: &HeaderMap, code: Option<String>, to: &str, fault: Option<&str>) -> Self {
        let url = session::requested_url(ctx, headers);
        let host = url.split_once("://").map_or(url, |(_, host)| host).trim_end_matches('/');
        Self {
            frame: Frame::bare("Sign in", headers),
            host: line(host),
            code,
            to: to.to_owned(),
            fault: fault.map(line),
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct SignInQuery {
    code: Option<String>,
    to: Option<String>,
}

/// Shows one button, or a field for a token. GET does not use up the link, because previews follow links.
pub(crate) async fn show(
    State(ctx): State<Context>,
    headers: HeaderMap,
    Query(SignInQuery { code, to }): Query<SignInQuery>,
) -> Result<Response, Fault> {
    let to = own_path(to.as_deref());
    let signed_in =
        code.is_none() && !is_cross_site(&headers) && Visitor::from_headers(&ctx, &headers).await?.is_some();
    if signed_in {
        return Ok(redirect(to));
    }
    Ok(render_page(StatusCode::OK, &SignIn::new(&ctx, &headers, code, to, None)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignInForm {
    code: Option<String>,
    token: Option<String>,
    to: Option<String>,
}

pub(crate) async fn sign_in(
    State(ctx): State<Context>,
    headers: HeaderMap,
    Form(form): Form<SignInForm>,
) -> Result<Response, Fault> {
    let to = own_path(form.to.as_deref());
    let by_link = form.code.is_some();
    let signed = match (form.code, form.token.as_deref().and_then(non_empty)) {
        (Some(code), _) => control::sign_in(&ctx, &code).await,
        (None, Some(token)) if token.starts_with(TokenKind::Api.prefix()) => {
            control::sign_in_with_token(&ctx, hash_token(&token)).await
        }
        _ => Err(Error::InvalidToken),
    };
    let fault = if by_link {
        "This link was used before, has expired, or its token was revoked. Run `pullyard open` for a new link."
    } else {
        "That token is not valid, has expired, or was revoked."
    };
    match signed {
        Ok(signed) => {
            Ok(with_cookie(redirect(to), &session::sign_in_cookie(session::requested_url(&ctx, &headers), &signed)))
        }
        Err(Error::InvalidToken) => {
            let page = SignIn::new(&ctx, &headers, None, to, Some(fault));
            Ok(render_page(StatusCode::FORBIDDEN, &page))
        }
        Err(error) => Err(error.into()),
    }
}

pub(crate) async fn sign_out(State(ctx): State<Context>, headers: HeaderMap) -> Response {
    with_cookie(redirect("/sign-in"), &session::sign_out_cookie(session::requested_url(&ctx, &headers)))
}

pub(crate) fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
