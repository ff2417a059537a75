//! Protects HTTP servers on loopback addresses from pages in the browser of this machine's user.
//!
//! The name of another site may resolve to 127.0.0.1 after its page was loaded (DNS rebinding). The browser then treats
//! this server as that site and lets the page send any request and read the answers. Only `Host` shows the other name.

use axum::Router;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use std::net::IpAddr;
use std::sync::Arc;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MISDIRECTED: &str = "This server answers only as 127.0.0.1, localhost or [::1].";

/// Answers 421 to each request whose `Host` is neither a loopback name nor one of `further`, names without a port. The
/// port is not compared, because a page cannot choose it independently of the connection. `help` ends the answer; empty
/// if the user can change nothing.
pub fn require_own_host(router: Router, further: &[String], help: &'static str) -> Router {
    let further: Arc<[String]> = further.into();
    router.layer(from_fn(move |request: Request, next: Next| {
        let is_own = is_own_host(request.headers(), &further);
        async move { if is_own { next.run(request).await } else { misdirected(help) } }
    }))
}

fn misdirected(help: &str) -> Response {
    (StatusCode::MISDIRECTED_REQUEST, format!("{MISDIRECTED} {help}").trim_end().to_owned() + "\n").into_response()
}

fn is_own_host(headers: &HeaderMap, further: &[String]) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    host.is_some_and(|host| {
        is_loopback(host.host()) || further.iter().any(|name| name.eq_ignore_ascii_case(host.host()))
    })
}

/// Whether a browser sent the request for a page. The AWS SDKs and git send neither header.
pub fn is_from_page(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) || headers.contains_key(SEC_FETCH_SITE)
}

/// Whether the host of an address is this machine by definition, without a look-up: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn request_for_another_host_is_misdirected() {
        let router =
            require_own_host(Router::new().route("/", get("ok")), &["pullyard.example.com".to_owned()], "Use it.");
        for (host, status) in [
            (Some("127.0.0.1:7878"), 200),
            (Some("127.0.0.1"), 200),
            (Some("localhost:1"), 200),
            (Some("LOCALHOST"), 200),
            (Some("[::1]:7878"), 200),
            (Some("Pullyard.example.com"), 200),
            (Some("pullyard.example.com:443"), 200),
            (Some("evil.test:7878"), 421),
            (Some("127.0.0.1.evil.test"), 421),
            (Some("localhost.evil.test:7878"), 421),
            (Some("evil.pullyard.example.com"), 421),
            (Some("user@127.0.0.1.evil.test"), 421),
            (Some("192.168.1.2:7878"), 421),
            (Some(""), 421),
            (None, 421),
        ] {
            let request = host.into_iter().fold(Request::get("/"), |request, host| request.header(header::HOST, host));
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{host:?}");
            if status == 421 {
                let body = axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap();
                assert!(body.ends_with(b"localhost or [::1]. Use it.\n"), "{body:?}");
            }
        }
    }

    #[test]
    fn headers_of_browsers_show_a_page() {
        for (name, is_page) in [("origin", true), ("sec-fetch-site", true), ("user-agent", false)] {
            let headers = HeaderMap::from_iter([(HeaderName::from_static(name), "x".parse().unwrap())]);
            assert_eq!(is_from_page(&headers), is_page, "{name}");
        }
    }
}
