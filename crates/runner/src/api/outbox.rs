//! The outbox: stores a finish on disk until the control plane has given a final answer.
//! The next run in the same work folder delivers finishes of earlier processes. Callers limit the retries.

use crate::api::retry::{AttemptCallFailure, BackOff, classify_error};
use crate::durable_file;
use crate::git::workspace::disk::create_private_dirs;
use pullyard_domain::text::id::JobId;
use pullyard_domain::text::trace::TraceId;
use pullyard_protocol::attempt::FinishRequest;
use pullyard_protocol::client::{AttemptClient, Error};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tokio::time::{sleep, timeout};

const EARLIER_FINISHES_TIMEOUT: Duration = Duration::from_secs(15);
/// By then the lease and the job are long over.
const MAX_AGE: Duration = Duration::from_secs(7 * 24 * 3_600);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingFinish {
    pub(crate) api_url: String,
    pub(crate) job: JobId,
    pub(crate) attempt: u32,
    pub(crate) lease: String,
    pub(crate) finish: FinishRequest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace: Option<TraceId>,
}

#[derive(Debug)]
pub(crate) enum DeliveryResult {
    Accepted,
    /// The attempt had already ended in another way. The control plane stored the result nevertheless.
    Late,
    Refused(Error),
}

#[derive(Clone, Debug)]
pub(crate) struct Outbox {
    dir: PathBuf,
}

impl Outbox {
    pub(crate) fn new(work_dir: &Path) -> Self {
        Self { dir: work_dir.join("outbox") }
    }

    pub(crate) fn store(&self, pending: &PendingFinish) -> io::Result<PathBuf> {
        create_private_dirs(&self.dir)?;
        let path = self.dir.join(format!("{}-{}-{}.json", pending.job, pending.attempt, pending.finish.finish_id));
        durable_file::write(&path, pending)?;
        Ok(path)
    }

    pub(crate) async fn deliver_others(&self, is_running: &(impl Fn(&(JobId, u32)) -> bool + Sync)) {
        let deliveries = async {
            for path in self.list_files() {
                if !parse_file_name(&path).is_some_and(|key| is_running(&key)) {
                    self.deliver_one(&path).await;
                }
            }
        };
        if timeout(EARLIER_FINISHES_TIMEOUT, deliveries).await.is_err() {
            tracing::warn!("some earlier finishes are still undelivered");
        }
    }

    async fn deliver_one(&self, path: &Path) {
        let Some(pending) = durable_file::read::<PendingFinish>(path) else { return remove_if_old(path) };
        match deliver(&pending).await {
            Ok(result) => {
                tracing::info!(job.id = %pending.job, attempt = pending.attempt, outcome = ?result, "earlier finish delivered");
                durable_file::remove(path);
            }
            Err(error) => {
                tracing::warn!(job.id = %pending.job, attempt = pending.attempt, error = %error, "earlier finish not delivered: {error}");
                remove_if_old(path);
            }
        }
    }

    pub(crate) fn list_pending(&self) -> BTreeSet<(JobId, u32)> {
        self.list_files().iter().filter_map(|path| parse_file_name(path)).collect()
    }

    fn list_files(&self) -> Vec<PathBuf> {
        durable_file::list(&self.dir, "json")
    }
}

/// The attempt of a file in the outbox, by its name `{job}-{attempt}-{finish}.json`. An id of a job has no dash.
fn parse_file_name(path: &Path) -> Option<(JobId, u32)> {
    let mut parts = path.file_stem()?.to_str()?.splitn(3, '-');
    Some((JobId::new(parts.next()?).ok()?, parts.next()?.parse().ok()?))
}

fn remove_if_old(path: &Path) {
    let modification = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = modification.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    if age.is_some_and(|age| age > MAX_AGE) {
        tracing::warn!("discarded a finish after a week in the outbox");
        durable_file::remove(path);
    }
}

pub(crate) async fn deliver_until_answered(pending: &PendingFinish) -> DeliveryResult {
    let mut back_off = BackOff::new();
    loop {
        match deliver(pending).await {
            Ok(result) => return result,
            Err(error) => {
                tracing::warn!(error = %error, "finish not delivered, retrying: {error}");
            }
        }
        sleep(back_off.next()).await;
    }
}

