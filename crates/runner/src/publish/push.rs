//! Pushes the commit, and finds its result even if another attempt has replaced this one.
//! The push window is renewed while git runs. Otherwise git is killed well before the window ends, because another
//! attempt may start then. All attempts push with the same expected old head, so the forge accepts only one. An attempt
//! whose push is refused adopts the commit of its own job on the branch. A push without an answer is repeated under a
//! renewed grant: if the forge accepted the first one, the branch shows it then.
//! If a user pushed to the pull request, the commit is replayed once on top (`rebase`). Users' commits stay.

use super::push_refusal::parse_refusal;
use crate::api::forge_wait::{ForgeFault, Outage};
use crate::git::rebase::Rebase;
use crate::git::target::{self, Target};
use crate::git::{self, Git, GitCall, GitError};
use crate::stop::Stop;
use pullyard_domain::project::forge::ForgeKind;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::{JobId, RepositoryName};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

/// How often a running push renews its window.
const RENEWAL_INTERVAL: Duration = Duration::from_secs(45);
const FOREIGN_HEAD_REF: &str = "refs/pullyard/found";

pub(crate) struct Push<'a> {
    pub(crate) git: &'a Git,
    pub(crate) repository: &'a Path,
    pub(crate) target: &'a Target,
    pub(crate) job: &'a JobId,
    pub(crate) kind: ForgeKind,
    pub(crate) forge: &'a str,
    pub(crate) name: &'a RepositoryName,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublishResult {
    pub(crate) commit: String,
    /// The head of the branch. Another user may have pushed on top of an earlier attempt's commit.
    pub(crate) head: String,
    pub(crate) pushed_by: PushedBy,
}

