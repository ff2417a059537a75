//! The open findings of earlier reviews: the agent judges each, and a reply ends its thread.

use crate::api::forge_wait::{ForgeFault, ForgeWait};
use crate::api::retry::retry_pause;
use crate::attempt::Attempt;
use crate::git::target::{to_source_fault, unreachable};
use crate::job::preparation::Preparation;
use crate::stop::Stop;
use pullyard_domain::review::output::{EarlierFinding, MAX_EARLIER_FINDINGS};
use pullyard_domain::review::published::marker::{Marker, is_marker_line};
use pullyard_domain::review::report::render::render_thread_reply;
use pullyard_domain::review::report::review_output::{ReviewOutput, Severity, ThreadState};
use pullyard_domain::text::untrusted::remove_hidden;
use pullyard_forge::{Error, Forge, Lines, ReviewComment, Side, Thread};
use pullyard_protocol::attempt::Phase;
use serde::Serialize;

/// Older replies are left out.
const MAX_REPLIES: usize = 5;
const MAX_TEXT_CHARS: usize = 4_000;
const MAX_REPLY_CHARS: usize = 1_000;

/// A thread that begins with a finding of Pullyard, in the form of `threads.json`.
#[derive(Clone, Debug, Serialize)]
pub(super) struct OpenThread {
    pub(super) id: u64,
    pub(super) path: String,
    pub(super) line: Option<u64>,
    pub(super) severity: Severity,
    pub(super) text: String,
    replies: Vec<Reply>,
    #[serde(skip)]
    pub(super) url: String,
    /// The id for replies.
    #[serde(skip)]
    thread: String,
}

#[derive(Clone, Debug, Serialize)]
struct Reply {
    author: String,
    text: String,
}

/// Loads the threads of Pullyard's findings that neither a user resolved nor a later review ended.
pub(super) async fn load(attempt: &Attempt<'_>, preparation: &Preparation<'_>) -> Result<Vec<OpenThread>, Stop> {
    let repository = &attempt.assignment.repository;
    let Some(revises) = &attempt.assignment.revises else { return Ok(Vec::new()) };
    let (name, number, forge) = (repository.name.as_str(), revises.number, &preparation.access.forge);
    let mut forge_wait = ForgeWait::new(attempt, Phase::Preparing, attempt.forge_away);
    let load = async || {
        let to_fault = |error: Error| to_source_fault(&error, repository);
        let comments = forge.comments(name, number).await.map_err(to_fault)?.items;
        if !comments.iter().any(|comment| finding_severity(comment, repository.account).is_some()) {
            return Ok((comments, Vec::new()));
        }
        Ok((comments, forge.threads(name, number).await.map_err(to_fault)?.items))
    };
    let (comments, threads) = forge_wait.retry(unreachable(repository), load).await?;
    let mut open: Vec<OpenThread> =
        threads.iter().filter_map(|thread| to_open_thread(thread, &comments, repository.account)).collect();
    open.truncate(MAX_EARLIER_FINDINGS);
    Ok(open)
}

fn to_open_thread(thread: &Thread, comments: &[ReviewComment], account: Option<u64>) -> Option<OpenThread> {
    let of_thread = |id: &u64| comments.iter().find(|comment| comment.id == *id);
    let all: Vec<&ReviewComment> = thread.comments.iter().filter_map(of_thread).collect();
    let (first, replies) = all.split_first()?;
    let severity = finding_severity(first, account)?;
    if thread.resolved || replies.iter().any(|comment| verdict_of(comment, account).is_some()) {
        return None;
    }
    let clean = |text: &str, limit: usize| {
        let lines = text.lines().filter(|line| !is_marker_line(line)).collect::<Vec<_>>().join("\n");
        remove_hidden(&lines).trim().chars().take(limit).collect::<String>()
    };
    let to_reply = |comment: &&ReviewComment| Reply {
        author: comment.author.as_ref().map(|author| author.login.clone()).unwrap_or_default(),
        text: clean(&comment.body, MAX_REPLY_CHARS),
    };
    Some(OpenThread {
        id: first.id,
        path: first.path.clone(),
        line: match (first.lines, first.side) {
            (Lines::Current { end, .. }, Side::Right) => Some(end),
            _ => None,
        },
        severity,
        text: clean(&first.body, MAX_TEXT_CHARS),
        replies: replies.iter().rev().take(MAX_REPLIES).rev().map(to_reply).collect(),
        url: first.url.clone(),
        thread: thread.id.clone(),
    })
}

