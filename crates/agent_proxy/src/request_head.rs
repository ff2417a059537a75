//! Reads the head of the agent's request to the egress proxy.

use tokio::io::{AsyncRead, AsyncReadExt};

const MAX_HEAD_BYTES: usize = 16 * 1024;
/// The fields of a download that are forwarded.
const FORWARDED_FIELDS: [&str; 7] =
    ["accept", "if-modified-since", "if-none-match", "if-range", "range", "user-agent", "cache-control"];

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Connect {
        host: String,
        port: u16,
    },
    /// A download without TLS from port 80, which package managers such as apt do. `head` is for the host.
    Download {
        host: String,
        head: Vec<u8>,
    },
}

/// Reads a head byte by byte, so that nothing of the tunnel is consumed. `None` if it is invalid or too long.
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
    let (line, fields) = head.split_once("\r\n")?;
    let mut parts = line.split(' ');
    let (method, target, version) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || !version.starts_with("HTTP/1.") {
        return None;
    }
    if method == "CONNECT" {
        let (host, port) = target.rsplit_once(':')?;
        return Some(Request::Connect { host: host.to_owned(), port: port.parse().ok()? });
    }
    if method != "GET" && method != "HEAD" {
        return None;
    }
    let target = target.strip_prefix("http://")?;
    let (authority, path) = target.split_at(target.find('/').unwrap_or(target.len()));
    let host = authority.strip_suffix(":80").unwrap_or(authority);
    let path = if path.is_empty() { "/" } else { path };
    let mut forwarded = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for field in fields.split("\r\n").filter(|field| !field.is_empty()) {
        let (name, value) = field.split_once(':')?;
        // No body follows, and the proxy's own fields end here.
        let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_plain || value.contains(['\r', '\n']) {
            return None;
        }
        if FORWARDED_FIELDS.contains(&name.to_ascii_lowercase().as_str()) {
            forwarded.push_str(&format!("{name}:{value}\r\n"));
        }
    }
    forwarded.push_str("\r\n");
    Some(Request::Download { host: host.to_owned(), head: forwarded.into_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tunnel_and_download_are_read() {
        let connect = parse("CONNECT example.com:443 HTTP/1.1\r\nHost: other.test\r\n\r\n");
        assert_eq!(connect, Some(Request::Connect { host: "example.com".into(), port: 443 }));
        let get = "GET http://deb.test/dists/x HTTP/1.1\r\nHost: evil.test\r\nRange: bytes=1-\r\nCookie: a\r\n\r\n";
        let head = "GET /dists/x HTTP/1.1\r\nHost: deb.test\r\nConnection: close\r\nRange: bytes=1-\r\n\r\n";
        assert_eq!(parse(get), Some(Request::Download { host: "deb.test".into(), head: head.into() }));
    }

    #[test]
    fn other_requests_are_invalid() {
        for line in [
            "",
            "GET / HTTP/1.1",
            "POST http://a.test/ HTTP/1.1",
            "GET https://a.test/ HTTP/1.1",
            "CONNECT a.test HTTP/1.1",
            "CONNECT a.test:99999 HTTP/1.1",
            "CONNECT a.test:443 HTTP/2",
            "CONNECT a.test:443 HTTP/1.1 x",
        ] {
            assert_eq!(parse(&format!("{line}\r\n\r\n")), None, "{line}");
        }
        assert_eq!(parse("GET http://a.test/ HTTP/1.1\r\nRange: 1\n2\r\n\r\n"), None);
    }
}
