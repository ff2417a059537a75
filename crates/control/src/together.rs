//! Reads that many ask for at once, made for all of them together.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// For how many one read is made at most: a BatchGetItem takes a hundred keys, and some ask for two.
const MOST: usize = 50;

/// One read serves all who asked under the same key before it began: nobody gets what was read before they asked, and
/// nothing is kept. Each says what it asks for, and a read is told all that it is for.
#[derive(Debug)]
pub(crate) struct Together<K: Key, A, V>(Arc<Mutex<Keys<K, A, V>>>);

/// Those who wait, under each key that is read at this moment.
type Keys<K, A, V> = HashMap<K, VecDeque<Waits<K, A, V>>>;

pub(crate) trait Key: Eq + Hash + Clone {}

impl<K: Eq + Hash + Clone> Key for K {}

/// One who waits.
#[derive(Debug)]
struct Waits<K: Key, A, V> {
    ask: A,
    turn: oneshot::Sender<Turn<K, A, V>>,
}

/// Where one who waits hears of its turn.
type Word<K, A, V> = oneshot::Receiver<Turn<K, A, V>>;

/// What one who waited gets.
#[derive(Debug)]
enum Turn<K: Key, A, V> {
    Answer(V),
    /// The read that was for it as well failed.
    Alone,
    /// It is the one that reads next.
    Round(Round<K, A, V>),
}

impl<K: Key, A, V> Default for Together<K, A, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Key, A: Clone, V: Clone> Together<K, A, V> {
    /// What `read` brings, or what another one's brought that began after this call.
    ///
    /// Errors: those of `read`, for this one alone. Where a read for several fails, each of them reads for itself, all
    /// at once: nobody fails for what another one asked, and a table that answers nobody in time is not waited for by
    /// one after the other.
    pub(crate) async fn read<E, R: Future<Output = Result<V, E>>>(
        &self,
        key: &K,
        ask: A,
        read: impl Fn(Vec<A>) -> R,
    ) -> Result<V, E> {
        let turn = match self.join(key, &ask) {
            Ok(round) => Turn::Round(round),
            Err(turn) => turn.await.unwrap_or(Turn::Alone),
        };
        let mut round = match turn {
            Turn::Answer(value) => return Ok(value),
            Turn::Alone => return read(vec![ask]).await,
            Turn::Round(round) => round,
        };
        // Whoever is about to ask comes along: a call for two costs hardly more than a call for one.
        tokio::task::yield_now().await;
        round.take_along();
        let asked: Vec<_> = std::iter::once(&ask).chain(round.others.iter().map(|other| &other.ask)).cloned().collect();
        let alone = asked.len() == 1;
        let value = read(asked).await;
        round.end(value.as_ref().ok());
        if value.is_err() && !alone { read(vec![ask]).await } else { value }
    }

    /// A round of its own where nobody reads, else word of its turn.
    fn join(&self, key: &K, ask: &A) -> Result<Round<K, A, V>, Word<K, A, V>> {
        let mut keys = locked(&self.0);
        if let Some(waiting) = keys.get_mut(key) {
            let (turn, word) = oneshot::channel();
            waiting.push_back(Waits { ask: ask.clone(), turn });
            return Err(word);
        }
        keys.insert(key.clone(), VecDeque::new());
        Ok(Round { keys: self.0.clone(), key: key.clone(), others: VecDeque::new(), is_over: false })
    }
}

pub(crate) fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole values only stand in it, so a panic elsewhere can't have left half of one.
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One read. Whoever has it drops it when it is made, or goes away before: then the next one reads, if one waits.
#[derive(Debug)]
struct Round<K: Key, A, V> {
    keys: Arc<Mutex<Keys<K, A, V>>>,
    key: K,
    /// Whom it is for, beside its own.
    others: VecDeque<Waits<K, A, V>>,
    /// Somebody else has the turn.
    is_over: bool,
}

impl<K: Key, A, V: Clone> Round<K, A, V> {
    fn end(mut self, value: Option<&V>) {
        for other in std::mem::take(&mut self.others) {
            // Whoever went away needs no answer.
            let _ = other.turn.send(value.cloned().map_or(Turn::Alone, Turn::Answer));
        }
    }
}

