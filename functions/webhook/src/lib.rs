//! `POST /webhooks/{kind}/{name}`: decides deliveries of forges and events of ticket tools.
//! A separate function, so that many deliveries block no other call. Passes on the raw bytes, which are signed, and
//! never logs them.

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use pullyard_control::webhook::{WebhookOutcome, WebhookRequest, receive_webhook};
use pullyard_control::{Context, EventSignature, ToolDelivery, is_tool_of, receive_tool_delivery, verify_event};
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::project::tracker::TrackerKind;
use pullyard_domain::text::decision::Reason;
use pullyard_domain::text::to_sentence;
use pullyard_entry::strict::{self, ReadError};
use pullyard_entry::{Problem, http, invocation, ticket_event};
use pullyard_protocol::decision::Decision;
use serde_json::json;

/// Lambda's limit is 6 MB with base64 and envelope, so GitHub's 25 MB never reach a function. Units: bytes.
const MAX_BODY_BYTES: usize = 5 * 1024 * 1024;

pub fn router(ctx: Context) -> Router {
    let receive = |forge: ForgeKind| {
        post(async move |State(ctx): State<Context>, Path(hook): Path<String>, headers: HeaderMap, request: Request| {
            handle_delivery(&ctx, forge, &hook, &headers, request).await
        })
    };
    let add = |routes: Router<Context>, forge: ForgeKind| {
        routes.route(&format!("/webhooks/{}/{{hook}}", forge.as_str()), receive(forge))
    };
    let routes = ForgeKind::ALL.into_iter().fold(Router::new(), add);
    let receive = |kind: TrackerKind| {
        post(async move |State(ctx): State<Context>, Path(tool): Path<String>, headers: HeaderMap, request: Request| {
            handle_tool_delivery(&ctx, kind, &tool, &headers, request).await
        })
    };
    let add = |routes: Router<Context>, kind: TrackerKind| {
        routes.route(&format!("/webhooks/{}/{{tool}}", kind.as_str()), receive(kind))
    };
    let routes = TrackerKind::ALL.into_iter().filter(|kind| kind.has_scopes()).fold(routes, add);
    let routes = routes.route("/webhooks/http/{hook}", post(handle_ticket_event)).with_state(ctx.clone());
    http::with_logging("webhook", &ctx, http::with_fallbacks(routes))
}

/// `200` with any decision, `202` for a queued review. After an error, the forge can redeliver the failed delivery.
async fn handle_delivery(
    ctx: &Context,
    forge: ForgeKind,
    hook: &str,
    headers: &HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = match strict::read(request.into_body(), MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(ReadError::TooLarge(max_bytes)) => {
            let limit = format!("{} MiB", max_bytes / (1024 * 1024));
            let reason = Reason::BodyTooLarge { size: format!("over {limit}"), limit };
            return Err(Problem::refusal(StatusCode::PAYLOAD_TOO_LARGE, &reason));
        }
        Err(error) => return Err(error.into()),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let names = &forge.spec().hook;
    let call = WebhookRequest {
        forge,
        hook,
        event: header(names.event_header).unwrap_or_default(),
        delivery: header(names.delivery_header),
        signature: header(names.signature_header),
        body: &body,
    };
    Ok(match receive_webhook(ctx, &call).await? {
        WebhookOutcome::UnknownHook => return Err(Problem::not_found("There is no such webhook.")),
        WebhookOutcome::Unverified(reason) => return Err(Problem::refusal(StatusCode::UNAUTHORIZED, &reason)),
        WebhookOutcome::Unreadable { pointer, fault } => return Err(Problem::unreadable(pointer, &fault)),
        WebhookOutcome::Pong => axum::Json(json!({ "status": "pong" })).into_response(),
        WebhookOutcome::Decided(answer) => {
            invocation::record_id("delivery", &answer.delivery);
            answer.job.iter().for_each(|job| invocation::record_id("job", job));
            let status = match answer.reason {
                Reason::Queued { .. } => StatusCode::ACCEPTED,
                _ => StatusCode::OK,
            };
            let decision = Decision::new(answer.delivery, &answer.reason, answer.job);
            (status, axum::Json(decision)).into_response()
        }
    })
}

/// `200` for every valid delivery, because a tool may count another status as a failure.
async fn handle_tool_delivery(
    ctx: &Context,
    kind: TrackerKind,
    tool: &str,
    headers: &HeaderMap,
    request: Request,
) -> Result<StatusCode, Problem> {
    let body = strict::read(request.into_body(), MAX_BODY_BYTES).await?;
    match receive_tool_delivery(ctx, kind, tool, headers, &body).await? {
        ToolDelivery::Accepted => Ok(StatusCode::OK),
        ToolDelivery::UnknownTool => Err(Problem::not_found("There is no such ticket tool.")),
        ToolDelivery::Refused(reason) => {
            Err(Problem::new(StatusCode::UNAUTHORIZED, "signature_wrong", to_sentence(&reason)))
        }
    }
}

/// An event that a user's own ticket tool signed: the body of `POST /v1/tickets/events`.
async fn handle_ticket_event(
    State(ctx): State<Context>,
    Path(tool): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let body = strict::read(request.into_body(), strict::MAX_BODY_BYTES).await?;
    match verify_event(&ctx, &tool, &headers, &body).await? {
        EventSignature::Valid => {}
        EventSignature::UnknownTool => return Err(Problem::not_found("There is no such ticket tool.")),
        EventSignature::Invalid(error) => {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, "signature_wrong", to_sentence(&error.to_string()));
            return Err(problem.with_help("Sign as docs/tickets.md describes, with the secret of this tool."));
        }
    }
    let event = match ticket_event::parse(&body, ctx.clock.now()) {
        Ok(event) => event,
        Err(fault) => {
            let mut project = ticket_event::named_project(&body);
            if let Some(named) = &project
                && !is_tool_of(&ctx, &tool, named).await?
            {
                project = None;
            }
            let reason = ticket_event::unreadable_reason(&fault);
            ticket_event::record_unreadable(&ctx, &format!("ticket tool {tool}"), project, &body, reason).await?;
            return Err(fault.into());
        }
    };
    if !is_tool_of(&ctx, &tool, &event.project).await? {
        let problem = Problem::not_found(format!("The project {} does not use the ticket tool {tool}.", event.project));
        return Err(problem.with_help("Choose it with `pullyard trackers use`."));
    }
    Ok(axum::Json(ticket_event::decide(&ctx, &event).await?).into_response())
}
