//! Adds security headers to the response of each page, renders error pages, and rejects forms that other sites send.

use crate::compress::compress;
use crate::fault::{FailedRequest, Fault};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use pullyard_control::Context;

const CSP: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The origin of a forge to which a form of this page is sent. Stored in the extensions of a response.
#[derive(Clone, Debug)]
pub(crate) struct FormTarget(pub(crate) String);

pub(crate) fn protect(routes: Router<Context>, ctx: &Context) -> Router {
    let checked = routes.layer(from_fn_with_state(ctx.clone(), refuse_foreign_forms));
    let headed = checked.layer(from_fn_with_state(ctx.clone(), add_headers)).with_state(ctx.clone());
    headed.layer(from_fn(compress))
}

async fn add_headers(State(ctx): State<Context>, mut request: Request, next: Next) -> Response {
    let failed = FailedRequest::prepare(&mut request);
    let mut response = next.run(request).await;
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        response = fault.render(&failed, ctx.clock.now());
    }
    let target = response.extensions_mut().remove::<FormTarget>();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, format_policy(target));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // With `no-referrer`, browsers would send our own forms with `Origin: null`.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn format_policy(target: Option<FormTarget>) -> HeaderValue {
    let own = HeaderValue::from_static(CSP);
    let Some(FormTarget(origin)) = target else { return own };
    HeaderValue::try_from(CSP.replace("form-action 'self'", &format!("form-action 'self' {origin}"))).unwrap_or(own)
}

/// Prevents cross-site request forgery: another site's form would act with the visitor's rights.
async fn refuse_foreign_forms(State(ctx): State<Context>, request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if is_read || is_same_origin(request.headers(), ctx.pages_url()) {
        return next.run(request).await;
    }
    Fault::new(
        StatusCode::FORBIDDEN,
        "foreign_form",
        "This form did not come from a page of Pullyard; nothing was changed.",
    )
    .help("Open the page in Pullyard and send the form from there.")
    .into_response()
}

/// Checks `Sec-Fetch-Site`, or `Origin` of older browsers. A request without either is refused.
fn is_same_origin(headers: &HeaderMap, url: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = text("origin") else { return false };
    // A gateway may forward its own name as `Host`, so the public name is accepted too.
    let host = origin.split_once("://").map(|(_, host)| host);
    origin == url.trim_end_matches('/') || (host.is_some() && host == text("host"))
}

/// Whether another site linked to this request. The browser then withholds our `SameSite=Strict` cookie, so a missing
/// cookie does not mean that the visitor is signed out.
pub(crate) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site")
}
