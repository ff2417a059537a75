//! The whole system, tested from outside: real HTTP, real git, real child processes, embedded AWS.

mod rooms;
mod story;
mod tickets;
