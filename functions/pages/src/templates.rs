//! The templates of a project, each with a form of its parameters.

use crate::prelude::*;
use pullyard_control::{RunKey, RunSubmission, SubmitFault};
use pullyard_domain::project::plan::{CONTRIBUTOR_PLAN, Parameter, ParameterKind, Plan, PlanFault};
use pullyard_domain::project::template::{StartedBy, TemplateId};
use pullyard_domain::text::id::TemplateName;
use pullyard_domain::text::{to_sentence, truncate};
use serde_json::Value;
use std::collections::BTreeMap;

/// Offered to a project without templates.
const CONTRIBUTOR: &str = "contributor";

/// Prefix of a form field; the parameter's name follows.
const FIELD: &str = "param-";

#[derive(Template)]
#[template(path = "templates.html")]
struct TemplatesPage {
    frame: Frame,
    form_key: String,
    rows: Vec<Row>,
    /// Offered to the fields of repositories.
    repositories: Vec<String>,
    fault: Option<Fault>,
}

struct Row {
    name: TemplateName,
    title: SafeText,
    /// Its steps, and who stored it.
    about: SafeText,
    /// Why this version cannot start the stored plan.
    refusal: Option<SafeText>,
    by_hand: bool,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    parameter: Parameter,
    about: Option<SafeText>,
    value: String,
    /// The values of a list; none for another field.
    options: Vec<String>,
    fault: Option<Help>,
}

impl Field {
    fn is(&self, kind: &str) -> bool {
        self.parameter.kind.as_str() == kind
    }

    /// Also with a default: a field that the user clears would start the run with the default.
    fn is_required(&self) -> bool {
        self.parameter.required || self.parameter.default.as_ref().is_some_and(|value| !value.is_empty())
    }

    /// The limits of its value.
    fn range(&self) -> Option<String> {
        match (self.parameter.kind, self.parameter.min, self.parameter.max) {
            (ParameterKind::Text, _, Some(max)) => Some(format!("At most {max} characters.")),
            (_, Some(min), Some(max)) => Some(format!("From {min} to {max}.")),
            (_, Some(min), None) => Some(format!("At least {min}.")),
            (_, None, Some(max)) => Some(format!("At most {max}.")),
            (_, None, None) => None,
        }
    }
}

pub(crate) async fn list(visit: PageContext, Query(query): Query<ProjectQuery>) -> Result<Response, Fault> {
    let Some(project) = visit.load_selected_project(query.project).await? else { return Ok(redirect_to_start()) };
    render(&visit, &project, &BTreeMap::new(), None).await
}

/// Starts a run of a template. Without a template, adds the contributor template.
pub(crate) async fn start(visit: PageContext, Form(form): Form<BTreeMap<String, String>>) -> Result<Response, Fault> {
    visit.check_may_work()?;
    let field = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let project = visit.load_named_project(field("project")).await?;
    let done = match non_empty(field("template")) {
        Some(name) => start_run(&visit, &project, parse_id("template", &name)?, &form).await,
        None => {
            visit.check_admin("add a template")?;
            add_contributor(&visit, &project).await
        }
    };
    match done {
        Ok(target) => Ok(redirect(&target)),
        Err(refusal) => render(&visit, &project, &form, Some(refusal)).await,
    }
}

async fn start_run(
    visit: &PageContext,
    project: &Project,
    template: TemplateName,
    form: &BTreeMap<String, String>,
) -> Result<String, SubmitFault> {
    // Values are not trimmed, so that a form starts the same run as the API. Browsers send CR LF for a line break.
    let value = |(name, value): (&String, &String)| {
        let name = name.strip_prefix(FIELD).filter(|_| !value.trim().is_empty())?;
        Some((name.to_owned(), value.replace("\r\n", "\n")))
    };
    let submission = RunSubmission {
        project: project.id.clone(),
        plan: Value::Null,
        template: Some((template, StartedBy::Hand)),
        params: form.iter().filter_map(value).collect(),
        repository: None,
        base: None,
    };
    let key = form.get("form_key").and_then(|key| request_key(key)).map(RunKey::Caller);
    let started = control::submit_run(&visit.ctx, &submission, &visit.requester(), key.as_ref()).await?;
    Ok(format!("/runs/{}", started.run.id))
}

