//! The form that connects a forge by a token. The token becomes a secret and is not shown again.

use super::{FormFault, check_admin_of_all_projects, project_query};
use crate::prelude::*;
use pullyard_domain::project::forge::{ForgeKind, Integration};

#[derive(Deserialize)]
pub(super) struct TokenQuery {
    project: Option<ProjectId>,
    #[serde(default)]
    kind: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenForm {
    kind: String,
    id: String,
    api_url: String,
    token: String,
}

#[derive(Template)]
#[template(path = "connect_token.html")]
struct TokenPage {
    frame: Frame,
    forge: ForgeKind,
    form: TokenForm,
    fault: Option<FormFault>,
}

pub(super) async fn show_token_form(
    visit: PageContext,
    Query(TokenQuery { project, kind }): Query<TokenQuery>,
) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    let kind = parse_kind(&kind)?;
    let form = TokenForm {
        id: kind.as_str().into(),
        api_url: kind.spec().api_url.into(),
        kind: kind.as_str().into(),
        token: String::new(),
    };
    render_token_form(&visit, project, form, None).await
}

async fn render_token_form(
    visit: &PageContext,
    project: Option<ProjectId>,
    form: TokenForm,
    fault: Option<FormFault>,
) -> Result<Response, Fault> {
    let project = visit.load_selected_project(project).await?.map(|project| project.id);
    let kind = parse_kind(&form.kind)?;
    let page = TokenPage {
        frame: visit.frame(&format!("Connect {}", kind.label()), "repositories", project.as_ref()),
        forge: kind,
        form: TokenForm { token: String::new(), ..form },
        fault,
    };
    Ok(render_form(page.fault.as_ref().map(|refusal| &refusal.fault), &page))
}

pub(super) async fn connect_token(
    visit: PageContext,
    Query(ProjectQuery { project }): Query<ProjectQuery>,
    Form(form): Form<TokenForm>,
) -> Result<Response, Fault> {
    check_admin_of_all_projects(&visit)?;
    match connect_by_token(&visit, &form).await {
        Ok(connected) => Ok(redirect_to_connection(&connected, project.as_ref())),
        Err(fault) => render_token_form(&visit, project, form, Some(fault)).await,
    }
}

async fn connect_by_token(visit: &PageContext, form: &TokenForm) -> Result<Integration, FormFault> {
    let id = FormFault::parse("id", &form.id)?;
    let kind = parse_kind(&form.kind)?;
    let connected = control::connect_forge_with_token(&visit.ctx, id, kind, form.api_url.trim(), form.token.trim());
    Ok(connected.await?)
}

fn parse_kind(code: &str) -> Result<ForgeKind, Fault> {
    ForgeKind::from_code(code).ok_or_else(|| Fault::invalid("Pullyard does not know this forge."))
}

pub(super) fn redirect_to_connection(connected: &Integration, project: Option<&ProjectId>) -> Response {
    redirect(&format!("/setup/repositories/connections/{}{}", connected.id, project_query(project)))
}
