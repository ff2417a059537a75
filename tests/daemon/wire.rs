//! A proxy between a daemon and the API that can break calls.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(super) struct Wire {
    pub(super) url: String,
    cut: Arc<Mutex<Option<&'static str>>>,
}

impl Wire {
    pub(super) async fn to(url: &str) -> Self {
        let target: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let cut = Arc::new(Mutex::new(None));
        let state = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, target, Arc::clone(&state)));
            }
        });
        Self { url: own, cut }
    }

    /// Breaks every later call whose head contains this text.
    pub(super) fn cut(&self, what: &'static str) {
        *self.cut.lock().unwrap() = Some(what);
    }

    pub(super) fn mend(&self) {
        *self.cut.lock().unwrap() = None;
    }
}

/// Forwards a connection until either side closes or a call must break.
async fn carry(near: TcpStream, target: SocketAddr, cut: Arc<Mutex<Option<&'static str>>>) -> std::io::Result<()> {
    let far = TcpStream::connect(target).await?;
    let (mut from_near, mut to_near) = near.into_split();
    let (mut from_far, mut to_far) = far.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_far, &mut to_near).await });
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = from_near.read(&mut buffer).await?;
        let said = String::from_utf8_lossy(&buffer[..read]).into_owned();
        let breaks = cut.lock().unwrap().is_some_and(|what| said.contains(what));
        if read == 0 || breaks {
            back.abort();
            return Ok(());
        }
        to_far.write_all(&buffer[..read]).await?;
    }
}
