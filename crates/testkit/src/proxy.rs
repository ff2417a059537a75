//! A proxy for an HTTP service outside AWS, whose calls are points of the same wire.
//! It supports one request with a length per connection; upgraded or streamed connections fail. The service's address
//! in answers is replaced by the proxy's, so that callers that follow a link use the proxy too.

use crate::{Fault, Point, Wire};
use std::io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const MAX_HEAD_BYTES: usize = 64 << 10;

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy for the service at `target`, an `http` URL without a path. Its points are named `service`.
    ///
    /// # Errors
    /// No port can be bound.
    pub async fn start(wire: &Wire, service: &'static str, target: &str) -> io::Result<Self> {
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let own = url.trim_start_matches("http://").to_owned();
        let route = Route { wire: wire.clone(), service, target, proxy_address: own };
        let serving = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let route = route.clone();
                // A broken connection is visible to the caller.
                tokio::spawn(async move { route.serve(near).await.ok() });
            }
        });
        Ok(Self { url, server: serving })
    }

    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone)]
struct Route {
    wire: Wire,
    service: &'static str,
    /// Host and port of the service, then of the proxy.
    target: String,
    proxy_address: String,
}

impl Route {
    async fn serve(&self, mut near: TcpStream) -> io::Result<()> {
        let Some(request) = read_request(&mut near).await? else {
            return Ok(());
        };
        let operation = request.operation.clone();
        let fault = self.wire.next_fault(Point { service: self.service.to_owned(), operation });
        let answer = match &fault {
            Some(fault) if !fault.has_effect() => Vec::new(),
            _ => self.forward(&request).await?,
        };
        match fault {
            // Partial answers exist for DynamoDB only.
            None | Some(Fault::Half | Fault::ShortPage) => near.write_all(&answer).await,
            Some(Fault::LostAnswer | Fault::NeverSent) => Ok(()),
            Some(Fault::ErrorAfterEffect(status, body) | Fault::Refused(status, body)) => {
                let head = format!("HTTP/1.1 {status} Injected\r\ncontent-type: application/json\r\nconnection: close");
                near.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await
            }
            Some(Fault::StopBefore | Fault::StopAfter) => {
                self.wire.stop();
                // Dropping the dead caller closes its end of the connection; until then it receives no bytes.
                near.read_to_end(&mut Vec::new()).await.map(|_| ())
            }
        }
    }

    /// The service's whole answer. The end of the connection ends it, because its length may change here. An answer to
    /// HEAD has no body and its `content-length` stays.
    async fn forward(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut far = TcpStream::connect(&self.target).await?;
        far.write_all(&request.bytes).await?;
        let mut answer = Vec::new();
        far.read_to_end(&mut answer).await?;
        let Ok(text) = std::str::from_utf8(&answer) else {
            return Ok(answer);
        };
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let is_head = request.operation.starts_with("HEAD ");
        let is_kept = |line: &&str| is_head || !line.to_ascii_lowercase().starts_with("content-length:");
        let head = head.split("\r\n").filter(is_kept).collect::<Vec<_>>().join("\r\n");
        Ok(format!("{head}\r\n\r\n{body}").replace(&self.target, &self.proxy_address).into_bytes())
    }
}

struct Request {
    operation: String,
    /// The forwarded request, with `connection: close`.
    bytes: Vec<u8>,
}

/// The request of a connection; `None` if the connection ends before a complete one.
async fn read_request(near: &mut TcpStream) -> io::Result<Option<Request>> {
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > MAX_HEAD_BYTES || near.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    };
    let mut body = bytes.split_off(head_ends);
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    while body.len() < length.unwrap_or(0) {
        if near.read_buf(&mut body).await? == 0 {
            return Ok(None);
        }
    }
    let mut lines = head.trim_end().lines();
    let first = lines.next().unwrap_or_default();
    let target = first.rsplit_once(' ').map_or(first, |(target, _)| target);
    let operation = target.split('?').next().unwrap_or_default().to_owned();
    let is_kept = |line: &&str| !line.to_ascii_lowercase().starts_with("connection:");
    let mut sent = format!("{first}\r\n");
    for line in lines.filter(is_kept) {
        sent.push_str(line);
        sent.push_str("\r\n");
    }
    sent.push_str("connection: close\r\n\r\n");
    let mut sent = sent.into_bytes();
    sent.append(&mut body);
    Ok(Some(Request { operation, bytes: sent }))
}
