//! S3 on a loopback port: PUT, HEAD and GET of objects with presigned URLs.
//! rustack verifies signatures. Header signatures, multipart uploads, versions, ranges and lists are not emulated.

mod storage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use rustack_auth::{AuthError, StaticCredentialProvider, verify_presigned};
use sha2::{Digest, Sha256};

use crate::access::{Credentials, require_local_host};
use crate::server::{self, Server, broken_response};
use crate::{Error, timestamp};
use storage::ObjectStore;

/// Size limit of an object, far below S3's. Units: bytes.
const MAX_OBJECT_BYTES: usize = 1 << 30;
/// Length limit of a key in S3. Units: bytes.
const MAX_KEY_BYTES: usize = 1_024;
/// Interval of the expiry sweep; S3 itself deletes expired objects within about a day.
const SWEEP_INTERVAL: Duration = Duration::from_secs(3_600);

#[derive(Debug)]
pub(crate) struct S3 {
    pub(crate) url: String,
    pub(crate) server: Server,
    _sweeper: Server,
    pub(crate) buckets: Buckets,
}

#[derive(Clone)]
pub struct Buckets(Arc<Inner>);

struct Inner {
    storage: ObjectStore,
    buckets: Mutex<HashMap<String, Option<Duration>>>,
    faults: Mutex<Vec<Fault>>,
    credentials: StaticCredentialProvider,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    SlowDown,
    LoseResponse,
    /// Cuts the next upload: stores no part and closes the connection.
    CutUpload,
}

impl std::fmt::Debug for Buckets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Buckets { .. }")
    }
}

impl Buckets {
    /// Creates a bucket if it is missing; its objects expire at the age `retention`.
    /// Errors: the bucket's folder cannot be created.
    pub fn create(&self, bucket: &str, retention: Option<Duration>) -> Result<(), Error> {
        self.0.storage.create_bucket(bucket)?;
        lock(&self.0.buckets).insert(bucket.to_owned(), retention);
        Ok(())
    }

    pub fn inject_fault(&self, fault: Fault) {
        lock(&self.0.faults).push(fault);
    }

    #[must_use]
    pub fn has_object(&self, bucket: &str, key: &str) -> bool {
        self.0.storage.size(bucket, key).is_ok_and(|size| size.is_some())
    }

    fn take_fault(&self, candidates: &[Fault]) -> Option<Fault> {
        let mut faults = lock(&self.0.faults);
        let at = faults.iter().position(|fault| candidates.contains(fault))?;
        Some(faults.remove(at))
    }

