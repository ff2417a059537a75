//! Names that most parts of the simulation use.

pub(crate) use crate::control_plane::ApiCall;
pub(crate) use crate::setup;
pub(crate) use pullyard_domain::job::{Job, JobStatus};
pub(crate) use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_testkit::SeededRng;
pub(crate) use serde_json::{Value, json};
pub(crate) use std::collections::BTreeMap;
pub(crate) use std::time::Duration;
