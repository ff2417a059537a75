//! Reads each job with open pages once for all of them, and wakes their held requests. Only in `pullyard up`.

use super::live::Cursor;
use super::snapshot::Snapshot;
use pullyard_control::Context;
use pullyard_domain::id::JobId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

const READ_INTERVAL: Duration = Duration::from_millis(100);
/// A held request is answered at least this often, so that durations move on and a stop of the server is short.
const REFRESH_INTERVAL: Duration = Duration::from_secs(2);
/// Time per answered page until the next answers. It limits the load of many pages to a part of one core.
const PAUSE_PER_PAGE: Duration = Duration::from_micros(2_500);
/// A reader without pages ends after this time. Between two requests of a page there is a short gap.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

type Sender = watch::Sender<Option<Arc<Snapshot>>>;

#[derive(Clone, Default)]
pub(crate) struct JobReaders(Arc<Mutex<HashMap<JobId, Arc<Sender>>>>);

impl JobReaders {
    /// Waits for a change after `known`, or for the next refresh. `None` if the job could not be read.
    pub(super) async fn wait(&self, ctx: &Context, id: &JobId, known: Cursor) -> Option<Arc<Snapshot>> {
        let mut snapshots = self.subscribe(ctx, id);
        let current = snapshots.borrow_and_update().clone();
        if let Some(current) = current.filter(|current| known.is_older_than(current)) {
            return Some(current);
        }
        snapshots.changed().await.ok()?;
        snapshots.borrow().clone()
    }

    fn subscribe(&self, ctx: &Context, id: &JobId) -> watch::Receiver<Option<Arc<Snapshot>>> {
        let mut readers = self.readers();
        if let Some(sender) = readers.get(id) {
            return sender.subscribe();
        }
        let sender = Arc::new(watch::channel(None).0);
        let snapshots = sender.subscribe();
        readers.insert(id.clone(), sender.clone());
        tokio::spawn(self.clone().run(ctx.clone(), id.clone(), sender));
        snapshots
    }

    async fn run(self, ctx: Context, id: JobId, sender: Arc<Sender>) {
        let mut current: Option<Arc<Snapshot>> = None;
        let mut published = Instant::now();
        let mut used = Instant::now();
        while used.elapsed() < IDLE_LIMIT {
            let next = match &current {
                None => Snapshot::load_end(&ctx, &id).await.map(Some),
                Some(current) => current.load_next(&ctx, published.elapsed() >= REFRESH_INTERVAL).await,
            };
            let Ok(next) = next else { break };
            let pages = u32::try_from(sender.receiver_count()).unwrap_or(u32::MAX);
            if pages > 0 {
                used = Instant::now();
            }
            let mut pause = READ_INTERVAL;
            if let Some(next) = next.map(Arc::new) {
                current = Some(next.clone());
                published = Instant::now();
                pause = pause.max(PAUSE_PER_PAGE.saturating_mul(pages));
                sender.send_replace(Some(next));
            }
            sleep(pause).await;
        }
        // A request that subscribed just now gets no snapshot, and then reads the job itself.
        self.readers().remove(&id);
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Sender>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
