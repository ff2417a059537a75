//! Which runner may take which job, and in which order.

use crate::breaker::KeyOf;
use crate::id::{ClaimId, ClassId, JobId, RunnerId};
use crate::job::{Job, Place, Status, Want};
use crate::runner::Profile;
use crate::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// What jobs of one class ask of a runner.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Needs {
    /// The agent.
    pub capability: String,
    /// Tags it must have.
    pub labels: BTreeSet<String>,
    /// Whose key their agent asks its model with: not what a runner must have, but which account it would ask.
    #[serde(default, skip_serializing_if = "is_runners")]
    pub key: KeyOf,
}

fn is_runners(key: &KeyOf) -> bool {
    *key == KeyOf::Runner
}

/// The runner has the capability and every label.
pub fn matches(needs: &Needs, runner: &Profile) -> bool {
    runner.capabilities.contains(&needs.capability) && needs.labels.is_subset(&runner.labels)
}

/// A row of the index of claimable jobs: a suggestion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The job.
    pub job: JobId,
    /// Its class when the row was written.
    pub class: ClassId,
    /// Lowest first.
    pub order: i64,
}

/// First come, first served, across all classes; at most `most`.
pub fn in_order(mut candidates: Vec<Candidate>, most: usize) -> Vec<Candidate> {
    candidates.sort_by(|a, b| a.order.cmp(&b.order).then_with(|| a.job.as_str().cmp(b.job.as_str())));
    candidates.dedup_by(|later, earlier| later.job == earlier.job);
    candidates.truncate(most);
    candidates
}

/// Which of the `left` candidates a claim tries for the `tried`th time: the first at first, then any, so that a
/// herd of runners does not run from one job to the next together. Two claims take two ways, one always the same.
pub fn nth(claim: &ClaimId, tried: usize, left: usize) -> usize {
    if tried == 0 || left == 0 {
        return 0;
    }
    let digest = Sha256::digest(format!("{tried}#{claim}"));
    digest.iter().take(4).fold(0, |number: usize, byte| number << 8 | usize::from(*byte)) % left
}

/// The job itself is what its row of the index said: nobody has it, and it waits for runners of that class, this
/// one among them.
pub fn is_claimable(job: &Job, class: &ClassId, runner: &RunnerId, now: Timestamp) -> bool {
    let waits = job.status == Status::Ready && job.place == Place::Runners && job.want == Want::Run;
    waits && job.class == *class && job.is_left_to(runner, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::{at, claim, crashed, job_id, ready};

    #[test]
    fn the_first_that_came_is_the_first_whatever_its_class() {
        let row =
            |job: &str, class: &str, order| Candidate { job: job_id(job), class: ClassId::new(class).unwrap(), order };
        let (one, two, three) = (row("1", "a", 10), row("2", "b", 20), row("3", "a", 30));
        let rows = vec![three.clone(), one.clone(), two.clone(), one.clone()];
        assert_eq!(in_order(rows.clone(), 9), [one.clone(), two.clone(), three]);
        assert_eq!(in_order(rows, 2), [one, two]);
    }

    #[test]
    fn only_a_ready_job_of_that_class_on_runners_is_claimable() {
        let job = Job { place: Place::Runners, ..ready() };
        let class = job.class.clone();
        let kite = RunnerId::of("t1", "kite");
        let is_claimable = |job: &Job, class: &ClassId| super::is_claimable(job, class, &kite, at(0));
        assert!(is_claimable(&job, &class));
        assert!(!is_claimable(&job, &ClassId::new("other").unwrap()));
        assert!(!is_claimable(&Job { place: Place::Fargate, ..job.clone() }, &class));
        assert!(!is_claimable(&Job { want: Want::Cancel, ..job.clone() }, &class));
        assert!(!is_claimable(&job.claimed(&claim(1, "c1"), at(5)).unwrap(), &class));
        assert!(!is_claimable(&job.given_up(crashed(), at(5)).unwrap(), &class));
    }

    #[test]
    fn a_claim_that_was_not_quick_enough_tries_any_of_those_that_are_left() {
        let claims = (0..200).map(|at| ClaimId::new(format!("claim-{at}")).unwrap()).collect::<Vec<_>>();
        assert!(claims.iter().all(|claim| nth(claim, 0, 16) == 0));
        let tried: BTreeSet<_> = claims.iter().map(|claim| nth(claim, 1, 16)).collect();
        assert_eq!(tried, (0..16).collect());
        assert_eq!(nth(&claims[0], 3, 0), 0);
    }

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn check(capability: &str, labels: &str, expected: bool) {
        let runner = Profile {
            id: crate::id::RunnerId::of("token", "kite"),
            name: "kite".into(),
            capabilities: set("command codex"),
            labels: set("gpu eu"),
            version: "0.1.0".into(),
            projects: None,
        };
        let needs = Needs { capability: capability.into(), labels: set(labels), key: KeyOf::Runner };
        assert_eq!(matches(&needs, &runner), expected, "{capability} {labels}");
    }

    #[test]
    fn a_runner_takes_what_it_can_drive_and_is_labelled_for() {
        check("command", "", true);
        check("codex", "gpu", true);
        check("codex", "eu gpu", true);
        check("claude_code", "", false);
        check("command", "arm", false);
        check("command", "gpu arm", false);
    }
}
