//! Git's smart HTTP protocol: who may use it and for which repository.
//! The protocol itself is spoken by `git http-backend`; the dumb protocol is not served.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;

use crate::{
    forge::Shared,
    http_backend::{self, Call, Exchange, Service},
    users::Credentials,
};

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/{owner}/{name}/info/refs", get(advertise))
        .route("/{owner}/{name}/git-upload-pack", post(upload_pack))
        .route("/{owner}/{name}/git-receive-pack", post(receive_pack))
}

type Repository = Path<(String, String)>;

#[derive(Deserialize)]
struct Asked {
    service: Option<String>,
}

async fn advertise(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let service = match asked.service.as_deref() {
        Some("git-upload-pack") => Service::UploadPack,
        Some("git-receive-pack") => Service::ReceivePack,
        _ => return (StatusCode::FORBIDDEN, "Please upgrade your git client.\n").into_response(),
    };
    serve(&shared, repository, (service, Exchange::Advertise), &headers, body).await
}

async fn upload_pack(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    headers: HeaderMap,
    body: Body,
) -> Response {
    serve(&shared, repository, (Service::UploadPack, Exchange::Call), &headers, body).await
}

async fn receive_pack(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    headers: HeaderMap,
    body: Body,
) -> Response {
    serve(&shared, repository, (Service::ReceivePack, Exchange::Call), &headers, body).await
}

async fn serve(
    shared: &Shared,
    Path((owner, name)): Repository,
    (service, exchange): (Service, Exchange),
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let Credentials::Of(user) = shared.users.by_basic(headers) else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Demo forge\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "Authentication failed.\n").into_response();
    };
    let Some(entry) = shared.repositories.find(&owner, &name).await else {
        return (StatusCode::NOT_FOUND, "Repository not found.\n").into_response();
    };
    let call = Call {
        service,
        exchange,
        root: &shared.dir,
        repository: format!("/{}.git", entry.full_name()),
        user: &user.login,
        headers,
        over: shared.over.clone(),
    };
    http_backend::serve(&shared.git, call, body).await.unwrap_or_else(|error| {
        tracing::warn!(error = %error, "git http-backend gave no answer: {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, "git failed.\n").into_response()
    })
}
