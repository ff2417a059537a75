//! Authenticates callers: API tokens with scopes and projects, bootstrap tokens of tasks, leases of attempts.

mod lookup;

pub use lookup::load_valid_token;
pub(crate) use lookup::record_token_use;
pub use pullyard_store::hash_token;

use crate::Problem;
use axum::extract::{FromRef, FromRequestParts, Path};
use axum::http::header;
use axum::http::request::Parts;
use pullyard_control::{Bootstrap, Context, Requester};
use pullyard_domain::job::Fence;
use pullyard_domain::project::access::{MissingAccess, Object, check_access, has_scope};
use pullyard_domain::project::naming::ProjectChange;
use pullyard_domain::project::spending::RaiseRight;
use pullyard_domain::text::id::{JobId, ProjectId};
use pullyard_domain::ticket::comment::Editor;
use pullyard_store::{Scope, Token, TokenKind};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::marker::PhantomData;

pub mod scope {
    use pullyard_store::Scope;

    pub trait RequiredScope: Send + Sync {
        const SCOPE: Scope;
        const DESCRIPTION: &'static str;
        /// Refuses tokens that are limited to some projects.
        const ALL_PROJECTS: bool;
    }

    macro_rules! required_scopes {
        ($($name:ident = $scope:ident, $description:literal, all_projects: $all_projects:literal;)*) => {$(
            #[derive(Clone, Copy, Debug)]
            pub struct $name;
            impl RequiredScope for $name {
                const SCOPE: Scope = Scope::$scope;
                const DESCRIPTION: &'static str = $description;
                const ALL_PROJECTS: bool = $all_projects;
            }
        )*};
    }

    required_scopes! {
        Read = Read, "read", all_projects: false;
        ReadAllProjects = Read, "read", all_projects: true;
        Tickets = Tickets, "send ticket events", all_projects: false;
        Jobs = Jobs, "create jobs or move tickets", all_projects: false;
        Admin = Admin, "administer", all_projects: false;
        AdminAllProjects = Admin, "administer", all_projects: true;
    }
}

#[derive(Clone, Debug)]
pub struct Caller<S> {
    pub ctx: Context,
    pub id: String,
    pub name: String,
    pub token_hash: String,
    projects: Option<BTreeSet<ProjectId>>,
    is_admin: bool,
    scope: PhantomData<S>,
}

impl<S> Caller<S> {
    pub fn authorize(&self, object: Object<'_>) -> Result<(), Problem> {
        check_access(self.projects.as_ref(), object).map_err(|missing| match missing {
            MissingAccess::Project(project) => Problem::not_allowed(&format!("access the project {project}")),
            MissingAccess::AllProjects => Problem::not_allowed("access settings of all projects"),
        })
    }

    pub fn authorize_project(&self, project: &ProjectId) -> Result<(), Problem> {
        self.authorize(Object::Project(project))
    }

    pub fn authorize_all_projects(&self) -> Result<(), Problem> {
        self.authorize(Object::Deployment)
    }

    /// The projects that the token may access; `None` means all.
    pub fn projects(&self) -> Option<&BTreeSet<ProjectId>> {
        self.projects.as_ref()
    }

    /// A change of this project by the caller.
    pub fn change_of<'a>(&'a self, project: &'a ProjectId) -> ProjectChange<'a> {
        ProjectChange { project, caller: self.projects() }
    }

    pub fn raise_right(&self) -> RaiseRight {
        if self.is_admin { RaiseRight::Admin } else { RaiseRight::Jobs }
    }

    pub fn editor(&self) -> Editor {
        if self.is_admin { Editor::Admin } else { Editor::Token(self.id.clone()) }
    }

    pub fn requester(&self) -> Requester {
        Requester { id: self.id.clone(), name: self.name.clone() }
    }
}

#[derive(Clone, Debug)]
pub struct AnyTokenCaller(pub Token);

impl<T: Send + Sync> FromRequestParts<T> for AnyTokenCaller
where
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let text = bearer_token(parts)?;
        let is_runner = text.starts_with(TokenKind::Runner.prefix());
        let kind = if is_runner { TokenKind::Runner } else { TokenKind::Api };
        Ok(Self(load_valid_token(&Context::from_ref(state), text, kind).await?))
    }
}

pub(crate) fn bearer_token(parts: &Parts) -> Result<&str, Problem> {
    parts
        .headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(Problem::not_signed_in)
}

impl<T, S> FromRequestParts<T> for Caller<S>
where
    T: Send + Sync,
    S: scope::RequiredScope,
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let ctx = Context::from_ref(state);
        let token = load_valid_token(&ctx, bearer_token(parts)?, TokenKind::Api).await?;
        let is_admin = token.scopes.contains(&Scope::Admin);
        if !has_scope(&token.scopes, S::SCOPE) {
            return Err(Problem::not_allowed(S::DESCRIPTION));
        }
        let id = token.id().to_string();
        let caller = Self {
            ctx,
            id,
            name: token.name,
            token_hash: token.hash,
            projects: token.projects,
            is_admin,
            scope: PhantomData,
        };
        if S::ALL_PROJECTS {
            caller.authorize_all_projects()?;
        }
        Ok(caller)
    }
}

/// An API token that may access the project in the route.
#[derive(Clone, Debug)]
pub struct ProjectCaller<S> {
    pub caller: Caller<S>,
    pub project: ProjectId,
}

impl<T, S> FromRequestParts<T> for ProjectCaller<S>
where
    T: Send + Sync,
    S: scope::RequiredScope,
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        #[derive(Deserialize)]
        struct PathParameters {
            project: ProjectId,
        }
        let caller = Caller::from_request_parts(parts, state).await?;
        let crate::Path(PathParameters { project }) = crate::Path::from_request_parts(parts, state).await?;
        caller.authorize_project(&project)?;
        Ok(Self { caller, project })
    }
}

async fn parse_attempt_path(parts: &mut Parts) -> Result<(JobId, u32), Problem> {
    #[derive(Deserialize)]
    struct PathParameters {
        job: JobId,
        attempt: u32,
    }
    let Path(PathParameters { job, attempt }) = Path::<PathParameters>::from_request_parts(parts, &())
        .await
        .map_err(|_| Problem::not_found("There is no such job or attempt."))?;
    Ok((job, attempt))
}

#[derive(Clone, Debug)]
pub struct BootstrapCaller(pub Bootstrap);

impl<T: Send + Sync> FromRequestParts<T> for BootstrapCaller
where
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let ctx = Context::from_ref(state);
        let bootstrap = ctx.load_signing_key().await?.verify_bootstrap(bearer_token(parts)?, ctx.clock.now())?;
        let (job, attempt) = parse_attempt_path(parts).await?;
        if bootstrap.job != job || bootstrap.attempt != attempt {
            return Err(Problem::not_signed_in());
        }
        Ok(Self(bootstrap))
    }
}

/// A request with the lease of the attempt in the route. Use cases verify in the table that it still holds the job.
#[derive(Clone, Debug)]
pub struct LeaseCaller(pub Fence);

impl<T: Send + Sync> FromRequestParts<T> for LeaseCaller
where
    Context: FromRef<T>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &T) -> Result<Self, Problem> {
        let ctx = Context::from_ref(state);
        let fence = ctx.load_signing_key().await?.verify_lease(bearer_token(parts)?)?;
        let (job, attempt) = parse_attempt_path(parts).await?;
        if fence.job != job || fence.attempt != attempt {
            return Err(Problem::not_signed_in());
        }
        Ok(Self(fence))
    }
}
