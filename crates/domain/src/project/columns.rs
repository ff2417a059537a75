//! The columns of a project's board: an ordered list of ticket statuses, some of which have a meaning for Pullyard.

use super::Statuses;
use crate::text::is_line;
use crate::text::nearest::find_nearest;
use crate::text::setting_fault::{SettingFault, fault};
use serde::{Deserialize, Deserializer};

/// As many as a ticket tool may have.
const MAX_COLUMNS: usize = 60;
const MAX_NAME_CHARS: usize = 64;

const DEFAULT_MERGED: &str = "Done";

const COLUMNS: &str = "/statuses/columns";
const TRIGGER: &str = "/statuses/trigger";

/// A change of one column that leaves its name and its tickets unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnChange {
    /// A new column at the end.
    Add,
    Up,
    Down,
    /// Its tickets count as closed.
    Close,
    Reopen,
    Remove,
}

/// Parses statuses. Without columns, these are derived, and every status is accepted.
pub(super) fn deserialize_statuses<'de, D: Deserializer<'de>>(from: D) -> Result<Statuses, D::Error> {
    let statuses = Statuses::deserialize(from)?;
    match statuses.columns.is_empty() {
        true => Ok(Statuses { allow_others: true, ..statuses }.with_missing_columns()),
        false => Ok(statuses),
    }
}

impl Statuses {
    /// Whether a ticket in this status is closed. A status with another meaning here never counts as closed.
    pub fn is_closed(&self, status: &str) -> bool {
        self.closed.contains(status) && self.role(status).is_none()
    }

