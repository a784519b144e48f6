//! The one thread that writes.
//!
//! Groups form by themselves: while one transaction is on its way to the disk the next submissions gather in the
//! queue, and the writer takes what is there. Nobody is answered before the commit returned. A submission that
//! cannot be stored is found by storing each of its group singly, so that it fails alone.

use super::guard::Guard;
use super::ingest::{Batch, Cache, Prepared};
use super::log::Unclosed;
use super::space::Space;
use crate::fault::{Fault, Result, Weight};
use actifix_app::audit::AuditChain;
use actifix_app::error::Error;
use actifix_app::ports::{Clock, Ingested, Pending};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use rusqlite::Connection;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Submissions that may wait.
pub(crate) const QUEUE_MAX: usize = 4_096;
/// Bytes of submissions that may wait.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Events of one transaction; a submission is never split.
const GROUP_EVENTS: usize = 256;
/// Work on events before the group is written, microseconds.
const GROUP_MICROS: i64 = 2_000;

/// What is told when the database fails for good.
pub type OnFatal = Box<dyn Fn(&str) + Send + Sync>;

/// What a verb works with: the connection inside its transaction, and what the writer remembers between batches.
pub(crate) struct Work<'a> {
    /// The connection, inside a transaction.
    pub(crate) db: &'a Connection,
    /// Tickets kept in memory. A verb that changes tickets must forget them here.
    pub(crate) cache: &'a mut Cache,
    /// Key of the audit log's chain.
    pub(crate) chain: &'a AuditChain,
}

enum Job {
    Ingest(Box<IngestJob>),
    Verb(Box<dyn Verb>),
    Stop,
}

struct IngestJob {
    prepared: Prepared,
    reply: oneshot::Sender<Result<Ingested, Error>>,
}

/// A write that is no event: it gets a transaction of its own, in turn.
trait Verb: Send {
    fn run(&mut self, work: &mut Work<'_>) -> Result<()>;
    fn finish(self: Box<Self>, result: Result<()>);
}

struct Once<T, F> {
    action: Option<F>,
    value: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, F: FnOnce(&mut Work<'_>) -> Result<T> + Send> Verb for Once<T, F> {
    fn run(&mut self, work: &mut Work<'_>) -> Result<()> {
        let action = self.action.take().ok_or_else(|| Fault::Defect("verb ran twice".to_owned()))?;
        self.value = Some(action(work)?);
        Ok(())
    }

    fn finish(self: Box<Self>, result: Result<()>) {
        let answer = match (result, self.value) {
            (Ok(()), Some(value)) => Ok(value),
            (Ok(()), None) => Err(Fault::Defect("verb gave no value".to_owned()).into_error()),
            (Err(fault), _) => Err(fault.into_error()),
        };
        // Whoever asked may have gone away; what was written stays.
        let _ = self.reply.send(answer);
    }
}

/// What both sides of the queue see.
struct Shared {
    depth: AtomicUsize,
    bytes: AtomicUsize,
    failed: AtomicBool,
    on_fatal: Option<OnFatal>,
}

/// The side of the queue that callers hold.
pub(crate) struct Writer {
    queue: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    bytes_max: usize,
}

/// Bounds of the queue, for tests to narrow.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Submissions that may wait.
    pub submissions: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { submissions: QUEUE_MAX, bytes: QUEUE_BYTES_MAX }
    }
}

const STOPPING: Error = Error::Unavailable { message: "the server is stopping", retry_after_seconds: 5 };
const FULL: Error = Error::Unavailable { message: "the write queue is full", retry_after_seconds: 2 };
const NO_ROOM: Error = Error::Unavailable { message: "the disk is full", retry_after_seconds: 30 };
const FAILED: Error = Error::Unavailable { message: "the database failed", retry_after_seconds: 30 };