impl PublishResult {
    fn by_this_attempt(commit: &str) -> Self {
        Self { commit: commit.to_owned(), head: commit.to_owned(), pushed_by: PushedBy::ThisAttempt }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PushedBy {
    /// This attempt pushed its commit, or the same change on top of other users' commits.
    ThisAttempt,
    /// An earlier attempt of the job pushed; its commit is known by the trailer.
    EarlierAttempt,
    OtherUser,
}

/// The change to push. Stays the same over all tries, so that a later try recognises the result of an earlier one.
#[derive(Clone)]
pub(crate) struct Change {
    commit: String,
    expected_head: Option<String>,
    is_rebased: bool,
}

impl Change {
    pub(crate) fn new(commit: &str, target: &Target) -> Self {
        Self { commit: commit.to_owned(), expected_head: target.expected_head.clone(), is_rebased: false }
    }
}

enum PushOutcome {
    /// The commit, or one of an earlier attempt, is on the branch, perhaps below other commits.
    Published(PublishResult),
    BranchMoved(String),
}

impl Push<'_> {
    /// Pushes once, and returns the state of the branch: the work of this attempt or of an earlier one. If another user
    /// pushed to the pull request, the commit is replayed on top, once.
    /// The time limit of each call of git, 30 minutes, also bounds a push whose window is renewed.
    /// `renew` returns the window's new end, or why this is the last window.
    /// Errors: the stop of `renew`, once the window ends; `HeadMoved` if the branch moves again, `Conflict`,
    /// `BranchDeleted`, and refusals of the forge; `Away` if the result is unknown.
    pub(crate) async fn publish(
        &self,
        change: &mut Change,
        until: Instant,
        renew: impl AsyncFnMut() -> Result<Instant, Stop>,
    ) -> Result<PublishResult, ForgeFault> {
        // Dropping the future kills git, but the forge may have accepted the push before.
        match run_in_window(until, RENEWAL_INTERVAL, self.push_or_rebase(change), renew).await {
            Ok(published) => published,
            Err(Some(stop)) => Err(stop.into()),
            Err(None) => {
                let reason = "the control plane did not extend the time for the push";
                Err(ForgeFault::Away(Outage::from(reason.to_owned())))
            }
        }
    }

    async fn push_or_rebase(&self, change: &mut Change) -> Result<PublishResult, ForgeFault> {
        let head = match self.push_and_read(change).await? {
            PushOutcome::Published(published) => return Ok(published),
            PushOutcome::BranchMoved(_) if change.is_rebased => return Err(Failure::HeadMoved {}.into()),
            PushOutcome::BranchMoved(head) => head,
        };
        if self.target.pull_request.is_none() {
            // Another user created a branch with this name, so push nothing to it.
            return Err(self.push_rejected("the branch has moved").into());
        }
        tracing::info!(job.id = %self.job, "the branch has moved; rebasing the work");
        let rebase = Rebase { git: self.git, repository: self.repository, branch: &self.target.branch };
        let replayed = rebase.replay(&self.target.start_commit, &change.commit, &head).await;
        let Some(commit) = replayed? else {
            // The other user's commits contain the same change.
            return Ok(PublishResult { commit: head.clone(), head, pushed_by: PushedBy::OtherUser });
        };
        *change = Change { commit, expected_head: Some(head), is_rebased: true };
        match self.push_and_read(change).await? {
            PushOutcome::Published(published) => Ok(published),
            PushOutcome::BranchMoved(_) => Err(Failure::HeadMoved {}.into()),
        }
    }

    async fn push_and_read(&self, change: &Change) -> Result<PushOutcome, ForgeFault> {
        let published_by_us = || PushOutcome::Published(PublishResult::by_this_attempt(&change.commit));
        let Err(error) = self.push(change).await else {
            return Ok(published_by_us());
        };
        tracing::warn!(error = %error, "push rejected: {error}");
        // Perhaps only the answer was lost, so read the branch.
        match self.remote_head().await {
            Ok(Some(head)) if head == change.commit => Ok(published_by_us()),
            Ok(None) if change.expected_head.is_some() => Err(self.branch_deleted().into()),
            // The head may be this commit, below other users' commits.
            Ok(head) if head != change.expected_head => {
                self.fetch_remote_head().await?;
                let outcome = self.resolve_remote_head(change).await;
                let outcome = outcome.map_err(|error| ForgeFault::of_machine(&error))?;
                outcome.ok_or_else(|| self.branch_deleted().into())
            }
            Ok(_) => match parse_refusal((self.kind, self.forge), (self.name, &self.target.branch), &error) {
                Some(refusal) => Err(refusal.into()),
                None => Err(to_fault(&error)),
            },
            Err(error) => Err(to_fault(&error)),
        }
    }

    async fn push(&self, change: &Change) -> Result<(), GitError> {
        let reference = git::branch_ref(&self.target.branch);
        let expected = change.expected_head.as_deref().unwrap_or_default();
        let lease = format!("--force-with-lease={reference}:{expected}");
        let refspec = format!("{}:{reference}", change.commit);
        let options = "push --porcelain --no-verify --no-follow-tags --recurse-submodules=no".split(' ');
        let args = options.chain([&lease, "--", self.git.url(), &refspec]);
        let call = GitCall::new(args).repository(self.repository).with_forge_access().slow_answer();
        self.git.run(call).await.map(drop)
    }

    /// The branch's head; `None` if the branch does not exist.
    /// Errors: also if the answer has no base branch, because a web page instead of the forge's answer has no refs.
    async fn remote_head(&self) -> Result<Option<String>, GitError> {
        let [reference, base] = [&self.target.branch, &self.target.base_branch].map(|branch| git::branch_ref(branch));
        let args = ["ls-remote", "--quiet", "--", self.git.url(), &reference, &base];
        let output = self.git.run_for_line(GitCall::new(args).repository(self.repository).with_forge_access()).await?;
        // A pattern also matches refs that only end in it.
        let find = |wanted: &str| {
            let heads = output.lines().filter_map(|line| line.split_once('\t'));
            heads.filter(|(_, name)| *name == wanted).map(|(id, _)| id.to_owned()).next()
        };
        match (find(&reference), find(&base)) {
            (None, None) => Err(GitError::NoRefs),
            (head, _) => Ok(head),
        }
    }

    /// Errors: `Away` for an incomplete transfer too, although git reports it as damage.
    async fn fetch_remote_head(&self) -> Result<(), ForgeFault> {
        let refspec = format!("+{}:{FOREIGN_HEAD_REF}", git::branch_ref(&self.target.branch));
        let options = "fetch --quiet --no-tags --no-write-fetch-head --no-recurse-submodules --".split(' ');
        let args = options.chain([self.git.url(), &refspec]);
        let result = self.git.run(GitCall::new(args).repository(self.repository).with_forge_access()).await;
        result.map(drop).map_err(|error| {
            tracing::warn!(error = %error, "cannot read the branch: {error}");
            if error.is_damage() { ForgeFault::Away(Outage::from(error.reason())) } else { to_fault(&error) }
        })
    }

    /// Determines which attempt or user pushed the fetched head. `None` if the branch is gone.
    async fn resolve_remote_head(&self, change: &Change) -> Result<Option<PushOutcome>, GitError> {
        // The branch may have moved again; the fetched head counts.
        let Some(head) = git::resolve_commit(self.git, self.repository, FOREIGN_HEAD_REF).await? else {
            return Ok(None);
        };
        let base = &self.target.base_commit;
        let Some(commit) = target::find_job_commit(self.git, self.repository, &head, base, self.job).await? else {
            return Ok(Some(PushOutcome::BranchMoved(head)));
        };
        let pushed_by = if commit == change.commit {
            tracing::info!(job.id = %self.job, "push succeeded; newer commits are on top of it");
            PushedBy::ThisAttempt
        } else {
            tracing::info!(job.id = %self.job, "using the commit that an earlier attempt pushed");
            PushedBy::EarlierAttempt
        };
        Ok(Some(PushOutcome::Published(PublishResult { commit, head, pushed_by })))
    }

    fn branch_deleted(&self) -> Failure {
        Failure::BranchDeleted { branch: self.target.branch.clone() }
    }

    fn push_rejected(&self, reason: &str) -> Failure {
        Failure::PushRejected { forge: self.forge.into(), reason: reason.into() }
    }
}

/// Runs a push and renews its window until the push ends.
/// Errors: the window ended before the push; the error of a renewal.
async fn run_in_window<T, E>(
    mut until: Instant,
    interval: Duration,
    push: impl Future<Output = T>,
    mut renew: impl AsyncFnMut() -> Result<Instant, E>,
) -> Result<T, Option<E>> {
    tokio::pin!(push);
    while Instant::now() < until {
        let pause = interval.min((until - Instant::now()) / 2);
        let renewal = async {
            sleep(pause).await;
            renew().await
        };
        tokio::select! {
            biased;
            result = &mut push => return Ok(result),
            () = sleep_until(until) => return Err(None),
            renewed = renewal => match renewed {
                Ok(renewed) if renewed > until => until = renewed,
                refused => return timeout_at(until, push).await.map_err(|_| refused.err()),
            },
        }
    }
    Err(None)
}

/// The fault of a call that reached neither a decision of the forge nor a result.
fn to_fault(error: &GitError) -> ForgeFault {
    if error.is_damage() || error.is_missing_program() || error.is_machine_fault() {
        return ForgeFault::of_machine(error);
    }
    ForgeFault::Away(Outage::from(error.reason()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadline::push_deadline;
    use std::future::pending;

    fn target() -> Target {
        Target {
            branch: "x".into(),
            start_commit: "a".into(),
            base_branch: "main".into(),
            base_commit: "a".into(),
            expected_head: None,
            pull_request: None,
            adopted_commit: None,
            adopted_job: None,
        }
    }

    #[tokio::test]
    async fn renewed_push_outlives_its_first_window() {
        let first_end = Instant::now() + Duration::from_secs(2);
        let push = sleep_until(first_end + Duration::from_millis(1));
        let renew = async || Ok::<_, ()>(push_deadline(Instant::now(), None));
        assert_eq!(run_in_window(first_end, Duration::from_millis(1), push, renew).await, Ok(()));
    }

    #[tokio::test]
    async fn push_without_a_renewal_ends_with_its_window() {
        let until = || Instant::now() + Duration::from_millis(20);
        let push = pending::<()>;
        assert_eq!(run_in_window(until(), Duration::ZERO, push(), async || Err("no")).await, Err(Some("no")));
        let same_end = until();
        assert_eq!(run_in_window(same_end, Duration::ZERO, push(), async || Ok::<_, ()>(same_end)).await, Err(None));
        assert_eq!(run_in_window(until(), Duration::ZERO, push(), pending::<Result<_, ()>>).await, Err(None));
        let late = async { panic!("git was started after the window") };
        let renewed = run_in_window::<(), _>(Instant::now(), Duration::ZERO, late, async || Err("no")).await;
        assert_eq!(renewed, Err(None));
    }

    #[tokio::test]
    async fn refused_renewal_leaves_the_rest_of_the_window() {
        let refusal = tokio::sync::Notify::new();
        let refuse = async || {
            refusal.notify_one();
            Err(())
        };
        let until = push_deadline(Instant::now(), None);
        assert_eq!(run_in_window(until, Duration::ZERO, refusal.notified(), refuse).await, Ok(()));
    }

    #[tokio::test]
    async fn branch_with_the_same_suffix_is_not_the_remote_head() {
        let dir = tempfile::tempdir().unwrap();
        let forge = dir.path().join("forge.git");
        let git = Git::local(&format!("file://{}", forge.display()));
        git::init_bare(&git, forge.clone()).await.unwrap();
        let run_git = async |args: &[&str]| {
            git.run_for_line(GitCall::new(args).repository(&forge).with_identity()).await.unwrap()
        };
        let tree = run_git(&["mktree"]).await;
        let [theirs, ours] =
            [run_git(&["commit-tree", &tree, "-m", "a"]).await, run_git(&["commit-tree", &tree, "-m", "b"]).await];
        let (target, job) = (target(), JobId::new(format!("job_{}", "a".repeat(26))).unwrap());
        let (name, repository) = (RepositoryName::new("acme/app").unwrap(), forge.as_path());
        let push = Push {
            git: &git,
            repository,
            target: &target,
            job: &job,
            kind: ForgeKind::GitHub,
            forge: "GitHub",
            name: &name,
        };
        run_git(&["update-ref", "refs/heads/before/refs/heads/x", &theirs]).await;
        assert!(matches!(push.remote_head().await, Err(GitError::NoRefs)), "an answer without the base branch");
        run_git(&["update-ref", "refs/heads/main", &theirs]).await;
        assert_eq!(push.remote_head().await.unwrap(), None);
        run_git(&["update-ref", "refs/heads/x", &ours]).await;
        assert_eq!(push.remote_head().await.unwrap().as_deref(), Some(ours.as_str()));
    }
}
