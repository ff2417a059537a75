//! Defines the items of templates.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::template::Template;

impl Item for Template {
    fn key(&self) -> Key {
        key::template(&self.id)
    }
}