/// What the thread starts with.
pub(crate) struct Start {
    /// The one connection that writes.
    pub(crate) connection: Connection,
    /// Tickets kept in memory.
    pub(crate) cache: Cache,
    /// Key of the audit log's chain.
    pub(crate) chain: AuditChain,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Room on the disk.
    pub(crate) space: Arc<Space>,
    /// Keeps other programs out until the end.
    pub(crate) guard: Arc<Guard>,
    /// Bounds of the queue.
    pub(crate) limits: QueueLimits,
    /// Told when the database fails for good.
    pub(crate) on_fatal: Option<OnFatal>,
    /// Says that the log holds what was acknowledged.
    pub(crate) unclosed: Unclosed,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(start: Start) -> std::io::Result<Self> {
        let Start { connection, cache, chain, clock, space, guard, limits, on_fatal, unclosed } = start;
        let (sender, receiver) = crossbeam_channel::bounded(limits.submissions.max(1));
        let shared = Arc::new(Shared {
            depth: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            on_fatal,
        });
        let mut loop_state = Loop {
            connection,
            cache,
            chain,
            clock,
            space,
            guard,
            unclosed,
            receiver,
            shared: Arc::clone(&shared),
            waiting: VecDeque::new(),
        };
        let thread =
            std::thread::Builder::new().name("actifix-writer".to_owned()).spawn(move || loop_state.run())?;
        Ok(Self {
            queue: Mutex::new(Some(sender)),
            thread: Mutex::new(Some(thread)),
            shared,
            bytes_max: limits.bytes,
        })
    }

    /// Submissions and verbs that wait.
    pub(crate) fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Relaxed)
    }

    /// The database failed for good.
    pub(crate) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// Queues a submission; what is returned ends when it is durable.
    pub(crate) fn enqueue(&self, prepared: Prepared) -> Result<Pending, Error> {
        let size = prepared.size_bytes;
        if self.shared.bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size) > self.bytes_max {
            self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(FULL);
        }
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.send(Job::Ingest(Box::new(IngestJob { prepared, reply }))) {
            self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
            return Err(error);
        }
        Ok(Box::pin(async move { answer.await.unwrap_or(Err(STOPPING)) }))
    }

    /// Runs `action` on the writer, in a transaction of its own, and waits for its commit.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Work<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Verb(Box::new(Once { action: Some(action), value: None, reply })))?;
        answer.await.unwrap_or(Err(STOPPING))
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        if self.has_failed() {
            return Err(FAILED);
        }
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.as_ref().ok_or(STOPPING)?;
        self.shared.depth.fetch_add(1, Ordering::Relaxed);
        match sender.try_send(job) {
            Ok(()) => Ok(()),
            Err(refused) => {
                self.shared.depth.fetch_sub(1, Ordering::Relaxed);
                Err(if matches!(refused, TrySendError::Full(_)) { FULL } else { STOPPING })
            }
        }
    }

    /// Lets no more in, finishes what is queued, ends the thread. Blocks; idempotent.
    pub(crate) fn stop(&self) {
        let sender = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Blocks while the queue is full, as it must: what was taken in is finished first.
            let _ = sender.send(Job::Stop);
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Loop {
    connection: Connection,
    cache: Cache,
    chain: AuditChain,
    clock: Arc<dyn Clock>,
    space: Arc<Space>,
    /// After the connection, which must close first.
    guard: Arc<Guard>,
    unclosed: Unclosed,
    receiver: Receiver<Job>,
    shared: Arc<Shared>,
    /// Taken from the queue, not yet written: at most one group and one other job.
    waiting: VecDeque<Job>,
}

/// What an action that ended in a refusal may have done to what is known of tickets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// Nothing, unless it wrote rows.
    ChangedNothing,
    /// It counts there before it writes.
    MayHaveCounted,
}

