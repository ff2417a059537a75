//! Writes templates.

use crate::item::Item;
use crate::transaction::{Condition, Transaction};
use crate::{Error, Store, Write};
use pullyard_domain::template::Template;

impl Store {
    /// Writes: TEMPLATE if `rev` and `created` are those seen (absent if new).
    pub async fn put_template(&self, template: &Template) -> Result<Write, Error> {
        let condition = Condition::at_rev_since(template.rev, "created", template.created);
        Transaction::new("store a template").revise_over(template, condition)?.commit(self).await
    }

    /// Writes: TEMPLATE deleted if `rev` and `created` are those seen or it is gone.
    /// Idempotent: a missing template is no error.
    pub async fn delete_template(&self, template: &Template) -> Result<Write, Error> {
        let condition = Condition::at_rev_or_absent(template.rev, "created", template.created);
        Transaction::new("delete a template").delete(template.key(), condition).commit(self).await
    }
}
