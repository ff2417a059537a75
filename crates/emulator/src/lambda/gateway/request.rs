//! Converts an HTTP request to a Lambda event of payload format 2.0.

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::timestamp::{Timestamp, random_hex};

const HOP_BY_HOP_HEADERS: [&str; 7] =
    ["connection", "expect", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"];

/// The request context has only the fields that the functions read.
pub(super) fn to_event(head: &Parts, body: &[u8], client: IpAddr, port: u16) -> Value {
    let path = decode_path(head.uri.path());
    let query = head.uri.query().unwrap_or_default();
    let (headers, cookies) = to_headers_and_cookies(&head.headers, body, client, port);
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "requestContext": {
            "http": { "method": head.method.as_str(), "path": path },
            "requestId": random_hex(),
        },
        "headers": headers,
        "isBase64Encoded": false,
    });
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    let parameters = parse_query(query);
    if !parameters.is_empty() {
        event["queryStringParameters"] = json!(parameters);
    }
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(text) => event["body"] = json!(text),
        Err(_) => {
            event["body"] = json!(STANDARD.encode(body));
            event["isBase64Encoded"] = json!(true);
        }
    }
    event
}

/// Decodes a path and cuts it at a decoded question mark, as HTTP APIs do.
/// Source: <https://github.com/honojs/hono/issues/2156>, <https://github.com/middleapi/standard-server/pull/93>.
fn decode_path(encoded: &str) -> String {
    let mut path = percent_decode(encoded);
    path.truncate(path.find('?').unwrap_or(path.len()));
    path
}

/// Returns headers with lower-case names and joined duplicates, and the cookies as a separate list.
fn to_headers_and_cookies(
    request_headers: &HeaderMap,
    body: &[u8],
    client: IpAddr,
    port: u16,
) -> (BTreeMap<String, String>, Vec<String>) {
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    let mut cookies = Vec::new();
    for (name, value) in request_headers {
        // Header values are bytes; bytes beyond ASCII are read as Latin-1.
        let value: String = match value.to_str() {
            Ok(text) => text.to_owned(),
            Err(_) => value.as_bytes().iter().copied().map(char::from).collect(),
        };
        if name == header::COOKIE {
            cookies.extend(value.split(';').map(|cookie| cookie.trim().to_owned()));
        } else if !HOP_BY_HOP_HEADERS.contains(&name.as_str()) {
            append_value(&mut headers, name.as_str(), &value);
        }
    }
    if !body.is_empty() {
        headers.insert("content-length".to_owned(), body.len().to_string());
    }
    append_value(&mut headers, "x-forwarded-for", &client.to_string());
    headers.insert("x-forwarded-port".to_owned(), port.to_string());
    headers.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    headers.entry("x-amzn-trace-id".to_owned()).or_insert_with(new_trace_id);
    (headers, cookies)
}

fn append_value(values: &mut BTreeMap<String, String>, name: &str, value: &str) {
    values
        .entry(name.to_owned())
        .and_modify(|before| *before += &format!(",{value}"))
        .or_insert_with(|| value.to_owned());
}

fn new_trace_id() -> String {
    let secs = Timestamp::now().epoch_secs() as u64;
    let random = random_hex();
    format!("Root=1-{secs:08x}-{}", random.get(..24).unwrap_or_default())
}

/// Decodes the query; several values of a name are joined by commas.
fn parse_query(query: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        append_value(&mut parameters, &decode_form(name), &decode_form(value));
    }
    parameters
}

fn decode_form(text: &str) -> String {
    percent_decode(&text.replace('+', " "))
}

/// Decodes `%xx`; a `%` without two digits stays unchanged.
fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_decoded_and_cut_at_a_question_mark() {
        for (encoded, handed_on) in [
            ("/a/b", "/a/b"),
            ("/a%2Fb%20c+d", "/a/b c+d"),
            ("/50%", "/50%"),
            ("/x%3Fy%26z", "/x"),
            ("/%C3%A9%2523", "/é%23"),
        ] {
            assert_eq!(decode_path(encoded), handed_on);
        }
    }
}
