//! `POST /webhooks/github/{hook}` and `POST /webhooks/bitbucket/{hook}`: a forge's delivery becomes a decision.
//!
//! A function of its own, so that a storm of deliveries starves nobody. It hands on the bytes as they came, after
//! API Gateway's base64 was taken off, and turns the answer into HTTP; no header and no body is ever logged.

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

/// The largest body. Lambda takes 6 MB in one request, base64 and envelope included; GitHub would send up to 25 MB,
/// which nothing in front of a function lets through. Units: bytes.
const LARGEST: usize = 5 * 1024 * 1024;

/// The function's routes.
pub fn router(ctx: Context) -> Router {
    let routes = Router::new()
        .route("/webhooks/github/{hook}", post(of_github))
        .route("/webhooks/bitbucket/{hook}", post(of_bitbucket))
        .with_state(ctx.clone());
    http::logged("webhook", &ctx, http::finished(routes))
}

/// The headers that a kind of forge writes.
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

/// `200` with the decision, whatever it is, `202` for one that waits for its turn; what is not let in or can't
/// be read is an error, so that the forge lists it as failed and it can be sent again.
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
