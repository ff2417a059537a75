//! Signs calls that tests send to the embedded AWS without an SDK.

use aws_credential_types::Credentials as Identity;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use pullyard_emulator::{Credentials, REGION};
use std::time::SystemTime;

/// The headers of a POST of `body` to `url`: `x-amz-target`, the content type and a signature of both.
///
/// # Panics
/// If `url` or `target` is no URL or header value.
#[must_use]
#[expect(clippy::unwrap_used, reason = "helpers of tests may fail the test as the tests themselves do")]
pub fn signed_headers(credentials: &Credentials, url: &str, target: &str, body: &str) -> HeaderMap {
    let Credentials { access_key_id, secret_access_key } = credentials.clone();
    let identity = Identity::new(access_key_id, secret_access_key, None, None, "test").into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("local")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let headers = [("x-amz-target", target), ("content-type", "application/x-amz-json-1.0")];
    let request = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body.as_bytes())).unwrap();
    let (instructions, _) = sign(request, &parameters).unwrap().into_parts();
    let headers = headers.into_iter().chain(instructions.headers());
    let parsed =
        |(name, value): (&str, &str)| (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    headers.map(parsed).collect()
}
