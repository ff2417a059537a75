//! `POST /webhooks/github/{hook}` and `POST /webhooks/bitbucket/{hook}`: decides deliveries of forges. A separate
//! function, so that many deliveries block no other call. It passes on the raw bytes, which the signature covers, and
//! never logs headers or bodies.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pullyard_control::Context;
use pullyard_control::webhook::{Call, Received, receive};
use pullyard_domain::decision::Reason;
use pullyard_domain::project::ForgeKind;
use pullyard_entry::strict::{self, Unread};
use pullyard_entry::{Problem, http, invocation};
use pullyard_protocol::decision::Decision;
use serde_json::json;

/// Lambda's limit is 6 MB with base64 and envelope, so GitHub's 25 MB never reach a function. Units: bytes.
const LARGEST: usize = 5 * 1024 * 1024;

pub fn router(ctx: Context) -> Router {
    let routes = Router::new()
        .route("/webhooks/github/{hook}", post(of_github))
        .route("/webhooks/bitbucket/{hook}", post(of_bitbucket))
        .with_state(ctx.clone());
    http::logged("webhook", &ctx, http::finished(routes))
}

struct Names {
    event: &'static str,
    delivery: &'static str,
    signature: &'static str,
}

fn names(forge: ForgeKind) -> Names {
    match forge {
        ForgeKind::GitHub => {
            Names { event: "x-github-event", delivery: "x-github-delivery", signature: "x-hub-signature-256" }
        }
        ForgeKind::Bitbucket => {
            Names { event: "x-event-key", delivery: "x-request-uuid", signature: "x-hub-signature" }
        }
    }
}

async fn of_github(
    State(ctx): State<Context>,
    Path(hook): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    delivery(&ctx, ForgeKind::GitHub, &hook, &headers, request).await
}

async fn of_bitbucket(
    State(ctx): State<Context>,
    Path(hook): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    delivery(&ctx, ForgeKind::Bitbucket, &hook, &headers, request).await
}

/// `200` with any decision, `202` for a queued review. After an error, the forge can redeliver the failed delivery.
async fn delivery(
    ctx: &Context,
    forge: ForgeKind,
    hook: &str,
    headers: &HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = match strict::read(request.into_body(), LARGEST).await {
        Ok(body) => body,
        Err(Unread::TooLarge(most)) => {
            let limit = format!("{} MiB", most / (1024 * 1024));
            let reason = Reason::BodyTooLarge { size: format!("over {limit}"), limit };
            return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, &reason));
        }
        Err(broken) => return Err(broken.into()),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let names = names(forge);
    let call = Call {
        forge,
        hook,
        event: header(names.event).unwrap_or_default(),
        delivery: header(names.delivery),
        signature: header(names.signature),
        body: &body,
    };
    Ok(match receive(ctx, &call).await? {
        Received::UnknownHook => return Err(Problem::not_found("There is no such webhook.")),
        Received::Unverified(reason) => return Err(refused(StatusCode::UNAUTHORIZED, &reason)),
        Received::Unreadable { pointer, fault } => return Err(Problem::unreadable(pointer, &fault)),
        Received::Pong => axum::Json(json!({ "status": "pong" })).into_response(),
        Received::Decided(answer) => {
            invocation::note("delivery", &answer.delivery);
            answer.job.iter().for_each(|job| invocation::note("job", job));
            let status = match answer.reason {
                Reason::Queued { .. } => StatusCode::ACCEPTED,
                _ => StatusCode::OK,
            };
            let decision = Decision::new(answer.delivery, &answer.reason, answer.job);
            (status, axum::Json(decision)).into_response()
        }
    })
}

fn refused(status: StatusCode, reason: &Reason) -> Problem {
    Problem::new(status, reason.code(), reason.sentence()).help(reason.help())
}
