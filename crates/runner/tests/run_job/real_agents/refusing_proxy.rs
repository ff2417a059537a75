//! A proxy that refuses all connections and records their targets.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[derive(Clone)]
pub(crate) struct RefusingProxy {
    pub(crate) url: String,
    request_lines: Arc<Mutex<Vec<String>>>,
}

impl RefusingProxy {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let proxy = Self { url, request_lines: Arc::default() };
        let seen = proxy.request_lines.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(refuse(stream, seen.clone()));
            }
        });
        proxy
    }

    /// The first line of each request, such as `CONNECT example.com:443 HTTP/1.1`.
    pub(crate) fn request_lines(&self) -> Vec<String> {
        self.request_lines.lock().unwrap().clone()
    }
}

async fn refuse(mut stream: TcpStream, seen: Arc<Mutex<Vec<String>>>) {
    let mut line = String::new();
    let _ = BufReader::new(&mut stream).read_line(&mut line).await;
    seen.lock().unwrap().push(line.trim().to_owned());
    let _ = stream.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
}
