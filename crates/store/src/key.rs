//! Defines the keys of all items.
//! Free text in a key is percent-encoded, so that a `#` in it cannot merge two keys.

use aws_sdk_dynamodb::types::AttributeValue;
use percent_encoding::percent_decode_str;
use pullyard_domain::agent::breaker::BreakerId;
use pullyard_domain::project::budget::Day;
use pullyard_domain::project::schedule::ScheduleId;
use pullyard_domain::project::spending::SpentOn;
use pullyard_domain::project::template::TemplateId;
use pullyard_domain::review::pull_request::PullRequestId;
use pullyard_domain::text::id::{
    ClassId, DeliveryId, EndpointId, EventId, HookName, IntegrationId, JobId, NoticeId, ProjectId, RepositoryName,
    ReviewId, RunId, RunnerId, TicketKey,
};
use pullyard_domain::text::percent_encode;
use pullyard_domain::text::time::Timestamp;
use std::collections::HashMap;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }

    pub(crate) fn attributes(&self) -> HashMap<String, AttributeValue> {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        [("pk".to_owned(), text(&self.pk)), ("sk".to_owned(), text(&self.sk))].into()
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} / {}", self.pk, self.sk)
    }
}

pub(crate) fn project(project: &ProjectId) -> Key {
    Key::new(format!("PROJECT#{project}"), "SETTINGS")
}

pub(crate) fn repository(project: &ProjectId, integration: &IntegrationId, id: u64) -> Key {
    Key::new(format!("PROJECT#{project}"), format!("REPO#{integration}#{id}"))
}

/// Forges ignore the case of names, so the alias is in lower case.
pub(crate) fn repository_name(project: &ProjectId, name: &RepositoryName) -> Key {
    Key::new(format!("PROJECT#{project}"), format!("{REPOSITORY_NAMES}{}", name.as_str().to_lowercase()))
}

pub(crate) const REPOSITORY_NAMES: &str = "REPONAME#";

/// Only the alias of a repository's former name has this attribute.
pub(crate) const FORMER: &str = "former";

pub(crate) fn integration(integration: &IntegrationId) -> Key {
    Key::new(format!("INTEGRATION#{integration}"), "INTEGRATION")
}

/// Only the item of a disconnected forge has this attribute.
pub(crate) const DISCONNECTED: &str = "gone";

pub(crate) fn class(pool: &ProjectId, class: &ClassId) -> Key {
    Key::new(class_pool(pool), format!("CLASS#{class}"))
}

pub(crate) fn class_pool(pool: &ProjectId) -> String {
    format!("POOL#{pool}")
}

pub(crate) fn budget(project: &ProjectId, day: Day) -> Key {
    Key::new(format!("BUDGET#{project}"), day.to_string())
}

pub(crate) fn ticket(project: &ProjectId, ticket: &TicketKey) -> Key {
    Key::new(format!("TICKET#{project}#{}", percent_encode(ticket.as_str())), "TICKET")
}

pub(crate) fn ticket_text(project: &ProjectId, key: &TicketKey) -> Key {
    Key { sk: "TEXT".into(), ..ticket(project, key) }
}

pub(crate) fn ticket_look(project: &ProjectId, key: &TicketKey) -> Key {
    Key { sk: "LOOK".into(), ..ticket(project, key) }
}

pub(crate) fn host(host: &str) -> Key {
    Key::new(format!("HOST#{}", percent_encode(host)), "HOST")
}

/// Beside its ticket or pull request, and never deleted.
pub(crate) fn spending(project: &ProjectId, of: &SpentOn) -> Key {
    let beside = match of {
        SpentOn::Ticket(key) => ticket(project, key),
        SpentOn::PullRequest(id) => pull_request(id),
    };
    Key { sk: "SPENT".into(), ..beside }
}

pub(crate) fn comment(project: &ProjectId, key: &TicketKey, number: u32) -> Key {
    Key { sk: format!("{COMMENTS}{number:010}"), ..ticket(project, key) }
}

