//! The rows of the fault plan (`security.md` §4) that concern one node on SQLite, and the way each is run.

use anyhow::Result;

use super::{Field, damage, disk, kill, machine, power, soak, strangers};

/// How a row is run.
#[derive(Clone, Copy)]
pub enum Way {
    /// A program of ours; what it saw.
    Scenario(fn(&Field) -> Result<String>),
    /// Tests, by name.
    Tests(&'static [&'static str]),
}

/// One row.
pub struct Fault {
    pub name: &'static str,
    pub what: &'static str,
    pub expected: &'static str,
    pub way: Way,
    /// Whether a short form is part of `cargo xtask test`.
    pub is_quick: bool,
}

/// In the order of the plan.
pub const FAULTS: &[Fault] = &[
    Fault {
        name: "kill-random",
        what: "kill -9 in ingest, after a random time under load",
        expected: "every 2xx id is there once; start below 2 s",
        way: Way::Scenario(kill::random),
        is_quick: true,
    },
    Fault {
        name: "kill-sync",
        what: "killed at each fdatasync, and at writes, of ingest",
        expected: "the same",
        way: Way::Scenario(kill::every_sync),
        is_quick: true,
    },
    Fault {
        name: "kill-tests",
        what: "kill -9 in loops, stop with work at hand",
        expected: "the same",
        way: Way::Tests(&["heavy_what_was_acknowledged_survives_kill_9", "a_stop_finishes_what_was_begun"]),
        is_quick: false,
    },
    Fault {
        name: "power-loss",
        what: "power off: every legal state of the disk, rebuilt from the calls",
        expected: "each state is whole and holds what was acknowledged; our server opens it",
        way: Way::Scenario(power::run),
        is_quick: true,
    },
    Fault {
        name: "sync-fails",
        what: "fsync and write fail (EIO, ENOSPC, EROFS) in a running server",
        expected: "no ACK, exit 74, all kept, the rest taken when sent again",
        way: Way::Scenario(disk::sync_fails),
        is_quick: true,
    },
    Fault {
        name: "disk-full",
        what: "a disk of 64 MiB is filled and freed again",
        expected: "503 + Retry-After for events; log-in, reading, deleting, retention work; recovers unaided",
        way: Way::Scenario(disk::full),
        is_quick: true,
    },
    Fault {
        name: "disk-full-tests",
        what: "events fill the disk",
        expected: "the same",
        way: Way::Tests(&[
            "heavy_a_full_disk_lets_people_log_in_delete_and_run_retention",
            "a_full_disk_refuses_and_recovers_unaided",
            "the_reserve_goes_when_room_does_and_comes_back_with_it",
        ]),
        is_quick: false,
    },
    Fault {
        name: "read-only",
        what: "a file system that cannot be written",
        expected: "exit 74 with the reason",
        way: Way::Scenario(disk::read_only),
        is_quick: true,
    },
    Fault {
        name: "locked",
        what: "another process holds the lock for writers",
        expected: "503 + Retry-After, reading goes on, not ready, metric; then taken again",
        way: Way::Scenario(strangers::locked),
        is_quick: true,
    },
    Fault {
        name: "foreign",
        what: "the distribution's old sqlite3 at the live database",
        expected: "kept out by a lock; nothing lost",
        way: Way::Scenario(strangers::foreign),
        is_quick: true,
    },
    Fault {
        name: "foreign-tests",
        what: "strangers at the database, before and after a start",
        expected: "kept out, or the start is refused",
        way: Way::Tests(&[
            "another_sqlite_gets_at_no_live_database",
            "nobody_starts_beside_a_stranger_who_has_the_database_open",
            "a_second_server_on_the_same_home_is_refused",
        ]),
        is_quick: false,
    },
    Fault {
        name: "flips",
        what: "one byte flips: header, each type of page, log, shared memory",
        expected: "refused, found, or without effect; never served as data; nothing deleted",
        way: Way::Scenario(damage::flips),
        is_quick: true,
    },
    Fault {
        name: "flip-tests",
        what: "bytes flip in the database and the log",
        expected: "the same",
        way: Way::Tests(&[
            "heavy_flipped_bytes_are_found_or_change_nothing_that_is_shown",
            "a_flipped_byte_that_the_engine_drops_frames_for_is_told",
            "what_a_power_failure_leaves_is_no_damage",
            "a_damaged_file_is_refused_and_kept",
        ]),
        is_quick: false,
    },
    Fault {
        name: "lost-files",
        what: "log or database missing, empty, cut; an old copy",
        expected: "loud refusal, no empty installation; an old copy is told",
        way: Way::Scenario(damage::lost),
        is_quick: true,
    },
    Fault {
        name: "clock",
        what: "the clock jumps two hours, ten years, past 2038, and back",
        expected: "events taken once, limits by a monotonic clock, tokens by the wall clock",
        way: Way::Scenario(machine::clock),
        is_quick: true,
    },
    Fault {
        name: "memory",
        what: "memory ends: 256 and 128 MiB under the greatest load",
        expected: "256 MiB carry it; a kill by the kernel is a kill",
        way: Way::Scenario(machine::memory),
        is_quick: false,
    },
    Fault {
        name: "pause",
        what: "the machine stands still (SIGSTOP)",
        expected: "open requests end well, leases end, fences rise",
        way: Way::Scenario(machine::pause),
        is_quick: true,
    },
    Fault {
        name: "slow-clients",
        what: "slow headers, bodies, readers",
        expected: "closed within their times; others are answered",
        way: Way::Tests(&[
            "slowloris_headers_end_the_connection",
            "slow_bodies_are_refused",
            "answers_that_nobody_reads_end_the_connection",
            "answers_that_are_read_byte_by_byte_end_the_connection",
            "a_client_that_closes_its_half_leaves_nothing_behind",
        ]),
        is_quick: false,
    },
    Fault {
        name: "connections",
        what: "10,000 connections",
        expected: "capped, room for others, no spinning",
        way: Way::Tests(&[
            "heavy_ten_thousand_idle_connections_leave_room_for_others",
            "a_peer_that_has_most_gets_no_more_when_all_places_are_taken",
        ]),
        is_quick: false,
    },
    Fault {
        name: "bombs",
        what: "decompression bombs, deep and wide JSON",
        expected: "413 at the cap, bounded memory",
        way: Way::Tests(&[
            "heavy_bombs_are_refused_in_bounded_memory",
            "heavy_packed_dumps_of_one_request_share_its_limits",
            "deep_and_wide_json_is_bounded",
        ]),
        is_quick: false,
    },
    Fault {
        name: "h2",
        what: "rapid reset, CONTINUATION, empty DATA, SETTINGS, HPACK",
        expected: "GOAWAY, flat memory",
        way: Way::Tests(&[
            "cve_2023_44487_rapid_reset_ends_the_connection",
            "cve_2025_8671_made_you_reset_ends_the_connection",
            "a_continuation_flood_ends_the_connection",
            "an_empty_data_flood_ends_the_connection",
            "floods_of_settings_and_pings_do_not_pile_up",
            "an_hpack_bomb_is_refused_in_bounded_memory",
        ]),
        is_quick: false,
    },
    Fault {
        name: "webhooks",
        what: "receivers hang, drip, break off; the server is killed between send and record",
        expected: "5 s deadline, others unaffected, sent again with the same id",
        way: Way::Tests(&[
            "heavy_sinks_that_misbehave_fail_by_their_class_and_within_the_deadline",
            "heavy_a_hundred_channels_that_hang_keep_nobody_waiting",
            "heavy_kill_9_between_send_and_record_sends_again_with_the_same_id",
        ]),
        is_quick: false,
    },
    Fault {
        name: "first-start",
        what: "killed anywhere in a first start: migrations, keys, marks",
        expected: "the next start finishes it",
        way: Way::Scenario(kill::first_start),
        is_quick: true,
    },
    Fault {
        name: "kill-backup",
        what: "killed anywhere while a backup is made",
        expected: "former backups stay; a half one is none",
        way: Way::Scenario(kill::backup),
        is_quick: true,
    },
    Fault {
        name: "upgrade-tests",
        what: "crash in a migration, restore, rotation; an older program",
        expected: "the former or the new state; a newer schema is refused",
        way: Way::Tests(&[
            "a_migration_that_fails_leaves_the_former_schema",
            "newer_changed_and_foreign_schemas_are_refused",
            "a_restore_overwrites_nothing_and_can_be_begun_again",
            "heavy_kill_9_at_every_step_of_a_rotation_leaves_a_home_that_opens",
            "a_rotation_that_was_killed_anywhere_leaves_one_key_that_opens",
        ]),
        is_quick: false,
    },
    Fault {
        name: "poison",
        what: "an event that the store cannot take, a panic while writing",
        expected: "it fails alone; the others of its group are stored",
        way: Way::Tests(&["a_poison_event_fails_alone", "a_panic_undoes_its_transaction_and_nothing_else"]),
        is_quick: false,
    },
    Fault {
        name: "sigterm",
        what: "SIGTERM under load, again and again",
        expected: "ends within 10 s with 0, no lost ACK, no half answer",
        way: Way::Scenario(kill::term),
        is_quick: true,
    },
    Fault {
        name: "restarts",
        what: "a supervisor that kills each start",
        expected: "the next start that is let go is well",
        way: Way::Scenario(kill::restarts),
        is_quick: true,
    },
    Fault {
        name: "soak",
        what: "a long load",
        expected: "memory, files, threads and log stay flat",
        way: Way::Scenario(soak::run),
        is_quick: false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    fn functions(folder: &Path, into: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                functions(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                into.extend(text.lines().filter_map(|line| {
                    let (_, rest) = line.split_once("fn ")?;
                    Some(rest.split('(').next()?.to_owned())
                }));
            }
        }
    }

    #[test]
    fn rows_have_names_of_their_own_and_tests_that_exist() {
        let mut known = BTreeSet::new();
        functions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates"), &mut known);
        let mut names = BTreeSet::new();
        for fault in FAULTS {
            assert!(names.insert(fault.name), "{} is there twice", fault.name);
            if let Way::Tests(tests) = fault.way {
                for test in tests {
                    assert!(known.contains(*test), "{}: there is no test {test}", fault.name);
                }
            }
        }
    }
}
