//! The clock of the machine, possibly moved forward by a test, or a simulated clock.

use pullyard_domain::time::Timestamp;
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

pub type Pause = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicU64>,
    standing: Option<Standing>,
}

#[derive(Clone)]
struct Standing {
    start: Timestamp,
    made: Arc<AtomicU64>,
    pause: Arc<dyn Fn(Duration) -> Pause + Send + Sync>,
}

impl fmt::Debug for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing").field("start", &self.start).finish_non_exhaustive()
    }
}

impl Clock {
    pub fn standing(start: Timestamp, pause: impl Fn(Duration) -> Pause + Send + Sync + 'static) -> Self {
        let standing = Standing { start, made: Arc::default(), pause: Arc::new(pause) };
        Self { ahead_ms: Arc::default(), standing: Some(standing) }
    }

    pub fn now(&self) -> Timestamp {
        let start = self.standing.as_ref().map_or_else(machine, |standing| standing.start);
        start.plus(Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst)))
    }

    /// Monotonic time since the process started, for ages of cached values. Unlike `now`, it is never adjusted.
    pub fn steady(&self) -> Duration {
        let machine = if self.standing.is_some() { Duration::ZERO } else { BEGAN.elapsed() };
        machine + Duration::from_millis(self.ahead_ms.load(Ordering::SeqCst))
    }

    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        self.ahead_ms.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) async fn pause(&self, by: Duration) {
        match &self.standing {
            Some(standing) => (standing.pause)(by).await,
            None => tokio::time::sleep(by).await,
        }
    }

    /// Returns `None` after `limit` of real time. A simulated clock has no timeout: a slow machine changes no result.
    pub(crate) async fn within<T>(&self, limit: Duration, doing: impl Future<Output = T>) -> Option<T> {
        if self.standing.is_some() { Some(doing.await) } else { tokio::time::timeout(limit, doing).await.ok() }
    }

    /// Returns a unique lower-case id. A simulated clock counts up.
    pub(crate) fn ulid(&self) -> String {
        let ulid = match &self.standing {
            Some(standing) => ulid::Ulid::from(u128::from(standing.made.fetch_add(1, Ordering::SeqCst))),
            None => ulid::Ulid::generate(),
        };
        ulid.to_string().to_lowercase()
    }
}

fn machine() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
