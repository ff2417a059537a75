//! Use cases of operators: forges, repositories, tokens, secrets, dead letters.

pub(crate) mod check_agent;
pub(crate) mod check_model_key;
pub(crate) mod columns;
pub(crate) mod connect_app;
pub(crate) mod connect_with_value;
pub(crate) mod dead_letters;
pub(crate) mod default_repository;
pub(crate) mod delete_project;
pub(crate) mod hold;
pub(crate) mod projects;
pub(crate) mod readiness;
pub(crate) mod record_unreadable;
pub(crate) mod removal;
pub(crate) mod remove_integration;
pub(crate) mod remove_repository;
pub(crate) mod rotate_secret;
pub(crate) mod secrets;
pub(crate) mod sign_in;
pub(crate) mod test_integration;
pub(crate) mod test_repository;
pub(crate) mod test_summary;
pub(crate) mod tokens;
pub(crate) mod update_project;
