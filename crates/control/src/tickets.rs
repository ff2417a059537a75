//! Tickets of the board and of other tools.

pub(crate) mod board;
pub(crate) mod board_view;
pub(crate) mod comments;
pub(crate) mod delete_ticket;
pub(crate) mod move_ticket;
pub(crate) mod order;
pub(crate) mod settle_ticket;
pub(crate) mod suggest_key;
