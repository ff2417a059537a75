//! The part of Linear's GraphQL API that the client calls.

mod parser;
mod resolve;
mod schema;
mod validate;

use axum::body::Bytes;
use axum::extract::State as Extension;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use axum::{Form, Router};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::{FakeTracker, to_response};
use parser::Parser;

const PERSONAL_KEY: &str = "lin_api_key";
/// Units: tenths of a point.
const MAX_COMPLEXITY: u64 = 100_000;

pub(crate) fn routes() -> Router<FakeTracker> {
    Router::new().route("/graphql", post(execute)).route("/oauth/token", post(grant))
}

/// Code, message, and the text for users.
pub(crate) struct Fault {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) presentable: String,
}

impl Fault {
    fn input(message: impl Into<String>, presentable: impl Into<String>) -> Self {
        Self { code: "INPUT_ERROR", message: message.into(), presentable: presentable.into() }
    }

    fn missing(kind: &str) -> Self {
        Self::input(format!("Entity not found: {kind}"), format!("Could not find referenced {kind}."))
    }
}

fn refusal(status: u16, fault: &Fault) -> Response {
    let extensions = json!({ "code": fault.code, "userError": true, "userPresentableMessage": fault.presentable });
    let error = json!({ "message": fault.message, "extensions": extensions });
    to_response((status, Vec::new(), json!({ "errors": [error], "data": null })))
}

async fn execute(Extension(fake): Extension<FakeTracker>, headers: HeaderMap, body: Bytes) -> Response {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let app_key = format!("Bearer app-token-{}", fake.state().app_token);
    if ![PERSONAL_KEY, &app_key].contains(&authorization) {
        let message = "Authentication required, not authenticated".to_owned();
        return refusal(401, &Fault { code: "AUTHENTICATION_ERROR", presentable: message.clone(), message });
    }
    let request = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let document = Parser::new(request["query"].as_str().unwrap_or_default()).document();
    let calls = document.and_then(|document| {
        let calls = validate::validate(&document, &request["variables"])?;
        Ok((document.operation, calls))
    });
    let (operation, calls) = match calls {
        Ok(valid) => valid,
        Err(message) => {
            let fault = Fault { code: "GRAPHQL_VALIDATION_FAILED", presentable: message.clone(), message };
            return refusal(400, &fault);
        }
    };
    let complexity = validate::complexity(&calls);
    if complexity > MAX_COMPLEXITY {
        let message = format!("The query has {} points; the limit is 10000.", complexity / 10);
        return refusal(400, &Fault::input("Query too complex", message));
    }
    let is_app = authorization.starts_with("Bearer");
    match resolve::execute(&mut fake.state(), is_app, &operation, &calls) {
        Ok(data) => to_response((200, Vec::new(), json!({ "data": data }))),
        // As Linear does, with status 200.
        Err(fault) => refusal(200, &fault),
    }
}

async fn grant(Extension(fake): Extension<FakeTracker>, Form(form): Form<BTreeMap<String, String>>) -> Response {
    let has = |name: &str, value: &str| form.get(name).is_some_and(|given| given == value);
    if has("grant_type", "client_credentials")
        && has("scope", "read,write")
        && has("client_id", "app")
        && has("client_secret", "secret&more")
    {
        let token = format!("app-token-{}", fake.state().app_token);
        let body =
            json!({ "access_token": token, "token_type": "Bearer", "expires_in": 2_591_999, "scope": "read write" });
        return to_response((200, Vec::new(), body));
    }
    to_response((400, Vec::new(), json!({ "error": "invalid_client" })))
}