    /// The meaning of a column for jobs, as the end of the sentence "a ticket is here …". A closed column has none.
    pub fn role(&self, status: &str) -> Option<&'static str> {
        match status {
            status if *status == self.trigger => Some("to start a job"),
            status if *status == self.completion => Some("after a completed job"),
            status if *status == self.todo => Some("after a failed job"),
            _ => None,
        }
    }

    /// The status of a ticket after the merge of its pull request. None: it stays.
    pub fn after_merge(&self) -> Option<&str> {
        match &self.merged {
            Some(merged) => Some(merged),
            // In the trigger status it would start a job.
            None => Some(DEFAULT_MERGED).filter(|status| self.has_column(status) && *status != self.trigger),
        }
    }

    /// The status of a ticket after its pull request was closed without a merge.
    pub fn after_close(&self) -> &str {
        self.unmerged.as_deref().unwrap_or(&self.todo)
    }

    pub fn accepts(&self, status: &str) -> bool {
        self.allow_others || self.has_column(status)
    }

    /// Why a ticket may not get this status, with the columns and the nearest one.
    pub fn unknown_status_fault(&self, status: &str) -> Option<String> {
        (!self.accepts(status)).then(|| self.no_column(status))
    }

    pub fn find_nearest_column(&self, status: &str) -> Option<&str> {
        find_nearest(status, self.columns.iter().map(String::as_str))
    }

    /// Adds each status with a meaning that is no column, at the end.
    pub fn with_missing_columns(mut self) -> Self {
        let roles = [&self.todo, &self.trigger, &self.completion].into_iter().chain(&self.merged).chain(&self.unmerged);
        for status in roles.chain(self.closed.get(DEFAULT_MERGED)).chain(&self.closed) {
            if !self.columns.contains(status) {
                self.columns.push(status.clone());
            }
        }
        self
    }

    pub fn has_column(&self, status: &str) -> bool {
        self.columns.iter().any(|column| column == status)
    }

    /// Changes one column. The result still needs [`super::Settings::validate`].
    pub fn change_column(mut self, change: ColumnChange, name: &str) -> Result<Self, SettingFault> {
        if change == ColumnChange::Add {
            self.columns.push(name.to_owned());
            return Ok(self);
        }
        let Some(index) = self.columns.iter().position(|column| column == name) else {
            return fault(COLUMNS, self.no_column(name));
        };
        let last = self.columns.len() - 1;
        let is_target = [&self.merged, &self.unmerged].contains(&&Some(name.to_owned()));
        let target = Some("after its pull request was merged or closed").filter(|_| is_target);
        match (change, self.role(name).or(target.filter(|_| change == ColumnChange::Remove))) {
            (ColumnChange::Close | ColumnChange::Remove, Some(role)) => {
                return fault(COLUMNS, format!("tickets go to {name} {role}; choose another column for that first"));
            }
            (ColumnChange::Up, _) => self.columns.swap(index, index.saturating_sub(1)),
            (ColumnChange::Down, _) => self.columns.swap(index, last.min(index + 1)),
            (ColumnChange::Close, _) => _ = self.closed.insert(name.to_owned()),
            (ColumnChange::Reopen, _) => _ = self.closed.remove(name),
            (ColumnChange::Remove, _) => {
                self.closed.remove(name);
                self.columns.remove(index);
            }
            (ColumnChange::Add, _) => {}
        }
        Ok(self)
    }

    /// Renames a column and every reference to it. Unchanged if only the new name is a column, as after an earlier call.
    pub fn rename_column(mut self, from: &str, to: &str) -> Result<Self, SettingFault> {
        match (self.has_column(from), self.has_column(to)) {
            (false, false) => return fault("/from", self.no_column(from)),
            (true, true) if from != to => {
                return fault("/to", format!("{to} is already a column; choose another name"));
            }
            (_, true) => return Ok(self),
            (true, false) => {}
        }
        if self.closed.remove(from) {
            self.closed.insert(to.to_owned());
        }
        let roles = [&mut self.todo, &mut self.trigger, &mut self.completion].into_iter();
        let names = roles.chain(&mut self.merged).chain(&mut self.unmerged).chain(&mut self.columns);
        names.filter(|name| *name == from).for_each(|name| to.clone_into(name));
        Ok(self)
    }

    pub(super) fn validate(&self) -> Result<(), SettingFault> {
        let Self { todo, trigger, completion, merged, unmerged, closed, columns, allow_others: _ } = self;
        let roles = [("/statuses/todo", todo), (TRIGGER, trigger), ("/statuses/completion", completion)];
        let after = [("/statuses/merged", merged), ("/statuses/unmerged", unmerged)];
        let after = after.into_iter().filter_map(|(pointer, status)| Some((pointer, status.as_ref()?)));
        let roles: Vec<_> = roles.into_iter().chain(after).collect();
        for &(pointer, status) in &roles {
            if !is_name(status) {
                return fault(pointer, "a status is 1 to 64 printable characters");
            }
        }
        if closed.len() > MAX_COLUMNS || !closed.iter().all(|status| is_name(status)) {
            return fault("/statuses/closed", "name at most 60 statuses of 1 to 64 printable characters");
        }
        // A todo status that is the trigger status would make each failed job start the next one.
        if todo == trigger {
            return fault(
                "/statuses/todo",
                "it must differ from the trigger status, or failed jobs would restart forever",
            );
        }
        if let Some((pointer, _)) = roles.iter().find(|(pointer, status)| *status == trigger && *pointer != TRIGGER) {
            return fault(pointer, "it must differ from the trigger status, or finished jobs would restart forever");
        }
        if columns.len() > MAX_COLUMNS || !columns.iter().all(|column| is_name(column)) {
            return fault(COLUMNS, "name at most 60 columns of 1 to 64 printable characters");
        }
        let key = |column: &String| column.trim().to_lowercase();
        let is_twice = |(n, column): &(usize, &String)| columns.iter().take(*n).any(|other| key(other) == key(column));
        if let Some((_, name)) = columns.iter().enumerate().find(is_twice) {
            return fault(COLUMNS, format!("{name} is already a column; names that differ only in case are the same"));
        }
        let closed = closed.iter().map(|status| ("/statuses/closed", status));
        match roles.into_iter().chain(closed).find(|(_, status)| !columns.contains(status)) {
            Some((pointer, status)) => fault(pointer, self.no_column(status)),
            None => Ok(()),
        }
    }

    fn no_column(&self, status: &str) -> String {
        let columns = self.columns.join(", ");
        match self.find_nearest_column(status) {
            Some(nearest) => {
                format!("the project has no column {status}; did you mean {nearest}? Its columns: {columns}")
            }
            None => format!("the project has no column {status}; its columns: {columns}"),
        }
    }
}

pub(super) fn is_name(text: &str) -> bool {
    is_line(text, MAX_NAME_CHARS)
}
