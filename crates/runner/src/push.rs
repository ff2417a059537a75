//! Publishing the commit, safely even when the attempt was meanwhile replaced (T-C1).
//!
//! Three layers: git is killed well before anybody else may end the attempt, counted from before the
//! status was sent; every attempt pushes with the same expected old head, so that the forge admits one;
//! and an attempt whose push is refused adopts the commit of its own job that stands there instead.

use crate::attempt::later;
use crate::git::{self, Call, Fault, Git};
use crate::retry::BackOff;
use crate::stop::Stop;
use crate::target::{self, Target};
use pullyard_domain::failure::Failure;
use pullyard_domain::id::JobId;
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

/// How long before the end of our time git is killed: its last packet may still be on its way.
const MARGIN: Duration = Duration::from_secs(30);
/// What the server grants when it doesn't say.
const USUAL: Duration = Duration::from_secs(120);
/// How often a push is tried that a forge which answers neither took nor refused.
const TRIES: u32 = 4;

/// When git must be done. `sent` is an instant before the status `syncing` was sent the first time.
pub(crate) fn deadline(sent: Instant, push_for_secs: Option<u64>) -> Instant {
    let granted = push_for_secs.map_or(USUAL, Duration::from_secs);
    later(sent, granted.saturating_sub(MARGIN))
}

/// A commit and where it goes.
pub(crate) struct Push<'a> {
    pub(crate) git: &'a Git,
    pub(crate) repository: &'a Path,
    pub(crate) target: &'a Target,
    pub(crate) commit: &'a str,
    pub(crate) job: &'a JobId,
    pub(crate) forge: &'a str,
}

