//! A tap before a service whose server is somebody else's: every byte goes through as it came, and each whole
//! request is told on its way.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Call, LARGEST, Observer, Service};
use crate::Error;
use crate::server::{self, Server};

/// The longest head of a request.
const LONGEST_HEAD: usize = 64 << 10;

/// The address to call instead of `behind`, if there is an observer or a preferred port, and the tap that serves it.
pub(crate) async fn tapped(
    name: &'static str,
    service: Service,
    behind: SocketAddr,
    port: Option<u16>,
    observer: Option<Observer>,
) -> Result<(SocketAddr, Option<Server>), Error> {
    if port.is_none() && observer.is_none() {
        return Ok((behind, None));
    }
    let (listener, address) = server::bind(name, port).await?;
    let server = Server::spawn(|stop| async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = accept(listener, service, behind, observer) => {}
        }
    });
    Ok((address, Some(server)))
}

async fn accept(listener: TcpListener, service: Service, behind: SocketAddr, observer: Option<Observer>) {
    loop {
        match listener.accept().await {
            // It ends with the connection to the service, or with its caller's.
            Ok((caller, _)) => drop(tokio::spawn(pass(caller, service, behind, observer.clone()))),
            Err(error) => {
                tracing::warn!(%error, "a connection to an embedded service was not accepted");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn pass(caller: TcpStream, service: Service, behind: SocketAddr, observer: Option<Observer>) {
    let Ok(callee) = TcpStream::connect(behind).await else { return };
    // Two hops that wait for more bytes each would make every call slow.
    let _ = (caller.set_nodelay(true), callee.set_nodelay(true));
    let (mut asked, mut answer) = caller.into_split();
    let (mut answered, mut ask) = callee.into_split();
    let forth = async {
        let (mut requests, mut bytes) = (Requests::default(), vec![0; 64 << 10]);
        loop {
            let read = asked.read(&mut bytes).await?;
            let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            requests.push(bytes);
            // Before the last byte of it goes on: whoever has the answer finds that it was told.
            while let Some(call) = requests.next(service).map_err(std::io::Error::other)? {
                if let Some(observer) = &observer {
                    observer.tell(&call);
                }
            }
            ask.write_all(bytes).await?;
        }
        ask.shutdown().await
    };
    let back = tokio::io::copy(&mut answered, &mut answer);
    tokio::select! {
        // Its caller may have ended its half and still read the answer.
        forth = async { match forth.await { Ok(()) => std::future::pending().await, Err(error) => error } } => {
            tracing::debug!(error = %forth, "a connection to an embedded service broke");
        }
        _ = back => {}
    }
}

/// The requests of one connection.
#[derive(Debug, Default)]
struct Requests {
    bytes: Vec<u8>,
}

impl Requests {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole request of an SDK. What can't be followed is an error: a call that nobody was told of
    /// must not go through.
    fn next(&mut self, service: Service) -> Result<Option<Call>, &'static str> {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.bytes.len() > LONGEST_HEAD { Err("the head of a request is too long") } else { Ok(None) };
        };
        let (head, rest) = self.bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let header = |wanted: &str| {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        if header("origin").is_some() {
            return Err("a web page sent a request");
        }
        if header("transfer-encoding").is_some() {
            return Err("a request does not say how long it is");
        }
        let length = match header("content-length").map(|length| length.parse::<usize>()) {
            None => 0,
            Some(Ok(length)) if length <= LARGEST => length,
            Some(_) => return Err("a request is too long"),
        };
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let call = Call::of(service, header, body);
        self.bytes.drain(..end + 4 + length);
        Ok(Some(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(agent: &str, body: &str) -> String {
        let length = body.len();
        format!(
            "POST / HTTP/1.1\r\nHost: x\r\nUser-Agent: sdk/1 app/{agent} m/E\r\nX-Amz-Target: DynamoDB_20120810.GetItem\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
    }

    #[test]
    fn requests_are_found_however_they_are_cut() {
        let wire = request("one", r#"{"TableName":"é"}"#) + &request("two", "") + &request("three", "{}");
        for size in [1, 2, 7, 100, wire.len()] {
            let (mut requests, mut seen) = (Requests::default(), Vec::new());
            for bytes in wire.as_bytes().chunks(size) {
                requests.push(bytes);
                while let Some(call) = requests.next(Service::DynamoDb).unwrap() {
                    seen.push((call.app.unwrap(), call.operation, call.body));
                }
            }
            let expected = [("one", json!({ "TableName": "é" })), ("two", json!(null)), ("three", json!({}))];
            let expected = expected.map(|(app, body)| (app.to_owned(), "GetItem".to_owned(), body));
            assert_eq!(seen, expected, "{size} bytes at once");
            assert!(requests.bytes.is_empty());
        }
    }

    #[test]
    fn what_cannot_be_followed_is_not_let_through() {
        let endless = "x".repeat(LONGEST_HEAD + 1);
        for wire in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nOrigin: https://page.example\r\n\r\n",
            "POST / HTTP/1.1\r\norigin: null\r\nContent-Length: 0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            &endless,
        ] {
            let mut requests = Requests::default();
            requests.push(wire.as_bytes());
            assert!(requests.next(Service::DynamoDb).is_err(), "{}", &wire[..40]);
        }
    }
}
