//! Reads that many ask for at once, made for all of them together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One read serves all who asked for the same before it began: nobody gets what was read before they asked, and what
/// nobody waits for any more is forgotten.
#[derive(Debug)]
pub(crate) struct Together<K, V> {
    cells: Mutex<HashMap<K, Cell<V>>>,
    count: AtomicU64,
}

/// What was read last, none where that failed, and the number of the moment at which it began; locked while it is read.
type Cell<V> = Arc<tokio::sync::Mutex<Option<(u64, Option<V>)>>>;

impl<K, V> Default for Together<K, V> {
    fn default() -> Self {
        Self { cells: Mutex::default(), count: AtomicU64::default() }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Together<K, V> {
    /// What `read` brings, or what another one's brought that began after this call.
    ///
    /// Errors: those of `read`, for the one whose it was. Those who waited for it read for themselves, all at once: a
    /// table that answers nobody in time is not waited for by one after the other.
    pub(crate) async fn read<E>(&self, key: &K, read: impl AsyncFnOnce() -> Result<V, E>) -> Result<V, E> {
        let asked = self.now();
        let waits = Waits { all: self, key, cell: self.cells().entry(key.clone()).or_default().clone() };
        let mut last = waits.cell.lock().await;
        match &*last {
            Some((began, Some(value))) if *began > asked => return Ok(value.clone()),
            Some((began, None)) if *began > asked => {
                drop(last);
                return read().await;
            }
            _ => {}
        }
        let began = self.now();
        let value = read().await;
        *last = Some((began, value.as_ref().ok().cloned()));
        value
    }

    fn now(&self) -> u64 {
        self.count.fetch_add(1, SeqCst)
    }
}

impl<K, V> Together<K, V> {
    fn cells(&self) -> MutexGuard<'_, HashMap<K, Cell<V>>> {
        // Whole values only stand in it, so a panic elsewhere can't have left half of one.
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who asked; the last one to go takes what was read along.
struct Waits<'a, K: Eq + Hash, V> {
    all: &'a Together<K, V>,
    key: &'a K,
    cell: Cell<V>,
}

impl<K: Eq + Hash, V> Drop for Waits<'_, K, V> {
    fn drop(&mut self) {
        let mut cells = self.all.cells();
        // Before the others are counted: of two that go at once the second must be the last.
        drop(std::mem::take(&mut self.cell));
        if cells.get(self.key).is_some_and(|cell| Arc::strong_count(cell) == 1) {
            cells.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    /// Reads that end when they are let, each bringing its number.
    #[derive(Default)]
    struct Reads {
        together: Together<&'static str, u64>,
        begun: AtomicU64,
        let_go: Option<Semaphore>,
    }

    impl Reads {
        async fn one(&self, key: &'static str) -> Result<u64, &'static str> {
            self.together
                .read(&key, async || {
                    let number = self.begun.fetch_add(1, SeqCst);
                    if let Some(gate) = &self.let_go {
                        gate.acquire().await.unwrap().forget();
                    }
                    if key == "down" || number == 0 && key == "broken" { Err(key) } else { Ok(number) }
                })
                .await
        }

        fn slow() -> Self {
            Self { let_go: Some(Semaphore::new(0)), ..Self::default() }
        }
    }

    #[tokio::test]
    async fn one_after_the_other_each_reads_and_nothing_is_kept() {
        let reads = Reads::default();
        for number in 0..3 {
            assert_eq!(reads.one("a").await, Ok(number));
            assert!(reads.together.cells().is_empty());
        }
    }

    #[tokio::test]
    async fn who_asks_while_one_reads_gets_the_next_read_and_all_of_them_the_same() {
        let reads = Reads::slow();
        let gate = reads.let_go.as_ref().unwrap();
        let all = join_all((0..20).map(|_| reads.one("a")));
        let (answers, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            gate.add_permits(2);
        });
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers[0], 0, "its own");
        assert!(
            answers[1..].iter().all(|answer| *answer == 1),
            "nobody gets what was begun before they asked: {answers:?}"
        );
        assert!(reads.together.cells().is_empty());
    }

    #[tokio::test]
    async fn nobody_waits_for_another_key() {
        let reads = Reads::slow();
        let (mut first, mut second) = (Box::pin(reads.one("a")), Box::pin(reads.one("b")));
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert_eq!(reads.begun.load(SeqCst), 2);
        reads.let_go.as_ref().unwrap().add_permits(2);
        assert_eq!(tokio::join!(first, second), (Ok(0), Ok(1)));
    }

    #[tokio::test]
    async fn a_read_that_fails_fails_for_its_own_only() {
        let reads = Reads::default();
        let (first, second) = tokio::join!(reads.one("broken"), reads.one("broken"));
        assert_eq!((first, second), (Err("broken"), Ok(1)));
    }

    #[tokio::test]
    async fn who_waited_for_a_read_that_failed_reads_at_once() {
        let reads = Reads::slow();
        let gate = reads.let_go.as_ref().unwrap();
        let mut all = Box::pin(join_all((0..5).map(|_| reads.one("down"))));
        // One after the other: the first, and the one that those who came during it wait for.
        for begun in [1, 2] {
            assert!(futures::poll!(&mut all).is_pending());
            assert_eq!(reads.begun.load(SeqCst), begun);
            gate.add_permits(1);
        }
        assert!(futures::poll!(&mut all).is_pending());
        assert_eq!(reads.begun.load(SeqCst), 5);
        gate.add_permits(3);
        assert!(all.await.into_iter().all(|answer| answer.is_err()));
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_leaves_the_read_to_the_next() {
        let reads = Reads::slow();
        let mut gone = Box::pin(reads.one("a"));
        assert!(futures::poll!(&mut gone).is_pending());
        let mut next = Box::pin(reads.one("a"));
        assert!(futures::poll!(&mut next).is_pending());
        drop(gone);
        reads.let_go.as_ref().unwrap().add_permits(1);
        assert_eq!(next.await, Ok(1));
        assert!(reads.together.cells().is_empty());
    }
}