impl Push<'_> {
    /// Pushes, and returns the commit that stands at the forge's branch: ours, or that of an earlier
    /// attempt of this job.
    pub(crate) async fn publish(&self, until: Instant) -> Result<String, Stop> {
        match timeout_at(until, self.attempt()).await {
            Ok(head) => head,
            // Dropping it has killed git.
            Err(_) => Err(self.rejected("it took too long").into()),
        }
    }

    async fn attempt(&self) -> Result<String, Stop> {
        let mut back_off = BackOff::new();
        let mut tried = 0;
        loop {
            tried += 1;
            let Err(fault) = self.push().await else {
                return Ok(self.commit.to_owned());
            };
            tracing::warn!(error = %fault, "a push was not accepted: {fault}");
            // The answer may be all that was lost, so the branch itself is asked.
            match self.remote_head().await {
                Ok(Some(head)) if head == self.commit => return Ok(head),
                Ok(head) if head != self.target.expected => return self.moved(head).await,
                Ok(_) => {
                    if let Some(refusal) = self.refusal(&fault) {
                        return Err(refusal.into());
                    }
                }
                // It is away: our time to push is the limit, and not how often.
                Err(_) => tried -= 1,
            }
            if tried == TRIES {
                return Err(self.rejected(&fault.reason()).into());
            }
            sleep(back_off.next()).await;
        }
    }

    async fn push(&self) -> Result<(), Fault> {
        let reference = git::branch_ref(&self.target.branch);
        let expected = self.target.expected.as_deref().unwrap_or_default();
        let lease = format!("--force-with-lease={reference}:{expected}");
        let refspec = format!("{}:{reference}", self.commit);
        let args = [
            "push",
            "--porcelain",
            "--no-verify",
            "--no-follow-tags",
            "--recurse-submodules=no",
            &lease,
            "--",
            self.git.url(),
            &refspec,
        ];
        self.git.run(Call::new(args).repository(self.repository).reaching_forge()).await.map(drop)
    }

    async fn remote_head(&self) -> Result<Option<String>, Fault> {
        let reference = git::branch_ref(&self.target.branch);
        let args = ["ls-remote", "--quiet", "--", self.git.url(), &reference];
        let said = self.git.line(Call::new(args).repository(self.repository).reaching_forge()).await?;
        // The pattern also matches refs that only end in it.
        let heads = said.lines().filter_map(|line| line.split_once('\t'));
        Ok(heads.filter(|(_, name)| *name == reference).map(|(id, _)| id.to_owned()).next())
    }

    /// Somebody else's commit stands where ours should: perhaps our own job's.
    async fn moved(&self, head: Option<String>) -> Result<String, Stop> {
        let branch = self.target.branch.clone();
        let Some(head) = head else {
            return Err(Failure::BranchDeleted { branch }.into());
        };
        let of_job = async {
            let refspec = format!("+{}:refs/pullyard/found", git::branch_ref(&branch));
            let args = [
                "fetch",
                "--quiet",
                "--no-tags",
                "--no-write-fetch-head",
                "--no-recurse-submodules",
                "--",
                self.git.url(),
                &refspec,
            ];
            self.git.run(Call::new(args).repository(self.repository).reaching_forge()).await?;
            target::is_of_job(self.git, self.repository, &head, self.job).await
        };
        match of_job.await {
            Ok(true) => {
                tracing::info!(job.id = %self.job, "an earlier attempt of this job had pushed; its commit is the result");
                Ok(head)
            }
            Ok(false) => Err(self.rejected("the branch has moved").into()),
            Err(fault) => Err(self.rejected(&format!("the branch has moved, and {}", fault.reason())).into()),
        }
    }

    /// What the forge's words mean, if they are a refusal and not a fault on the way.
    fn refusal(&self, fault: &Fault) -> Option<Failure> {
        let Fault::Failed { stdout, words, .. } = fault else {
            return None;
        };
        // A line `! <from>:<to> [remote rejected] (reason)` for the branch, words of the forge beside it.
        let line = stdout.lines().find(|line| line.starts_with('!'));
        let all = format!("{words}\n{stdout}").to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| all.contains(phrase));
        if all.contains("workflow") && says(&["refusing to allow", "workflows` permission", "workflow` scope"]) {
            return Some(Failure::WorkflowPermission {});
        }
        if says(&["protected branch", "gh006", "gh013", "rule violations"]) {
            return Some(Failure::BranchProtected { branch: self.target.branch.clone() });
        }
        if says(&["error: 403", "error: 401", "authentication failed", "could not read username"]) {
            return Some(self.rejected(&fault.reason()));
        }
        let line = line?;
        let reason = line.rsplit_once('(').map_or(line, |(_, reason)| reason.trim_end_matches(')'));
        Some(self.rejected(reason))
    }

    fn rejected(&self, reason: &str) -> Failure {
        Failure::PushRejected { forge: self.forge.into(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(stdout: &str, words: &str, code: Option<&str>) {
        let target = Target {
            branch: "x".into(),
            start: "a".into(),
            base: "a".into(),
            expected: None,
            pull_request: None,
            adopted: None,
        };
        let job = JobId::new(format!("job_{}", "a".repeat(26))).unwrap();
        let git = Git::new("https://forge.test/a/b.git", "");
        let push =
            Push { git: &git, repository: Path::new("/"), target: &target, commit: "b", job: &job, forge: "GitHub" };
        let fault = Fault::Failed { command: "push".into(), stdout: stdout.into(), words: words.into() };
        assert_eq!(push.refusal(&fault).map(|failure| failure.code()), code, "{stdout} {words}");
    }

    #[test]
    fn the_words_of_a_refused_push_become_codes() {
        check(
            "!\tHEAD:refs/heads/x\t[remote rejected] (refusing to allow a Personal Access Token to create or update workflow `.github/workflows/ci.yml` without `workflow` scope)\n",
            "",
            Some("workflow_permission"),
        );
        check(
            "!\tHEAD:refs/heads/x\t[remote rejected] (protected branch hook declined)",
            "remote: error: GH006: Protected branch update failed",
            Some("branch_protected"),
        );
        check(
            "!\tHEAD:refs/heads/x\t[remote rejected] (push declined due to repository rule violations)",
            "",
            Some("branch_protected"),
        );
        check("!\tHEAD:refs/heads/x\t[remote rejected] (pre-receive hook declined)", "", Some("push_rejected"));
        check("", "fatal: unable to access 'https://x/': The requested URL returned error: 403", Some("push_rejected"));
        check("", "fatal: unable to access 'https://x/': Could not resolve host: x", None);
    }

    #[test]
    fn git_is_done_half_a_minute_before_our_time_is_over() {
        let sent = Instant::now();
        assert_eq!(deadline(sent, Some(120)), sent + Duration::from_secs(90));
        assert_eq!(deadline(sent, None), sent + Duration::from_secs(90));
        assert_eq!(deadline(sent, Some(20)), sent);
    }
}
