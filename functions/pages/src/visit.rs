//! Somebody who is signed in and looks at a page.

use crate::fault::Fault;
use crate::frame::{Frame, go, page};
use crate::guard::came_from_elsewhere;
use crate::text::{encoded, line};
use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::{Context, Error, Requester};
use pullyard_domain::id::ProjectId;
use pullyard_domain::project::Project;
use pullyard_entry::Visitor;

/// What the script asks for: only what changed.
pub(crate) const FRAGMENT: &str = "text/html; fragment";

/// How many projects the menu shows.
const PROJECTS: i32 = 100;

/// A visitor with what they may look at.
pub(crate) struct Visit {
    pub(crate) ctx: Context,
    pub(crate) visitor: Visitor,
    projects: Vec<ProjectId>,
}

/// The page between a click elsewhere and our own.
#[derive(Template)]
#[template(path = "hop.html")]
struct Hop {
    to: String,
}

impl FromRequestParts<Context> for Visit {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Response> {
        let visitor = Visitor::of(ctx, &parts.headers).await.map_err(|problem| Fault::from(problem).into_response())?;
        let Some(visitor) = visitor else { return Err(stranger(parts)) };
        if !visitor.may_read() {
            return Err(Fault::not_allowed("read").into_response());
        }
        let found = ctx.store.project_ids(None, PROJECTS).await;
        let (ids, _) = found.map_err(|error| Fault::from(Error::from(error)).into_response())?;
        let projects = ids.into_iter().filter(|id| visitor.may_touch(id)).collect();
        Ok(Self { ctx: ctx.clone(), visitor, projects })
    }
}

/// Nobody we know: to the sign-in page, and back from there. Whoever clicked a link on another site gets a
/// second chance first.
fn stranger(parts: &Parts) -> Response {
    if is_fragment(parts) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if parts.method != Method::GET {
        return go("/sign-in");
    }
    let wanted = parts.uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    let hopped = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "hop=1"));
    if came_from_elsewhere(&parts.headers) && !hopped {
        let joint = if parts.uri.query().is_some() { '&' } else { '?' };
        return page(StatusCode::OK, &Hop { to: format!("{wanted}{joint}hop=1") });
    }
    let wanted = wanted.replace("?hop=1", "").replace("&hop=1", "");
    go(&format!("/sign-in?to={}", encoded(&wanted)))
}

/// The script asks, not a person.
pub(crate) fn is_fragment(parts: &Parts) -> bool {
    parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == FRAGMENT)
}

impl Visit {
    /// The frame of a page about a project.
    pub(crate) fn frame(&self, title: &str, at: &'static str, project: Option<&ProjectId>) -> Frame {
        Frame {
            at,
            project: project.map(ToString::to_string),
            projects: self.projects.iter().map(ToString::to_string).collect(),
            who: Some(line(&self.visitor.name)),
            ..Frame::bare(title)
        }
    }

    /// The project that was asked for, else the first; none when there is none yet.
    pub(crate) async fn project(&self, asked: Option<ProjectId>) -> Result<Option<Project>, Fault> {
        let Some(id) = asked.or_else(|| self.projects.first().cloned()) else { return Ok(None) };
        self.named(&id).await.map(Some)
    }

    /// This project, if one may look at it.
    pub(crate) async fn named(&self, id: &ProjectId) -> Result<Project, Fault> {
        if !self.visitor.may_touch(id) {
            return Err(Fault::not_allowed(&format!("touch the project {id}")));
        }
        let found = self.ctx.store.project(id).await.map_err(Error::from)?;
        found.ok_or_else(|| Fault::not_found(&format!("There is no project {id}.")))
    }

    /// Who asks, for the ledger and for keys of requests.
    pub(crate) fn requester(&self) -> Requester {
        Requester { id: self.visitor.id.clone(), name: self.visitor.name.clone() }
    }

    /// Refuses who may only look.
    pub(crate) fn must_work(&self) -> Result<(), Fault> {
        if self.visitor.may_work() { Ok(()) } else { Err(Fault::not_allowed("make jobs or move tickets")) }
    }
}
