//! A fault of a plan, with its place in the file.

use crate::client::prelude::*;
use pullyard_domain::project::plan::PlanFault;
use serde::Serialize;

/// Line and column, from 1.
pub(super) type Place = (usize, usize);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(in crate::client) struct PlacedFault {
    pub(super) line: usize,
    pub(super) column: usize,
    pointer: String,
    pub(super) fault: String,
}

impl PlacedFault {
    pub(super) fn new((line, column): Place, pointer: String, fault: String) -> Self {
        Self { line, column, pointer, fault }
    }

    /// `plan.yaml:23:13  /steps/3/needs/0  there is no step …`
    pub(in crate::client) fn to_line(&self, file: &str) -> String {
        let Self { line, column, pointer, fault } = self;
        let pointer = if pointer.is_empty() { String::new() } else { format!("{pointer}  ") };
        sanitize(&format!("{file}:{line}:{column}  {pointer}{fault}"))
    }

    pub(in crate::client) fn into_wire(self) -> PlanFault {
        PlanFault { pointer: self.pointer, fault: self.fault }
    }
}