/// `None` if the comment is no finding, or has the copied marker of another account.
fn finding_severity(comment: &ReviewComment, account: Option<u64>) -> Option<Severity> {
    match Marker::parse(&comment.body) {
        Some(Marker::Finding(finding)) if is_ours(comment, account) => Some(finding.severity),
        _ => None,
    }
}

/// The verdict of an earlier review in a reply. `None` if the token hides the account: then no marker proves a verdict.
pub(super) fn verdict_of(comment: &ReviewComment, account: Option<u64>) -> Option<ThreadState> {
    match Marker::parse(&comment.body) {
        Some(Marker::Verdict(_, verdict)) if account.is_some() && is_ours(comment, account) => Some(verdict),
        _ => None,
    }
}

fn is_ours(comment: &ReviewComment, account: Option<u64>) -> bool {
    account.is_none() || comment.author.as_ref().map(|author| author.id) == account
}

/// Returns a verdict for each thread: open, unless the agent's output has another one.
pub(super) fn judge(threads: &[OpenThread], output: &ReviewOutput) -> Vec<EarlierFinding> {
    let judge_thread = |thread: &OpenThread| {
        let judged = output.threads.iter().find(|judged| judged.id == thread.id);
        EarlierFinding {
            url: thread.url.clone(),
            path: thread.path.clone(),
            line: thread.line,
            severity: thread.severity,
            verdict: judged.map_or(ThreadState::Open, |judged| judged.verdict),
            text: judged.map(|judged| judged.text.clone()).unwrap_or_default(),
        }
    };
    threads.iter().map(judge_thread).collect()
}

/// Replies in each thread that ended. A refused reply is only logged, so that the review is still posted.
/// Idempotent: by the marker in the thread, which is read again before each try.
/// Errors: another try may help.
pub(super) async fn reply(
    attempt: &Attempt<'_>,
    forge: &Forge,
    head_of: impl Fn(&EarlierFinding) -> String,
    (threads, verdicts): (&[OpenThread], &[EarlierFinding]),
) -> Result<(), ForgeFault> {
    let repository = &attempt.assignment.repository;
    let number = attempt.assignment.revises.as_ref().map(|revises| revises.number).unwrap_or_default();
    let ended = || threads.iter().zip(verdicts).filter(|(_, finding)| finding.verdict != ThreadState::Open);
    if ended().next().is_none() {
        return Ok(());
    }
    let comments = forge.comments(repository.name.as_str(), number).await;
    let comments = comments.map_err(|error| to_source_fault(&error, repository))?.items;
    for (thread, finding) in ended() {
        let is_answer = |comment: &ReviewComment| {
            comment.in_reply_to == Some(thread.id)
                && is_ours(comment, repository.account)
                && matches!(Marker::parse(&comment.body), Some(Marker::Verdict(..)))
        };
        let text = render_thread_reply(finding.verdict, &head_of(finding), &finding.text);
        let Some(text) = text.filter(|_| !comments.iter().any(is_answer)) else { continue };
        let marker = Marker::Verdict(attempt.assignment.job.clone(), finding.verdict);
        match forge.reply(&thread.thread, &marker.append_to(repository.forge, &text)).await {
            Ok(()) => {}
            Err(error) if retry_pause(&error).is_some() => return Err(to_source_fault(&error, repository)),
            Err(error) => {
                let (id, reason) = (thread.id, attempt.redactor.redact_text(&error.to_string()).into_owned());
                attempt.events.log(format!("The thread of comment {id} was not answered: failed to {reason}."));
            }
        }
    }
    Ok(())
}
