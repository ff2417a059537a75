//! Jobs from their creation to their end.

pub(crate) mod answer_job;
pub(crate) mod artifacts;
pub(crate) mod cancel_job;
pub(crate) mod create_job;
pub(crate) mod dispatch;
pub(crate) mod event_pages;
pub(crate) mod finish_job;
pub(crate) mod load_leased_job;
pub(crate) mod machine_queue;
pub(crate) mod new_job;
pub(crate) mod overview;
pub(crate) mod pause_job;
pub(crate) mod places;
pub(crate) mod record_task_stop;
pub(crate) mod retry_job;
pub(crate) mod search_events;
pub(crate) mod search_jobs;
pub(crate) mod start_analysis;
pub(crate) mod suspension;
pub(crate) mod views;
