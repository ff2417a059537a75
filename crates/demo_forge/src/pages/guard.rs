//! Adds security headers to the response of each page, and rejects forms that other sites send.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header, uri::Authority},
    middleware::{Next, from_fn, map_response},
    response::{IntoResponse, Response},
};

use super::PageError;
use crate::{forge_state::Shared, sending::is_loopback};

const CSP: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

pub fn protect(routes: Router<Arc<Shared>>) -> Router<Arc<Shared>> {
    routes.layer(from_fn(refuse_foreign_forms)).layer(map_response(add_headers))
}

async fn add_headers(mut response: Response) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, CSP),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer`, browsers would send our own forms with `Origin: null`.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Prevents cross-site request forgery: the pages need no password, so another site's form would act as a user.
async fn refuse_foreign_forms(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || is_same_origin(request.headers()) {
        return next.run(request).await;
    }
    PageError::CrossOrigin.into_response()
}

/// Checks `Sec-Fetch-Site`, or `Origin` of older browsers. A request without either is refused.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let Some(host) = text(header::HOST).filter(|host| is_this_machine(host)) else { return false };
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    text(header::ORIGIN).and_then(|origin| origin.split_once("://")).is_some_and(|(_, name)| name == host)
}

/// Another site's name may resolve to this machine (DNS rebinding); browsers then call its forms `same-origin`.
fn is_this_machine(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|authority| is_loopback(authority.host()))
}
