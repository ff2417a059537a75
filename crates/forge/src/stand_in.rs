//! Replaces the network in simulations: closures answer each exchange and each pause.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

pub type Awaited<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Status and body; `None` if the exchange was lost.
pub type Exchanged = Option<(u16, Vec<u8>)>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub method: String,
    pub address: String,
    pub body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct StandIn {
    exchange: Arc<dyn Fn(Exchange) -> Awaited<Exchanged> + Send + Sync>,
    pause: Arc<dyn Fn(Duration) -> Awaited<()> + Send + Sync>,
}

impl fmt::Debug for StandIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StandIn").finish_non_exhaustive()
    }
}

impl StandIn {
    pub(crate) fn new(
        exchange: impl Fn(Exchange) -> Awaited<Exchanged> + Send + Sync + 'static,
        pause: impl Fn(Duration) -> Awaited<()> + Send + Sync + 'static,
    ) -> Self {
        Self { exchange: Arc::new(exchange), pause: Arc::new(pause) }
    }

    pub(crate) async fn exchange(&self, asked: Exchange) -> Exchanged {
        (self.exchange)(asked).await
    }

    pub(crate) async fn pause(&self, by: Duration) {
        (self.pause)(by).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connections, Endpoint, Error, GitHub, Token};
    use std::sync::Mutex;

    async fn asked(answers: Vec<Exchanged>) -> (Result<String, Error>, Vec<Exchange>, usize) {
        let (answers, exchanges) = (Arc::new(Mutex::new(answers)), Arc::new(Mutex::new(Vec::new())));
        let pauses = Arc::new(Mutex::new(0));
        let (asked, paused) = (exchanges.clone(), pauses.clone());
        let connections = Connections::standing_in(
            move |exchange| {
                asked.lock().unwrap().push(exchange);
                let answer = answers.lock().unwrap().remove(0);
                Box::pin(async move { answer })
            },
            move |_| {
                *paused.lock().unwrap() += 1;
                Box::pin(std::future::ready(()))
            },
        );
        let endpoint = Endpoint { api_url: "http://forge.simulated".into(), connections };
        let account = GitHub::new(endpoint, Token::new("t")).unwrap().account().await;
        let (exchanges, pauses) = (exchanges.lock().unwrap().clone(), *pauses.lock().unwrap());
        (account.map(|account| account.login), exchanges, pauses)
    }

    #[tokio::test]
    async fn stand_in_replaces_the_network_and_the_pauses() {
        let account = br#"{"id":7,"login":"ana"}"#.to_vec();
        let broken = Some((502, b"{}".to_vec()));
        let (login, exchanges, pauses) = asked(vec![None, broken, Some((200, account))]).await;
        assert_eq!(login, Ok("ana".to_owned()));
        assert_eq!(pauses, 2, "every pause goes through the stand-in");
        let once = Exchange { method: "GET".into(), address: "http://forge.simulated/user".into(), body: Vec::new() };
        assert_eq!(exchanges, vec![once; 3]);
    }

    #[tokio::test]
    async fn forge_is_unreachable_after_three_broken_connections() {
        let (login, exchanges, pauses) = asked(vec![None; 3]).await;
        assert!(matches!(login, Err(Error::Unreachable { .. })), "{login:?}");
        assert_eq!((exchanges.len(), pauses), (3, 2));
    }
}
