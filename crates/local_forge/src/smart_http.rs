//! Serves clones, fetches and pushes over git's smart HTTP protocol: checks access, then runs git.

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
    access::{AccessDecision, Actor, Authority, Requirement},
    forge_state::Shared,
    git_service::{self, OnFinish, RequestKind, Service, ServiceRequest},
    pushes,
    repositories::RepositoryEntry,
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
struct ServiceQuery {
    service: Option<String>,
}

async fn advertise(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    Query(query): Query<ServiceQuery>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let service = match query.service.as_deref() {
        Some("git-upload-pack") => Service::UploadPack,
        Some("git-receive-pack") => Service::ReceivePack,
        _ => return (StatusCode::FORBIDDEN, "Please upgrade your git client.\n").into_response(),
    };
    serve(&shared, repository, (service, RequestKind::Advertise), &headers, body).await
}

async fn upload_pack(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    headers: HeaderMap,
    body: Body,
) -> Response {
    serve(&shared, repository, (Service::UploadPack, RequestKind::Call), &headers, body).await
}

async fn receive_pack(
    State(shared): State<Arc<Shared>>,
    repository: Repository,
    headers: HeaderMap,
    body: Body,
) -> Response {
    serve(&shared, repository, (Service::ReceivePack, RequestKind::Call), &headers, body).await
}

async fn serve(
    shared: &Arc<Shared>,
    Path((owner, name)): Repository,
    (service, kind): (Service, RequestKind),
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let actor = match shared.users.authenticate_basic(headers) {
        Credentials::Member(member) => Some(Actor::from_member(&member)),
        // The fake forge accepts installation tokens of Apps here.
        Credentials::UnknownToken(token) => shared.extension.authenticate_token(shared, &token).await,
        Credentials::Missing => None,
    };
    let Some(actor) = actor else {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"Local forge\"")];
        return (StatusCode::UNAUTHORIZED, challenge, "Authentication failed.\n").into_response();
    };
    let not_found = || (StatusCode::NOT_FOUND, "Repository not found.\n").into_response();
    let Some(entry) = shared.repositories.find(&owner, &name).await else {
        return not_found();
    };
    let requirement = match service {
        Service::UploadPack => Requirement::CONTENTS_READ,
        Service::ReceivePack => Requirement::CONTENTS_WRITE,
    };
    match actor.check(&entry, requirement).await {
        AccessDecision::Yes => {}
        AccessDecision::Hidden => return not_found(),
        AccessDecision::No => {
            let message = match actor.authority {
                Authority::App(_) => "Write access to repository not granted.\n".to_owned(),
                _ => format!("Permission to {} denied to {}.\n", entry.full_name(), actor.account.login),
            };
            return (StatusCode::FORBIDDEN, message).into_response();
        }
    }
    let request = ServiceRequest {
        service,
        kind,
        repository: entry.git_dir.clone(),
        headers,
        shutdown: shared.shutdown.clone(),
        on_finish: on_finish(shared, &entry, &actor, (service, kind)),
    };
    git_service::serve(&shared.git, request, body).await.unwrap_or_else(|error| {
        tracing::warn!(error = %error, "git did not respond: failed to {error}");
        (StatusCode::INTERNAL_SERVER_ERROR, "git failed.\n").into_response()
    })
}

/// Updates pull requests before the response to a push ends, so that the client's next API call reads the new commit.
fn on_finish(
    shared: &Arc<Shared>,
    entry: &Arc<RepositoryEntry>,
    actor: &Actor,
    request: (Service, RequestKind),
) -> OnFinish {
    if !matches!(request, (Service::ReceivePack, RequestKind::Call)) {
        return Box::pin(std::future::ready(()));
    }
    let (shared, entry, actor) = (shared.clone(), entry.clone(), actor.clone());
    Box::pin(async move {
        if let Err(error) = pushes::apply_push(&shared, &entry, &actor).await {
            tracing::warn!(error = %error, "push not processed: failed to {error}");
        }
    })
}
