//! Tests a model key against a scripted provider.

use std::sync::{Arc, Mutex};

use crate::prelude::*;
use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, http::Uri};
use pullyard_domain::agent::Provider;
use pullyard_forge::{Error, check_model_key};

#[derive(Clone, Default)]
struct Script {
    statuses: Arc<Mutex<Vec<u16>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

async fn answer(State(script): State<Script>, uri: Uri, headers: HeaderMap) -> (StatusCode, &'static str) {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default();
    let request = format!("{uri} {}{}", header("x-api-key"), header("authorization"));
    script.requests.lock().unwrap().push(request);
    let status = StatusCode::from_u16(script.statuses.lock().unwrap().remove(0)).unwrap();
    let body = match status.as_u16() {
        401 if uri.path().starts_with("/scopes") => {
            r#"{ "error": { "message": "… Missing scopes: api.model.read. …" } }"#
        }
        _ => r#"{ "error": { "message": "Incorrect API key provided: sk-1" } }"#,
    };
    (status, body)
}

async fn check(provider: Provider, path: &str, statuses: &[u16]) -> (Result<(), Error>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Script { statuses: Arc::new(Mutex::new(statuses.to_vec())), ..Script::default() };
    let routes = Router::new().fallback(answer).with_state(script.clone());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let result = check_model_key(&Endpoint::new(format!("{url}{path}")), provider, Token::new("sk-1")).await;
    server.abort();
    let requests = script.requests.lock().unwrap().clone();
    (result, requests)
}

#[tokio::test]
async fn key_reaches_each_provider_in_its_header() {
    assert_eq!(check(Provider::Anthropic, "", &[200]).await, (Ok(()), vec!["/v1/models sk-1".to_owned()]));
    assert_eq!(check(Provider::OpenAi, "/v1", &[200]).await, (Ok(()), vec!["/v1/models Bearer sk-1".to_owned()]));
}

#[tokio::test]
async fn refusal_is_named_and_only_an_outage_is_retried() {
    type Cause = fn(&Error) -> bool;
    let causes: [(&[u16], usize, Cause); 5] = [
        (&[401], 1, |error| matches!(error, Error::Denied { .. })),
        (&[403], 1, |error| matches!(error, Error::Forbidden { .. })),
        (&[429], 1, |error| matches!(error, Error::RateLimited { .. })),
        (&[402], 1, |error| matches!(error, Error::Unexpected { status: 402, .. })),
        (&[500, 503], 2, |error| matches!(error, Error::Unexpected { status: 503, .. })),
    ];
    for (statuses, tries, is_cause) in causes {
        let (result, requests) = check(Provider::OpenAi, "", statuses).await;
        let error = result.unwrap_err();
        assert!(is_cause(&error) && !format!("{error:?}").contains("sk-1"), "{statuses:?}: {error:?}");
        assert_eq!(requests.len(), tries, "{statuses:?}");
    }
    assert_eq!(check(Provider::Anthropic, "", &[502, 200]).await.0, Ok(()));
    let restricted = check(Provider::OpenAi, "/scopes", &[401]).await.0.unwrap_err();
    assert!(matches!(restricted, Error::Forbidden { .. }), "{restricted:?}");
    let closed = Endpoint::new("http://127.0.0.1:1");
    let error = check_model_key(&closed, Provider::Anthropic, Token::new("sk-1")).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
}
