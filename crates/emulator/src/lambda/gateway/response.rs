//! Converts a function's response of payload format 2.0 to an HTTP response.

use aws_lambda_events::apigw::ApiGatewayV2httpResponse;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, SET_COOKIE, TRANSFER_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// Returns the response, or its defect. `multiValueHeaders` override `headers` of the same name.
pub(super) fn to_http(answer: Value) -> Result<Response, String> {
    let answer: ApiGatewayV2httpResponse = serde_json::from_value(answer).map_err(|error| error.to_string())?;
    let body = answer.body.unwrap_or_default();
    let body = match answer.is_base64_encoded {
        true => STANDARD.decode(&*body).map_err(|error| error.to_string())?,
        false => body.to_vec(),
    };
    let mut response = Response::new(Body::from(body));
    let status = u16::try_from(answer.status_code).ok().and_then(|status| StatusCode::from_u16(status).ok());
    *response.status_mut() = status.ok_or("its statusCode is invalid")?;
    let headers = response.headers_mut();
    *headers = answer.headers;
    headers.extend(answer.multi_value_headers);
    // hyper sets the length of the body that is really sent.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    for cookie in answer.cookies {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie).map_err(|error| error.to_string())?);
    }
    Ok(response)
}
