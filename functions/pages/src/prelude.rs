//! The names that most pages use.

pub(crate) use crate::fault::{Fault, render_form};
pub(crate) use crate::form::{Form, new_form_key, non_empty, parse_id, parse_optional_id, request_key};
pub(crate) use crate::frame::{Frame, redirect, redirect_to_start, render_page};
pub(crate) use crate::labels::{self, Pill, TimeLabel};
pub(crate) use crate::params::{Path, ProjectQuery, Query};
pub(crate) use crate::text::{self, Help, SafeText, http_url, line, percent_encode};
pub(crate) use crate::visit::PageContext;
pub(crate) use askama::Template;
pub(crate) use axum::http::StatusCode;
pub(crate) use axum::response::Response;
pub(crate) use pullyard_control::{self as control, Context, Error};
pub(crate) use pullyard_domain::project::Project;
pub(crate) use pullyard_domain::text::id::ProjectId;
pub(crate) use pullyard_domain::text::time::Timestamp;
pub(crate) use pullyard_entry::limits;
pub(crate) use serde::Deserialize;
