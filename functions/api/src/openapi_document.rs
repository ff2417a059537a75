//! `GET /openapi.json`, the OpenAPI document of all routes, also of the tickets function; and `GET /plan.schema.json`.

use crate::route_docs::load_route_docs;
use aide::axum::ApiRouter;
use aide::axum::routing::post;
use aide::{IntoApi, UseApi};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use pullyard_control::Context;
use pullyard_domain::text::id::{
    ArtifactId, DeliveryId, EndpointId, HookName, IntegrationId, JobId, MessageId, ProjectId, RunId, SecretName,
    TokenId,
};
use pullyard_entry::openapi::RouteDoc;
use pullyard_entry::{Caller, Problem, StrictJson, openapi, scope};
use pullyard_protocol::decision::Decision;
use pullyard_protocol::ticket::TicketEvent;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};

/// The document of this deployment, which the first request builds.
#[derive(Clone, Debug, Default)]
pub(crate) struct DocumentCache(Arc<OnceLock<Bytes>>);

/// The API as an OpenAPI document, or the plan file as a JSON Schema.
#[derive(JsonSchema)]
#[schemars(inline, transparent)]
pub(crate) struct Document(#[expect(dead_code, reason = "only its schema is used")] serde_json::Map<String, Value>);

pub(crate) async fn show(
    State(ctx): State<Context>,
    Extension(DocumentCache(cache)): Extension<DocumentCache>,
) -> UseApi<impl IntoResponse, Json<Document>> {
    let json = cache.get_or_init(|| Bytes::from(document(&ctx.api_url).to_string())).clone();
    ([(header::CONTENT_TYPE, "application/json")], json).into_api()
}

pub(crate) async fn show_plan_schema() -> UseApi<impl IntoResponse, Json<Document>> {
    Json(pullyard_domain::project::plan::schema()).into_api()
}

pub fn document(api_url: &str) -> Value {
    // The program contains the file, and a test parses it.
    let docs = load_route_docs().unwrap_or_default();
    let routes = || add_tickets_route(crate::documented_routes());
    let mut document = openapi::build_document(routes, &docs.routes, path_parameter_schema);
    let url = api_url.trim_end_matches('/');
    document["servers"] = json!([{ "url": url, "description": "This deployment of Pullyard." }]);
    document["tags"] = docs.tags;
    for doc in &docs.routes {
        add_example(&mut document["paths"][&doc.route][&doc.method], doc);
    }
    document
}

/// Adds the example of the answer to both 200 and 201, because a repeated request returns the same body.
fn add_example(operation: &mut Value, doc: &RouteDoc) {
    if let Some(request) = &doc.request {
        operation["requestBody"]["content"]["application/json"]["example"] = request.clone();
    }
    for status in ["200", "201"] {
        let content = operation.pointer_mut(&format!("/responses/{status}/content")).and_then(Value::as_object_mut);
        for media_type in content.into_iter().flat_map(|content| content.values_mut()) {
            if let Some(response) = &doc.response {
                media_type["example"] = response.clone();
            }
        }
    }
}

/// Describes the route of the tickets function. That function parses the body itself, because it records unreadable
/// bodies.
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
        // A key with other characters is in the query.
        "key" => json_schema!({ "type": "string", "pattern": r"^(?!\.{1,2}$)[A-Za-z0-9._~-]{1,64}$" }),
        "endpoint" => schemas.subschema_for::<EndpointId>(),
        "hook" => schemas.subschema_for::<HookName>(),
        "message" => schemas.subschema_for::<MessageId>(),
        "run" => schemas.subschema_for::<RunId>(),
        "step" => json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$" }),
        "job" => schemas.subschema_for::<JobId>(),
        "artifact" => schemas.subschema_for::<ArtifactId>(),
        "delivery" => schemas.subschema_for::<DeliveryId>(),
        "token" => schemas.subschema_for::<TokenId>(),
        "secret" => schemas.subschema_for::<SecretName>(),
        "runner" => json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
        "attempt" | "comment" => json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX }),
        _ => json_schema!({ "type": "string", "minLength": 1 }),
    }
}
