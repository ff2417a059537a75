//! A minimal HTTP client for these tests: it sends one request and stores every byte of the answer.

use pullyard_demo_model::{DemoModel, Options};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(crate) const KEY: &str = "key-that-nobody-keeps-4c11";
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) async fn model() -> DemoModel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    DemoModel::start(Options { listener }).await.unwrap()
}

/// An answer up to the end of its connection.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Parses the events and checks that each is named by its `type`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events = self.body.split_terminator("\n\n").map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
            data
        });
        events.collect()
    }

    pub(crate) fn kinds(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }
}

/// Sends one request and returns its connection.
pub(crate) async fn say(model: &DemoModel, method: &str, path: &str, body: &str) -> TcpStream {
    let address = model.url().strip_prefix("http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nx-api-key: {KEY}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Sends a request and reads until the connection ends.
///
/// Errors: the connection was reset.
pub(crate) async fn ask(model: &DemoModel, path: &str, body: Value) -> io::Result<Answer> {
    let mut stream = say(model, "POST", path, &body.to_string()).await;
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap()?;
    Ok(answer(&bytes))
}

pub(crate) async fn ask_streamed(model: &DemoModel, path: &str) -> Answer {
    ask(model, path, json!({ "model": "m", "stream": true })).await.unwrap()
}

fn answer(bytes: &[u8]) -> Answer {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let (body, whole) =
        if head.contains("transfer-encoding: chunked") { unchunked(body) } else { (body.to_owned(), true) };
    Answer { head: head.to_owned(), body, whole }
}

fn unchunked(mut rest: &str) -> (String, bool) {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return (body, true);
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
    (body, false)
}
