//! The whole system, tested from outside: real HTTP, real git, real child processes, embedded AWS.

mod attempts;
mod rooms;
mod starts;
mod story;
mod sweeps;
mod tickets;
