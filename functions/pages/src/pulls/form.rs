//! The forms of a pull request's page: a review with comments at lines, merge, close and reopen.

use super::page::{PullPath, Subject, load_subject, render};
use crate::prelude::*;
use crate::tickets::{RaiseForm, raise_limit};
use pullyard_control::review::PullRequestRef;
use pullyard_control::{ActionOutcome, LocalAction, NewLineComment, NewReview, NewState, RaisedSubject, ReviewVerdict};
use pullyard_domain::project::Repository;
use pullyard_domain::text::id::ReviewId;
use pullyard_domain::text::to_sentence;

/// Each comment costs the forge a call of git.
const MAX_COMMENTS: usize = 50;

/// A comment at a line that is not sent yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) path: String,
    pub(crate) line: u64,
    pub(crate) text: String,
    /// The page was opened to write it.
    pub(crate) has_focus: bool,
    /// The commit that it was written for, if the page shows a newer one.
    pub(crate) old_commit: SafeText,
}

impl Draft {
    pub(crate) fn label(&self) -> SafeText {
        line(&format!("{}:{}", self.path, self.line))
    }
}

#[derive(Debug, Default)]
pub(crate) struct ReviewForm {
    /// The commit that the page showed.
    head: String,
    key: String,
    pub(super) summary: String,
    pub(super) drafts: Vec<Draft>,
}

impl ReviewForm {
    /// The form repeats `at` and `comment` for each line, which a struct could not read.
    fn parse(fields: Vec<(String, String)>) -> Result<(Self, ReviewVerdict), Fault> {
        let (mut form, mut verdict) = (Self::default(), None);
        for (name, value) in fields {
            let text = value.replace("\r\n", "\n").trim().to_owned();
            match (name.as_str(), value.as_str()) {
                ("verdict", "approve") => verdict = Some(ReviewVerdict::Approve),
                ("verdict", "request_changes") => verdict = Some(ReviewVerdict::RequestChanges),
                ("verdict", "comment") => verdict = Some(ReviewVerdict::Comment),
                ("summary", _) => form.summary = text,
                ("head", _) => form.head = text,
                ("form_key", key) => form.key = parse_id::<ReviewId>("form_key", key)?.to_string(),
                ("at", place) => {
                    let (path, line) = place.rsplit_once(':').unwrap_or_default();
                    let line = line.parse().map_err(|_| Fault::invalid("A comment at a line needs the line."))?;
                    form.drafts.push(Draft { path: path.to_owned(), line, ..Draft::default() });
                }
                ("comment", _) => match form.drafts.last_mut() {
                    Some(draft) => draft.text = text,
                    None => return Err(Fault::invalid("A comment at a line needs the line.")),
                },
                _ => return Err(Fault::invalid("The form has an unknown field or verdict.")),
            }
        }
        form.drafts.retain(|draft| !draft.text.is_empty());
        let verdict = verdict.ok_or_else(|| Fault::invalid("The form has no verdict."))?;
        Ok((form, verdict))
    }

    /// Marks the comments as written for another commit than the page shows: their lines may have moved.
    pub(super) fn mark_old_drafts(&mut self, head: &str) {
        if self.head != head {
            self.drafts.iter_mut().for_each(|draft| draft.old_commit = text::short_commit(&self.head));
        }
    }

    fn to_action(&self, verdict: ReviewVerdict) -> Result<LocalAction, Fault> {
        if verdict != ReviewVerdict::Approve && self.summary.is_empty() && self.drafts.is_empty() {
            return Err(Fault::invalid("Write a comment first: in the field Summary, or at a line."));
        }
        if self.drafts.len() > MAX_COMMENTS {
            return Err(Fault::invalid(&format!("A review has at most {MAX_COMMENTS} comments at lines.")));
        }
        let comment = |draft: &Draft| {
            let Draft { path, line, text, .. } = draft.clone();
            NewLineComment::on_line(path, line, text)
        };
        let comments = self.drafts.iter().map(comment).collect();
        let (head, body) = (self.head.clone(), self.summary.clone());
        let key = non_empty(&self.key).unwrap_or_else(new_form_key);
        Ok(LocalAction::Review(NewReview { head, verdict, body, comments, key }))
    }
}

