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
mod authority;
mod backups;
mod captures;
mod chosen;
mod cli;
mod crash;
mod doctor;
mod edges;
mod examples;
mod faces;
mod factors;
mod fates;
mod fixtures;
mod flood;
mod former_keys;
mod front;
mod genuine;
mod guide;
mod h2;
mod harness;
mod hook;
mod hostile;
mod http;
mod inbound;
mod incidents;
mod jwt;
mod keyring;
mod leaks;
mod live;
mod logs;
mod matrix;
mod mended;
mod monitoring;
mod network;
mod newcomer;
mod oidc;
mod outside;
mod packaging;
mod pages;
mod people;
mod processes;
mod protocol;
mod provider;
mod proxies;
mod random;
mod rates;
mod releases;
mod repeats;
mod retention;
mod reviews;
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
mod sourcemaps;
mod strangers;
mod system;
mod tls;
mod told;
mod work;
