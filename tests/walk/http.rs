//! Requests in the form in which API Gateway passes them to a function.

use super::step::{Call, From};
use super::world::{ADMIN, World};
use crate::prelude::*;

#[derive(Clone)]
pub(super) struct Request {
    function: &'static str,
    method: &'static str,
    path: String,
    query: String,
    headers: Value,
    body: String,
    on_answer: fn(&World, &Value),
}

/// An admin's POST to the API.
pub(super) fn post(path: impl Into<String>, body: Value) -> Request {
    let headers = json!({ "content-type": "application/json", "authorization": format!("Bearer {ADMIN}") });
    let body = body.to_string();
    Request {
        function: "api",
        method: "POST",
        path: path.into(),
        query: String::new(),
        headers,
        body,
        on_answer: |_, _| {},
    }
}

pub(super) fn get(path: impl Into<String>) -> Request {
    Request { method: "GET", body: String::new(), ..post(path, Value::Null) }
}

pub(super) fn delete(path: impl Into<String>) -> Request {
    Request { method: "DELETE", ..get(path) }
}

/// A webhook call of a forge with its original bytes.
pub(super) fn webhook_post(path: impl Into<String>, body: String) -> Request {
    let (query, headers) = (String::new(), json!({}));
    Request { function: "webhook", method: "POST", path: path.into(), query, headers, body, on_answer: |_, _| {} }
}

impl Request {
    pub(super) fn function(self, function: &'static str) -> Self {
        Self { function, ..self }
    }

    pub(super) fn header(mut self, header: &str, value: impl Into<Value>) -> Self {
        self.headers[header] = value.into();
        self
    }

    pub(super) fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub(super) fn put(self) -> Self {
        Self { method: "PUT", ..self }
    }

    pub(super) fn patch(self) -> Self {
        Self { method: "PATCH", ..self }
    }

    pub(super) fn query(self, query: impl Into<String>) -> Self {
        Self { query: query.into(), ..self }
    }

    pub(super) fn on_answer(self, keep: fn(&World, &Value)) -> Self {
        Self { on_answer: keep, ..self }
    }
}

impl std::convert::From<Request> for Call {
    fn from(request: Request) -> Self {
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": request.path, "rawQueryString": request.query,
            "headers": request.headers, "isBase64Encoded": false, "body": request.body,
            "requestContext": {
                "accountId": "000000000000", "apiId": "walk", "domainName": "api.test", "domainPrefix": "api",
                "requestId": "walk", "routeKey": "$default", "stage": "$default",
                "time": "20/Nov/2026:12:04:01 +0000", "timeEpoch": 1_795_176_241_000_i64,
                "http": {
                    "method": request.method, "path": request.path, "protocol": "HTTP/1.1",
                    "sourceIp": "203.0.113.7", "userAgent": "walk",
                },
            },
        });
        Self { function: request.function, event, from: From::Http, on_answer: request.on_answer }
    }
}
