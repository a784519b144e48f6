//! The machine: memory, randomness, clock, disk, file system, other processes.

use super::facts::{Encryption, Facts};
use super::upkeep::{ENGINE_MIN, version};
use super::{Found, Problem, counted};
use crate::backup::DOUBTED_KEPT_MAX;
use actifix_domain::time::{MINUTE, Timestamp};

/// Less randomness than this is none, bits: what one key takes.
const ENTROPY_BITS_MIN: u64 = 128;
/// No clock that is right shows an earlier time: 2026-06-01, before this program was made.
const BUILT_AT: Timestamp = Timestamp::from_micros(1_780_272_000_000_000);
/// What lies further ahead of the clock was written when that was another one, microseconds.
const AHEAD_MAX: i64 = 5 * MINUTE;
/// The disk is full, to all intents, bytes: events are refused at 16 MiB.
const DISK_FAILS: u64 = 256 << 20;
/// The disk will be full soon, bytes.
const DISK_WARNS: u64 = 1 << 30;
/// Per cent of the disk that should be free.
const DISK_WARNS_PERCENT: u64 = 5;
/// Kinds of file systems on other machines: their locks and their memory are not of this one, on which the database
/// relies.
const REMOTE: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "lustre",
];
/// Kinds that are gone with a restart, or with the container.
const FLEETING: [&str; 4] = ["tmpfs", "ramfs", "overlay", "aufs"];

const TELL: &str = "run the server on Linux with /proc mounted, so that it can be told";

pub(super) fn core_dumps(facts: &Facts) -> Found {
    const ADVICE: &str =
        "set LimitCORE=0 in the service (packaging/actifix.service), or `ulimit -c 0`, and restart";
    let Some(core) = facts.site.machine.core else {
        return Found::of(vec![Problem::unknown("the limit of core files is not known", TELL)], "");
    };
    let mut problems = Vec::new();
    if core.bytes_max != Some(0) {
        problems
            .push(Problem::fail("a crash would write memory, and keys with it, into a core file", ADVICE));
    }
    if core.is_dumpable == Some(true) {
        problems
            .push(Problem::fail("other processes of the same user may read the memory of this one", ADVICE));
    }
    Found::of(problems, "no core file is written, and no other process may look into the memory of this one")
}

pub(super) fn entropy(facts: &Facts) -> Found {
    let Some(bits) = facts.site.machine.entropy_bits else {
        return Found::of(
            vec![Problem::unknown("the kernel does not say how much randomness it has", TELL)],
            "",
        );
    };
    if bits < ENTROPY_BITS_MIN {
        let advice = "give the machine a source of randomness (virtio-rng, `apt install rng-tools5`) before keys are made";
        return Found::of(
            vec![Problem::fail(format!("the kernel has {bits} bits of randomness"), advice)],
            "",
        );
    }
    Found::pass(format!("the kernel has {bits} bits of randomness"))
}

pub(super) fn clock(facts: &Facts) -> Found {
    const ADVICE: &str = "set the clock and keep it right: `timedatectl set-ntp true`, or chrony";
    let (machine, kept) = (&facts.site.machine, &facts.kept);
    let mut problems = Vec::new();
    if kept.now < BUILT_AT {
        problems
            .push(Problem::fail(format!("it is {} here, before this program was made", kept.now), ADVICE));
    }
    for (what, at) in
        [("the audit log", kept.last_act_at), ("a file of the database", machine.newest_file_at)]
    {
        if let Some(at) = at.filter(|at| at.since(kept.now) > AHEAD_MAX) {
            problems.push(Problem::fail(
                format!("{what} was written at {at}, and it is {} now: the clock went back", kept.now),
                ADVICE,
            ));
        }
    }
    // A warning: whoever was switched off for a month must be able to start.
    if let Some(jump) = kept.clock_jump {
        let advice = "look at the clock, and set it; if it is right: `actifix retention run --accept-clock`";
        let evidence = format!(
            "{jump}: nothing is deleted by its age, and of the backups made since at most {DOUBTED_KEPT_MAX} are kept"
        );
        problems.push(Problem::warn(evidence, advice));
    }
    if machine.is_synchronised == Some(false) {
        problems.push(Problem::warn("nobody keeps the clock right", ADVICE));
    }
    let kept_right = match machine.is_synchronised {
        Some(_) => "kept right by the system",
        None => "whether the system keeps it right is not told",
    };
    Found::of(problems, format!("{}, after all that was written; {kept_right}", kept.now))
}