const COMMENTS: &str = "COMMENT#";

pub(crate) fn job(job: &JobId) -> Key {
    Key::new(format!("JOB#{job}"), "JOB")
}

pub(crate) fn context(job: &JobId, hash: &str) -> Key {
    Key::new(format!("JOB#{job}"), format!("CONTEXT#{hash}"))
}

pub(crate) fn attempt(job: &JobId, number: u32) -> Key {
    Key::new(format!("JOB#{job}"), format!("{ATTEMPTS}{number:04}"))
}

pub(crate) fn artifacts(job: &JobId, attempt: u32) -> Key {
    Key::new(format!("JOB#{job}"), format!("{ARTIFACTS}{attempt:04}"))
}

pub(crate) const ATTEMPTS: &str = "ATTEMPT#";

pub(crate) const ARTIFACTS: &str = "ARTIFACTS#";

pub(crate) fn output(job: &JobId) -> Key {
    Key::new(format!("JOB#{job}"), "OUTPUT")
}

pub(crate) fn input(job: &JobId, seq: u32) -> Key {
    Key::new(format!("JOB#{job}"), format!("INPUT#{seq:010}"))
}

/// Each attempt's events have their own partition, so that their writes do not slow down claim and finish.
pub(crate) fn events(job: &JobId, attempt: u32, first: u64) -> Key {
    Key::new(format!("EVENTS#{job}#{attempt:04}"), format!("{first:010}"))
}

pub(crate) fn pull_request(id: &PullRequestId) -> Key {
    Key::new(format!("PR#{}#{}#{}", id.integration, id.repository, id.number), "PR")
}

pub(crate) fn review(id: &PullRequestId, review: &ReviewId) -> Key {
    Key { sk: format!("{REVIEWS}{review}"), ..pull_request(id) }
}

pub(crate) const REVIEWS: &str = "REVIEW#";

pub(crate) fn pull_request_list(project: &ProjectId) -> String {
    format!("PR#{project}")
}

pub(crate) fn delivery(delivery: &DeliveryId) -> Key {
    Key::new(format!("DELIVERY#{delivery}"), "DELIVERY")
}

pub(crate) const NOTICES: &str = "NOTICE#";

pub(crate) fn notice(notice: &NoticeId) -> Key {
    Key::new(format!("{NOTICES}{notice}"), "NOTICE")
}

pub(crate) fn notice_list(project: &ProjectId) -> String {
    format!("{NOTICES}{project}")
}

pub(crate) fn endpoint(id: &ProjectId, endpoint: &EndpointId) -> Key {
    Key { sk: format!("ENDPOINT#{endpoint}"), ..project(id) }
}

pub(crate) const RUNNER_SHARDS: u8 = 16;

pub(crate) fn runner(runner: &RunnerId) -> Key {
    Key::new(runner_shard(pullyard_domain::run::due::shard(runner.as_str()) % RUNNER_SHARDS), runner.as_str())
}

pub(crate) const RUNNERS: &str = "RUNNERS#";

pub(crate) fn runner_shard(shard: u8) -> String {
    format!("{RUNNERS}{shard}")
}

pub(crate) fn runner_profile(runner: &RunnerId) -> Key {
    Key::new(format!("RUNNER#{runner}"), "PROFILE")
}

pub(crate) fn runner_name(name: &str) -> Key {
    Key::new(format!("NAME#runner#{}", percent_encode(name)), "NAME")
}

pub(crate) fn sweeps() -> Key {
    Key::new("SWEEPER", "SWEEPER")
}

/// In the partition of `sweeps`, so that no role needs another one.
pub(crate) fn fleet() -> Key {
    Key { sk: "FLEET".into(), ..sweeps() }
}

pub(crate) fn token(hash: &str) -> Key {
    Key::new(format!("TOKEN#{hash}"), "TOKEN")
}

pub(crate) fn first_token() -> Key {
    Key::new("FIRST", "FIRST")
}