async fn deliver(pending: &PendingFinish) -> Result<DeliveryResult, Error> {
    let client = AttemptClient::new(&pending.api_url, &pending.lease, &pending.job, pending.attempt)?
        .with_trace(pending.trace.clone());
    match client.finish(&pending.finish).await {
        Ok(_) => Ok(DeliveryResult::Accepted),
        Err(error) => match classify_error(&error) {
            AttemptCallFailure::LeaseLost | AttemptCallFailure::JobCancelled => Ok(DeliveryResult::Late),
            AttemptCallFailure::Final => Ok(DeliveryResult::Refused(error)),
            AttemptCallFailure::Transient => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::attempt::FinishOutcome;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    /// A finish for a control plane that is unreachable.
    fn pending_finish(job: &str) -> PendingFinish {
        PendingFinish {
            api_url: "http://127.0.0.1:1".into(),
            job: JobId::new(format!("job_{}", job.repeat(26))).unwrap(),
            attempt: 2,
            lease: "secret".into(),
            finish: FinishRequest {
                output: None,
                finish_id: crate::api::ids::new_finish_id().unwrap(),
                outcome: FinishOutcome::Cancelled,
                failure: None,
                result: None,
                spent_usd_micros: None,
                work: None,
            },
            trace: None,
        }
    }

    #[test]
    fn finish_is_stored_completely_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(dir.path());
        let pending = pending_finish("a");
        let path = outbox.store(&pending).unwrap();
        assert_eq!(outbox.list_files(), vec![path.clone()]);
        assert_eq!(outbox.list_pending(), BTreeSet::from([(pending.job.clone(), 2)]));
        for (path, mode) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
        }
        let read: PendingFinish = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert!(read == pending);
        durable_file::remove(&path);
        assert!(outbox.list_files().is_empty());
    }

    #[test]
    fn finish_of_commit_b367564f_stays_readable() {
        let stored = json!({
            "api_url": "http://127.0.0.1:1", "job": format!("job_{}", "a".repeat(26)), "attempt": 2, "lease": "secret",
            "trace": "1-67891233-abcdef012345678912345678",
            "finish": {
                "finish_id": "9t4m", "outcome": "failed", "failure": { "code": "no_changes" },
                "result": {
                    "branch": "b", "head": "a".repeat(40), "pull_request": { "number": 7, "url": "https://f.test/7" },
                    "files": 1, "insertions": 2, "deletions": 3, "replies": { "answered": 1, "failed": 0 },
                },
                "spent_usd_micros": 5,
                "work": {
                    "agent": "codex", "version": "1", "model": "m", "session": "s", "isolation": "bubblewrap",
                    "isolation_check": "16 of 16", "refused_hosts": ["evil.test"], "starts": 1, "turns": 2,
                    "input_tokens": 3, "cached_input_tokens": 4, "output_tokens": 5, "about_usd_micros": 6,
                    "prompt_sha256": "b".repeat(64), "base_commit": "c", "commit": "d",
                },
            },
        });
        let read: PendingFinish = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), stored);
    }

    #[tokio::test]
    async fn pending_finishes_expire_after_a_week_unless_their_attempt_lives() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(dir.path());
        let store_finish = |job: &str, days: u64| {
            let path = outbox.store(&pending_finish(job)).unwrap();
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(days * 24 * 3_600)).unwrap();
            path
        };
        let [_old, fresh, living] = [store_finish("a", 8), store_finish("b", 6), store_finish("c", 8)];
        let living_job = JobId::new(format!("job_{}", "c".repeat(26))).unwrap();
        outbox.deliver_others(&|(job, attempt): &(JobId, u32)| *job == living_job && *attempt == 2).await;
        assert_eq!(outbox.list_files(), [fresh, living]);
    }

    #[test]
    fn file_name_of_a_finish_names_its_attempt() {
        let job = format!("job_{}", "a".repeat(26));
        let parse = |name: &str| parse_file_name(Path::new(name)).map(|(job, attempt)| (job.to_string(), attempt));
        assert_eq!(parse(&format!("/o/{job}-12-a-b_c.json")), Some((job.clone(), 12)));
        for name in ["x.json".to_owned(), format!("{job}.json"), format!("{job}-x-y.json"), "nobody-1-x.json".into()] {
            assert_eq!(parse(&name), None, "{name}");
        }
    }
}
