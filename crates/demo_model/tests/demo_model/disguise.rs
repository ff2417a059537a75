//! Tests the proxy: which hosts it serves, and the subscription API behind it.

use crate::client::model;
use pullyard_demo_model::{Answer, Disguise, Outcome};
use serde_json::json;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const HOST: &str = "chatgpt.com";
const TOKEN: &str = "token-of-a-subscription-2b71";

/// Connects through the proxy and returns the response to `CONNECT`.
async fn through(disguise: &Disguise, target: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(disguise.url().trim_start_matches("http://")).await.unwrap();
    stream.write_all(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n").as_bytes()).await.unwrap();
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") {
        said.push(stream.read_u8().await.unwrap());
    }
    (stream, String::from_utf8(said).unwrap())
}

/// Sends a request through the proxy over TLS and returns the whole response.
async fn ask(disguise: &Disguise, line: &str, body: &str) -> String {
    let (stream, said) = through(disguise, &format!("{HOST}:443")).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let mut trusted = RootCertStore::empty();
    trusted.add(CertificateDer::from_pem_slice(disguise.authority().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(trusted)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\
         chatgpt-account-id: acme\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may close the connection without a TLS close_notify.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn proxied_host_serves_the_model_and_the_account() {
    let model = model().await;
    let disguise = Disguise::start(&model, HOST).await.unwrap();
    model.play([Answer::text("hello")]);
    let accounts = ask(&disguise, "GET /backend-api/wham/accounts/check", "").await;
    assert!(accounts.contains("\"id\":\"acme\"") && accounts.contains("https://chatgpt.com"), "{accounts}");
    let socket = ask(&disguise, "GET /backend-api/codex/responses", "").await;
    assert!(socket.starts_with("HTTP/1.1 426 "), "{socket}");
    let answer = ask(&disguise, "POST /backend-api/codex/responses", &json!({ "stream": true }).to_string()).await;
    assert!(answer.contains("response.completed") && answer.contains("hello"), "{answer}");
    let outcomes: Vec<_> = model.requests().iter().map(|request| request.outcome).collect();
    assert_eq!(outcomes, [Outcome::Aside, Outcome::Aside, Outcome::Answered]);
    assert!(model.turns()[0].is_signed_with(TOKEN) && !model.turns()[0].is_signed_with("another"));
    assert!(!format!("{:?}", model.requests()).contains(TOKEN));
    assert_eq!(disguise.refused(), <[String; 0]>::default());
}

#[tokio::test]
async fn proxy_rejects_other_hosts_and_ports() {
    let model = model().await;
    let disguise = Disguise::start(&model, HOST).await.unwrap();
    for target in ["api.github.com:443", "chatgpt.com:80", "evil.chatgpt.com:443"] {
        let (_, said) = through(&disguise, target).await;
        assert!(said.starts_with("HTTP/1.1 403 "), "{said}");
    }
    assert_eq!(disguise.refused()[0], "CONNECT api.github.com:443 HTTP/1.1");
    assert_eq!((disguise.refused().len(), model.requests().len()), (3, 0));
}
