//! Creates a job with all data that is frozen at its creation.

use crate::job::{DesiredState, Dispatch, Job, JobKind, JobPolicy, JobStatus, Placement, Priority, WAKE_TIMEOUT};
use crate::project::task::Task;
use crate::project::{DEFAULT_SUSPENSION_LIMIT, Repository, Settings};
use crate::text::id::{ClassId, JobId, ProjectId, TicketKey};
use crate::text::key_of::KeyOwner;
use crate::text::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

#[derive(Clone, Debug)]
pub struct JobPlan<'a> {
    pub id: JobId,
    pub project: &'a ProjectId,
    pub settings: &'a Settings,
    pub repository: &'a Repository,
    pub context: String,
    pub labels: &'a BTreeSet<String>,
    pub priority: Priority,
    pub now: Timestamp,
}

fn model_capability(settings: &Settings, capability: &str) -> Option<String> {
    settings.model_secrets.iter().any(|(key, _)| key.supports_capability(capability)).then(|| capability.to_owned())
}

pub(super) fn new_job(plan: &JobPlan<'_>, kind: JobKind, branch: String) -> Job {
    let limits = plan.settings.limits;
    let model_of = model_capability(plan.settings, &plan.repository.agent.capability);
    let key = if model_of.is_some() { KeyOwner::Project } else { KeyOwner::Runner };
    Job {
        id: plan.id.clone(),
        project: plan.project.clone(),
        kind,
        status: JobStatus::Ready,
        ticket: None,
        retry_of: None,
        integration: plan.repository.integration.clone(),
        repository: plan.repository.id,
        branch,
        continues: None,
        revises: None,
        waits: None,
        class: ClassId::for_key(plan.project.as_str(), &plan.repository.agent.capability, plan.labels, key),
        // Tasks have no token of their own.
        place: match plan.repository.uses_runner_token() {
            true => Placement::Runners,
            false => Placement::from_compute(plan.settings.compute),
        },
        is_limited: false,
        is_placed: false,
        step: None,
        is_noted: false,
        task: Task::from_settings(plan.settings),
        priority: plan.priority,
        created: plan.now,
        ready_since: plan.now,
        attempt: 0,
        worked: false,
        requeues: 0,
        lost_a_push: false,
        dispatch: Dispatch {
            number: 0,
            due: plan.now.plus(WAKE_TIMEOUT),
            starting: false,
            task: None,
            dead: Vec::new(),
            orphan: None,
            fault: None,
            trace: None,
        },
        run: None,
        want: DesiredState::Run,
        cancel: None,
        pause: None,
        question: None,
        inputs: 0,
        read_inputs: 0,
        session: None,
        model: None,
        push_until: None,
        policy: JobPolicy {
            wall_secs: limits.wall_secs,
            stall_secs: limits.stall_secs,
            requeues: limits.requeues,
            offline: plan.settings.offline,
            cost_usd_micros: limits.cost_usd_micros,
            turns: limits.turns,
            // One week is not stored, because writes are charged by size.
            input_secs: (limits.input_secs != DEFAULT_SUSPENSION_LIMIT.as_secs()).then_some(limits.input_secs),
            resume: plan.settings.resume,
            model_of,
            signs: plan.settings.commits.signing_secret.is_some(),
            uses_runner_token: plan.repository.uses_runner_token(),
        },
        reserved: plan.settings.budget.reserve(plan.now),
        charged: None,
        spent_usd_micros: 0,
        context: plan.context.clone(),
        failure: None,
        result: None,
        pushed: None,
        ended_by: None,
        ended_at: None,
        tries: 0,
        not_before: None,
        watched_until: None,
        rev: 0,
    }
}

/// `pullyard/{project}/{ticket}-{n}` in lower case, always a valid ref name.
/// A key with other characters than capitals, digits and dashes is simplified, and a short hash keeps it unique.
pub fn branch_name(project: &ProjectId, ticket: &TicketKey, number: u32) -> String {
    let lower = ticket.as_str().to_lowercase();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut slug = String::new();
    for c in lower.chars() {
        if is_plain(c) {
            slug.push(c);
        } else if !slug.ends_with('-') && !slug.is_empty() {
            slug.push('-');
        }
    }
    let mut slug = slug.trim_end_matches('-').chars().take(40).collect::<String>();
    if slug != lower || ticket.as_str().to_uppercase() != ticket.as_str() {
        let suffix = data_encoding::HEXLOWER.encode(&Sha256::digest(ticket.as_str())[..4]);
        slug = if slug.is_empty() { suffix } else { format!("{}-{suffix}", slug.trim_end_matches('-')) };
    }
    format!("pullyard/{project}/{slug}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn branch_of(key: &str) -> String {
        branch_name(&ProjectId::new("acme").unwrap(), &TicketKey::new(key).unwrap(), 1)
    }

    #[test]
    fn usual_keys_become_plain_branch_names() {
        assert_eq!(branch_of("APP-17"), "pullyard/acme/app-17-1");
    }

    #[test]
    fn similar_keys_get_distinct_branches() {
        assert_ne!(branch_of("A#1"), branch_of("A-1"));
        assert_ne!(branch_of("a-1"), branch_of("A-1"));
        assert_ne!(branch_of("A#1"), branch_of("A/1"));
        assert_ne!(branch_of("日本"), branch_of("中国"));
    }

    proptest! {
        #[test]
        fn every_branch_is_a_valid_ref(key in "[^\\p{Cc}]{1,64}") {
            prop_assume!(TicketKey::new(key.clone()).is_ok());
            let name = branch_of(&key);
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '/')));
            prop_assert!(!name.contains("//") && !name.contains("/-") && name.len() <= 120);
        }
    }
}
