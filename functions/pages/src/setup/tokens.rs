//! Setup page: tokens. Creates, lists and revokes API tokens, and revokes tokens of runners.

mod form;

use crate::labels::format_count;
use crate::prelude::*;
use axum::Router;
use axum::routing::{get, post};
use form::{Created, LIFETIMES, SCOPES, TokenForm, create_token};
use pullyard_control::StoredToken;
use pullyard_control::runner::list_runners;
use pullyard_domain::job::fleet::Member;
use pullyard_domain::project::token::TokenKind;
use pullyard_domain::text::id::TokenId;
use std::time::Duration;

const PAGE_SIZE: i32 = 50;

const DAY: Duration = Duration::from_secs(86_400);

/// A token that expires within this time needs a replacement.
const SOON: Duration = Duration::from_secs(7 * 86_400);

pub(super) fn routes() -> Router<Context> {
    Router::new().route("/setup/tokens", get(list).post(create)).route("/setup/tokens/{token}/revoke", post(revoke))
}

/// Requires all projects, because a limited token could otherwise create an unlimited one.
pub(super) fn check_may_manage(visit: &PageContext) -> Result<(), Fault> {
    visit.check_operator("manage tokens, which needs the scope “admin” for all projects")
}

#[derive(Default, Deserialize)]
pub(crate) struct TokensQuery {
    project: Option<ProjectId>,
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "tokens.html")]
struct TokensPage {
    frame: Frame,
    rows: Vec<Row>,
    has_newer: bool,
    next: Option<String>,
    created: Option<Created>,
    form: TokenForm,
    fault: Option<Fault>,
    form_key: String,
}

struct Row {
    pill: Pill,
    name: SafeText,
    prefix: SafeText,
    used_by: SafeText,
    scopes: Vec<&'static str>,
    projects: Option<String>,
    created: Option<TimeLabel>,
    last_used: Option<TimeLabel>,
    expires: TimeLabel,
    /// The address that revokes a valid token, and the consequence.
    revoke: Option<(String, SafeText)>,
}

async fn list(visit: PageContext, Query(query): Query<TokensQuery>) -> Result<Response, Fault> {
    check_may_manage(&visit)?;
    render(&visit, query, TokenForm::default(), None, None).await
}

async fn create(visit: PageContext, Form(pairs): Form<Vec<(String, String)>>) -> Result<Response, Fault> {
    check_may_manage(&visit)?;
    let form = TokenForm::from_pairs(pairs)?;
    match create_token(&visit, &form).await {
        Ok(created) => render(&visit, TokensQuery::default(), TokenForm::default(), None, Some(created)).await,
        Err(fault) => render(&visit, TokensQuery::default(), form, Some(fault.for_form()?), None).await,
    }
}

async fn revoke(visit: PageContext, Path(id): Path<TokenId>) -> Result<Response, Fault> {
    check_may_manage(&visit)?;
    control::revoke_token(&visit.ctx, &id, &visit.requester()).await?;
    Ok(redirect("/setup/tokens"))
}

async fn render(
    visit: &PageContext,
    query: TokensQuery,
    form: TokenForm,
    fault: Option<Fault>,
    created: Option<Created>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(query.project).await?;
    let (tokens, next) = control::list_tokens(&visit.ctx, query.after.as_deref(), PAGE_SIZE).await?;
    let runners = list_runners(&visit.ctx).await?;
    let page = TokensPage {
        frame: visit.frame("Tokens", "tokens", project.as_ref().map(|project| &project.id)),
        rows: tokens.iter().map(|token| Row::new(visit, token, &runners)).collect(),
        has_newer: query.after.is_some(),
        next: next.map(|next| format!("/setup/tokens?after={next}")),
        created,
        form,
        fault,
        form_key: new_form_key(),
    };
    Ok(render_form(page.fault.as_ref(), &page))
}

fn list_scopes(token: &StoredToken) -> Vec<&'static str> {
    match token.kind {
        TokenKind::Runner => vec!["runner"],
        TokenKind::Api => SCOPES.iter().filter(|scope| token.scopes.contains(&scope.0)).map(|scope| scope.1).collect(),
    }
}

fn join_projects(token: &StoredToken) -> Option<String> {
    let projects = token.projects.as_ref()?;
    Some(projects.iter().map(ProjectId::as_str).collect::<Vec<_>>().join(", "))
}

impl Row {
    fn new(visit: &PageContext, token: &StoredToken, runners: &[Member]) -> Self {
        let now = visit.ctx.clock.now();
        let members = runners.iter().filter(|member| member.runner.token == token.hash).collect::<Vec<_>>();
        let names = members.iter().map(|member| member.profile.name.as_str()).collect::<Vec<_>>().join(", ");
        let used_by = match (token.kind, &token.runner, &token.created_by) {
            (TokenKind::Runner, _, _) if !members.is_empty() => format!("runner {names}"),
            (TokenKind::Runner, Some(runner), _) => format!("runner {runner}, not connected yet"),
            (TokenKind::Runner, None, _) => "any runner".to_owned(),
            (TokenKind::Api, _, Some(by)) => format!("created by {by}"),
            (TokenKind::Api, _, None) => "created at installation".to_owned(),
        };
        let id = token.id();
        let consequence = if id.as_str() == visit.visitor.id {
            "You are signed in with this token: this signs you out. Its requests are refused at once.".to_owned()
        } else if token.kind == TokenKind::Api {
            "Its requests and its browser sessions are refused at once.".to_owned()
        } else {
            explain_runner_revocation(&names, &members)
        };
        Self {
            pill: labels::token(token, now, SOON),
            name: line(&token.name),
            prefix: line(&token.prefix),
            used_by: line(&used_by),
            scopes: list_scopes(token),
            projects: join_projects(token),
            created: token.created.map(|at| labels::format_time(at, now)),
            last_used: token.last_used.map(|at| labels::format_time(at, now)),
            expires: format_expiry(token.expires_at, now),
            revoke: (!token.revoked).then(|| (format!("/setup/tokens/{id}/revoke"), line(&consequence))),
        }
    }
}

/// The sweeper takes away the jobs of runners whose token is not valid.
fn explain_runner_revocation(names: &str, members: &[&Member]) -> String {
    let busy = members.iter().map(|member| member.runner.slots.len()).sum::<usize>();
    match (members.is_empty(), busy) {
        (true, _) => "No runner can connect with it.".to_owned(),
        (false, 0) => format!("{names}: no more jobs. The runner has no running job."),
        (false, busy) => {
            let jobs = format_count(busy, "running job");
            format!("{names}: no more jobs. {jobs} will be requeued for another attempt, or fail.")
        }
    }
}

fn format_expiry(at: Option<Timestamp>, now: Timestamp) -> TimeLabel {
    let Some(at) = at else { return TimeLabel { text: "never".into(), exact: String::new() } };
    let label = match at.since(now) {
        remaining if remaining.is_zero() => format!("expired {}", labels::format_time(at, now).text),
        remaining if remaining < DAY => "within a day".to_owned(),
        remaining if remaining < SOON => format!("in {}", format_count(remaining.as_secs() / DAY.as_secs(), "day")),
        _ => at.day(),
    };
    TimeLabel { text: label, exact: at.to_string() }
}