impl<K: Key, A, V> Drop for Round<K, A, V> {
    fn drop(&mut self) {
        while !self.is_over {
            let Some((first, round)) = self.next() else { return };
            match first.turn.send(Turn::Round(round)) {
                Err(Turn::Round(mut back)) => {
                    back.is_over = true;
                    self.others = std::mem::take(&mut back.others);
                }
                _ => self.is_over = true,
            }
        }
    }
}

impl<K: Key, A, V> Round<K, A, V> {
    /// Who reads next, and its round: before all others those whom this one was for and who got no answer.
    fn next(&mut self) -> Option<(Waits<K, A, V>, Self)> {
        let mut keys = locked(&self.keys);
        let waiting = keys.get_mut(&self.key)?;
        for other in self.others.drain(..).rev() {
            waiting.push_front(other);
        }
        waiting.retain(|waits| !waits.turn.is_closed());
        let Some(first) = waiting.pop_front() else {
            keys.remove(&self.key);
            return None;
        };
        Some((first, Self { keys: self.keys.clone(), key: self.key.clone(), others: VecDeque::new(), is_over: false }))
    }

    /// Those who wait now are served by this one as well, as many as there is room for.
    fn take_along(&mut self) {
        if let Some(waiting) = locked(&self.keys).get_mut(&self.key) {
            let most = waiting.len().min(MOST - 1);
            self.others.extend(waiting.drain(..most));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::future::join_all;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
    use tokio::sync::Semaphore;

    /// What nobody can read.
    const ILL: usize = usize::MAX;

    /// Reads that end when they are let, each bringing its number and what it was for.
    #[derive(Default)]
    struct Reads {
        together: Together<&'static str, usize, (u64, Vec<usize>)>,
        begun: AtomicU64,
        let_go: Option<Semaphore>,
    }

    impl Reads {
        async fn one(&self, key: &'static str, ask: usize) -> Result<(u64, Vec<usize>), &'static str> {
            self.together
                .read(&key, ask, |asked| async move {
                    let number = self.begun.fetch_add(1, SeqCst);
                    if let Some(gate) = &self.let_go {
                        gate.acquire().await.unwrap().forget();
                    }
                    if key == "down" || asked.contains(&ILL) { Err(key) } else { Ok((number, asked)) }
                })
                .await
        }

        fn slow() -> Self {
            Self { let_go: Some(Semaphore::new(0)), ..Self::default() }
        }

        fn let_go(&self, reads: usize) {
            self.let_go.as_ref().unwrap().add_permits(reads);
        }

        fn keeps_nothing(&self) -> bool {
            locked(&self.together.0).is_empty()
        }
    }

    /// It goes as far as it gets, and waits there for somebody.
    fn stands(one: &mut (impl Future + Unpin)) -> bool {
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        (0..4).all(|_| one.poll_unpin(&mut nobody).is_pending())
    }

    #[tokio::test]
    async fn one_after_the_other_each_reads_and_nothing_is_kept() {
        let reads = Reads::default();
        for number in 0..3 {
            assert_eq!(reads.one("a", 7).await, Ok((number, vec![7])));
            assert!(reads.keeps_nothing());
        }
    }

    #[tokio::test]
    async fn who_asks_while_one_reads_gets_the_next_read_and_all_of_them_the_same() {
        let reads = Reads::slow();
        let mut first = Box::pin(reads.one("a", 0));
        assert!(stands(&mut first));
        assert_eq!(reads.begun.load(SeqCst), 1);
        let mut rest = Box::pin(join_all((1..20).map(|ask| reads.one("a", ask))));
        assert!(stands(&mut rest));
        reads.let_go(2);
        assert_eq!(first.await, Ok((0, vec![0])), "its own");
        let same = Ok((1, (1..20).collect::<Vec<_>>()));
        let answers = rest.await;
        assert!(
            answers.iter().all(|answer| *answer == same),
            "nobody gets what was begun before they asked: {answers:?}"
        );
        assert!(reads.keeps_nothing());
    }

    #[tokio::test]
    async fn those_who_ask_at_one_moment_share_the_first_read() {
        let reads = Reads::default();
        let answers = join_all((0..20).map(|ask| reads.one("a", ask))).await;
        let same = Ok((0, (0..20).collect::<Vec<_>>()));
        assert!(answers.iter().all(|answer| *answer == same), "{answers:?}");
        assert!(reads.keeps_nothing());
    }

    #[tokio::test]
    async fn who_asks_before_the_next_read_begins_comes_along() {
        let reads = Reads::slow();
        let mut first = Box::pin(reads.one("a", 0));
        let mut second = Box::pin(reads.one("a", 1));
        assert!(stands(&mut first) && stands(&mut second));
        reads.let_go(1);
        assert_eq!(first.await, Ok((0, vec![0])));
        // It knows that it is its turn, and has not begun.
        assert!(futures::poll!(&mut second).is_pending());
        let mut third = Box::pin(reads.one("a", 2));
        assert!(futures::poll!(&mut third).is_pending());
        reads.let_go(1);
        assert_eq!(tokio::join!(second, third), (Ok((1, vec![1, 2])), Ok((1, vec![1, 2]))));
        assert!(reads.keeps_nothing());
    }

    #[tokio::test]
    async fn a_read_is_for_fifty_at_most_and_the_others_have_the_next() {
        let reads = Reads::slow();
        let all = join_all((0..120).map(|ask| reads.one("a", ask)));
        let (answers, ()) = tokio::join!(all, async {
            tokio::task::yield_now().await;
            reads.let_go(3);
        });
        let of = |number: usize| answers.iter().filter(|answer| answer.as_ref().unwrap().0 == number as u64).count();
        assert_eq!((0..3).map(of).collect::<Vec<_>>(), [50, 50, 20]);
        assert!(answers.iter().enumerate().all(|(ask, answer)| answer.as_ref().unwrap().1.contains(&ask)));
    }

    #[tokio::test]
    async fn nobody_waits_for_another_key() {
        let reads = Reads::slow();
        let (mut first, mut second) = (Box::pin(reads.one("a", 1)), Box::pin(reads.one("b", 2)));
        assert!(stands(&mut first) && stands(&mut second));
        assert_eq!(reads.begun.load(SeqCst), 2);
        reads.let_go(2);
        assert_eq!(tokio::join!(first, second), (Ok((0, vec![1])), Ok((1, vec![2]))));
    }

    #[tokio::test]
    async fn nobody_fails_for_what_another_one_asked() {
        for ill in [0, 1, 2] {
            let reads = Reads::slow();
            let all = join_all((0..3).map(|ask| reads.one("a", if ask == ill { ILL } else { ask })));
            let (answers, ()) = tokio::join!(all, async {
                tokio::task::yield_now().await;
                reads.let_go(4);
            });
            let failed: Vec<_> = answers.iter().map(Result::is_err).collect();
            assert_eq!(failed, [ill == 0, ill == 1, ill == 2]);
            assert!(reads.keeps_nothing());
        }
    }

    #[tokio::test]
    async fn who_waited_for_a_read_that_failed_reads_at_once() {
        let reads = Reads::slow();
        let mut all = Box::pin(join_all((0..5).map(|ask| reads.one("down", ask))));
        assert!(stands(&mut all));
        assert_eq!(reads.begun.load(SeqCst), 1, "one for all of them");
        reads.let_go(1);
        assert!(stands(&mut all));
        assert_eq!(reads.begun.load(SeqCst), 6, "each at once");
        reads.let_go(5);
        assert!(all.await.into_iter().all(|answer| answer.is_err()));
    }

    #[tokio::test]
    async fn one_that_goes_away_leaves_its_read_to_the_next() {
        let reads = Reads::slow();
        let mut gone = Box::pin(reads.one("a", 0));
        assert!(stands(&mut gone));
        let mut waits: Vec<_> = (1..5).map(|ask| Box::pin(reads.one("a", ask))).collect();
        for one in &mut waits {
            assert!(futures::poll!(one).is_pending());
        }
        // Nobody is there for the first two: one goes before it is its turn, one when it was told and had not begun.
        drop(waits.remove(0));
        drop(gone);
        drop(waits.remove(0));
        // And one in its read, that was for another one as well.
        let mut last = waits.pop().unwrap();
        let mut reading = waits.pop().unwrap();
        assert!(stands(&mut reading) && stands(&mut last));
        drop(reading);
        reads.let_go(1);
        assert_eq!(last.await, Ok((2, vec![4])));
        assert!(reads.keeps_nothing());
    }
}