pub(crate) fn sign_in(nonce: &str) -> Key {
    Key::new(format!("SIGNIN#{}", percent_encode(nonce)), "SIGNIN")
}

pub(crate) fn idempotency(caller: &str, key: &EventId) -> Key {
    Key::new(format!("IDEMPOTENCY#{}#{}", percent_encode(caller), percent_encode(key.as_str())), "IDEMPOTENCY")
}

pub(crate) const BREAKERS: &str = "BREAKER#";

/// The parts of an account's name contain neither `#` nor `/`.
pub(crate) fn breaker(id: &BreakerId) -> Key {
    Key::new(format!("{BREAKERS}{}", id.to_string().replace('/', "#")), "BREAKER")
}

pub(crate) fn analyses(project: &ProjectId) -> String {
    format!("ANALYSIS#{project}")
}

pub(crate) fn analysis(project: &ProjectId, integration: &IntegrationId, repository: u64) -> Key {
    Key::new(analyses(project), format!("{integration}#{repository}"))
}

pub(crate) const HOOKS: &str = "HOOK#";

pub(crate) fn hook(name: &HookName) -> Key {
    Key::new(format!("{HOOKS}{name}"), "HOOK")
}

/// The places of a project's limits.
pub(crate) fn places(project: &ProjectId) -> Key {
    Key::new(format!("LIMIT#{project}"), "LIMIT")
}

pub(crate) const POLLS: &str = "POLL#";

pub(crate) fn poll(project: &ProjectId, integration: &IntegrationId, repository: u64) -> Key {
    Key::new(format!("{POLLS}{project}#{integration}#{repository}"), "POLL")
}

pub(crate) const TEMPLATES: &str = "TEMPLATE#";

pub(crate) fn template(id: &TemplateId) -> Key {
    Key { sk: format!("{TEMPLATES}{}", id.name), ..project(&id.project) }
}

pub(crate) const SCHEDULES: &str = "SCHEDULE#";

pub(crate) fn schedule(id: &ScheduleId) -> Key {
    Key::new(format!("{SCHEDULES}{}", id.project), format!("{SCHEDULES}{}", id.name))
}

pub(crate) const RUNS: &str = "RUN#";

pub(crate) fn run(run: &RunId) -> Key {
    Key::new(format!("{RUNS}{run}"), "RUN")
}

/// The frozen plan of a run.
pub(crate) fn plan(id: &RunId) -> Key {
    Key { sk: "PLAN".into(), ..run(id) }
}

/// The runs of a project that name this group.
pub(crate) fn group(project: &ProjectId, name: &str) -> Key {
    Key::new(format!("{RUNS}{project}#{}", percent_encode(name)), "GROUP")
}

pub(crate) fn run_list(project: &ProjectId) -> String {
    format!("{RUNS}{project}")
}

pub(crate) const TRACKERS: &str = "TRACKERS";

/// Few items, so one partition lists them.
pub(crate) fn tracker(id: &IntegrationId) -> Key {
    Key::new(TRACKERS, id.as_str())
}

pub(crate) fn rotation(secret: &str) -> Key {
    Key::new(format!("ROTATION#{}", percent_encode(secret)), "ROTATION")
}

/// The projects that may use a secret.
pub(crate) fn secret_projects(secret: &str) -> Key {
    Key::new(format!("SECRET#{}", percent_encode(secret)), "PROJECTS")
}

pub(crate) const SECRETS: &str = "SECRETS";

/// Few items, so one partition lists them, in the order of their full names.
pub(crate) fn secret_record(secret: &str) -> Key {
    Key::new(SECRETS, secret)
}

/// The constants `*_LIST` are partitions of the `list` index.
pub(crate) const HOOK_LIST: &str = "HOOK";

pub(crate) const BREAKER_LIST: &str = "BREAKER";

pub(crate) const INTEGRATION_LIST: &str = "INTEGRATION";

pub(crate) const PROJECT_LIST: &str = "PROJECT";

pub(crate) const TOKEN_LIST: &str = "TOKEN";

