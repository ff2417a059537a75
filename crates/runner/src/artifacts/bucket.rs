//! The HTTP client for the bucket.

use pullyard_domain::text::format_error_chain;
use reqwest::redirect::Policy;
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The slowest accepted connection. Units: bytes per second.
const MIN_BYTES_PER_SEC: u64 = 100_000;
const MIN_TIMEOUT: Duration = Duration::from_secs(20);

/// A client for one transfer of this size. Units: bytes.
pub(crate) fn client(url: &str, size: u64) -> reqwest::Result<reqwest::Client> {
    let limit = MIN_TIMEOUT + Duration::from_secs(size / MIN_BYTES_PER_SEC);
    let http = reqwest::Client::builder().timeout(limit).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
    // No proxy reaches this machine, and plain HTTP needs no certificates, which take long to read.
    if url.starts_with("http://127.0.0.1:") { http.no_proxy().tls_certs_only([]).build() } else { http.build() }
}

/// The error without the address, which is a credential.
pub(crate) fn describe(error: reqwest::Error) -> String {
    format_error_chain(&error.without_url())
}
