//! Holds and releases a project from its board.

use crate::params::ProjectForm;
use crate::prelude::*;
use pullyard_domain::project::Settings;
use pullyard_protocol::project::HoldProject;

pub(crate) struct HoldView {
    pub(crate) holder: SafeText,
    pub(crate) reason: Option<SafeText>,
}

impl HoldView {
    pub(crate) fn from_settings(settings: &Settings) -> Option<Self> {
        let holder = line(settings.held_by.as_ref()?);
        Some(Self { holder, reason: settings.held_reason.as_deref().map(line) })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldForm {
    project: ProjectId,
    reason: String,
}

pub(crate) async fn hold(visit: PageContext, Form(form): Form<HoldForm>) -> Result<Response, Fault> {
    let project = check_admin(&visit, form.project).await?;
    let request = HoldProject { reason: form.reason.trim().to_owned() };
    limits::check_hold(&request).map_err(pullyard_entry::Problem::from)?;
    control::hold_project(&visit.ctx, &project, &visit.visitor.name, &request.reason).await?;
    Ok(redirect(&format!("/board?project={project}")))
}

pub(crate) async fn release(visit: PageContext, Form(form): Form<ProjectForm>) -> Result<Response, Fault> {
    let project = check_admin(&visit, form.project).await?;
    control::release_project(&visit.ctx, &project).await?;
    Ok(redirect(&format!("/board?project={project}")))
}

async fn check_admin(visit: &PageContext, project: ProjectId) -> Result<ProjectId, Fault> {
    visit.check_admin("hold or release projects")?;
    Ok(visit.load_project(&project).await?.id)
}
