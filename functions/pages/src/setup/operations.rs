//! Operations: the deployment's state and findings, paused model accounts and dead letters. Only for visitors with
//! access to all projects.

mod health;

use super::machine::LocalMachine;
use crate::labels::format_time;
use crate::prelude::*;
use crate::text::block;
use axum::routing::{get, post};
use axum::{Extension, Router};
use health::Health;
use pullyard_control::{DeadLetterView, LetterAction};
use pullyard_domain::agent::breaker::BreakerId;
use pullyard_domain::text::id::MessageId;
use pullyard_protocol::dead_letter::MoveDeadLetters;

pub(super) fn routes() -> Router<Context> {
    Router::new()
        .route("/setup/operations", get(show))
        .route("/setup/operations/resume", post(resume))
        .route("/setup/operations/requeue", post(requeue))
        .route("/setup/operations/delete", post(delete))
}

#[derive(Template)]
#[template(path = "operations.html")]
struct OperationsPage {
    frame: Frame,
    notice: Option<String>,
    health: Health,
    accounts: Vec<PausedAccount>,
    letters: Vec<Letter>,
    is_truncated: bool,
}

struct PausedAccount {
    account: String,
    sentence: SafeText,
    opened: TimeLabel,
    times: u32,
}

struct Letter {
    id: String,
    queue: &'static str,
    sent: Option<TimeLabel>,
    receive_count: u32,
    subject: SafeText,
    sentence: SafeText,
    help: SafeText,
    body: SafeText,
}

/// The result of an action, as counts, so that reloading the page repeats nothing.
#[derive(Deserialize)]
pub(crate) struct OperationsQuery {
    project: Option<ProjectId>,
    resumed: Option<String>,
    requeued: Option<u32>,
    deleted: Option<u32>,
    #[serde(default)]
    left: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeForm {
    account: String,
}

async fn show(
    visit: PageContext,
    Extension(machine): Extension<Option<LocalMachine>>,
    Query(query): Query<OperationsQuery>,
) -> Result<Response, Fault> {
    check_operator(&visit)?;
    let now = visit.ctx.clock.now();
    let project = visit.load_selected_project(query.project.clone()).await?;
    let breakers = control::list_open_breakers(&visit.ctx).await?;
    let page = control::list_dead_letters(&visit.ctx, None).await?;
    let accounts = breakers.iter().map(|breaker| PausedAccount {
        account: breaker.id.to_string(),
        sentence: line(&breaker.wait_reason(breaker.blocked_until(now)).sentence()),
        opened: format_time(breaker.opened, now),
        times: breaker.times,
    });
    let page = OperationsPage {
        frame: visit.frame("Operations", "operations", project.as_ref().map(|project| &project.id)),
        notice: query.notice(),
        health: health::load(&visit, machine.as_ref()).await?,
        accounts: accounts.collect(),
        letters: page.letters.iter().map(|letter| Letter::new(letter, now)).collect(),
        is_truncated: page.is_truncated,
    };
    Ok(render_page(StatusCode::OK, &page))
}

async fn resume(visit: PageContext, Form(form): Form<ResumeForm>) -> Result<Response, Fault> {
    check_operator(&visit)?;
    let id: BreakerId = form.account.parse().map_err(|_| Fault::not_found("There is no such model account."))?;
    control::close_breaker(&visit.ctx, &id).await?;
    Ok(redirect(&format!("/setup/operations?resumed={id}")))
}

async fn requeue(visit: PageContext, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Fault> {
    move_letters(&visit, fields, LetterAction::Redrive, "requeued").await
}

async fn delete(visit: PageContext, Form(fields): Form<Vec<(String, String)>>) -> Result<Response, Fault> {
    move_letters(&visit, fields, LetterAction::Drop, "deleted").await
}

async fn move_letters(
    visit: &PageContext,
    fields: Vec<(String, String)>,
    action: LetterAction,
    result: &str,
) -> Result<Response, Fault> {
    check_operator(visit)?;
    let messages = fields.into_iter().filter(|(name, _)| name == "message");
    let messages = messages.map(|(_, id)| MessageId::new(id)).collect::<Result<_, _>>();
    let messages = messages.map_err(|_| Fault::not_found("There is no such message."))?;
    let request = MoveDeadLetters { messages };
    if request.messages.is_empty() {
        let nothing = "No message is selected; nothing was changed.";
        return Err(Fault::invalid(nothing).help("Tick the messages first."));
    }
    limits::check_dead_letters(&request)?;
    let moved = control::move_dead_letters(&visit.ctx, &request.messages, action).await?;
    let remaining = moved.not_moved.len();
    Ok(redirect(&format!("/setup/operations?{result}={}&left={remaining}", moved.moved.len())))
}

/// As in the API: messages and runners' accounts belong to the deployment.
fn check_operator(visit: &PageContext) -> Result<(), Fault> {
    visit.check_operator("operate the deployment")
}

impl OperationsQuery {
    fn notice(&self) -> Option<String> {
        let messages = |n: u32| labels::format_count(n, "message");
        let remainder = match self.left {
            0 => String::new(),
            n => format!(" {} stayed: unreadable, or gone meanwhile.", messages(n)),
        };
        match (&self.resumed, self.requeued, self.deleted) {
            (Some(account), ..) => Some(format!("{} may be used again.", line(account))),
            (_, Some(n), _) => Some(format!("Requeued {}.{remainder}", messages(n))),
            (.., Some(n)) => Some(format!("Deleted {}.{remainder}", messages(n))),
            _ => None,
        }
    }
}

impl Letter {
    fn new(letter: &DeadLetterView, now: Timestamp) -> Self {
        let message = &letter.message;
        Self {
            id: letter.id.to_string(),
            queue: letter.queue.as_str(),
            sent: letter.sent_at.map(|at| format_time(at, now)),
            receive_count: letter.receive_count,
            subject: line(&message.subject_name().unwrap_or_else(|| "unreadable".into())),
            sentence: line(&message.sentence()),
            help: line(message.advice().help()),
            body: block(&letter.body),
        }
    }
}
