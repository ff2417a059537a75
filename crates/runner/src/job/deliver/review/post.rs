//! Places the findings of a review, and posts it once.

use super::{Report, threads};
use crate::api::forge_wait::{ForgeFault, ForgeWait, Outage};
use crate::attempt::Attempt;
use crate::git::target::{Target, get_revised_pull_request, to_source_fault, unreachable};
use crate::git::{GitCall, GitError};
use crate::job::deliver::change::renew_old_access;
use crate::job::preparation::Preparation;
use crate::stop::Stop;
use pullyard_domain::review::output::{EarlierFinding, FindingPlace, PostedReview};
use pullyard_domain::review::published::marker::Marker;
use pullyard_domain::review::published::short_commit;
use pullyard_domain::review::report::diff::Diff;
use pullyard_domain::review::report::finding_marker::Fingerprint;
use pullyard_domain::review::report::place::{InlineComment, Place, PlaceRules, place};
use pullyard_domain::review::report::render::ReviewText;
use pullyard_domain::review::report::review_output::{ReviewOutput, Side as FindingSide, ThreadState};
use pullyard_domain::text::Span;
use pullyard_domain::text::failure::Failure;
use pullyard_domain::text::id::JobId;
use pullyard_forge::{Error, Forge, NewLineComment, NewReview, ReviewComment, ReviewPosts, Side, Verdict};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{sleep, timeout_at};

/// The pause after a try whose outcome is unknown: the forge may still accept it.
const AFTER_UNKNOWN: Duration = Duration::from_secs(15);

/// The review that an earlier attempt of this job posted. Its findings are only at the forge.
pub(super) async fn find_posted(
    attempt: &Attempt<'_>,
    preparation: &Preparation<'_>,
    forge_wait: &mut ForgeWait<'_>,
) -> Result<Option<PostedReview>, Stop> {
    let load = async || load_posts(attempt, &preparation.access.forge).await;
    let posts = forge_wait.retry(unreachable(&attempt.assignment.repository), load).await?;
    // A commit may have been pushed since, so only the commit of the request is surely reviewed.
    let head = attempt.assignment.revises.as_ref().map(|revises| revises.head.clone());
    Ok(head.filter(|_| is_posted(attempt, &posts)).map(|head| PostedReview {
        head,
        since: attempt.assignment.revises.as_ref().and_then(|revises| revises.since.clone()),
        adopted: true,
        fixed: 0,
        base: preparation.target.base_branch.clone(),
        earlier: Vec::new(),
        review: ReviewOutput {
            summary: "An earlier attempt of this job posted the review. Its findings are on the pull request.".into(),
            findings: Vec::new(),
            threads: Vec::new(),
        },
        places: Vec::new(),
    }))
}

/// A review to post.
pub(super) struct Posting<'a> {
    attempt: &'a Attempt<'a>,
    target: Target,
    report: &'a Report,
    diff: Diff<'a>,
    /// The paths in the reviewed commit.
    paths: BTreeSet<String>,
    /// Whether the forge may take comments on lines. It refuses the whole review for a wrong one.
    can_comment: bool,
    /// Whether an earlier try may have posted something.
    was_tried: bool,
    /// Whether the forge may still accept the last try.
    is_outcome_unknown: bool,
}

impl<'a> Posting<'a> {
    pub(super) async fn new(
        attempt: &'a Attempt<'a>,
        preparation: &Preparation<'_>,
        report: &'a Report,
    ) -> Result<Self, GitError> {
        let target = preparation.target.clone();
        let repository = preparation.workspace.repository();
        let list = GitCall::new(["ls-tree", "-r", "-z", "--name-only", &target.start_commit]);
        let listed = preparation.access.git.run(list.repository(&repository)).await?;
        let paths = listed.split(|byte| *byte == 0).map(|path| String::from_utf8_lossy(path).into_owned()).collect();
        let (diff, was_tried) = (Diff::parse(&report.input.patch), attempt.assignment.attempt > 1);
        // The findings have lines of the reviewed commit, not of the pushed one.
        let can_comment = report.pushed.is_none() || attempt.assignment.repository.forge.spec().review_names_commit;
        Ok(Self { attempt, target, report, diff, paths, can_comment, was_tried, is_outcome_unknown: false })
    }

