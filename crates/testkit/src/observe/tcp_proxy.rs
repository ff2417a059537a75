//! A tap before one service: every byte passes unchanged, and the observer receives each whole request on its way.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Call, Observer, Service};

const MAX_HEAD_BYTES: usize = 64 << 10;
/// The largest request that a service accepts: DynamoDB's.
const MAX_REQUEST_BYTES: usize = 16 << 20;

pub(super) fn start(service: Service, url: &str, observer: Observer) -> io::Result<String> {
    let behind = url.trim_start_matches("http://").to_owned();
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let (observer, behind) = (observer.clone(), behind.clone());
            // A broken connection is visible to the caller.
            tokio::spawn(async move { pass(caller, service, &behind, &observer).await.ok() });
        }
    });
    Ok(format!("http://{address}"))
}

async fn pass(caller: TcpStream, service: Service, behind: &str, observer: &Observer) -> io::Result<()> {
    let callee = TcpStream::connect(behind).await?;
    // Two hops that wait for more bytes each would make every call slow.
    caller.set_nodelay(true)?;
    callee.set_nodelay(true)?;
    let (mut caller_reader, mut answer) = caller.into_split();
    let (mut answered, mut ask) = callee.into_split();
    let forth = async {
        let (mut requests, mut bytes) = (Requests::default(), vec![0; 64 << 10]);
        loop {
            let read = caller_reader.read(&mut bytes).await?;
            let Some(bytes) = bytes.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
            requests.push(bytes);
            // Before its last byte passes: the observer has the call before the caller has the answer.
            while let Some(request) = requests.next(service).map_err(io::Error::other)? {
                if let Some(call) = request {
                    observer.notify(&call);
                }
            }
            ask.write_all(bytes).await?;
        }
        ask.shutdown().await
    };
    let back = tokio::io::copy(&mut answered, &mut answer);
    tokio::select! {
        // The caller may have ended its half and still read the answer.
        forth = async { match forth.await { Ok(()) => std::future::pending().await, Err(error) => error } } => Err(forth),
        copied = back => copied.map(|_| ()),
    }
}

#[derive(Debug, Default)]
struct Requests {
    bytes: Vec<u8>,
    remaining_object_bytes: usize,
}

impl Requests {
    fn push(&mut self, bytes: &[u8]) {
        let skipped = self.remaining_object_bytes.min(bytes.len());
        self.remaining_object_bytes -= skipped;
        self.bytes.extend(bytes.iter().skip(skipped));
    }

    /// Returns the next complete request of an SDK, and its call if it names an operation. An unparsable request is an
    /// error, because every call must reach the observer.
    fn next(&mut self, service: Service) -> Result<Option<Option<Call>>, &'static str> {
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return if self.bytes.len() > MAX_HEAD_BYTES { Err("the head of a request is too long") } else { Ok(None) };
        };
        let (head, rest) = self.bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let header = |wanted: &str| {
            let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            let mut found = lines.filter(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
            found.next().map(|(_, value)| value.trim().to_owned())
        };
        if header("transfer-encoding").is_some() {
            return Err("a request does not say how long it is");
        }
        let length = match header("content-length").map(|length| length.parse::<usize>()) {
            None => 0,
            Some(Ok(length)) if length <= MAX_REQUEST_BYTES || service == Service::S3 => length,
            Some(_) => return Err("a request is too long"),
        };
        let line = head.lines().next().unwrap_or_default();
        if service == Service::S3 {
            let in_buffer = length.min(rest.len());
            self.remaining_object_bytes = length - in_buffer;
            let call = Call::parse(service, line, header, &[]);
            self.bytes.drain(..end + 4 + in_buffer);
            return Ok(Some(call));
        }
        let Some(body) = rest.get(..length) else { return Ok(None) };
        let call = Call::parse(service, line, header, body);
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
    fn requests_are_parsed_for_any_chunk_size() {
        let wire = request("one", r#"{"TableName":"é"}"#) + &request("two", "") + &request("three", "{}");
        for size in [1, 2, 7, 100, wire.len()] {
            let (mut requests, mut seen) = (Requests::default(), Vec::new());
            for bytes in wire.as_bytes().chunks(size) {
                requests.push(bytes);
                while let Some(call) = requests.next(Service::DynamoDb).unwrap() {
                    let call = call.unwrap();
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
    fn unparsable_request_is_rejected() {
        let endless = "x".repeat(MAX_HEAD_BYTES + 1);
        for wire in [
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
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
