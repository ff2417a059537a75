//! `GET /openapi.json`: the OpenAPI document of all routes, including the tickets function's.

use crate::summaries::SUMMARIES;
use aide::axum::ApiRouter;
use aide::axum::routing::post;
use axum::Json;
use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::Context;
use pullyard_domain::id::{
    ArtifactId, DeliveryId, HookName, IntegrationId, JobId, MessageId, ProjectId, SecretName, TokenId,
};
use pullyard_entry::{Caller, Problem, StrictJson, openapi, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::ticket::TicketEvent;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

/// The API as an OpenAPI document.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
pub(crate) struct Document(#[expect(dead_code, reason = "only its schema is used")] serde_json::Map<String, Value>);

pub(crate) struct OpenApiResponse;

impl IntoResponse for OpenApiResponse {
    fn into_response(self) -> Response {
        ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], DOCUMENT.clone()).into_response()
    }
}

impl aide::OperationOutput for OpenApiResponse {
    type Inner = Document;

    fn inferred_responses(
        ctx: &mut aide::generate::GenContext,
        operation: &mut aide::openapi::Operation,
    ) -> Vec<(Option<u16>, aide::openapi::Response)> {
        <Json<Document> as aide::OperationOutput>::inferred_responses(ctx, operation)
    }
}

pub(crate) async fn show() -> OpenApiResponse {
    OpenApiResponse
}

pub fn document() -> Value {
    openapi::build_document(|| add_tickets_route(crate::documented_routes()), SUMMARIES, path_parameter_schema)
}

/// Adds the tickets function's route with its types. That function parses bodies itself, to record unreadable ones.
fn add_tickets_route(routes: ApiRouter<Context>) -> ApiRouter<Context> {
    async fn ticket_event(_: Caller<scope::Tickets>, _: StrictJson<TicketEvent>) -> Result<Json<Decision>, Problem> {
        Err(Problem::not_found("This route belongs to another function."))
    }
    routes.api_route("/v1/tickets/events", post(ticket_event))
}

fn path_parameter_schema(schemas: &mut SchemaGenerator, name: &str) -> Schema {
    match name {
        "owner" | "name" => json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$" }),
        "integration" => schemas.subschema_for::<IntegrationId>(),
        "project" => schemas.subschema_for::<ProjectId>(),
        // Keys with other characters are sent in the query.
        "key" => json_schema!({ "type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$" }),
        "hook" => schemas.subschema_for::<HookName>(),
        "message" => schemas.subschema_for::<MessageId>(),
        "job" => schemas.subschema_for::<JobId>(),
        "artifact" => schemas.subschema_for::<ArtifactId>(),
        "delivery" => schemas.subschema_for::<DeliveryId>(),
        "token" => schemas.subschema_for::<TokenId>(),
        "secret" => schemas.subschema_for::<SecretName>(),
        "runner" => json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
        "attempt" => json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        _ => json_schema!({ "type": "string", "minLength": 1 }),
    }
}
