//! Defines the item of a job class, which shows runners and the sweeper the existing classes.

use super::Item;
use crate::key::{self, Key};
use pullyard_domain::id::{ClassId, ProjectId};
use pullyard_domain::select::ClassRequirements;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) project: ProjectId,
    pub(crate) class: ClassId,
    pub(crate) needs: ClassRequirements,
}

impl Item for Class {
    fn key(&self) -> Key {
        key::class(&self.project, &self.class)
    }
}
