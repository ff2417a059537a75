//! Finds the processes of attempts that the control plane has ended. A healthy process learns this at its next call and
//! exits. A frozen one does not, so the daemon kills it, or its slot would stay occupied.

use super::process_record::{AttemptKey, ProcessRecord};
use pullyard_domain::text::id::JobId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct LostProcesses {
    since: BTreeMap<AttemptKey, Instant>,
}

impl LostProcesses {
    /// Returns the processes that are still running `grace` after the first heartbeat whose answer ended them.
    pub(crate) fn update(
        &mut self,
        running: &BTreeMap<AttemptKey, ProcessRecord>,
        ended: &BTreeSet<JobId>,
        grace: Duration,
        now: Instant,
    ) -> Vec<ProcessRecord> {
        // A claim of a later attempt proves the end of an earlier one.
        let has_later = |(job, attempt): &AttemptKey| running.contains_key(&(job.clone(), attempt + 1));
        let lost =
            running.iter().filter(|(key, _)| ended.contains(&key.0) || has_later(key)).collect::<BTreeMap<_, _>>();
        self.since.retain(|key, _| lost.contains_key(key));
        let since = lost.into_iter().map(|(key, record)| (*self.since.entry(key.clone()).or_insert(now), record));
        since.filter(|(since, _)| now.duration_since(*since) >= grace).map(|(_, record)| record.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_domain::text::id::ClaimId;

    const GRACE: Duration = Duration::from_secs(30);

    fn job(letter: &str) -> JobId {
        JobId::new(format!("job_{}", letter.repeat(26))).unwrap()
    }

    fn running(keys: &[(&str, u32)]) -> BTreeMap<AttemptKey, ProcessRecord> {
        let record = |(letter, attempt): &(&str, u32)| ProcessRecord {
            job: job(letter),
            attempt: *attempt,
            claim_id: ClaimId::new("c").unwrap(),
            pid: None,
            began: None,
        };
        keys.iter().map(record).map(|record| (record.key(), record)).collect()
    }

    #[test]
    fn process_of_an_ended_attempt_is_killed_after_its_grace() {
        let (mut lost, start) = (LostProcesses::default(), Instant::now());
        let processes = running(&[("a", 1), ("b", 1)]);
        let mut killed = |secs, ended: &[&str]| {
            let ended = ended.iter().map(|letter| job(letter)).collect();
            let killed = lost.update(&processes, &ended, GRACE, start + Duration::from_secs(secs));
            killed.iter().map(ProcessRecord::key).collect::<Vec<_>>()
        };
        assert_eq!(killed(0, &[]), []);
        assert_eq!(killed(10, &["a"]), []);
        assert_eq!(killed(39, &["a"]), []);
        assert_eq!(killed(40, &["a"]), [(job("a"), 1)]);
        // The control plane's answer changed, so the time begins again.
        assert_eq!(killed(50, &[]), []);
        assert_eq!(killed(60, &["a"]), []);
    }

    #[test]
    fn process_of_an_earlier_attempt_is_killed() {
        let (mut lost, start) = (LostProcesses::default(), Instant::now());
        let processes = running(&[("a", 1), ("a", 2), ("b", 3)]);
        let mut killed = |secs| lost.update(&processes, &BTreeSet::new(), GRACE, start + Duration::from_secs(secs));
        assert_eq!(killed(0), []);
        assert_eq!(killed(30).iter().map(ProcessRecord::key).collect::<Vec<_>>(), [(job("a"), 1)]);
    }
}
