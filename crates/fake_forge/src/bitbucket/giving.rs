//! Bitbucket's approvals and change requests: without text, one per account, withdrawn by their author.
//! GitHub's API shows them as reviews, although GitHub's own change requests need a text.

use std::sync::Arc;

use serde_json::json;

use pullyard_demo_forge::{
    Error,
    access::Actor,
    events,
    pulls::{self, Touched},
    record::{Pull, PullRecord, PullState, ReviewRecord},
    repositories::Entry,
    reviews::{Verdict, announce},
    shared::Shared,
};

/// Why a verdict or its withdrawal is refused.
#[derive(Debug)]
pub(crate) enum Objection {
    /// The caller already gave this verdict.
    Given,
    /// The caller has no such verdict.
    NotGiven,
    /// The caller is the pull request's author.
    Own,
    Closed,
    NoPullRequest,
    Broken(Error),
}

impl From<Error> for Objection {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

fn done<T>(touched: Touched<T>) -> Result<(T, Box<Pull>), Objection> {
    match touched {
        Touched::Done(value, pull) => Ok((value, pull)),
        Touched::Missing => Err(Objection::NoPullRequest),
    }
}

fn check_open(pull: &PullRecord) -> Result<(), Objection> {
    match pull.state {
        PullState::Open => Ok(()),
        PullState::Closed => Err(Objection::Closed),
    }
}

fn is_given(pull: &PullRecord, actor: &Actor, verdict: Verdict) -> bool {
    pull.verdict_of(actor.account.id).is_some_and(|review| review.state == verdict.state())
}

/// Gives a verdict, which replaces the account's earlier one.
pub(crate) async fn give(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    number: u64,
    verdict: Verdict,
) -> Result<Box<Pull>, Objection> {
    let head = pulls::find(shared, entry, number).await?.ok_or(Objection::NoPullRequest)?.head_sha;
    let id = shared.ids.next()?;
    let changed = pulls::touch(shared, entry, number, |pull| {
        check_open(pull)?;
        if pull.author_id == actor.account.id {
            return Err(Objection::Own);
        }
        if is_given(pull, actor, verdict) {
            return Err(Objection::Given);
        }
        let now = shared.clock.moment();
        let review = ReviewRecord {
            id,
            author: actor.account.clone(),
            body: String::new(),
            state: verdict.state(),
            commit: head,
            submitted_at: Some(now.clone()),
            updated_at: now,
            dismissed: None,
        };
        pull.reviews.push(review.clone());
        pull.take_answer(actor.account.id);
        Ok(review)
    });
    let (review, pull) = done(changed.await?)?;
    announce(shared, entry, actor, &pull, &review).await;
    Ok(pull)
}

/// Withdraws the caller's verdict.
pub(crate) async fn withdraw(
    shared: &Arc<Shared>,
    entry: &Entry,
    actor: &Actor,
    number: u64,
    verdict: Verdict,
) -> Result<(), Objection> {
    let changed = pulls::touch(shared, entry, number, |pull| {
        check_open(pull)?;
        if !is_given(pull, actor, verdict) {
            return Err(Objection::NotGiven);
        }
        let now = shared.clock.moment();
        let mut dismissed = Vec::new();
        // Through GitHub's API an account may give the same verdict several times.
        let given =
            |review: &&mut ReviewRecord| review.author.id == actor.account.id && review.state == verdict.state();
        for review in pull.reviews.iter_mut().filter(given) {
            review.dismiss(now.clone());
            dismissed.push(review.clone());
        }
        Ok(dismissed)
    });
    let (dismissed, pull) = done(changed.await?)?;
    for review in &dismissed {
        events::review(shared, entry, actor, &pull, review, ("dismissed", json!({}))).await;
    }
    Ok(())
}
