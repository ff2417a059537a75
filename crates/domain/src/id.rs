//! The ids of everything, each its own type, each checked where it enters.
//!
//! Derived ids are hashes of what triggered: the same trigger always names the same job, so a repeat
//! finds the first. Making random ids is not here (no random numbers in this crate).

use crate::breaker::KeyOf;
use crate::pull_request::PullRequestId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Why a text can't be an id, in words that name the field's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadId(pub &'static str);

impl fmt::Display for BadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadId {}

// The pattern is what the API's description says; the check is what decides, and may be finer.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident checked by $check:ident, $pattern:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text and takes it.
            pub fn new(text: impl Into<String>) -> Result<Self, BadId> {
                let text = text.into();
                $check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A project's short name, `acme`.
    ProjectId checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// A connected forge or ticket tool, `gh1`.
    IntegrationId checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// A ticket's key in its tool, `APP-17`; any printable text of at most 64 characters.
    TicketKey checked by ticket_key, r"^(?!\.{1,2}$)[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,62}[^\s\x00-\x1f\x7f-\x9f])?$";
    /// What the sender calls its event; any printable text of at most 128 characters.
    EventId checked by event_id, r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]{0,126}[^\s\x00-\x1f\x7f-\x9f])?$";
    /// A review at its forge, or a person's request for a revision; 1 to 64 of `A-Za-z0-9._-`.
    ReviewId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// One of our webhook addresses, `acme`.
    HookName checked by slug, r"^[a-z0-9][a-z0-9-]{0,39}$";
    /// `owner/name` as the forge spells it.
    RepositoryName checked by repository_name, r"^(?!.*\.git(/|$))[A-Za-z0-9_][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$";
    /// A job, `job_` and 26 characters.
    JobId checked by job_id, r"^job_[a-z0-9]{26}$";
    /// One answered delivery, `dlv_` and 26 characters.
    DeliveryId checked by delivery_id, r"^dlv_[a-z0-9]{26}$";
    /// A registered runner, `rnr_` and 26 characters.
    RunnerId checked by runner_id, r"^rnr_[a-z0-9]{26}$";
    /// What a runner calls one claim, so that a repeat finds it; 1 to 64 of `A-Za-z0-9._-`.
    ClaimId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// What a runner calls one finish, so that a repeat finds it; 1 to 64 of `A-Za-z0-9._-`.
    FinishId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// One life of a runner process; 1 to 64 of `A-Za-z0-9._-`.
    InstanceId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// The part of a pool whose jobs ask for the same: 16 characters of a hash.
    ClassId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// A token's public id: the first 16 hex digits of its hash.
    TokenId checked by token_id, r"^[0-9a-f]{16}$";
    /// A secret that people set, by the name they gave it; 1 to 128 of `A-Za-z0-9._-`.
    SecretName checked by secret_name, r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
    /// A message as its queue calls it, the same for as long as it stands there; 1 to 64 of `A-Za-z0-9._-`.
    MessageId checked by token_like, r"^[A-Za-z0-9._-]{1,64}$";
    /// What an attempt left behind under one name, `art_` and 26 characters.
    ArtifactId checked by artifact_id, r"^art_[a-z0-9]{26}$";
    /// What such a thing is called, as files are: 1 to 100 of `A-Za-z0-9._-`.
    ArtifactName checked by artifact_name, r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$";
    /// A SHA-256: 64 hex digits.
    Sha256Hex checked by sha256_hex, r"^[0-9a-f]{64}$";
}

impl TicketKey {
    /// Whether it can stand in the path of an address. Gateways decode paths: where another key ends, or what of it
    /// was written encoded, nobody could tell any more.
    pub fn fits_a_path(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
    }
}

fn slug(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let first = text.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    if first && text.len() <= 40 && text.chars().all(good) {
        Ok(())
    } else {
        Err(BadId("use 1 to 40 lower-case letters, digits and dashes, not starting with a dash"))
    }
}

fn printable(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.chars().any(char::is_control) && text.trim() == text
}

fn ticket_key(text: &str) -> Result<(), BadId> {
    if !printable(text, 64) {
        return Err(BadId("use 1 to 64 printable characters"));
    }
    // An address with either as its last part means another one.
    if matches!(text, "." | "..") { Err(BadId("a dot alone can't be a key")) } else { Ok(()) }
}

