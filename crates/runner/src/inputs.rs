//! Input of users to a running job: cancel, pause, messages, answers.

pub(crate) mod orders;
pub(crate) mod people;
pub(crate) mod quoted;
pub(crate) mod talk;
