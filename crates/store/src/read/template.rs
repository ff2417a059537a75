//! Reads templates.

use crate::{Error, Store, key};
use pullyard_domain::id::ProjectId;
use pullyard_domain::template::{Template, TemplateId};

impl Store {
    pub async fn load_template(&self, id: &TemplateId) -> Result<Option<Template>, Error> {
        self.load(&key::template(id)).await
    }

    /// The templates of a project by name.
    pub async fn list_templates(&self, project: &ProjectId) -> Result<Vec<Template>, Error> {
        self.list_with_prefix(&key::project(project).pk, key::TEMPLATES, "read the templates").await
    }
}