    fn delete_expired(&self) {
        let buckets = lock(&self.0.buckets).clone();
        for (bucket, retention) in buckets.iter().filter_map(|(bucket, retention)| Some((bucket, (*retention)?))) {
            match self.0.storage.delete_older_than(bucket, retention) {
                Ok(0) => {}
                Ok(count) => tracing::info!(count, "{count} expired objects deleted"),
                Err(error) => tracing::warn!(%error, "deletion of expired objects failed: {error}"),
            }
        }
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl S3 {
    /// With `is_synced`, objects survive a crash of the machine.
    pub(crate) async fn start(
        folder: PathBuf,
        is_synced: bool,
        credentials: &Credentials,
        port: Option<u16>,
    ) -> Result<Self, Error> {
        let (listener, address) = server::bind("S3", port).await?;
        let buckets = Buckets(Arc::new(Inner {
            storage: ObjectStore::new(folder, is_synced),
            buckets: Mutex::default(),
            faults: Mutex::default(),
            credentials: credentials.keys(),
        }));
        let router = Router::new().fallback(handle).with_state(buckets.clone());
        let sweeper_buckets = buckets.clone();
        Ok(Self {
            url: format!("http://{address}"),
            server: Server::serve_router(listener, require_local_host(router)),
            _sweeper: Server::repeat(SWEEP_INTERVAL, move || sweeper_buckets.delete_expired()),
            buckets,
        })
    }
}

struct S3Error(StatusCode, &'static str, String);

impl IntoResponse for S3Error {
    fn into_response(self) -> Response {
        let Self(status, code, message) = self;
        let id = timestamp::random_uuid();
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>{id}</RequestId></Error>"
        );
        (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
    }
}

impl From<std::io::Error> for S3Error {
    fn from(error: std::io::Error) -> Self {
        tracing::error!(%error, "embedded S3 cannot use its folder: {error}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", format!("We encountered an internal error: {error}."))
    }
}

fn refuse<T>(status: StatusCode, code: &'static str, message: impl Into<String>) -> Result<T, S3Error> {
    Err(S3Error(status, code, message.into()))
}

async fn handle(State(buckets): State<Buckets>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let is_head = parts.method == Method::HEAD;
    let response = dispatch(&buckets, &parts, body).await.unwrap_or_else(IntoResponse::into_response);
    // An error response to HEAD has no body.
    if is_head && !response.status().is_success() { response.map(|_| Body::empty()) } else { response }
}

async fn dispatch(buckets: &Buckets, parts: &Parts, body: Body) -> Result<Response, S3Error> {
    if buckets.take_fault(&[Fault::SlowDown]).is_some() {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.");
    }
    let query = parse_query(parts.uri.query().unwrap_or_default());
    if !query.contains_key("X-Amz-Signature") {
        return refuse(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied");
    }
    if parts.headers.contains_key(header::AUTHORIZATION) {
        let message = "Only one auth mechanism allowed.";
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument", message);
    }
    if let Err(error) = verify_presigned(parts, &buckets.0.credentials) {
        return Err(auth_error(&error));
    }
    let path = percent_decode(parts.uri.path().trim_start_matches('/'));
    let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
    if !lock(&buckets.0.buckets).contains_key(bucket) {
        return refuse(StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist");
    }
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return refuse(StatusCode::BAD_REQUEST, "KeyTooLongError", "Your key is too long, or there is none.");
    }
    match parts.method {
        Method::PUT => put_object(buckets, parts, body, bucket, key).await,
        Method::GET | Method::HEAD => get_object(buckets, parts, &query, bucket, key),
        _ => refuse(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "The method is not allowed."),
    }
}

fn auth_error(error: &AuthError) -> S3Error {
    let code = match error {
        AuthError::SignatureDoesNotMatch => "SignatureDoesNotMatch",
        AuthError::AccessKeyNotFound(_) => "InvalidAccessKeyId",
        AuthError::MissingQueryParam(_) | AuthError::InvalidAuthParam(_) => "AuthorizationQueryParametersError",
        _ => "AccessDenied",
    };
    S3Error(StatusCode::FORBIDDEN, code, error.to_string())
}

async fn put_object(
    buckets: &Buckets,
    parts: &Parts,
    body: Body,
    bucket: &str,
    key: &str,
) -> Result<Response, S3Error> {
    if parts.headers.get(header::CONTENT_LENGTH).is_none() {
        return refuse(StatusCode::LENGTH_REQUIRED, "MissingContentLength", "You must provide Content-Length.");
    }
    if buckets.take_fault(&[Fault::CutUpload]).is_some() {
        return Ok(broken_response());
    }
    let Ok(bytes) = to_bytes(body, MAX_OBJECT_BYTES).await else {
        return refuse(StatusCode::BAD_REQUEST, "IncompleteBody", "The body is shorter than it says, or too large.");
    };
    let sha256 = BASE64.encode(Sha256::digest(&bytes));
    if parts.headers.get("x-amz-checksum-sha256").is_some_and(|declared| *declared != *sha256) {
        let message = "The sha256 you specified did not match the calculated checksum.";
        return refuse(StatusCode::BAD_REQUEST, "BadDigest", message);
    }
    buckets.0.storage.put(bucket, key, &bytes)?;
    if buckets.take_fault(&[Fault::LoseResponse]).is_some() {
        return Ok(broken_response());
    }
    Ok(StatusCode::OK.into_response())
}

fn get_object(
    buckets: &Buckets,
    parts: &Parts,
    query: &HashMap<String, String>,
    bucket: &str,
    key: &str,
) -> Result<Response, S3Error> {
    // S3 reveals a missing key only to callers that may list the bucket; a presigned URL does not allow this.
    let missing = || S3Error(StatusCode::FORBIDDEN, "AccessDenied", "Access Denied".into());
    let mut response = if parts.method == Method::HEAD {
        let size = buckets.0.storage.size(bucket, key)?.ok_or_else(missing)?;
        ([(header::CONTENT_LENGTH, size.to_string())], Body::empty()).into_response()
    } else {
        Response::new(Body::from(buckets.0.storage.get(bucket, key)?.ok_or_else(missing)?))
    };
    for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
        let value = query.get(&format!("response-{name}"));
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn parse_query(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (percent_decode(name), percent_decode(value))).collect()
}

fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
