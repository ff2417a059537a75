//! How often a runner sends events: soon while a user watches, else in large batches at a fraction of the cost.

use super::Job;
use crate::text::time::Timestamp;
use std::time::Duration;

/// How long one request counts as watching.
const WATCH_DURATION: Duration = Duration::from_secs(30);
/// A watch is stored again only this close to its end: at most one write in 20 s for all users.
const RENEW_WITHIN: Duration = Duration::from_secs(10);

impl Job {
    /// The end of the watch to store. `None`: the stored one suffices, or the job has ended.
    pub fn renew_watch(&self, now: Timestamp) -> Option<Timestamp> {
        let is_watched = self.watched_until.is_some_and(|until| until > now.plus(RENEW_WITHIN));
        (!is_watched && !self.status.is_terminal()).then(|| now.plus(WATCH_DURATION))
    }

    pub fn is_watched(&self, now: Timestamp) -> bool {
        self.watched_until.is_some_and(|until| until > now)
    }

    /// On one machine a batch costs no money.
    pub fn send_interval(&self, now: Timestamp, on_one_machine: bool) -> Duration {
        Duration::from_millis(match (self.is_watched(now), on_one_machine) {
            (true, true) => 200,
            (true, false) => 500,
            (false, true) => 800,
            (false, false) => 30_000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use crate::job::JobStatus;

    fn executing_job() -> Job {
        Job { status: JobStatus::Executing, ..fixtures::job_and_ticket().0 }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    #[test]
    fn watch_is_stored_once_and_renewed_near_its_end() {
        let job = executing_job();
        assert_eq!(job.renew_watch(at(100)), Some(at(130)));
        let job = Job { watched_until: Some(at(130)), ..job };
        assert_eq!(job.renew_watch(at(119)), None);
        assert_eq!(job.renew_watch(at(120)), Some(at(150)));
        assert_eq!(Job { status: JobStatus::Completed, ..job }.renew_watch(at(500)), None);
    }

    #[test]
    fn events_are_sent_faster_while_the_job_is_watched() {
        let job = Job { watched_until: Some(at(130)), ..executing_job() };
        for (on_one_machine, watched, unwatched) in [(false, 500, 30_000), (true, 200, 800)] {
            let interval = |secs| (job.is_watched(at(secs)), job.send_interval(at(secs), on_one_machine).as_millis());
            assert_eq!((interval(129), interval(130)), ((true, watched), (false, unwatched)));
        }
    }
}