    /// Posts the review, unless it has nothing new, and returns the place of each finding.
    /// Idempotent: by the job's marker.
    /// Errors: `PullRequestClosed`, `ReviewRefused`, `ReviewNotPosted`; orders.
    pub(super) async fn post(
        &mut self,
        preparation: &mut Preparation<'_>,
        forge_wait: &mut ForgeWait<'_>,
    ) -> Result<Vec<FindingPlace>, Stop> {
        loop {
            // Do not post after the end of the window, because another attempt may begin then.
            let deadline = forge_wait.renew_push().await?;
            let attempt = self.attempt;
            let tried = timeout_at(deadline, self.try_once(&preparation.access.forge));
            let tried = attempt.unless_aborted(async { Ok(tried.await) }).await?;
            let outage = match tried {
                Ok(Ok(Some(places))) => {
                    forge_wait.end().await;
                    return Ok(places);
                }
                Ok(Ok(None)) => continue,
                Ok(Err(ForgeFault::Final(stop))) => return Err(stop),
                Ok(Err(ForgeFault::Away(outage))) => outage,
                Err(_) => Outage::from("it did not answer in time".to_owned()),
            };
            if std::mem::take(&mut self.is_outcome_unknown) {
                let pause = async {
                    sleep(AFTER_UNKNOWN).await;
                    Ok(())
                };
                attempt.unless_aborted(pause).await?;
            }
            forge_wait.pause(&outage, |reason| not_posted(attempt, reason)).await?;
            renew_old_access(attempt, preparation).await?;
        }
    }

    /// `None`: the forge refused the review with its comments.
    async fn try_once(&mut self, forge: &Forge) -> Result<Option<Vec<FindingPlace>>, ForgeFault> {
        let (attempt, repository) = (self.attempt, &self.attempt.assignment.repository);
        let mut head = self.target.start_commit.clone();
        if let Some(revises) = &attempt.assignment.revises {
            let current = get_revised_pull_request(forge, repository, revises).await?;
            if !self.can_comment {
                // Perhaps a force push removed the reviewed commit, which the text names.
                head = current.head_sha;
            }
        }
        // Before the review, whose marker ends the job's work.
        let Report { input, earlier, pushed, fixed, .. } = self.report;
        let head_of = |finding: &EarlierFinding| {
            let pushed = pushed.as_ref().filter(|_| fixed.contains(&finding.url));
            pushed.unwrap_or(&self.target.start_commit).clone()
        };
        threads::reply(attempt, forge, head_of, (&input.threads, earlier)).await?;
        // Read each time: perhaps only the answer to an earlier try was lost.
        let posts = load_posts(attempt, forge).await?;
        let own = fingerprints(&posts, repository.account, |of| *of == attempt.assignment.job);
        let places = self.place(&posts, &own);
        let answer = places.iter().map(to_answer).collect();
        let is_new = pushed.is_some() || places.iter().any(|place| matches!(place, Place::Inline(_) | Place::InText));
        let has_review = posts.texts.iter().any(|text| matches!(Marker::parse(text), Some(Marker::Job(_))));
        if is_posted(attempt, &posts) || has_review && !is_new {
            return Ok(Some(answer));
        }
        if posts.truncated && self.was_tried {
            let reason = "the conversation is too long to see whether the review is there".into();
            return Err(not_posted(attempt, reason).into());
        }
        let was_tried = std::mem::replace(&mut self.was_tried, true);
        self.is_outcome_unknown = true;
        let new = NewReview { head, ..self.to_review(&places, &own) };
        match forge.create_review(repository.name.as_str(), self.number(), &new).await {
            Ok(()) => Ok(Some(answer)),
            Err(Error::Refused { .. }) if self.can_comment => {
                (self.can_comment, self.was_tried, self.is_outcome_unknown) = (false, was_tried, false);
                Ok(None)
            }
            Err(error) => Err(to_fault(attempt, &error)),
        }
    }

    fn number(&self) -> u64 {
        self.attempt.assignment.revises.as_ref().map(|revises| revises.number).unwrap_or_default()
    }

    /// `own` are the comments of this job that exist.
    fn place(&self, posts: &ReviewPosts, own: &BTreeSet<Fingerprint>) -> Vec<Place> {
        let job = &self.attempt.assignment.job;
        let posted = fingerprints(posts, self.attempt.assignment.repository.account, |of| of != job);
        let rules = PlaceRules {
            forge: self.attempt.assignment.repository.forge,
            job,
            posted: &posted,
            is_in_tree: &|path| self.paths.contains(path),
        };
        let mut places = place(&self.report.output.findings, &self.diff, &rules);
        if !self.can_comment {
            for place in &mut places {
                if matches!(&*place, Place::Inline(comment) if !own.contains(&comment.fingerprint)) {
                    *place = Place::InText;
                }
            }
        }
        places
    }

