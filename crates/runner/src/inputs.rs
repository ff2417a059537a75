//! Input of users to a running job: cancel, pause, messages, answers.

pub(crate) mod conversation;
pub(crate) mod messages;
pub(crate) mod orders;
