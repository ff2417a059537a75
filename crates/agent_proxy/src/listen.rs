//! Accepts the agent's connections, a limited number at once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Runs until the future is dropped, which closes all connections. Connections beyond `max` wait in the listener's
/// queue.
pub(crate) async fn serve<F>(listener: TcpListener, max: usize, handle: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(max));
    let mut connections = JoinSet::new();
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let connection = handle(stream);
                connections.spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a proxy of an agent cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn flood_is_served_a_few_at_a_time() {
        const MAX: usize = 8;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let [open, peak] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let counters = (Arc::clone(&open), Arc::clone(&peak));
        tokio::spawn(serve(listener, MAX, move |mut stream| {
            let (open, peak) = counters.clone();
            async move {
                peak.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let _ = stream.read_u8().await;
                open.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.write_all(b"x").await;
            }
        }));
        let clients = futures::stream::iter(0..5_000).map(|_| async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(b"x").await.unwrap();
            client.read_u8().await.unwrap()
        });
        assert_eq!(clients.buffer_unordered(100).count().await, 5_000);
        assert!(peak.load(Ordering::SeqCst) <= MAX, "{peak:?}");
    }
}
