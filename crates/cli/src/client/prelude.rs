//! The names that most commands use.

pub(super) use super::fault::{CliError, Exit};
pub(super) use super::format;
pub(super) use super::prompt::confirm;
pub(super) use super::screen::{Colour, Screen, sanitize};
pub(super) use super::session::Session;
pub(super) use super::table::{Cell, Fixed, Flexible, Right, Table, print_facts};
pub(super) use clap::Subcommand;