impl Loop {
    fn run(&mut self) {
        loop {
            let Some(job) = self.waiting.pop_front().or_else(|| self.receiver.recv().ok()) else { break };
            metrics::gauge!("actifix_queue_depth").set(depth_as_f64(&self.shared.depth));
            self.look_at_disk();
            match job {
                Job::Stop => break,
                Job::Verb(verb) => self.verb(verb),
                Job::Ingest(first) => self.group(first),
            }
        }
        self.refuse_rest();
        self.unclosed.remove();
        if !self.shared.failed.load(Ordering::Acquire)
            && let Err(error) =
                self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);")
        {
            tracing::warn!(%error, "store.checkpoint_failed: the log is applied at the next start");
        }
        self.guard.release();
    }

    fn look_at_disk(&self) {
        let connection = &self.connection;
        self.space.look(self.clock.monotonic_micros(), || free_inside(connection));
    }

    /// Gathers what is queued behind `first`, and writes it.
    fn group(&mut self, first: Box<IngestJob>) {
        let mut events = first.prepared.events.len();
        let mut group = vec![first];
        while events < GROUP_EVENTS {
            match self.waiting.pop_front().or_else(|| self.receiver.try_recv().ok()) {
                Some(Job::Ingest(job)) => {
                    events += job.prepared.events.len();
                    group.push(job);
                }
                Some(other) => {
                    self.waiting.push_front(other);
                    break;
                }
                None => break,
            }
        }
        let mut rest = group.as_slice();
        let mut answers = Vec::with_capacity(group.len());
        while !rest.is_empty() {
            let (done, results) = self.write_some(rest);
            answers.extend(results);
            rest = rest.get(done..).unwrap_or_default();
        }
        for (job, answer) in group.into_iter().zip(answers) {
            self.shared.depth.fetch_sub(1, Ordering::Relaxed);
            self.shared.bytes.fetch_sub(job.prepared.size_bytes, Ordering::Relaxed);
            let _ = job.reply.send(answer);
        }
    }

    /// Writes as many of `jobs`, from the first, as fit into one transaction; how many, and their answers.
    fn write_some(&mut self, jobs: &[Box<IngestJob>]) -> (usize, Vec<Result<Ingested, Error>>) {
        match self.transaction(jobs) {
            Ok(answers) => (answers.len().max(1), answers),
            Err(fault) if jobs.len() == 1 || fault.weight() != Weight::One => {
                (jobs.len(), self.fail(jobs.len(), fault))
            }
            Err(fault) => {
                metrics::counter!("actifix_db_group_retries_total").increment(1);
                tracing::error!(error = %fault, jobs = jobs.len(), "store.group_failed: storing each singly");
                let mut answers = Vec::with_capacity(jobs.len());
                for job in jobs {
                    match self.transaction(std::slice::from_ref(job)) {
                        Ok(done) => answers.extend(done),
                        Err(fault) => answers.extend(self.fail(1, fault)),
                    }
                }
                (jobs.len(), answers)
            }
        }
    }

    /// One transaction over a prefix of `jobs`; the answers of those that it took.
    fn transaction(&mut self, jobs: &[Box<IngestJob>]) -> Result<Vec<Result<Ingested, Error>>> {
        if self.shared.failed.load(Ordering::Acquire) {
            return Err(Fault::App(FAILED));
        }
        if self.space.is_tight() {
            return Ok(jobs.iter().map(|_| Err(NO_ROOM)).collect());
        }
        let started = self.clock.monotonic_micros();
        let clock = Arc::clone(&self.clock);
        self.in_transaction(Refused::MayHaveCounted, |work| {
            let mut batch = Batch::new(work);
            let mut answers = Vec::with_capacity(jobs.len());
            for job in jobs {
                // Who is refused must not undo what the others brought.
                answers.push(match batch.refuses(&job.prepared)? {
                    Some(error) => Err(error),
                    None => Ok(batch.apply(&job.prepared)?),
                });
                if clock.monotonic_micros() - started >= GROUP_MICROS {
                    break;
                }
            }
            batch.flush()?;
            Ok(answers)
        })
    }

    /// BEGIN, `action`, COMMIT; anything else than success, a panic included, leaves no trace.
    fn in_transaction<T>(
        &mut self,
        refused: Refused,
        action: impl FnOnce(&mut Work<'_>) -> Result<T>,
    ) -> Result<T> {
        let asked = self.clock.monotonic_micros();
        let begun = self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]);
        let locked = self.clock.monotonic_micros();
        // Whoever waited in vain waited longest.
        metrics::histogram!("actifix_db_lock_wait_seconds").record(micros_to_seconds(locked - asked));
        begun?;
        let (db, cache, chain) = (&self.connection, &mut self.cache, &self.chain);
        let written = db.total_changes();
        let result = catch_unwind(AssertUnwindSafe(|| action(&mut Work { db, cache, chain })))
            .unwrap_or_else(|_| {
                Err(Fault::Defect("a panic while writing; the transaction was undone".to_owned()))
            })
            .and_then(|value| {
                db.prepare_cached("COMMIT")?.execute([])?;
                Ok(value)
            });
        let held = self.clock.monotonic_micros() - locked;
        metrics::histogram!("actifix_db_lock_held_seconds").record(micros_to_seconds(held));
        if let Err(fault) = &result {
            // A verb that refuses has written nothing, and then what is known of tickets is still so: a client whose
            // writes are stale must not slow ingest down.
            let untouched = refused == Refused::ChangedNothing
                && matches!(fault, Fault::App(_))
                && self.connection.total_changes() == written;
            if !untouched {
                self.cache.clear();
            }
            if !self.connection.is_autocommit()
                && let Err(error) = self.connection.execute_batch("ROLLBACK")
            {
                self.give_up(&Fault::Sql(error));
            }
        }
        match result.as_ref().map_err(Fault::weight) {
            Ok(_) => self.unclosed.make(),
            Err(Weight::Fatal) => {
                if let Err(fault) = &result {
                    self.give_up(fault);
                }
            }
            Err(Weight::Now(message)) if message == crate::fault::DISK_FULL => self.space.run_out(),
            _ => {}
        }
        result
    }

    fn verb(&mut self, mut verb: Box<dyn Verb>) {
        let result = if self.shared.failed.load(Ordering::Acquire) {
            Err(Fault::App(FAILED))
        } else {
            self.in_transaction(Refused::ChangedNothing, |work| verb.run(work))
        };
        self.shared.depth.fetch_sub(1, Ordering::Relaxed);
        verb.finish(result);
    }

    /// The same answer for `count` submissions.
    fn fail(&self, count: usize, fault: Fault) -> Vec<Result<Ingested, Error>> {
        let mut answers = Vec::with_capacity(count);
        for _ in 1..count {
            answers.push(Err(match fault.weight() {
                Weight::Now(message) => Error::Unavailable { message, retry_after_seconds: 5 },
                Weight::Fatal | Weight::One => FAILED,
            }));
        }
        answers.push(Err(fault.into_error()));
        answers
    }

    /// After a failed write nobody can say what is on the disk: nothing is acknowledged any more.
    fn give_up(&self, fault: &Fault) {
        if self.shared.failed.swap(true, Ordering::AcqRel) {
            return;
        }
        metrics::gauge!("actifix_db_failed").set(1.0);
        tracing::error!(error = %fault, "store.failed: no more writes until the server is started again");
        if let Some(tell) = &self.shared.on_fatal {
            tell(&fault.to_string());
        }
    }

    fn refuse_rest(&mut self) {
        let rest: Vec<Job> = self.waiting.drain(..).chain(self.receiver.try_iter()).collect();
        for job in rest {
            self.shared.depth.fetch_sub(1, Ordering::Relaxed);
            match job {
                Job::Ingest(job) => drop(job.reply.send(Err(STOPPING))),
                Job::Verb(verb) => verb.finish(Err(Fault::App(STOPPING))),
                Job::Stop => {}
            }
        }
    }
}

/// Room in pages of the database that hold nothing, bytes.
fn free_inside(connection: &Connection) -> u64 {
    let number = |pragma: &str| -> u64 {
        let found: rusqlite::Result<i64> = connection.query_row(pragma, [], |row| row.get(0));
        found.ok().and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
    };
    number("PRAGMA freelist_count").saturating_mul(number("PRAGMA page_size"))
}

#[allow(clippy::cast_precision_loss)] // at most QUEUE_MAX
fn depth_as_f64(depth: &AtomicUsize) -> f64 {
    depth.load(Ordering::Relaxed) as f64
}

#[allow(clippy::cast_precision_loss)] // seconds with microseconds fit for 285 years
fn micros_to_seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}
