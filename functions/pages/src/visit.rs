//! A signed-in visitor of a page.

use crate::fault::{Fault, FrameOfFault};
use crate::frame::{Frame, VisitorView, redirect, referrer, render_page};
use crate::guard::is_cross_site;
use crate::text::{line, percent_encode};
use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pullyard_control::{Context, Error, Requester};
use pullyard_domain::job::Job;
use pullyard_domain::project::Project;
use pullyard_domain::project::access::Object;
use pullyard_domain::project::hook::Webhook;
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_entry::Visitor;

/// `Accept` header of the script's requests for changes only.
const FRAGMENT: &str = "text/html; fragment";

const MAX_PROJECTS: i32 = 100;
/// Newest jobs of a project that a short id finds.
const SHORT_ID_JOBS: usize = 500;

pub(crate) struct PageContext {
    pub(crate) ctx: Context,
    pub(crate) visitor: Visitor,
    projects: Vec<ProjectId>,
    headers: HeaderMap,
}

/// Shown between a click on another site and our page, see [`crate::guard::is_cross_site`].
#[derive(Template)]
#[template(path = "hop.html")]
struct RedirectPage {
    to: String,
}

impl FromRequestParts<Context> for PageContext {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, ctx: &Context) -> Result<Self, Response> {
        let visitor =
            Visitor::from_headers(ctx, &parts.headers).await.map_err(|problem| Fault::from(problem).into_response())?;
        let Some(visitor) = visitor else { return Err(redirect_to_sign_in(parts)) };
        if !visitor.may_read() {
            return Err(Fault::not_allowed("read").into_response());
        }
        // A fragment has no menu of projects.
        let projects = if is_fragment(&parts.headers) {
            Vec::new()
        } else {
            let result = ctx.store.list_project_ids(None, MAX_PROJECTS).await;
            let (ids, _) = result.map_err(|error| Fault::from(Error::from(error)).into_response())?;
            ids.into_iter().filter(|id| visitor.may_access(id)).collect()
        };
        let visit = Self { ctx: ctx.clone(), visitor, projects, headers: parts.headers.clone() };
        if let Some(frame) = parts.extensions.get::<FrameOfFault>() {
            frame.set(visit.frame("", "", find_project(parts).filter(|id| visit.visitor.may_access(id)).as_ref()));
        }
        Ok(visit)
    }
}

/// Redirects to the sign-in page and back. After a click on another site, first shows our own page to get the cookie.
fn redirect_to_sign_in(parts: &Parts) -> Response {
    if is_fragment(&parts.headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if parts.method != Method::GET {
        return redirect("/sign-in");
    }
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let hopped = parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "hop=1"));
    if is_cross_site(&parts.headers) && !hopped {
        let joint = if parts.uri.query().is_some() { '&' } else { '?' };
        return render_page(StatusCode::OK, &RedirectPage { to: format!("{target}{joint}hop=1") });
    }
    let target = target.replace("?hop=1", "").replace("&hop=1", "");
    redirect(&format!("/sign-in?to={}", percent_encode(&target)))
}

fn is_fragment(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).is_some_and(|accept| accept == FRAGMENT)
}

fn find_project(parts: &Parts) -> Option<ProjectId> {
    let pairs = parts.uri.query()?.split('&');
    pairs.filter_map(|pair| pair.strip_prefix("project=")).find_map(|id| ProjectId::new(id).ok())
}

impl PageContext {
    pub(crate) fn may_manage_hook(&self, hook: &Webhook) -> bool {
        self.visitor.may_access_object(Object::Webhook(hook))
    }

    pub(crate) fn frame(&self, title: &str, at: &'static str, project: Option<&ProjectId>) -> Frame {
        Frame {
            at,
            project: project.map(ToString::to_string),
            alarm: self
                .ctx
                .disk
                .is_full()
                .then_some("The disk of this machine is full: nothing can be stored. Free some space."),
            visitor: Some(VisitorView {
                name: line(&self.visitor.name),
                initial: self.visitor.name.chars().find(|c| c.is_alphanumeric()).unwrap_or('?'),
                projects: self.projects.iter().map(ToString::to_string).collect(),
                may_work: self.visitor.may_run_jobs(),
                may_administer: self.visitor.may_administer(),
                operates: self.visitor.may_operate(),
            }),
            ..Frame::bare(title, &self.headers)
        }
    }

