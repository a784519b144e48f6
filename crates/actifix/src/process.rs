//! Figures of this process for `/metrics`, under the names that Prometheus' own clients use.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;

/// Ticks of a second in which the kernel tells CPU time; the same on every Linux that we run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Open files that are counted.
const FILES_COUNTED_MAX: usize = 1_000_000;

/// What `/proc` tells of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    cpu_seconds: f64,
    threads: f64,
    resident_bytes: f64,
    virtual_bytes: f64,
}

/// Keeps keys in memory from other processes: no core file, and on Linux no look into this process by others of the
/// same user. Children that were started before keep their own limits.
pub fn keep_memory_private() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(errno) = setrlimit(Resource::Core, none) {
        tracing::warn!(error = %errno, "process.core_files_possible");
    }
    #[cfg(target_os = "linux")]
    if let Err(errno) = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
    {
        tracing::warn!(error = %errno, "process.dumpable");
    }
}

/// What this process makes from now on is for its owner only, whatever it was started with. Called before a home is
/// opened; programs that were started before keep what they had.
pub fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

/// Descriptors that connections leave for the database, logs, backups and children.
const FILES_RESERVE: u64 = 256;

/// Connections that each of `listeners` may hold: `wished`, or fewer where the system gives this process too few open
/// files. Takes all that it gives first.
pub fn room_for(wished: usize, listeners: usize) -> usize {
    let files = getrlimit(Resource::Nofile);
    let most = files.maximum.or(files.current);
    if files.current != files.maximum
        && let Err(errno) = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: files.maximum })
    {
        tracing::warn!(error = %errno, "process.open_files_not_raised");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let room = share(files, wished, listeners);
    if room < wished {
        tracing::warn!(files, connections = room, "process.few_open_files");
    }
    room
}

/// At least one, so that a listener that is there answers.
fn share(files: u64, wished: usize, listeners: usize) -> usize {
    let free = usize::try_from(files.saturating_sub(FILES_RESERVE)).unwrap_or(usize::MAX);
    wished.min(free / listeners.max(1)).max(1)
}

/// Says once when the process began, seconds since 1970.
pub fn started_at(seconds: i64) {
    metrics::gauge!("process_start_time_seconds").set(seconds as f64);
}

/// Sets the figures to what they are now. What cannot be read is left as it was.
pub fn observe() {
    if let (Ok(stat), Ok(status)) = (read("stat"), read("status")) {
        let figures = figures(&stat, &status);
        metrics::gauge!("process_cpu_seconds_total").set(figures.cpu_seconds);
        metrics::gauge!("process_threads").set(figures.threads);
        metrics::gauge!("process_resident_memory_bytes").set(figures.resident_bytes);
        metrics::gauge!("process_virtual_memory_bytes").set(figures.virtual_bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.take(FILES_COUNTED_MAX).count() as f64);
    }
    if let Some(most) = getrlimit(Resource::Nofile).current {
        metrics::gauge!("process_max_fds").set(most as f64);
    }
}

fn read(name: &str) -> std::io::Result<String> {
    fs::read_to_string(format!("/proc/self/{name}"))
}

fn figures(stat: &str, status: &str) -> Figures {
    // The name of the program stands in brackets and may hold anything; what follows the last bracket is numbers.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    // Fields are counted from 1 in proc(5), the first of these is the third.
    let field = |number: usize| -> f64 {
        fields.get(number - 3).and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let kib = |name: &str| -> f64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    Figures {
        cpu_seconds: (field(14) + field(15)) / TICKS_PER_SECOND,
        threads: field(20),
        resident_bytes: kib("VmRSS:") * 1024.0,
        virtual_bytes: kib("VmSize:") * 1024.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_whatever_the_program_is_called() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194304 900 0 0 0 250 50 0 0 20 0 9 0 12345 1000000 200 18446744073709551615";
        let status = "Name:\ta ) b\nVmSize:\t    2048 kB\nVmRSS:\t     512 kB\n";
        let read = figures(stat, status);
        assert_eq!(
            read,
            Figures { cpu_seconds: 3.0, threads: 9.0, resident_bytes: 524_288.0, virtual_bytes: 2_097_152.0 }
        );
        assert_eq!(figures("", ""), Figures::default());
    }

    #[test]
    fn connections_leave_files_for_all_else() {
        assert_eq!(share(1_048_576, 4_096, 2), 4_096);
        assert_eq!(share(1_024, 4_096, 1), 768);
        assert_eq!(share(1_024, 4_096, 3), 256);
        assert_eq!(share(100, 4_096, 1), 1);
    }
}