fn event_id(text: &str) -> Result<(), BadId> {
    if printable(text, 128) { Ok(()) } else { Err(BadId("use 1 to 128 printable characters")) }
}

fn repository_name(text: &str) -> Result<(), BadId> {
    let part = |part: &str| {
        !part.is_empty()
            && part.len() <= 100
            && !part.starts_with(['.', '-'])
            && !part.ends_with(".git")
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
    };
    match text.split_once('/') {
        Some((owner, name)) if part(owner) && part(name) => Ok(()),
        _ => Err(BadId("write it as owner/name")),
    }
}

fn token_like(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if (1..=64).contains(&text.len()) && text.chars().all(good) {
        Ok(())
    } else {
        Err(BadId("use 1 to 64 letters, digits, dots, dashes and underscores"))
    }
}

fn prefixed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 26 && rest.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
}

fn job_id(text: &str) -> Result<(), BadId> {
    if prefixed(text, "job_") { Ok(()) } else { Err(BadId("a job's id is job_ and 26 characters")) }
}

fn delivery_id(text: &str) -> Result<(), BadId> {
    if prefixed(text, "dlv_") { Ok(()) } else { Err(BadId("a delivery's id is dlv_ and 26 characters")) }
}

fn runner_id(text: &str) -> Result<(), BadId> {
    if prefixed(text, "rnr_") { Ok(()) } else { Err(BadId("a runner's id is rnr_ and 26 characters")) }
}

fn token_id(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() == 16 && text.chars().all(good) { Ok(()) } else { Err(BadId("a token's id is 16 hex digits")) }
}

fn secret_name(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // An address with dots alone as its last part means another one.
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() <= 128 && text.chars().all(good) {
        Ok(())
    } else {
        Err(BadId("use 1 to 128 letters, digits, dots, dashes and underscores, beginning with a letter or digit"))
    }
}

fn artifact_id(text: &str) -> Result<(), BadId> {
    if prefixed(text, "art_") { Ok(()) } else { Err(BadId("an artifact's id is art_ and 26 characters")) }
}

/// Whoever saves it names a file so: nothing in it may lead anywhere, or need quoting.
fn artifact_name(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if first && text.len() <= 100 && text.chars().all(good) {
        Ok(())
    } else {
        Err(BadId("use 1 to 100 letters, digits, dots, dashes and underscores, beginning with a letter or digit"))
    }
}

fn sha256_hex(text: &str) -> Result<(), BadId> {
    let good = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() == 64 && text.chars().all(good) { Ok(()) } else { Err(BadId("a SHA-256 is 64 hex digits")) }
}

impl ArtifactId {
    /// What an attempt keeps under this kind and name: keeping it again finds the first.
    pub fn of(job: &JobId, attempt: u32, kind: crate::artifact::Kind, name: &ArtifactName) -> Self {
        let attempt = attempt.to_string();
        Self(derived("art_", "artifact", &[job.as_str(), &attempt, kind.as_str(), name.as_str()]))
    }
}

impl TokenId {
    /// The id of the token with this hash.
    pub fn of_hash(hash: &str) -> Self {
        Self(hash.chars().take(16).collect())
    }
}

impl JobId {
    /// The job of one entry of a ticket into the trigger status.
    pub fn of_entry(project: &ProjectId, ticket: &TicketKey, entry: &crate::ticket::Entry) -> Self {
        let at = entry.at.millis().to_string();
        Self(derived("job_", "ticket-entry", &[project.as_str(), ticket.as_str(), &at, entry.event.as_str()]))
    }

    /// The job of one request by a person or program that brought its own idempotency key.
    pub fn of_request(project: &ProjectId, caller: &str, key: &str) -> Self {
        Self(derived("job_", "request", &[project.as_str(), caller, key]))
    }

    /// The job that revises a pull request for one review: the same review never makes two.
    pub fn of_review(pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(derived("job_", "review", &parts))
    }

    /// The job of the same review after that one, which had it and did not answer it: again never two.
    pub fn of_review_after(pull_request: &PullRequestId, review: &ReviewId, had: &Self) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [pull_request.integration.as_str(), &repository, &number, review.as_str(), had.as_str()];
        Self(derived("job_", "review-after", &parts))
    }

    /// The last four characters in capitals, as sentences and tables show it: `7F2K`.
    pub fn short(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect::<String>().to_uppercase()
    }
}

