//! A signed-in visitor of a page.

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

/// `Accept` header of the script's requests for changes only.
pub(crate) const FRAGMENT: &str = "text/html; fragment";

const PROJECTS: i32 = 100;

pub(crate) struct Visit {
    pub(crate) ctx: Context,
    pub(crate) visitor: Visitor,
    projects: Vec<ProjectId>,
}

/// Shown between a click on another site and our page, see [`crate::guard::came_from_elsewhere`].
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

/// Redirects to the sign-in page and back. After a click on another site, first shows our own page to get the cookie.
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

pub(crate) fn is_fragment(parts: &Parts) -> bool {
    parts.headers.get(header::ACCEPT).is_some_and(|accept| accept == FRAGMENT)
}

impl Visit {
    pub(crate) fn frame(&self, title: &str, at: &'static str, project: Option<&ProjectId>) -> Frame {
        Frame {
            at,
            project: project.map(ToString::to_string),
            projects: self.projects.iter().map(ToString::to_string).collect(),
            who: Some(line(&self.visitor.name)),
            ..Frame::bare(title)
        }
    }

    pub(crate) async fn project(&self, asked: Option<ProjectId>) -> Result<Option<Project>, Fault> {
        let Some(id) = asked.or_else(|| self.projects.first().cloned()) else { return Ok(None) };
        self.named(&id).await.map(Some)
    }

    pub(crate) async fn named(&self, id: &ProjectId) -> Result<Project, Fault> {
        if !self.visitor.may_touch(id) {
            return Err(Fault::not_allowed(&format!("use the project {id}")));
        }
        let found = self.ctx.store.project(id).await.map_err(Error::from)?;
        found.ok_or_else(|| Fault::not_found(&format!("There is no project {id}.")))
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { id: self.visitor.id.clone(), name: self.visitor.name.clone() }
    }

    pub(crate) fn must_work(&self) -> Result<(), Fault> {
        if self.visitor.may_work() { Ok(()) } else { Err(Fault::not_allowed("create jobs or move tickets")) }
    }
}