pub(super) fn disk_space(facts: &Facts) -> Found {
    const ADVICE: &str = "make room or enlarge the disk; `actifix retention show` says what is kept, `actifix retention run` deletes what is old";
    let Some(disk) = facts.site.machine.disk else {
        return Found::of(
            vec![Problem::unknown(
                "the room on the disk is not known",
                "mount a file system that tells its size",
            )],
            "",
        );
    };
    let percent = disk.free_bytes.saturating_mul(100).checked_div(disk.total_bytes).unwrap_or(0);
    let seen = format!("{} MiB free, {percent} % of the disk", disk.free_bytes >> 20);
    if disk.free_bytes < DISK_FAILS {
        return Found::of(vec![Problem::fail(seen, ADVICE)], "");
    }
    if disk.free_bytes < DISK_WARNS || percent < DISK_WARNS_PERCENT {
        return Found::of(vec![Problem::warn(seen, ADVICE)], "");
    }
    Found::pass(seen)
}

pub(super) fn file_system(facts: &Facts) -> Found {
    let Some(found) = &facts.site.machine.file_system else {
        return Found::of(vec![Problem::unknown("the kind of the file system is not known", TELL)], "");
    };
    let seen = format!("{} at {}", found.kind, found.mount);
    if REMOTE.contains(&found.kind.as_str()) {
        let advice =
            "move the home to a disk of this machine: stop the server, copy the home, start it with --home";
        return Found::of(
            vec![Problem::fail(
                format!(
                    "{seen} is a disk of another machine: locks do not hold there, and the database can be damaged"
                ),
                advice,
            )],
            "",
        );
    }
    if FLEETING.contains(&found.kind.as_str()) {
        let advice = "put the home on a disk or a volume: start with --home on it";
        return Found::of(
            vec![Problem::warn(format!("{seen} does not outlive the machine or the container"), advice)],
            "",
        );
    }
    Found::pass(seen)
}

/// Never fails: what is sensitive is sealed in the database anyway.
pub(super) fn encryption_at_rest(facts: &Facts) -> Found {
    const ADVICE: &str = "put the home on LUKS (`cryptsetup luksFormat`) or FileVault, or use encrypted volumes of the provider, which cannot be seen from here";
    match facts.site.machine.file_system.as_ref().map(|found| (&found.encryption, &found.mount)) {
        Some((Encryption::By(what), mount)) => Found::pass(format!("{mount} is encrypted by {what}")),
        Some((Encryption::Unknown, mount)) => {
            Found::of(vec![Problem::warn(format!("no encryption of {mount} is to be seen"), ADVICE)], "")
        }
        None => Found::of(vec![Problem::warn("whether the disk is encrypted is not known", ADVICE)], ""),
    }
}

pub(super) fn foreign_sqlite(facts: &Facts) -> Found {
    let machine = &facts.site.machine;
    let Some(holders) = &machine.holders else {
        return Found::of(vec![Problem::unknown("other processes cannot be looked at", TELL)], "");
    };
    let problems = holders.iter().map(|holder| {
        let old = match holder.engine.as_deref().map(|text| (text, version(text))) {
            Some((text, Some(parts))) if parts >= ENGINE_MIN => format!("with SQLite {text}"),
            Some((text, Some(_))) => format!("with SQLite {text}, which can lose what others commit"),
            _ => "with an SQLite of unknown version".to_owned(),
        };
        let evidence = format!("process {} ({}) has the database open {old}", holder.pid, holder.program);
        Problem::fail(
            evidence,
            format!("end it (`kill {}`), and read backups or `actifix export` instead", holder.pid),
        )
    });
    let hidden = match machine.hidden_processes {
        0 => String::new(),
        count => format!(
            "; {} of other users were not looked at, who cannot open it",
            counted(count, "process", "processes")
        ),
    };
    Found::of(problems.collect(), format!("only actifix has the database open{hidden}"))
}
