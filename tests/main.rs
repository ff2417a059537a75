//! The whole system, tested from outside: real HTTP, real git, real child processes, embedded AWS.

mod agents;
mod attempts;
mod authorisation;
mod board;
mod demo;
mod functions;
mod inputs;
mod manual;
mod rooms;
mod starts;
mod story;
mod sweeps;
mod tickets;
