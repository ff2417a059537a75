//! What a program began, watched while it works: where orphans do not come to us, an orphan is known as its own only to
//! who has seen it before. On Linux they come to us, or a namespace ends with its first process: nothing is watched.

use super::kin::Kin;
use super::table::Source;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long is rested between two looks. A tool that lives for less may begin something and be gone unseen; each look
/// takes some hundredths of a second of a core.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The watch over what descends from a program, where this machine needs one. It ends with its value.
pub(crate) struct Descent {
    watch: Option<Watch>,
}

impl Descent {
    /// Of a child that was just started.
    pub(crate) fn of(child: &Child) -> Self {
        Self::seen_by(Source::HERE, child)
    }

    fn seen_by(source: Source, child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let watch = match source {
            Source::Proc => None,
            Source::Ps => pid.map(|pid| Watch::begin(pid, source)),
        };
        Self { watch }
    }

    /// What was seen, where something was watched.
    pub(super) async fn end(self) -> Option<Kin> {
        match self.watch {
            Some(watch) => Some(watch.end().await),
            None => None,
        }
    }
}

struct Watch {
    kin: Arc<Mutex<Kin>>,
    goes_on: oneshot::Sender<()>,
    looks: JoinHandle<()>,
}

impl Watch {
    fn begin(pid: i32, source: Source) -> Self {
        let mut kin = Kin::default();
        kin.add(pid);
        let kin = Arc::new(Mutex::new(kin));
        let (goes_on, ends) = oneshot::channel();
        let looks = tokio::spawn(looks(source, Arc::clone(&kin), ends));
        Self { kin, goes_on, looks }
    }

    async fn end(self) -> Kin {
        drop(self.goes_on);
        // A look that is under way may be the last that sees who began whom.
        let _ = self.looks.await;
        std::mem::take(&mut *held(&self.kin))
    }
}

/// Looks until nobody holds the other end.
async fn looks(source: Source, kin: Arc<Mutex<Kin>>, mut ends: oneshot::Receiver<()>) {
    let mut told = false;
    loop {
        match source.table().await {
            Ok(table) => {
                held(&kin).learn(&table);
            }
            Err(error) if !told => {
                tracing::warn!(error = %error, "what an agent leaves behind may not be found: failed to {error}");
                told = true;
            }
            Err(_) => {}
        }
        tokio::select! {
            _ = &mut ends => return,
            () = sleep(LOOK_EVERY) => {}
        }
    }
}

fn held(kin: &Mutex<Kin>) -> MutexGuard<'_, Kin> {
    kin.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a Mac does, with Linux's `ps`.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests;
