//! Decides which runner may claim which job, and in which order.

use crate::agent::runner::{OFFLINE_AFTER, Profile, Runner};
use crate::job::{DesiredState, Job, JobStatus, Placement};
use crate::project::labels::has_label;
use crate::text::id::{ClaimId, ClassId, JobId, RunnerId};
use crate::text::key_of::KeyOwner;
use crate::text::time::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClassRequirements {
    pub capability: String,
    pub labels: BTreeSet<String>,
    /// The owner of the model key. It selects the breakers of the class and is no requirement for a runner.
    #[serde(default, skip_serializing_if = "crate::text::stored::is_default")]
    pub key: KeyOwner,
}

pub fn matches(needs: &ClassRequirements, runner: &Profile) -> bool {
    runner.capabilities.contains(&needs.capability) && needs.labels.iter().all(|label| has_label(&runner.labels, label))
}

/// A row of the index of claimable jobs. It is only a hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    pub job: JobId,
    pub class: ClassId,
    pub order: i64,
}

/// The first `limit` jobs of all classes, without duplicates.
pub fn sort_candidates(mut candidates: Vec<Candidate>, limit: usize) -> Vec<Candidate> {
    candidates.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.job.as_str().cmp(b.job.as_str())));
    candidates.dedup_by(|later, earlier| later.job == earlier.job);
    candidates.truncate(limit);
    candidates
}

/// How many of the first jobs a claim reads, first and after each list is exhausted. A wider read costs more, so it is
/// only used when concurrent claims took the first jobs, or the runner's protocol lacks their kinds.
pub const READ_LIMITS: [usize; 3] = [16, 64, 256];

pub const MAX_TRIES: usize = 64;

/// The candidate that a claim tries next: the first in order, then pseudo-random ones. Concurrent claims try different
/// candidates, and a repeated claim tries the same ones.
pub fn candidate_index(claim: &ClaimId, tried: usize, candidates: usize) -> usize {
    if tried == 0 || candidates == 0 {
        return 0;
    }
    let digest = Sha256::digest(format!("{tried}#{claim}"));
    digest.as_slice().first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first) as usize % candidates)
}

/// Whether the job is still as its index row promised, and this runner may claim it now.
pub fn is_claimable(job: &Job, class: &ClassId, runner: &RunnerId, now: Timestamp) -> bool {
    let is_waiting = job.status == JobStatus::Ready && job.place == Placement::Runners && job.want == DesiredState::Run;
    is_waiting && !job.awaits_place() && job.class == *class && job.may_be_claimed_by(runner, now)
}