async fn add_contributor(visit: &PageContext, project: &Project) -> Result<String, SubmitFault> {
    let plan = serde_json::from_str(CONTRIBUTOR_PLAN).unwrap_or_default();
    let name = TemplateName::new(CONTRIBUTOR).map_err(Error::from)?;
    let id = TemplateId { project: project.id.clone(), name };
    // A template of this name may have been stored since the page was loaded.
    if visit.ctx.store.load_template(&id).await.map_err(Error::from)?.is_none() {
        control::put_template(&visit.ctx, &id, &plan, &visit.visitor.name).await?;
    }
    Ok(format!("/runs/templates?project={}", project.id))
}

/// `refusal`: of the sent form.
async fn render(
    visit: &PageContext,
    project: &Project,
    form: &BTreeMap<String, String>,
    refusal: Option<SubmitFault>,
) -> Result<Response, Fault> {
    let field = |pointer: &str| pointer.trim_start_matches("/params/").to_owned();
    let (fault, mut faults): (_, BTreeMap<_, _>) = match refusal {
        None => (None, BTreeMap::new()),
        Some(SubmitFault::Error(error)) => (Some(Fault::from(error).for_form()?), BTreeMap::new()),
        Some(SubmitFault::Plan(faults)) => {
            (None, faults.into_iter().map(|PlanFault { pointer, fault }| (field(&pointer), fault)).collect())
        }
    };
    let (mut rows, is_refused) = (Vec::new(), !faults.is_empty());
    for template in control::list_templates(&visit.ctx, &project.id).await? {
        let (plan, refusal) = match template.parse() {
            Ok(plan) => (plan, None),
            Err(fault) => (Plan::default(), Some(line(&to_sentence(&fault.fault)))),
        };
        let (by_hand, name) = (plan.allows(StartedBy::Hand), template.id.name);
        let steps: Vec<&str> = plan.steps.iter().map(|step| step.name.as_str()).collect();
        let steps = truncate(&steps.join(", "), 300);
        let about = line(&format!("Steps: {steps}. Stored by {}.", template.by));
        let is_sent = form.get("template").is_some_and(|sent| sent == name.as_str());
        let to_field = |(name, parameter): (String, Parameter)| {
            let sent = form.get(&format!("{FIELD}{name}")).filter(|_| is_sent);
            let value = sent.or(parameter.default.as_ref()).cloned().unwrap_or_default();
            let options = match parameter.kind {
                ParameterKind::Boolean => vec!["true".into(), "false".into()],
                ParameterKind::Choice => parameter.of.clone(),
                _ => Vec::new(),
            };
            // The user replaces an invalid value; the browser would select the first one.
            let value = if options.is_empty() || options.contains(&value) { value } else { String::new() };
            let fault = if is_sent { faults.remove(&name) } else { None };
            // A repository's name stays as it is.
            let starts_with_name = |fault: &str| fault.split(' ').next().is_some_and(|word| word.contains('/'));
            let fault = fault.map(|fault| if starts_with_name(&fault) { fault } else { to_sentence(&fault) });
            let fault = fault.map(|fault| text::help(&fault));
            Field { name, about: parameter.about.as_deref().map(line), parameter, value, options, fault }
        };
        // The name of a parameter is no title: each run gets its value.
        let title = if plan.parameters.contains_key(&plan.name) { SafeText::default() } else { line(&plan.name) };
        let parameters = plan.parameters;
        rows.push(Row { name, title, about, refusal, by_hand, fields: parameters.into_iter().map(to_field).collect() });
    }
    let has_repository = rows.iter().flat_map(|row| &row.fields).any(|field| field.is("repository"));
    let repositories = match has_repository {
        true => visit.ctx.store.list_repositories(&project.id).await?,
        false => Vec::new(),
    };
    // The rest has no field.
    let rest: Vec<_> = faults.iter().take(5).map(|(name, fault)| format!("{name}: {fault}.")).collect();
    let refused = match rest.is_empty() {
        true => Fault::invalid("Correct the marked values."),
        false => Fault::invalid("The project cannot start this template.").help(&rest.join(" ")),
    };
    let fault = fault.or_else(|| is_refused.then_some(refused));
    let page = TemplatesPage {
        frame: visit.frame(&format!("Templates of {}", project.name), "runs", Some(&project.id)),
        form_key: new_form_key(),
        rows,
        repositories: repositories.iter().map(|repository| repository.name.to_string()).collect(),
        fault,
    };
    Ok(render_form(page.fault.as_ref(), &page))
}