    /// `posted` are the comments of this job that exist: on Bitbucket, an earlier try may have posted a part.
    fn to_review(&self, places: &[Place], posted: &BTreeSet<Fingerprint>) -> NewReview {
        let (job, head) = (&self.attempt.assignment.job, &self.target.start_commit);
        let scope = match (&self.report.pushed, &self.report.input.since) {
            (Some(pushed), _) => format!("Pushed `{}` after a review of the whole change.", short_commit(pushed)),
            (None, Some(since)) => {
                format!("Reviewed `{}`, the changes since `{}`.", short_commit(head), short_commit(since))
            }
            (None, None) => format!("Reviewed `{}`, the whole change.", short_commit(head)),
        };
        let text = ReviewText {
            forge: self.attempt.assignment.repository.forge,
            job,
            scope: &scope,
            output: &self.report.output,
            places,
            earlier: &self.report.earlier,
        };
        let comments = places.iter().filter_map(|place| match place {
            Place::Inline(comment) if !posted.contains(&comment.fingerprint) => Some(to_line_comment(comment)),
            Place::Inline(_) | Place::InText | Place::Repeated | Place::Dropped(_) => None,
        });
        NewReview {
            head: head.clone(),
            verdict: Verdict::Comment,
            body: text.render(),
            comments: comments.collect(),
            key: job.to_string(),
        }
    }
}

/// The findings in these comments whose jobs match. A finding that is fixed may be reported again.
fn fingerprints(
    posts: &ReviewPosts,
    account: Option<u64>,
    is_wanted: impl Fn(&JobId) -> bool,
) -> BTreeSet<Fingerprint> {
    let is_fixed = |comment: &&ReviewComment| threads::verdict_of(comment, account) == Some(ThreadState::Fixed);
    let fixed: BTreeSet<u64> = posts.comments.iter().filter(is_fixed).filter_map(|reply| reply.in_reply_to).collect();
    let finding = |comment: &ReviewComment| match Marker::parse(&comment.body) {
        Some(Marker::Finding(finding)) if is_wanted(&finding.job) => Some(finding.fingerprint),
        _ => None,
    };
    posts.comments.iter().filter(|comment| !fixed.contains(&comment.id)).filter_map(finding).collect()
}

fn to_answer(place: &Place) -> FindingPlace {
    match place {
        Place::Inline(_) => FindingPlace::Inline,
        Place::InText => FindingPlace::InText,
        Place::Repeated => FindingPlace::Repeated,
        Place::Dropped(_) => FindingPlace::Dropped,
    }
}

fn to_line_comment(comment: &InlineComment) -> NewLineComment {
    NewLineComment {
        path: comment.path.clone(),
        side: match comment.side {
            FindingSide::Left => Side::Left,
            FindingSide::Right => Side::Right,
        },
        start_line: comment.start_line.map(u64::from),
        line: comment.line.into(),
        body: comment.body.clone(),
    }
}

/// The posts of our account on the pull request.
async fn load_posts(attempt: &Attempt<'_>, forge: &Forge) -> Result<ReviewPosts, ForgeFault> {
    let repository = &attempt.assignment.repository;
    let number = attempt.assignment.revises.as_ref().map(|revises| revises.number).unwrap_or_default();
    let posts = forge.review_posts(repository.name.as_str(), number, repository.account).await;
    posts.map_err(|error| to_source_fault(&error, repository))
}

fn is_posted(attempt: &Attempt<'_>, posts: &ReviewPosts) -> bool {
    posts.texts.iter().any(|text| Marker::parse(text) == Some(Marker::Job(attempt.assignment.job.clone())))
}

fn to_fault(attempt: &Attempt<'_>, error: &Error) -> ForgeFault {
    let repository = &attempt.assignment.repository;
    match error {
        Error::Refused { .. } | Error::Forbidden { .. } => {
            Failure::ReviewRefused { forge: repository.forge_name(), reason: error.to_string().into() }.into()
        }
        error => to_source_fault(error, repository),
    }
}

fn not_posted(attempt: &Attempt<'_>, reason: String) -> Failure {
    let (forge, limit) = (attempt.assignment.repository.forge_name(), Span::from(attempt.forge_away));
    Failure::ReviewNotPosted { forge, limit, reason: reason.into() }
}
