//! The form that creates a token.

use super::{join_projects, list_scopes};
use crate::prelude::*;
use pullyard_domain::project::token::{NewToken, Scope, TokenKind};
use std::collections::BTreeSet;
use std::time::Duration;

pub(super) const SCOPES: [(Scope, &str, &str, &str); 4] = [
    (Scope::Read, "read", "Read", "View everything in its projects except the values of secrets"),
    (Scope::Jobs, "jobs", "Jobs", "Create, answer, cancel and retry jobs, and move tickets"),
    (Scope::Tickets, "tickets", "Tickets", "Send the events of a ticket tool"),
    (
        Scope::Admin,
        "admin",
        "Admin",
        "Everything, including settings and secrets of its projects; for all projects also tokens",
    ),
];

/// Lifetime in seconds and its label; empty means until the token is revoked.
pub(super) const LIFETIMES: [(&str, &str); 4] =
    [("2592000", "In 30 days"), ("7776000", "In 90 days"), ("31536000", "In 1 year"), ("", "Never")];

/// The only page with the value, which is no part of any URL.
pub(super) struct Created {
    pub(super) name: SafeText,
    pub(super) value: SafeText,
    pub(super) rights: SafeText,
}

#[derive(Clone, Debug)]
pub(super) struct TokenForm {
    pub(super) name: String,
    pub(super) expires: String,
    pub(super) scopes: BTreeSet<Scope>,
    pub(super) all_projects: bool,
    pub(super) projects: BTreeSet<String>,
    pub(super) form_key: String,
}

impl Default for TokenForm {
    fn default() -> Self {
        Self {
            name: String::new(),
            expires: LIFETIMES[1].0.into(),
            scopes: [Scope::Read].into(),
            all_projects: true,
            projects: BTreeSet::new(),
            form_key: String::new(),
        }
    }
}

impl TokenForm {
    /// Each checked box is a pair of its own.
    pub(super) fn from_pairs(pairs: Vec<(String, String)>) -> Result<Self, Fault> {
        let mut form = Self { scopes: BTreeSet::new(), ..Self::default() };
        for (name, value) in pairs {
            match name.as_str() {
                "name" => form.name = value.trim().to_owned(),
                "expires" => form.expires = value,
                "scope" => form.scopes.extend(SCOPES.iter().find(|scope| scope.1 == value).map(|scope| scope.0)),
                "projects" => form.all_projects = value == "all",
                "only" => form.projects.extend([value]),
                "form_key" => form.form_key = value,
                _ => return Err(Fault::of_field(&name, "this form has no such field")),
            }
        }
        Ok(form)
    }
}

/// Idempotent: by the form's key. A repeated form is refused, because a value is shown only once.
pub(super) async fn create_token(visit: &PageContext, form: &TokenForm) -> Result<Created, Fault> {
    let key = parse_id("form_key", &form.form_key)?;
    let only = form.projects.iter().map(|id| ProjectId::new(id.clone())).collect::<Result<BTreeSet<_>, _>>();
    let only = only.map_err(|bad| Fault::of_field("projects", bad.0))?;
    if form.all_projects && !only.is_empty() {
        return Err(Fault::of_field("projects", "choose “Only these”, or clear the selected projects"));
    }
    let secs = Some(form.expires.as_str()).filter(|secs| !secs.is_empty()).map(str::parse).transpose();
    let new = NewToken {
        name: form.name.clone(),
        kind: TokenKind::Api,
        scopes: form.scopes.clone(),
        projects: (!form.all_projects).then_some(only),
        runner: None,
        expires_in: secs.map_err(|_| Fault::of_field("expires", "choose one"))?.map(Duration::from_secs),
    };
    let created = control::create_token(&visit.ctx, new, &visit.requester(), Some(key)).await;
    let created = created.map_err(|error| match error {
        Error::Invalid { pointer, fault } => Fault::of_field(pointer.trim_start_matches('/'), &fault),
        error => error.into(),
    })?;
    let record = &created.record;
    let scopes = list_scopes(record).join(", ");
    let projects = join_projects(record).map_or("all projects".to_owned(), |of| format!("only {of}"));
    let until = record.expires_at.map_or("it is revoked".to_owned(), Timestamp::day);
    Ok(Created {
        name: line(&record.name),
        value: line(&created.text),
        rights: line(&format!("Scopes: {scopes}, for {projects}, until {until}.")),
    })
}
