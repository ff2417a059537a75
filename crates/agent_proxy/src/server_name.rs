//! Reads the server name of a TLS connection before it is forwarded.

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_rustls::rustls::server::Acceptor;

/// A first message with many extensions and a post-quantum key is about 2 KB.
const MAX_HELLO_BYTES: usize = 32 * 1024;

/// Reads a TLS ClientHello. Returns its bytes and its server name in lower case; `None` if it has no valid one.
pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<(Vec<u8>, String)> {
    let mut acceptor = Acceptor::default();
    let mut hello = Vec::new();
    let mut part = [0; 4096];
    while hello.len() < MAX_HELLO_BYTES {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        let new = part.get(..count)?;
        hello.extend_from_slice(new);
        let mut unread = new;
        while !unread.is_empty() {
            acceptor.read_tls(&mut unread).ok()?;
        }
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some((hello, accepted.client_hello().server_name()?.to_ascii_lowercase()));
        }
    }
    None
}
