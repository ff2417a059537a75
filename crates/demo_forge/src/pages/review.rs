//! Receives the review form.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{FailedForm, PageError};
use crate::{
    access::Requirement,
    forge_state::Shared,
    reviews::{self, NewComment, NewReview, Rejection, Verdict},
};

#[derive(Default, Deserialize)]
pub(super) struct ReviewForm {
    pub user: String,
    pub event: String,
    pub body: String,
    pub path: String,
    pub line: String,
    pub comment: String,
}

impl ReviewForm {
    pub(super) fn has_line_comment(&self) -> bool {
        !self.path.trim().is_empty() || !self.comment.trim().is_empty()
    }

    fn new_review(&self) -> Result<NewReview, Rejection> {
        let verdict = Verdict::parse(&self.event).ok_or(Rejection::NotFound)?;
        let mut comments = Vec::new();
        if self.has_line_comment() {
            let line = self.line.trim().parse();
            let line =
                line.map_err(|_| Rejection::Unprocessable("A comment on a line needs the line's number.".to_owned()))?;
            let (path, body) = (self.path.trim().to_owned(), normalize_newlines(&self.comment));
            comments.push(NewComment { path, line, body });
        }
        Ok(NewReview { verdict, body: normalize_newlines(&self.body), comments })
    }
}

pub(super) async fn submit(
    State(shared): State<Arc<Shared>>,
    Path((owner, name, number)): Path<(String, String, String)>,
    Form(filled): Form<ReviewForm>,
) -> Result<Response, PageError> {
    let (entry, pull) = super::find(&shared, &owner, &name, &number).await?;
    let actor = super::actor(&shared, &entry, &filled.user, Requirement::PULLS_WRITE).await?;
    let number = pull.record.number;
    let outcome = match filled.new_review() {
        Ok(new) => reviews::create_review(&shared, &entry, &actor, number, new).await.map(drop),
        Err(objection) => Err(objection),
    };
    let problem = match outcome {
        Ok(()) => {
            let reviews = format!("/{}/pull/{number}#reviews", entry.full_name());
            return Ok(Redirect::to(&reviews).into_response());
        }
        Err(Rejection::Unprocessable(message)) => message,
        Err(Rejection::Forbidden(message)) => message.to_owned(),
        Err(Rejection::NotFound) => return Err(PageError::NotFound),
        Err(Rejection::Internal(error)) => return Err(error.into()),
    };
    let failed = FailedForm { review: Some(problem), filled, ..FailedForm::default() };
    Ok((StatusCode::UNPROCESSABLE_ENTITY, super::page(&shared, &entry, &pull, failed).await?).into_response())
}

fn normalize_newlines(text: &str) -> String {
    text.trim().replace("\r\n", "\n")
}
