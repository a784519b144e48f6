use super::*;
use crate::telemetry::old::{closed, file_name, read_closed};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

/// Long before files of this machine are written.
const START: i64 = 1_000_000_000_000_000;

#[derive(Debug)]
struct Hands(AtomicI64);

impl Hands {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(START)))
    }

    fn turn(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    fn monotonic_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn log(dir: &Path, total: u64, clock: &Arc<Hands>) -> LogFile {
    let log = LogFile::new(dir, "actifix", Bounds::new(30, total), Arc::clone(clock) as Arc<dyn Clock>);
    log.believe_until(Some(Timestamp::from_micros(i64::MAX)));
    log
}

fn numbered(clock: &Hands, writer: usize, number: usize) -> String {
    let now = clock.now();
    format!(
        "{{\"timestamp\":\"{now}\",\"writer\":{writer},\"number\":{number},\"fill\":\"{}\"}}\n",
        "x".repeat(80)
    )
}

/// Every line of every file, each of which must be whole.
fn lines(dir: &Path) -> Vec<(u64, u64)> {
    let mut all = Vec::new();
    for file in closed(dir, "actifix").unwrap() {
        all.push(String::from_utf8(read_closed(&file, u64::MAX).unwrap()).unwrap());
    }
    all.push(fs::read_to_string(dir.join("actifix.log")).unwrap_or_default());
    let each = all.iter().flat_map(|text| {
        assert!(text.is_empty() || text.ends_with('\n'), "a torn end");
        text.lines()
    });
    each.map(|line| {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        (value["writer"].as_u64().unwrap(), value["number"].as_u64().unwrap())
    })
    .collect()
}

fn size_of(dir: &Path) -> u64 {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn ten_thousand_lines_of_two_processes_are_each_there_once() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    // Two of them share nothing but the directory, as two processes do; each has two threads, and one of them
    // compresses all the while.
    let logs = [log(dir.path(), 4 << 20, &clock), log(dir.path(), 4 << 20, &clock)];
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (log, clock) = (&logs[writer % 2], &clock);
            scope.spawn(move || {
                for number in 0..2_500 {
                    log.append(numbered(clock, writer, number).as_bytes()).unwrap();
                    if writer == 0 && number % 500 == 499 {
                        log.tend().unwrap();
                    }
                }
            });
        }
    });
    logs[0].tend().unwrap();
    let mut seen: BTreeMap<(u64, u64), u32> = BTreeMap::new();
    lines(dir.path()).into_iter().for_each(|line| *seen.entry(line).or_default() += 1);
    assert_eq!(seen.len(), 10_000);
    assert!(seen.values().all(|times| *times == 1), "a line stands twice");
    let files = closed(dir.path(), "actifix").unwrap();
    assert!(files.len() >= 2 && files.iter().all(|file| file.compressed), "{files:?}");
    for entry in fs::read_dir(dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
    }
}

#[test]
fn no_line_goes_into_a_file_that_was_closed_since_it_was_opened() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let mut log = log(dir.path(), 0, &clock);
    // Between the opening and the lock another process closes the file; once.
    log.opens = |path| {
        let file = crate::files::append(path)?;
        let closed = path.with_file_name(file_name("actifix", 1));
        if !closed.exists() {
            fs::rename(path, closed)?;
        }
        Ok(file)
    };
    log.append(numbered(&clock, 0, 0).as_bytes()).unwrap();
    assert_eq!(fs::metadata(dir.path().join(file_name("actifix", 1))).unwrap().len(), 0);
    assert_eq!(lines(dir.path()), [(0, 0)]);
}

#[test]
fn all_files_together_stay_within_their_bytes_and_the_latest_lines_are_kept() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let (total, log) = (1 << 20, log(dir.path(), 1 << 20, &clock));
    for number in 0..20_000 {
        log.append(numbered(&clock, 0, number).as_bytes()).unwrap();
        if number % 100 == 0 {
            let size = size_of(dir.path());
            assert!(size <= total, "{size} bytes after {number} lines");
        }
    }
    let kept = lines(dir.path());
    assert_eq!(kept.last(), Some(&(0, 19_999)));
    let first = kept.first().unwrap().1;
    assert!(first > 0 && kept.iter().map(|line| line.1).eq(first..20_000), "lines are missing in between");
    log.tend().unwrap();
    assert!(size_of(dir.path()) <= total);
}

