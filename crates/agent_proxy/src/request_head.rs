//! Reads the head of the agent's request to the egress proxy.

use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_HEAD_BYTES: usize = 16 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Connect {
        host: String,
        port: u16,
    },
    /// A request over plain HTTP, which the proxy refuses. The host may have a port.
    Plain {
        host: String,
    },
}

/// Reads a head byte by byte, so that no byte of the tunnel is consumed. `None` if it is invalid or too long.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() >= MAX_HEAD_BYTES {
            return None;
        }
        head.push(stream.read_u8().await.ok()?);
    }
    parse(std::str::from_utf8(&head).ok()?)
}

fn parse(head: &str) -> Option<Request> {
    let (line, _) = head.split_once("\r\n")?;
    let mut parts = line.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':')?;
        return Some(Request::Connect { host: host.to_owned(), port: port.parse().ok()? });
    }
    let host = target.strip_prefix("http://")?.split('/').next()?;
    Some(Request::Plain { host: host.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_and_plain_request_are_read() {
        let connect = parse("CONNECT example.com:443 HTTP/1.1\r\nHost: other.test\r\n\r\n");
        assert_eq!(connect, Some(Request::Connect { host: "example.com".into(), port: 443 }));
        for line in ["GET http://deb.test HTTP/1.1", "POST http://deb.test/dists/x HTTP/1.0"] {
            let plain = parse(&format!("{line}\r\nHost: evil.test\r\n\r\n"));
            assert_eq!(plain, Some(Request::Plain { host: "deb.test".into() }), "{line}");
        }
    }

    #[test]
    fn other_requests_are_invalid() {
        for line in [
            "",
            "GET / HTTP/1.1",
            "GET https://a.test/ HTTP/1.1",
            "CONNECT a.test HTTP/1.1",
            "CONNECT a.test:99999 HTTP/1.1",
            "CONNECT a.test:443 HTTP/2",
            "CONNECT a.test:443 HTTP/1.1 x",
        ] {
            assert_eq!(parse(&format!("{line}\r\n\r\n")), None, "{line}");
        }
    }
}