impl EventId {
    /// One move on the board by a caller that brought its own idempotency key.
    pub fn of_move(caller: &str, key: &str) -> Self {
        Self(derived("board-", "move", &[caller, key]))
    }

    /// The key of one button of a page: all buttons of a page bring what names that page, and each is another wish.
    pub fn of_button(page: &str, ticket: &TicketKey, status: &str) -> Self {
        Self(derived("page-", "button", &[page, ticket.as_str(), status]))
    }
}

impl DeliveryId {
    /// The ledger entry of one ticket event of a project.
    pub fn of_ticket_event(project: &ProjectId, event: &EventId) -> Self {
        Self(derived("dlv_", "ticket-event", &[project.as_str(), event.as_str()]))
    }

    /// The ledger entry of one review of a project, however often and by whichever of its hooks it is told: only
    /// what the signed body says names it. Projects that share a repository have an entry each, since what one of
    /// them answers is nothing that another one may read or write over.
    pub fn of_review(project: &ProjectId, pull_request: &PullRequestId, review: &ReviewId) -> Self {
        let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
        let parts = [project.as_str(), pull_request.integration.as_str(), &repository, &number, review.as_str()];
        Self(derived("dlv_", "review", &parts))
    }

    /// The ledger entry of any other webhook delivery, by a hash of its body.
    pub fn of_webhook(hook: &HookName, hash: &str) -> Self {
        Self(derived("dlv_", "webhook", &[hook.as_str(), hash]))
    }

    /// The ledger entry of the request that made a job.
    pub fn of_request(job: &JobId) -> Self {
        Self(derived("dlv_", "request", &[job.as_str()]))
    }

    /// The ledger entry of a call that could not be read, by a hash of its bytes.
    pub fn of_unreadable(caller: &str, hash: &str) -> Self {
        Self(derived("dlv_", "unreadable", &[caller, hash]))
    }
}

/// A ticket as the name of a message group: fixed length and plain characters, whatever its key holds.
pub fn ticket_group(project: &ProjectId, ticket: &TicketKey) -> String {
    derived("ticket-", "group", &[project.as_str(), ticket.as_str()])
}

/// A pull request as the name of a message group.
pub fn pull_request_group(pull_request: &PullRequestId) -> String {
    let (repository, number) = (pull_request.repository.to_string(), pull_request.number.to_string());
    derived("pr-", "group", &[pull_request.integration.as_str(), &repository, &number])
}

impl RunnerId {
    /// The runner of one token and name: registering again finds the same one.
    pub fn of(token: &str, name: &str) -> Self {
        Self(derived("rnr_", "runner", &[token, name]))
    }
}

impl ClassId {
    /// The class of jobs that ask for exactly this, with a key of the runner's own.
    pub fn of(pool: &str, capability: &str, labels: &std::collections::BTreeSet<String>) -> Self {
        Self::of_key(pool, capability, labels, KeyOf::Runner)
    }

    /// The same with whoever's key it is: jobs of one class wait for one account.
    pub fn of_key(pool: &str, capability: &str, labels: &std::collections::BTreeSet<String>, key: KeyOf) -> Self {
        let mut parts = vec![pool, capability];
        parts.extend(labels.iter().map(String::as_str));
        let domain = match key {
            KeyOf::Runner => "class",
            KeyOf::Project => "class-project-key",
        };
        Self(derived("", domain, &parts).chars().take(16).collect())
    }
}