#[test]
fn a_day_ends_a_file_whatever_the_clock_does_and_old_files_go() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let first = log(dir.path(), 0, &clock);
    let count = || closed(dir.path(), "actifix").unwrap().len();
    first.append(numbered(&clock, 0, 0).as_bytes()).unwrap();
    clock.turn(DAY - 1);
    first.append(numbered(&clock, 0, 1).as_bytes()).unwrap();
    assert_eq!(count(), 0);
    // A process that was started since knows the age from the file.
    clock.turn(1);
    let second = log(dir.path(), 0, &clock);
    second.append(numbered(&clock, 0, 2).as_bytes()).unwrap();
    assert_eq!(count(), 1);
    // Two hours back: the file stays. Two days back: its first line lies in what is the future now.
    clock.turn(-2 * 3_600_000_000);
    second.append(numbered(&clock, 0, 3).as_bytes()).unwrap();
    assert_eq!(count(), 1);
    clock.turn(-2 * DAY);
    second.append(numbered(&clock, 0, 4).as_bytes()).unwrap();
    assert_eq!(count(), 2);
    assert_eq!(lines(dir.path()).len(), 5);
    // Nothing is written for a day: the file is closed all the same.
    clock.turn(DAY);
    second.tend().unwrap();
    assert_eq!(count(), 3);
    // Files have the real time of this machine; the clock in hand goes past 30 days after it.
    let real = closed(dir.path(), "actifix").unwrap()[0].written_at;
    clock.0.store(real.plus(30 * DAY - 60_000_000).micros(), Ordering::Relaxed);
    second.tend().unwrap();
    assert_eq!(count(), 3);
    clock.turn(2 * 60_000_000 + DAY);
    second.tend().unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn files_go_by_their_age_only_while_the_clock_is_believed() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let log = log(dir.path(), 0, &clock);
    for number in 0..3 {
        log.append(numbered(&clock, 0, number).as_bytes()).unwrap();
        clock.turn(DAY);
    }
    log.tend().unwrap();
    let count = || closed(dir.path(), "actifix").unwrap().len();
    assert_eq!(count(), 3);
    let real = closed(dir.path(), "actifix").unwrap()[0].written_at;
    log.believe_until(Some(real.plus(DAY)));
    clock.0.store(real.plus(4_000 * DAY).micros(), Ordering::Relaxed);
    log.tend().unwrap();
    // Whoever writes closes the file, which removes what is old as well.
    log.append(numbered(&clock, 0, 3).as_bytes()).unwrap();
    clock.turn(DAY);
    log.append(numbered(&clock, 0, 4).as_bytes()).unwrap();
    log.tend().unwrap();
    assert_eq!(count(), 4);
    log.believe_until(None);
    log.tend().unwrap();
    assert_eq!(count(), 4, "nobody has looked at the clock");
    log.believe_until(Some(clock.now()));
    log.tend().unwrap();
    assert_eq!(count(), 0);
}

#[test]
fn what_a_killed_process_left_at_any_step_costs_no_line() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let write = |path: &Path, text: &[u8]| crate::files::write_new(path, text, 0o600).unwrap();
    let line = |number| numbered(&clock, 0, number);
    let at = |name: &str| dir.path().join(name);
    // Killed after the rename, before the new file.
    write(&at("actifix-000001.log"), line(1).as_bytes());
    // Killed while it compressed.
    write(&at("actifix-000002.log"), line(2).as_bytes());
    write(&at("actifix-000002.log.zst.part"), b"half a fra");
    // Killed between the rename of the compressed form and the end of its source.
    write(&at("actifix-000003.log"), line(3).as_bytes());
    write(&at("actifix-000003.log.zst"), &zstd::encode_all(line(3).as_bytes(), 3).unwrap());
    // A draft whose source is gone is nobody's.
    write(&at("actifix-000009.log.zst.part"), b"");
    assert_eq!(lines(dir.path()), [(0, 1), (0, 2), (0, 3)]);
    // Killed in the middle of a write, which a full disk had cut.
    write(&at("actifix.log"), format!("{}{}", line(4), &line(5)[..30]).as_bytes());
    let log = log(dir.path(), 0, &clock);
    log.append(line(6).as_bytes()).unwrap();
    log.tend().unwrap();
    assert_eq!(lines(dir.path()), [(0, 1), (0, 2), (0, 3), (0, 4), (0, 6)]);
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let zst = |number: u32| format!("actifix-00000{number}.log.zst");
    assert_eq!(names, [zst(1), zst(2), zst(3), "actifix.log".to_owned()]);
}

#[test]
fn a_log_that_cannot_be_written_is_an_error_soon_and_nothing_of_a_line_stays() {
    let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::new());
    let mut full = log(dir.path(), 0, &clock);
    // The system's own disk that is always full.
    full.opens = |path| fs::OpenOptions::new().append(true).open(path);
    full.path = PathBuf::from("/dev/full");
    assert_eq!(full.append(b"x\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
    // A process that was stopped while it held the lock.
    let log = log(dir.path(), 0, &clock);
    log.append(b"{}\n").unwrap();
    let held = File::open(dir.path().join("actifix.log")).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    assert_eq!(log.append(b"{}\n").unwrap_err().kind(), io::ErrorKind::WouldBlock);
    drop(held);
    log.append(b"{}\n").unwrap();
    // A link in the place of the file is not followed.
    let elsewhere = dir.path().join("elsewhere");
    fs::rename(dir.path().join("actifix.log"), dir.path().join("moved")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("actifix.log")).unwrap();
    assert!(log.append(b"{}\n").is_err());
    assert!(!elsewhere.exists());
    // The directory was removed.
    fs::remove_dir_all(dir.path()).unwrap();
    log.append(b"{}\n").unwrap();
    assert_eq!(fs::read(dir.path().join("actifix.log")).unwrap(), b"{}\n");
}
