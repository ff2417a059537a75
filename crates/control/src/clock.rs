//! The clock of the machine, possibly moved forward by a test, or a simulated clock.

use pullyard_domain::text::time::Timestamp;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

static PROCESS_START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub type PauseFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Arc<AtomicU64>,
    simulation: Option<SimulatedClock>,
}

#[derive(Clone)]
struct SimulatedClock {
    start: Timestamp,
    ids_created: Arc<AtomicU64>,
    pause: Arc<dyn Fn(Duration) -> PauseFuture + Send + Sync>,
    limit: Option<Duration>,
}

impl fmt::Debug for SimulatedClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedClock").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Clock {
    pub fn new_simulated(start: Timestamp, pause: impl Fn(Duration) -> PauseFuture + Send + Sync + 'static) -> Self {
        let simulated = SimulatedClock { start, ids_created: Arc::default(), pause: Arc::new(pause), limit: None };
        Self { offset_ms: Arc::default(), simulation: Some(simulated) }
    }

    /// A simulated clock that stops each limited step after this real time.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { simulation: self.simulation.map(|simulated| SimulatedClock { limit: Some(limit), ..simulated }), ..self }
    }

    pub fn now(&self) -> Timestamp {
        let start = self.simulation.as_ref().map_or_else(|| SystemTime::now().into(), |simulated| simulated.start);
        start.plus(Duration::from_millis(self.offset_ms.load(Ordering::SeqCst)))
    }

    /// Monotonic time since the process started, for ages of cached values. Unlike `now`, it is never adjusted.
    pub fn monotonic(&self) -> Duration {
        let machine = if self.simulation.is_some() { Duration::ZERO } else { PROCESS_START.elapsed() };
        machine + Duration::from_millis(self.offset_ms.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.offset_ms.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) async fn pause(&self, by: Duration) {
        match &self.simulation {
            Some(simulated) => (simulated.pause)(by).await,
            None => tokio::time::sleep(by).await,
        }
    }

    /// Returns `None` after `limit` of real time. A simulated clock usually has no timeout: a slow machine changes no
    /// result.
    pub(crate) async fn with_timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        match self.simulation.as_ref().map_or(Some(limit), |simulated| simulated.limit) {
            Some(limit) => tokio::time::timeout(limit, future).await.ok(),
            None => Some(future.await),
        }
    }

    /// Returns a unique lower-case id. A simulated clock counts up.
    pub fn ulid(&self) -> String {
        let ulid = match &self.simulation {
            Some(simulated) => ulid::Ulid::from(u128::from(simulated.ids_created.fetch_add(1, Ordering::SeqCst))),
            None => ulid::Ulid::generate(),
        };
        ulid.to_string().to_lowercase()
    }
}
