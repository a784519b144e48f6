//! How many uploads go on at the same time, in all and of one project: nobody takes the room of all.

use crate::error::{Error, Result};
use crate::ports::BundleKey;
use actifix_domain::id::ProjectId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, watch};

/// Requests whose chunks are read at the same time; the others wait before they send.
const READING_MAX: usize = 4;
/// The same of one owner: whoever sends slowly holds up themselves.
const OWN_READING_MAX: usize = 2;
/// Bundles that are read, or wait for it.
const ASSEMBLIES_MAX: usize = 8;
/// The same of one project.
const OWN_ASSEMBLIES_MAX: usize = 2;

/// A bundle that is being read, and what came of it.
pub(super) type Job = (Option<ProjectId>, Vec<BundleKey>);
pub(super) type Outcome = Option<Result<(), String>>;

/// Room to read one request with chunks.
#[derive(Debug)]
pub struct UploadRoom {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

/// Uploads under way.
pub(super) struct Uploads {
    reading: Arc<Semaphore>,
    /// The same by owner, of those that send or wait for it.
    own_reading: Mutex<HashMap<Option<ProjectId>, Arc<Semaphore>>>,
    assembling: Semaphore,
    jobs: Mutex<HashMap<Job, watch::Receiver<Outcome>>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            reading: Arc::new(Semaphore::new(READING_MAX)),
            own_reading: Mutex::default(),
            // One at a time: a bundle with its largest map takes some hundred MiB.
            assembling: Semaphore::new(1),
            jobs: Mutex::default(),
        }
    }
}

impl Uploads {
    /// Waits for room to read a request of an owner: for their own first, which takes none of others.
    pub(super) async fn room(&self, owner: Option<ProjectId>) -> Result<UploadRoom> {
        let own = self.own_reading(owner).acquire_owned().await.map_err(Error::internal)?;
        let all = Arc::clone(&self.reading).acquire_owned().await.map_err(Error::internal)?;
        Ok(UploadRoom { _own: own, _all: all })
    }

    /// Waits until no other bundle is read.
    pub(super) async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.assembling.acquire().await.map_err(Error::internal)
    }

    pub(super) fn job(&self, job: &Job) -> Option<watch::Receiver<Outcome>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).get(job).cloned()
    }

    /// The semaphore of an owner. Those that nobody holds go.
    fn own_reading(&self, owner: Option<ProjectId>) -> Arc<Semaphore> {
        let mut own = self.own_reading.lock().unwrap_or_else(PoisonError::into_inner);
        own.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        Arc::clone(own.entry(owner).or_insert_with(|| Arc::new(Semaphore::new(OWN_READING_MAX))))
    }

    /// Adds a job, or gives the same one that is there; why not, where as many are there as may be.
    pub(super) fn add(
        &self,
        job: &Job,
        running: watch::Receiver<Outcome>,
    ) -> Result<Option<watch::Receiver<Outcome>>, &'static str> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(theirs) = jobs.get(job) {
            return Ok(Some(theirs.clone()));
        }
        let of = |project: ProjectId, (_, keys): &Job| keys.iter().any(|key| key.project == project);
        let own = |jobs: &HashMap<Job, _>| {
            let many = |project| jobs.keys().filter(|one| of(project, one)).count();
            job.1.iter().map(|key| many(key.project)).max().unwrap_or(0)
        };
        // Ended ones that nobody asked for make room.
        if jobs.len() >= ASSEMBLIES_MAX || own(&jobs) >= OWN_ASSEMBLIES_MAX {
            jobs.retain(|_, running| running.borrow().is_none() && running.has_changed().is_ok());
        }
        if own(&jobs) >= OWN_ASSEMBLIES_MAX {
            return Err("two uploads of this project are being read: repeat this one when they are");
        }
        if jobs.len() >= ASSEMBLIES_MAX {
            return Err("too many uploads are being read: repeat this one in a moment");
        }
        jobs.insert(job.clone(), running);
        Ok(None)
    }

    pub(super) fn remove(&self, job: &Job) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).remove(job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn job(project: i64, checksum: u8) -> Job {
        let key = |project| BundleKey {
            project: ProjectId(project),
            checksum: [checksum; 20],
            release: String::new(),
            dist: String::new(),
        };
        (Some(ProjectId(project)), vec![key(project)])
    }

    #[test]
    fn one_project_does_not_take_the_room_of_all() {
        let uploads = Uploads::default();
        let channels: Vec<_> = (0..12).map(|_| watch::channel(None)).collect();
        let add =
            |project, place: u8| uploads.add(&job(project, place), channels[usize::from(place)].1.clone());
        for place in 0..2 {
            assert!(add(1, place).unwrap().is_none());
        }
        assert!(add(1, 0).unwrap().is_some(), "the same again is the one that runs");
        assert!(add(1, 2).unwrap_err().contains("of this project"), "a third one");
        // A bundle for several projects counts for each.
        let both = (None, [job(1, 3).1, job(2, 3).1].concat());
        assert!(uploads.add(&both, channels[3].1.clone()).is_err());
        for place in 2..8 {
            add(i64::from(place), place).unwrap();
        }
        assert!(add(9, 9).unwrap_err().contains("too many uploads"), "of all");
        // What has ended makes room, also where nobody asked for it.
        channels[0].0.send(Some(Ok(()))).unwrap();
        add(1, 10).unwrap();
        assert!(add(1, 11).is_err());
    }

    /// Whether an owner has to wait for room.
    fn waits(uploads: &Uploads, owner: Option<ProjectId>) -> bool {
        pin!(uploads.room(owner)).poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }

    #[tokio::test]
    async fn who_sends_slowly_holds_up_themselves() {
        let uploads = Uploads::default();
        let slow = [
            uploads.room(Some(ProjectId(1))).await.unwrap(),
            uploads.room(Some(ProjectId(1))).await.unwrap(),
        ];
        assert!(waits(&uploads, Some(ProjectId(1))), "a third one of theirs waits");
        let others = [uploads.room(None).await.unwrap(), uploads.room(Some(ProjectId(2))).await.unwrap()];
        assert!(waits(&uploads, Some(ProjectId(3))), "all places are taken");
        drop(others);
        assert!(waits(&uploads, Some(ProjectId(1))));
        drop(slow);
        uploads.room(Some(ProjectId(1))).await.unwrap();
        let _other = uploads.room(Some(ProjectId(2))).await.unwrap();
        assert!(uploads.own_reading.lock().unwrap().len() <= 2, "what nobody holds goes");
    }
}