/// A `list` partition in order of creation; read it backwards for the newest first.
pub(crate) fn job_list(project: &ProjectId) -> String {
    format!("JOB#{project}")
}

pub(crate) fn ticket_list(project: &ProjectId) -> String {
    format!("TICKET#{project}")
}

pub(crate) fn delivery_list(project: &ProjectId) -> String {
    format!("DELIVERY#{project}")
}

/// A time as a sort key of fixed width, so that the order of texts is the order of times.
pub(crate) fn to_sort_key(at: Timestamp) -> String {
    format!("{:015}", at.millis())
}

pub(crate) fn due_partition(shard: u8) -> String {
    format!("DUE#{shard}")
}

pub(crate) fn ready_partition(class: &ClassId) -> String {
    format!("READY#{class}")
}

/// The `work` partition of a project's tickets and runs that wait until it may start jobs again.
pub(crate) fn held_partition(project: &ProjectId) -> String {
    format!("HELD#{project}")
}

/// The `work` partition of a repository's jobs that wait for a place.
pub(crate) fn limited_partition(project: &ProjectId, repository: &str) -> String {
    format!("LIMIT#{project}#{repository}")
}

/// Reverses `percent_encode`.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn separator_in_a_name_does_not_merge_keys() {
        let (a, b) = (ProjectId::new("a").unwrap(), ProjectId::new("a-b").unwrap());
        let one = ticket(&a, &TicketKey::new("b#c").unwrap());
        let two = ticket(&b, &TicketKey::new("c").unwrap());
        assert_ne!(one, two);
        assert_eq!(one.pk, "TICKET#a#b%23c");
    }

    #[test]
    fn runner_shards_are_all_used_and_never_change() {
        let shard = |name: &str| runner(&RunnerId::for_registration("t1", name)).pk;
        let shards: BTreeSet<_> = (0..500).map(|n| shard(&format!("runner {n}"))).collect();
        assert_eq!(shards, (0..RUNNER_SHARDS).map(runner_shard).collect());
        // Every release must compute the same shard for a stored runner.
        assert_eq!((shard("kite"), shard("crow")), ("RUNNERS#14".into(), "RUNNERS#13".into()));
    }

    /// The embedded DynamoDB does not limit the length of index keys.
    #[test]
    fn longest_names_fit_into_dynamodb_keys() {
        // Each character has four bytes, and each byte is encoded as three.
        let wide = |chars: usize| "\u{10348}".repeat(chars);
        let project = ProjectId::new("a".repeat(40)).unwrap();
        let integration = IntegrationId::new("g".repeat(40)).unwrap();
        let key = TicketKey::new(wide(64)).unwrap();
        let pr = PullRequestId { integration: integration.clone(), repository: u64::MAX, number: u64::MAX };
        let name = RepositoryName::new(format!("{0}/{0}", "n".repeat(100))).unwrap();
        let keys = [
            ticket(&project, &key),
            idempotency(&"c".repeat(64), &EventId::new(wide(128)).unwrap()),
            repository_name(&project, &name),
            repository(&project, &integration, u64::MAX),
            review(&pr, &ReviewId::new("r".repeat(64)).unwrap()),
            runner_name(&"r".repeat(64)),
            hook(&HookName::new("h".repeat(40)).unwrap()),
            poll(&project, &integration, u64::MAX),
            // Rows of the `list` index.
            Key::new(ticket_list(&project), percent_encode(key.as_str())),
            Key::new(pull_request_list(&project), pr.to_string()),
        ];
        for Key { pk, sk } in keys {
            assert!(pk.len() <= 2_048 && sk.len() <= 1_024, "{} and {} bytes: {pk} / {sk}", pk.len(), sk.len());
        }
    }

    proptest! {
        #[test]
        fn encoded_text_decodes_to_itself(text in ".{0,40}") {
            let there = percent_encode(&text);
            prop_assert!(!there.contains('#'));
            prop_assert_eq!(percent_decode(&there), Some(text));
        }
    }
}
