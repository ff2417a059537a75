//! Deletes a project, after a question.

use crate::labels::format_count;
use crate::params::ProjectForm;
use crate::prelude::*;
use crate::setup::repositories::RemovalPage;

pub(super) async fn confirm(visit: PageContext, Query(query): Query<ProjectForm>) -> Result<Response, Fault> {
    let project = load(&visit, &query).await?;
    Ok(question(&visit, &project, None).render())
}

pub(super) async fn delete(visit: PageContext, Form(form): Form<ProjectForm>) -> Result<Response, Fault> {
    let project = load(&visit, &form).await?;
    match control::delete_project(&visit.ctx, &project.id).await {
        Ok(deletion) if deletion.has_more_tickets => {
            let deleted = format_count(deletion.tickets, "ticket");
            let more = Fault::new(StatusCode::OK, "more_tickets", &format!("Deleted {deleted}; there are more."));
            Ok(question(&visit, &project, Some(more.help("Press “Delete project” again."))).render())
        }
        Ok(_) => Ok(redirect("/")),
        Err(error @ Error::Denied(_)) => Ok(question(&visit, &project, Some(error.into())).render()),
        Err(error) => Err(error.into()),
    }
}

async fn load(visit: &PageContext, form: &ProjectForm) -> Result<Project, Fault> {
    visit.check_admin("delete projects")?;
    visit.load_project(&form.project).await
}

fn question(visit: &PageContext, project: &Project, fault: Option<Fault>) -> RemovalPage {
    let Project { id, name, .. } = project;
    RemovalPage {
        frame: visit.frame(&format!("Delete {name}"), "settings", Some(id)),
        question: line(&format!("Delete {name}?")),
        effect: line(
            "Its settings and all its tickets are deleted, and the webhook at its ticket tool if the tool answers \
             (otherwise delete it there); jobs and decisions stay. A connected repository, a webhook of the project or \
             a job that has not ended blocks the deletion.",
        ),
        verb: "Delete project",
        action: "/setup/settings/delete".into(),
        fields: vec![("project", id.to_string())],
        option: None,
        back: format!("/setup/settings?project={id}"),
        fault,
    }
}
