//! Changes the columns of a project's board, one at a time.

use super::{Refusal, Saved, SectionForm, bad_form, render};
use crate::prelude::*;
use pullyard_domain::project::{ColumnChange, Settings, Statuses};
use pullyard_domain::text::to_sentence;
use pullyard_protocol::project::RenameColumn;
use pullyard_protocol::setting::Section;
use std::collections::BTreeMap;

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnForm {
    project: String,
    revision: u64,
    change: String,
    name: String,
    /// The typed name of a renamed column. Every button of a column's form sends it.
    #[serde(default)]
    to: String,
}

pub(super) struct ColumnRow {
    /// Raw, because it is sent back.
    pub(super) name: String,
    pub(super) shown: SafeText,
    pub(super) meaning: &'static str,
    pub(super) is_closed: bool,
    /// Jobs use it, so it cannot be closed or removed.
    pub(super) has_role: bool,
    pub(super) typed: String,
    pub(super) fault: Option<Help>,
}

#[derive(Default)]
pub(super) struct NewColumn {
    pub(super) typed: String,
    pub(super) fault: Option<Help>,
}

pub(super) fn list_rows(statuses: &Statuses, refusal: Option<&Refusal>) -> Vec<ColumnRow> {
    let refused = refusal.and_then(|refusal| refusal.column.as_ref()).filter(|form| form.change != "add");
    let row = |name: &String| {
        let refused = refused.filter(|form| form.name == *name);
        let (has_role, is_closed) = (statuses.role(name).is_some(), statuses.is_closed(name));
        ColumnRow {
            shown: line(name),
            meaning: describe(statuses, name),
            is_closed,
            has_role,
            typed: refused.map_or_else(|| name.clone(), |form| form.to.clone()),
            fault: refused.and(refusal).and_then(fault_of),
            name: name.clone(),
        }
    };
    statuses.columns.iter().map(row).collect()
}

fn describe(statuses: &Statuses, name: &str) -> &'static str {
    if name == statuses.trigger {
        "A ticket that enters this column starts a job."
    } else if name == statuses.completion {
        "Pullyard moves a ticket here when its job has completed."
    } else if name == statuses.todo {
        "Pullyard moves a ticket here when its job has failed or was cancelled."
    } else if statuses.after_merge() == Some(name) {
        "Pullyard moves a ticket here when its pull request was merged."
    } else if statuses.unmerged.as_deref() == Some(name) {
        "Pullyard moves a ticket here when its pull request was closed without a merge."
    } else if statuses.is_closed(name) {
        "Its tickets count as closed."
    } else {
        ""
    }
}

pub(super) fn new_column(refusal: Option<&Refusal>) -> NewColumn {
    let refused = refusal.and_then(|refusal| refusal.column.as_ref()).filter(|form| form.change == "add");
    refused.map_or_else(NewColumn::default, |form| NewColumn {
        typed: form.name.clone(),
        fault: refusal.and_then(fault_of),
    })
}

fn fault_of(refusal: &Refusal) -> Option<Help> {
    refusal.faults.first().map(|(_, fault)| text::help(&to_sentence(fault)))
}

pub(super) async fn change(visit: PageContext, Form(form): Form<ColumnForm>) -> Result<Response, Fault> {
    visit.check_admin("change settings")?;
    let project = visit.load_named_project(&form.project).await?;
    let id = project.id.clone();
    let changed = match form.change.as_str() {
        "rename" => rename(&visit, &id, &form).await,
        "add" => save(&visit, project, ColumnChange::Add, &form).await,
        "up" => save(&visit, project, ColumnChange::Up, &form).await,
        "down" => save(&visit, project, ColumnChange::Down, &form).await,
        "close" => save(&visit, project, ColumnChange::Close, &form).await,
        "reopen" => save(&visit, project, ColumnChange::Reopen, &form).await,
        "remove" => save(&visit, project, ColumnChange::Remove, &form).await,
        _ => return Err(bad_form()),
    };
    let error = match changed {
        Ok(rest) => return Ok(redirect(&format!("/setup/settings?project={id}&saved=columns{rest}#columns"))),
        Err(error) => error,
    };
    let section = SectionForm { section: Section::Columns, revision: form.revision, texts: BTreeMap::new() };
    let refusal = Refusal { column: Some(form), ..Refusal::new(section, error)? };
    render(&visit, &id, Saved::default(), Some(refusal)).await
}

async fn save(visit: &PageContext, project: Project, change: ColumnChange, form: &ColumnForm) -> Result<String, Error> {
    let name = if change == ColumnChange::Add { form.name.trim() } else { form.name.as_str() };
    let statuses = project.settings.statuses.change_column(change, name);
    let statuses = statuses.map_err(|bad| Error::Invalid { pointer: bad.pointer, fault: bad.fault.into() })?;
    let settings = Settings { statuses, ..project.settings };
    control::set_settings(&visit.ctx, visit.change_of(&project.id), settings, form.revision).await?;
    Ok(String::new())
}

/// Returns the part of the address that offers to move the rest of the tickets, if time ran out.
async fn rename(visit: &PageContext, id: &ProjectId, form: &ColumnForm) -> Result<String, Error> {
    let request = RenameColumn { from: form.name.clone(), to: form.to.trim().to_owned() };
    limits::check_rename_column(&request).map_err(|bad| Error::Invalid { pointer: "/to", fault: bad.message })?;
    let renamed = control::rename_column(&visit.ctx, id, &request.from, &request.to).await?;
    Ok(match renamed.is_complete {
        true => String::new(),
        false => format!("&from={}&to={}", percent_encode(&request.from), percent_encode(&request.to)),
    })
}