/// Prefix and 26 base32 characters of SHA-256 over a domain and length-prefixed parts.
///
/// The lengths keep `("ab", "c")` and `("a", "bc")` apart; the domain keeps a person's chosen key from
/// ever naming a ticket's job.
fn derived(prefix: &str, domain: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in std::iter::once(&domain).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let text = data_encoding::BASE32_NOPAD.encode(&digest).to_lowercase();
    let body: String = text.chars().take(26).collect();
    format!("{prefix}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_run_together() {
        assert_ne!(derived("", "d", &["ab", "c"]), derived("", "d", &["a", "bc"]));
        assert_ne!(derived("", "d", &["a"]), derived("", "da", &[]));
    }

    #[test]
    fn derived_ids_are_valid_ids() {
        let project = ProjectId::new("acme").unwrap();
        let id = JobId::of_request(&project, "token", "key");
        assert_eq!(JobId::new(id.as_str()), Ok(id.clone()));
        assert_eq!(id.short().len(), 4);
    }

    #[test]
    fn each_button_of_each_page_has_a_key_of_its_own() {
        let key =
            |page: &str, ticket: &str, status: &str| EventId::of_button(page, &TicketKey::new(ticket).unwrap(), status);
        let one = key("page-1", "A-1", "Done");
        assert_eq!(one, key("page-1", "A-1", "Done"));
        assert_eq!(EventId::new(one.as_str()), Ok(one.clone()));
        for other in [key("page-2", "A-1", "Done"), key("page-1", "A-2", "Done"), key("page-1", "A-1", "Blocked")] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn a_chosen_key_can_never_name_a_tickets_job() {
        let project = ProjectId::new("acme").unwrap();
        let ticket = TicketKey::new("A-1").unwrap();
        let entry =
            crate::ticket::Entry { at: crate::time::Timestamp::from_millis(5), event: EventId::new("e").unwrap() };
        assert_ne!(JobId::of_entry(&project, &ticket, &entry), JobId::of_request(&project, "A-1", "5"));
    }

    #[test]
    fn a_review_names_its_job_and_one_more_after_each_that_had_it() {
        let pull_request =
            PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 };
        let review = ReviewId::new("80").unwrap();
        let mut jobs = vec![JobId::of_review(&pull_request, &review)];
        for _ in 0..3 {
            let had = jobs.last().unwrap();
            let after = JobId::of_review_after(&pull_request, &review, had);
            assert_eq!(after, JobId::of_review_after(&pull_request, &review, had));
            jobs.push(after);
        }
        let other = ReviewId::new("81").unwrap();
        jobs.push(JobId::of_review_after(&pull_request, &other, &jobs[0]));
        assert_eq!(jobs.iter().collect::<std::collections::BTreeSet<_>>().len(), jobs.len());
    }

    #[test]
    fn bad_ids_are_refused() {
        assert!(ProjectId::new("Acme").is_err());
        assert!(ProjectId::new("-a").is_err());
        assert!(ProjectId::new("a#b").is_err());
        assert!(TicketKey::new("").is_err());
        assert!(TicketKey::new("a\nb").is_err());
        assert!(TicketKey::new("x".repeat(65)).is_err());
        assert!(TicketKey::new(".").is_err() && TicketKey::new("..").is_err());
        assert!(TicketKey::new("A#1/ü").is_ok());
        for name in ["acme", "acme/", "/app", "a/b/c", "../x", "a/..", "a b/c", "acme/app.git", "-o/x"] {
            assert!(RepositoryName::new(name).is_err(), "{name}");
        }
        assert!(RepositoryName::new("acme/app.rs").is_ok());
    }

    /// What is stored was found by its id: one that is made otherwise after an update is a second job, a second entry
    /// of the ledger, a second runner.
    #[test]
    fn what_was_named_by_an_earlier_version_has_the_same_name_today() {
        let (project, ticket) = (ProjectId::new("acme").unwrap(), TicketKey::new("APP-17").unwrap());
        let event = EventId::new("e1").unwrap();
        let at = crate::time::Timestamp::from_millis(1_795_154_400_000);
        let entry = crate::ticket::Entry { at, event: event.clone() };
        let pull_request =
            PullRequestId { integration: IntegrationId::new("gh1").unwrap(), repository: 99, number: 231 };
        let review = ReviewId::new("80").unwrap();
        let first = JobId::of_review(&pull_request, &review);
        let asked = JobId::of_request(&project, "pat", "k1");
        let (hook, file) = (HookName::new("acme").unwrap(), ArtifactName::new("changes.patch").unwrap());
        let labels = ["eu", "gpu"].map(str::to_owned).into();
        for (id, expected) in [
            (JobId::of_entry(&project, &ticket, &entry).to_string(), "job_lw2xem5iktet3xr5f4aomg2ksz"),
            (asked.to_string(), "job_sosut73pfrahw4zhnclt2mrkbu"),
            (first.to_string(), "job_aycjrdc47n2vpgmncbroukeffq"),
            (JobId::of_review_after(&pull_request, &review, &first).to_string(), "job_zmhcz32bsc4tobgdvqqtslnvze"),
            (EventId::of_move("pat", "k1").to_string(), "board-uxws6fkrqabkn5kokydytklshu"),
            (DeliveryId::of_ticket_event(&project, &event).to_string(), "dlv_prp5srg4fwlmjxpao32sfpsgy7"),
            (DeliveryId::of_review(&project, &pull_request, &review).to_string(), "dlv_l3zxywexwrs2inzlfnsadoxitx"),
            (DeliveryId::of_webhook(&hook, "00ff").to_string(), "dlv_qgcnqcpp4ftgx273uazr3uopoe"),
            (DeliveryId::of_request(&asked).to_string(), "dlv_srtmw7j3jzvpxrzqn5zhzqvwkt"),
            (DeliveryId::of_unreadable("pat", "00ff").to_string(), "dlv_dxcc7vhfx322crrttjo6age23b"),
            (RunnerId::of("t1", "kite").to_string(), "rnr_u2oqvg3qhzkdizjssexepqc26p"),
            (
                ArtifactId::of(&asked, 1, crate::artifact::Kind::Patch, &file).to_string(),
                "art_depwlhy7bvvwmxtzeqkqnc55iq",
            ),
            (ClassId::of("acme", "codex", &labels).to_string(), "tnrgn6kudkebxk5t"),
            (ClassId::of_key("acme", "codex", &labels, KeyOf::Project).to_string(), "jivax5yewandsyrv"),
            (ticket_group(&project, &ticket), "ticket-a4zgpsel2b3sowhhqzjuu577ir"),
            (pull_request_group(&pull_request), "pr-wt57uprilltquku7lrvvugihcq"),
        ] {
            assert_eq!(id, expected);
        }
        assert_eq!(JobId::of_entry(&project, &ticket, &entry).short(), "2KSZ");
        assert_eq!(TokenId::of_hash(&"0123456789abcdef".repeat(4)).as_str(), "0123456789abcdef");
    }

    #[test]
    fn an_id_is_as_long_as_its_field_says_and_no_longer() {
        fn check<Id>(new: impl Fn(String) -> Result<Id, BadId>, longest: &str) {
            assert!(new(longest.to_owned()).is_ok(), "{longest}");
            assert!(new(format!("{longest}a")).is_err(), "{longest} and one more");
        }
        check(ProjectId::new, &"a".repeat(40));
        check(TicketKey::new, &"ü".repeat(64));
        check(EventId::new, &"ü".repeat(128));
        check(ReviewId::new, &"a".repeat(64));
        check(SecretName::new, &"a".repeat(128));
        check(RepositoryName::new, &format!("{}/{}", "a".repeat(100), "b".repeat(100)));
        check(JobId::new, &format!("job_{}", "a".repeat(26)));
        check(DeliveryId::new, &format!("dlv_{}", "a".repeat(26)));
        check(RunnerId::new, &format!("rnr_{}", "a".repeat(26)));
        check(ArtifactId::new, &format!("art_{}", "a".repeat(26)));
        check(TokenId::new, &"a".repeat(16));
        check(Sha256Hex::new, &"a".repeat(64));
        assert!(JobId::new(format!("job_{}", "a".repeat(25))).is_err());
        assert!(TokenId::new("a".repeat(15)).is_err() && TokenId::new("g".repeat(16)).is_err());
        assert!(Sha256Hex::new("a".repeat(63)).is_err() && Sha256Hex::new("A".repeat(64)).is_err());
        assert!(RepositoryName::new(format!("{}/b", "a".repeat(101))).is_err());
        assert!(SecretName::new(".a").is_err() && SecretName::new("").is_err());
        assert!(EventId::new(" e1").is_err() && EventId::new("").is_err());
    }

    #[test]
    fn only_a_key_of_plain_characters_stands_in_the_path_of_an_address() {
        for (key, fits) in
            [("APP-17", true), ("a.b_c~1", true), ("A/1", false), ("A 1", false), ("A%201", false), ("ü", false)]
        {
            assert_eq!(TicketKey::new(key).unwrap().fits_a_path(), fits, "{key}");
        }
    }
}