pub(crate) async fn review(
    visit: PageContext,
    Path(path): Path<PullPath>,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Fault> {
    let texts = join_texts(&fields);
    send_review(&visit, path, fields).await.map_err(|fault| fault.with_form_text(&texts))
}

async fn send_review(visit: &PageContext, path: PullPath, fields: Vec<(String, String)>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let (subject, repository) = load_writable(visit, path).await?;
    let (form, verdict) = ReviewForm::parse(fields)?;
    match form.to_action(verdict) {
        Ok(action) => act(visit, &subject, &repository, action, form).await,
        Err(fault) => render(visit, &subject, None, form, Some(fault)).await,
    }
}

/// The summary, then each comment below its place.
fn join_texts(fields: &[(String, String)]) -> String {
    let (mut texts, mut place) = (Vec::new(), "");
    for (name, value) in fields {
        match name.as_str() {
            "at" => place = value,
            "summary" if !value.trim().is_empty() => texts.push(value.clone()),
            "comment" if !value.trim().is_empty() => texts.push(format!("{place}\n{value}")),
            _ => {}
        }
    }
    texts.join("\n\n")
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateForm {
    state: StateName,
    #[serde(default)]
    head: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum StateName {
    Merged,
    Closed,
    Open,
}

pub(crate) async fn set_state(
    visit: PageContext,
    Path(path): Path<PullPath>,
    Form(form): Form<StateForm>,
) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let (subject, repository) = load_writable(&visit, path).await?;
    let action = match form.state {
        StateName::Merged => LocalAction::Merge { head: form.head },
        StateName::Closed => LocalAction::SetState(NewState::Closed),
        StateName::Open => LocalAction::SetState(NewState::Open),
    };
    act(&visit, &subject, &repository, action, ReviewForm::default()).await
}

/// Raises the limits of the pull request's ticket, or of a pull request without one, at any forge.
pub(crate) async fn raise(
    visit: PageContext,
    Path(path): Path<PullPath>,
    Form(form): Form<RaiseForm>,
) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let subject = load_subject(&visit, path).await?;
    let (project, repository) = (subject.project.clone(), subject.repository()?.name.clone());
    let (number, integration) = (subject.id.number, Some(subject.id.integration.clone()));
    let reference = PullRequestRef { project, repository, number, integration };
    raise_limit(&visit, RaisedSubject::PullRequest(reference), &form).await?;
    Ok(redirect(&subject.address()))
}

/// Errors: as [`load_subject`] and [`Subject::repository`]; 409 for a hosted forge.
async fn load_writable(visit: &PageContext, path: PullPath) -> Result<(Subject, Repository), Fault> {
    let subject = load_subject(visit, path).await?;
    if !subject.is_local {
        return Err(Fault::conflict("This pull request is reviewed and merged on its forge.")
            .help("Open its page and use the forge’s buttons."));
    }
    let repository = subject.repository()?.clone();
    Ok((subject, repository))
}

async fn act(
    visit: &PageContext,
    subject: &Subject,
    repository: &Repository,
    action: LocalAction,
    form: ReviewForm,
) -> Result<Response, Fault> {
    let to = if matches!(action, LocalAction::Review(_)) { "#conversation" } else { "" };
    // The comments at lines are stored when the forge refuses the summary.
    let is_comment = matches!(&action, LocalAction::Review(new) if new.verdict == ReviewVerdict::Comment);
    match control::act_on_local_pull_request(&visit.ctx, repository, subject.id.number, action).await? {
        ActionOutcome::Done => Ok(redirect(&format!("{}{to}", subject.address()))),
        ActionOutcome::Refused(reason) => {
            let fault = Fault::conflict(&to_sentence(reason.trim_start_matches("state cannot be changed. ")));
            let fault = if is_comment { fault } else { fault.help("Nothing was changed.") };
            render(visit, subject, None, form, Some(fault)).await
        }
    }
}
