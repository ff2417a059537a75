//! Decides which requests the embedded AWS accepts: signed ones, unless a page in a browser sends them.
//! Only S3 answers browsers, because pages contain its presigned URLs as links.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use pullyard_loopback::{is_from_page, require_own_host};
use rustack_auth::{AuthError, StaticCredentialProvider, hash_payload, verify_sigv4};
use serde_json::json;

use crate::account::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};
use crate::server::json_response;
use crate::timestamp::random_hex;

/// Size limit of a request to any service, as in DynamoDB. Units: bytes.
pub(crate) const MAX_REQUEST_BYTES: usize = 16 << 20;
/// The name of this machine in the containers of `sam local invoke`.
const CONTAINER_HOST: &str = "host.docker.internal";

/// The only user of the embedded AWS.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl Credentials {
    #[must_use]
    pub fn random() -> Self {
        Self { access_key_id: format!("LOCAL{}", random_hex()), secret_access_key: random_hex() + &random_hex() }
    }

    pub(crate) fn keys(&self) -> StaticCredentialProvider {
        StaticCredentialProvider::new([(self.access_key_id.clone(), self.secret_access_key.clone())])
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// Which requests the services accept.
#[derive(Clone, Debug)]
pub enum Access {
    /// Requests signed with these credentials.
    Signed(Credentials),
    /// Any request: for tests of one service.
    Open,
}

impl Access {
    pub(crate) fn credentials(&self) -> Credentials {
        match self {
            Self::Signed(credentials) => credentials.clone(),
            Self::Open => {
                Credentials { access_key_id: ACCESS_KEY_ID.into(), secret_access_key: SECRET_ACCESS_KEY.into() }
            }
        }
    }

    pub(crate) fn protect(&self, router: Router) -> Router {
        let router = match self {
            Self::Signed(credentials) => {
                router.layer(from_fn_with_state(Arc::new(credentials.keys()), verify_signature))
            }
            Self::Open => router,
        };
        require_local_host(router.layer(from_fn(refuse_pages)))
    }
}

pub(crate) fn require_local_host(router: Router) -> Router {
    require_own_host(router, &[CONTAINER_HOST.to_owned()], "")
}

async fn refuse_pages(request: Request, next: Next) -> Response {
    if is_from_page(request.headers()) {
        return refuse("AccessDeniedException", "The embedded AWS answers no web page.");
    }
    next.run(request).await
}

/// Calls are POST; GET reads the metadata of a task, which needs no signature on AWS either.
async fn verify_signature(State(keys): State<Arc<StaticCredentialProvider>>, request: Request, next: Next) -> Response {
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return refuse("RequestEntityTooLargeException", "The request is larger than 16 MB, or was cut.");
    };
    match verify_sigv4(&head, &hash_payload(&body), keys.as_ref()) {
        Ok(_) => next.run(Request::from_parts(head, Body::from(body))).await,
        Err(error) => {
            let kind = match error {
                AuthError::MissingAuthHeader => "MissingAuthenticationTokenException",
                AuthError::AccessKeyNotFound(_) => "UnrecognizedClientException",
                _ => "InvalidSignatureException",
            };
            refuse(kind, &error.to_string())
        }
    }
}

fn refuse(kind: &str, message: &str) -> Response {
    json_response(StatusCode::FORBIDDEN, json!({ "__type": kind, "message": message }).to_string())
}
