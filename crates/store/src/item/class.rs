//! The class of a job, kept so that runners and the sweeper know which classes there are.

use super::Stored;
use crate::key::{self, Key};
use pullyard_domain::id::{ClassId, ProjectId};
use pullyard_domain::select::Needs;
use serde::{Deserialize, Serialize};

/// What jobs of a class ask of a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Class {
    pub(crate) project: ProjectId,
    pub(crate) class: ClassId,
    pub(crate) needs: Needs,
}

impl Stored for Class {
    fn key(&self) -> Key {
        key::class(&self.project, &self.class)
    }
}
