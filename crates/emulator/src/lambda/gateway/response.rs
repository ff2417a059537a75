//! Converts a function's response of payload format 2.0 to an HTTP response.

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE, TRANSFER_ENCODING};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Returns the response, or its defect. One without `statusCode` is the body of a 200, as in API Gateway.
pub(super) fn to_http(answer: Value) -> Result<Response, &'static str> {
    let Some(status) = answer.get("statusCode") else {
        let text = match answer {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let mut response = Response::new(Body::from(text));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        return Ok(response);
    };
    let status = status
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .and_then(|status| StatusCode::from_u16(status).ok())
        .ok_or("its statusCode is invalid")?;
    let mut response = Response::new(to_body(&answer)?);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in to_headers(&answer)? {
        // hyper sets the length of the body that is really sent.
        if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
            headers.append(name, value);
        }
    }
    for cookie in answer.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        headers.append(SET_COOKIE, header_value(cookie)?);
    }
    if !headers.contains_key(CONTENT_TYPE) && answer.get("body").is_some_and(Value::is_string) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));
    }
    Ok(response)
}

fn to_body(answer: &Value) -> Result<Body, &'static str> {
    let encoded = answer.get("isBase64Encoded").and_then(Value::as_bool) == Some(true);
    match answer.get("body") {
        None | Some(Value::Null) => Ok(Body::empty()),
        Some(Value::String(text)) if encoded => {
            STANDARD.decode(text).map(Body::from).map_err(|_| "its body is not base64")
        }
        Some(Value::String(text)) => Ok(Body::from(text.clone())),
        Some(_) => Err("its body is not text"),
    }
}

/// Returns all headers; `multiValueHeaders` override `headers` of the same name.
fn to_headers(answer: &Value) -> Result<Vec<(HeaderName, HeaderValue)>, &'static str> {
    let fields = |name: &str| answer.get(name).and_then(Value::as_object).into_iter().flatten();
    let mut headers = Vec::new();
    for (name, values) in fields("multiValueHeaders") {
        let name = header_name(name)?;
        for value in values.as_array().into_iter().flatten() {
            headers.push((name.clone(), header_value(value)?));
        }
    }
    let several = headers.len();
    for (name, value) in fields("headers") {
        let name = header_name(name)?;
        if !headers.iter().take(several).any(|(other, _)| *other == name) {
            headers.push((name, header_value(value)?));
        }
    }
    Ok(headers)
}

fn header_name(name: &str) -> Result<HeaderName, &'static str> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| "a header's name is invalid")
}

fn header_value(value: &Value) -> Result<HeaderValue, &'static str> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => return Err("a header's value is invalid"),
    };
    HeaderValue::from_str(&text).map_err(|_| "a header's value is invalid")
}