    /// The visitor's projects, at most 100; none in a fragment.
    pub(crate) fn projects(&self) -> &[ProjectId] {
        &self.projects
    }

    pub(crate) fn wants_fragment(&self) -> bool {
        is_fragment(&self.headers)
    }

    pub(crate) fn referrer(&self) -> String {
        referrer(&self.headers)
    }

    pub(crate) async fn load_selected_project(&self, selection: Option<ProjectId>) -> Result<Option<Project>, Fault> {
        let Some(id) = selection.or_else(|| self.projects.first().cloned()) else { return Ok(None) };
        self.load_project(&id).await.map(Some)
    }

    pub(crate) async fn load_project(&self, id: &ProjectId) -> Result<Project, Fault> {
        if !self.visitor.may_access(id) {
            return Err(Fault::not_allowed(&format!("use the project {id}")));
        }
        let project = self.ctx.store.load_project(id).await?;
        project.ok_or_else(|| Fault::not_found(&format!("There is no project {id}.")))
    }

    pub(crate) async fn load_named_project(&self, id: &str) -> Result<Project, Fault> {
        let id = ProjectId::new(id).map_err(|_| Fault::not_found("There is no such project."))?;
        self.load_project(&id).await
    }

    /// Another project's job counts as missing.
    pub(crate) async fn load_job(&self, id: &JobId) -> Result<Job, Fault> {
        let job = self.ctx.store.load_job(id).await?;
        let visible = job.filter(|job| self.visitor.may_access(&job.project));
        visible.ok_or_else(|| Fault::not_found(&format!("There is no job {id}.")))
    }

    /// Finds a job by the short form of its id among the newest jobs of each project.
    pub(crate) async fn find_job_by_short_id(&self, short: &str) -> Result<JobId, Fault> {
        let mut found = Vec::new();
        for project in &self.projects {
            let (ids, _) = self.ctx.store.list_job_ids(project, None, None, SHORT_ID_JOBS).await?;
            found.extend(ids.into_iter().filter(|id| id.short().eq_ignore_ascii_case(short)));
        }
        let missing = || Fault::not_found(&format!("There is no job {short}."));
        match (found.pop(), found.len()) {
            (Some(only), 0) => Ok(only),
            (Some(_), _) => Err(missing().help("Several jobs have this short id. Open yours from the list of jobs.")),
            (None, _) => Err(missing()),
        }
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester { id: self.visitor.id.clone(), name: self.visitor.name.clone() }
    }

    /// `action` completes "The token you signed in with may not".
    pub(crate) fn check_admin(&self, action: &str) -> Result<(), Fault> {
        if self.visitor.may_administer() { Ok(()) } else { Err(Fault::not_allowed(action)) }
    }

    /// A change of this project by the visitor.
    pub(crate) fn change_of<'a>(&'a self, project: &'a ProjectId) -> ProjectChange<'a> {
        ProjectChange { project, caller: self.visitor.projects() }
    }

    /// As [`Self::check_admin`], for what belongs to the whole deployment.
    pub(crate) fn check_operator(&self, action: &str) -> Result<(), Fault> {
        if self.visitor.may_operate() { Ok(()) } else { Err(Fault::not_allowed(action)) }
    }

    pub(crate) fn check_all_projects(&self) -> Result<(), Fault> {
        let allowed = self.visitor.may_access_all_projects();
        if allowed { Ok(()) } else { Err(Fault::not_allowed("access settings of all projects")) }
    }

    pub(crate) fn check_may_work(&self) -> Result<(), Fault> {
        if self.visitor.may_run_jobs() { Ok(()) } else { Err(Fault::not_allowed("create jobs or move tickets")) }
    }
}

/// Loads the visitor only for the navigation.
pub(crate) async fn unknown_page(_: Result<PageContext, Response>) -> Fault {
    Fault::not_found("There is no such page.")
}
