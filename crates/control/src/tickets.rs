//! Tickets of the board and of other tools.

pub(crate) mod board;
pub(crate) mod board_view;
pub(crate) mod comments;
pub(crate) mod create_ticket;
pub(crate) mod delete_ticket;
pub(crate) mod edit_ticket;
pub(crate) mod move_board_ticket;
pub(crate) mod move_ticket;
pub(crate) mod order;
pub(crate) mod raise_comment;
pub(crate) mod raise_limit;
pub(crate) mod settle_ticket;
pub(crate) mod step_result;
pub(crate) mod suggest_key;
pub(crate) mod views;
mod write_to_tool;
