//! The program from outside: the real binary as a process, spoken to over HTTP, its command line and its files.
//!
//! Tests whose names begin with `heavy_` measure or load the machine; the test runner gives each of them the machine
//! alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests fail by panicking, print what they measured, and are clients: clock, files and sockets are theirs"
)]

mod accounts;
mod agents;
mod alerts;
mod api;
mod backups;
mod captures;
mod cli;
mod crash;
mod edges;
mod factors;
mod fates;
mod fixtures;
mod flood;
mod h2;
mod harness;
mod hook;
mod hostile;
mod http;
mod inbound;
mod jwt;
mod keyring;
mod leaks;
mod matrix;
mod mended;
mod network;
mod newcomer;
mod oidc;
mod outside;
mod pages;
mod people;
mod processes;
mod protocol;
mod provider;
mod proxies;
mod random;
mod rates;
mod repeats;
mod retention;
mod scan;
mod scan_git;
mod scan_hidden;
mod sdk;
mod secrets;
mod security_table;
mod setup;
mod sink;
mod slow;
mod smuggling;
mod strangers;
mod tls;
mod work;
