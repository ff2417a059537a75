//! A TCP proxy in front of dynoxide: passes bytes unchanged, and closes the connection if a web page sends a request.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Error;
use crate::server::{self, Server};

const MAX_HEAD_BYTES: usize = 64 << 10;
/// DynamoDB's size limit of a request. Units: bytes.
const MAX_REQUEST_BYTES: usize = 16 << 20;

pub(crate) async fn start(name: &'static str, port: u16, behind: SocketAddr) -> Result<(SocketAddr, Server), Error> {
    let (listener, address) = server::bind(name, Some(port)).await?;
    let server = Server::spawn(|stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(listener, behind) => {}
        }
    });
    Ok((address, server))
}

async fn accept(listener: TcpListener, behind: SocketAddr) {
    loop {
        match listener.accept().await {
            // The task ends when either side closes its connection.
            Ok((caller, _)) => drop(tokio::spawn(proxy_connection(caller, behind))),
            Err(error) => {
                tracing::warn!(%error, "connection to an embedded service not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn proxy_connection(caller: TcpStream, behind: SocketAddr) {
    let Ok(callee) = TcpStream::connect(behind).await else { return };
    // Disable Nagle's algorithm: two hops that wait for more bytes would delay every call.
    let _ = (caller.set_nodelay(true), callee.set_nodelay(true));
    let (mut from_caller, mut answer) = caller.into_split();
    let (mut answered, mut ask) = callee.into_split();
    let forth = async {
        let (mut requests, mut bytes) = (RequestParser::default(), vec![0; 64 << 10]);
        loop {
            let read = from_caller.read(&mut bytes).await?;
            let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            requests.check(bytes).map_err(std::io::Error::other)?;
            ask.write_all(bytes).await?;
        }
        ask.shutdown().await
    };
    let back = tokio::io::copy(&mut answered, &mut answer);
    tokio::select! {
        // The client may have closed its sending half and still read the response.
        forth = async { match forth.await { Ok(()) => std::future::pending().await, Err(error) => error } } => {
            tracing::debug!(error = %forth, "connection to an embedded service broke");
        }
        _ = back => {}
    }
}

#[derive(Debug, Default)]
struct RequestParser {
    partial_head: Vec<u8>,
    remaining_body: usize,
}

impl RequestParser {
    /// Checks the next bytes. A request that cannot be parsed is an error, because a page's request could hide in it.
    fn check(&mut self, mut bytes: &[u8]) -> Result<(), &'static str> {
        while !bytes.is_empty() {
            let (body, rest) = bytes.split_at(self.remaining_body.min(bytes.len()));
            self.remaining_body -= body.len();
            let before = self.partial_head.len();
            self.partial_head.extend_from_slice(rest);
            let Some(end) = self.partial_head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return if self.partial_head.len() > MAX_HEAD_BYTES {
                    Err("the head of a request is too long")
                } else {
                    Ok(())
                };
            };
            self.remaining_body =
                content_length(&String::from_utf8_lossy(self.partial_head.get(..end).unwrap_or_default()))?;
            self.partial_head.clear();
            bytes = rest.get((end + 4).saturating_sub(before)..).unwrap_or_default();
        }
        Ok(())
    }
}

fn content_length(head: &str) -> Result<usize, &'static str> {
    let mut length = 0;
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "origin" => return Err("a web page sent a request"),
            "transfer-encoding" => return Err("a request has transfer-encoding instead of a length"),
            "content-length" => length = value.trim().parse().map_err(|_| "a request has no length")?,
            _ => {}
        }
    }
    if length > MAX_REQUEST_BYTES { Err("a request is too long") } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> String {
        format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn requests_are_parsed_across_any_chunk_size() {
        // The third request's body looks like the head of a browser request.
        let wire =
            request("{\"TableName\":\"\u{e9}\"}") + &request("") + &request("POST / HTTP/1.1\r\nOrigin: x\r\n\r\n");
        let page = "GET / HTTP/1.1\r\nOrigin: https://page.example\r\n\r\n";
        for size in [1, 2, 7, 100, wire.len()] {
            let mut requests = RequestParser::default();
            for bytes in wire.as_bytes().chunks(size) {
                requests.check(bytes).unwrap();
            }
            assert!(requests.partial_head.is_empty() && requests.remaining_body == 0, "chunks of {size} bytes");
            assert!(page.as_bytes().chunks(size).any(|bytes| requests.check(bytes).is_err()), "chunks of {size} bytes");
        }
    }

    #[test]
    fn unsupported_framing_or_browser_origin_is_rejected() {
        let endless = "x".repeat(MAX_HEAD_BYTES + 1);
        for wire in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nOrigin: https://page.example\r\n\r\n",
            "POST / HTTP/1.1\r\norigin: null\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            &endless,
        ] {
            assert!(RequestParser::default().check(wire.as_bytes()).is_err(), "{}", &wire[..40]);
        }
    }
}