/// The runners that a hint about the job may wake: those that may sleep last, the least busy first, and equal ones in
/// an order of each job. Their profiles decide.
pub fn sort_idle_runners(job: &Job, mut runners: Vec<Runner>, now: Timestamp) -> Vec<Runner> {
    runners.retain(|runner| runner.waits_for_hints(now) && is_claimable(job, &job.class, &runner.id, now));
    runners.sort_by_cached_key(|runner| {
        let is_late = now.since(runner.last_heartbeat) > OFFLINE_AFTER;
        (is_late, runner.slots.len(), Sha256::digest(format!("{}#{}", job.id, runner.id)).to_vec())
    });
    runners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::runner::{Drain, Presence};
    use crate::fixtures::{claim, crash_failure, job_id, ready_job, runner, slot, time_at};

    #[test]
    fn candidates_are_sorted_by_order_across_classes() {
        let row =
            |job: &str, class: &str, order| Candidate { job: job_id(job), class: ClassId::new(class).unwrap(), order };
        let (one, two, three) = (row("1", "a", 10), row("2", "b", 20), row("3", "a", 30));
        let rows = vec![three.clone(), one.clone(), two.clone(), one.clone()];
        assert_eq!(sort_candidates(rows.clone(), 9), [one.clone(), two.clone(), three]);
        assert_eq!(sort_candidates(rows, 2), [one, two]);
        // Rows of equal order are sorted by id.
        let equal = ["1", "2", "1", "3", "2"].map(|job| row(job, "a", 10));
        let seen = sort_candidates(equal.to_vec(), 9);
        assert!(seen.len() == 3 && seen.is_sorted_by(|a, b| a.job < b.job), "{seen:?}");
        assert_eq!(sort_candidates(equal.into_iter().rev().collect(), 9), seen);
    }

    #[test]
    fn only_a_ready_job_of_its_class_on_runners_is_claimable() {
        let job = Job { place: Placement::Runners, ..ready_job() };
        let class = job.class.clone();
        let kite = RunnerId::for_registration("t1", "kite");
        let is_claimable = |job: &Job, class: &ClassId| super::is_claimable(job, class, &kite, time_at(0));
        assert!(is_claimable(&job, &class));
        assert!(!is_claimable(&job, &ClassId::new("other").unwrap()));
        assert!(!is_claimable(&Job { place: Placement::Fargate, ..job.clone() }, &class));
        assert!(!is_claimable(&Job { want: DesiredState::Cancel, ..job.clone() }, &class));
        assert!(!is_claimable(&job.claim(&claim(1, "c1"), time_at(5)).unwrap(), &class));
        assert!(!is_claimable(&job.fail(crash_failure(), time_at(5)).unwrap(), &class));
    }

    #[test]
    fn claims_pick_the_first_in_order_and_then_spread() {
        let claims = (0..200).map(|at| ClaimId::new(format!("claim-{at}")).unwrap()).collect::<Vec<_>>();
        assert!(claims.iter().all(|claim| candidate_index(claim, 0, 16) == 0));
        let picked: BTreeSet<_> = claims.iter().map(|claim| candidate_index(claim, 1, 16)).collect();
        assert_eq!(picked, (0..16).collect());
        assert_eq!(candidate_index(&claims[0], 1, 0), 0);
    }

    #[test]
    fn least_busy_runner_with_a_mailbox_is_woken_first() {
        let job = Job { place: Placement::Runners, ..ready_job() };
        let slots = |count: usize| (0..count).map(|n| (job_id(&n.to_string()), slot("c", 0))).collect();
        let with_slots = |name, busy| Runner { max: 3, slots: slots(busy), ..runner(name) };
        let names = |job: &Job, runners: Vec<Runner>, secs| {
            let sorted = sort_idle_runners(job, runners, time_at(secs)).into_iter();
            sorted.map(|runner| runner.name).collect::<Vec<_>>()
        };
        let drain = Some(Drain { by: "ana".into(), at: time_at(0), acknowledged: None });
        let runners = vec![
            with_slots("busy", 2),
            with_slots("idle", 0),
            with_slots("full", 3),
            Runner { mailbox: None, ..with_slots("old", 0) },
            Runner { drain, ..with_slots("draining", 0) },
            Runner { status: Presence::Offline, ..with_slots("offline", 0) },
            with_slots("one", 1),
        ];
        assert_eq!(names(&job, runners.clone(), 0), ["idle", "one", "busy"]);
        assert_eq!(names(&job, runners.clone(), 91), Vec::<String>::new(), "all are silent");
        let asleep = Runner { offline_secs: Some(600), ..with_slots("asleep", 0) };
        let awake = Runner { last_heartbeat: time_at(91), ..with_slots("awake", 2) };
        assert_eq!(names(&job, vec![asleep, awake], 91), ["awake", "asleep"]);
        let claimed = job.claim(&claim(1, "c1"), time_at(5)).unwrap();
        assert_eq!(names(&claimed, runners, 5), Vec::<String>::new(), "the job is gone");
        // Many jobs do not all wake the same one of equal runners.
        let equal = ["kite", "gull", "swan"].map(|name| with_slots(name, 0)).to_vec();
        let first = |n: usize| names(&Job { id: job_id(&n.to_string()), ..job.clone() }, equal.clone(), 0).remove(0);
        assert_eq!((0..50).map(first).collect::<BTreeSet<_>>().len(), 3);
    }

    fn word_set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn check(capability: &str, labels: &str, expected: bool) {
        let runner = Profile {
            id: crate::text::id::RunnerId::for_registration("token", "kite"),
            name: "kite".into(),
            capabilities: word_set("command codex"),
            labels: word_set("gpu eu"),
            version: "0.1.0".into(),
            projects: None,
            isolation: None,
        };
        let needs =
            ClassRequirements { capability: capability.into(), labels: word_set(labels), key: KeyOwner::Runner };
        assert_eq!(matches(&needs, &runner), expected, "{capability} {labels}");
    }

    #[test]
    fn runner_matches_capability_and_all_labels() {
        check("command", "", true);
        check("codex", "gpu", true);
        check("codex", "eu gpu", true);
        check("claude_code", "", false);
        check("command", "arm", false);
        check("command", "gpu arm", false);
    }

    #[test]
    fn resumable_job_is_left_to_its_runner_for_a_while() {
        let (kite, gull) = (RunnerId::for_registration("t1", "kite"), RunnerId::for_registration("t1", "gull"));
        let session = crate::job::Session {
            agent: "command".into(),
            id: None,
            runner: Some(kite.clone()),
            attempt: 1,
            inputs: 0,
        };
        let job = Job { place: Placement::Runners, session: Some(session), ..ready_job() };
        let takes = |runner: &RunnerId, secs| is_claimable(&job, &job.class, runner, time_at(secs));
        assert_eq!((takes(&kite, 0), takes(&gull, 0), takes(&gull, 30)), (true, false, true));
    }
}
