//! Monitors that missed a run, or run too long: noticed by a worker, filed like any failure.

use crate::app::App;
use crate::error::Result;
use crate::ingest::{Source, monitor_event};
use crate::ports::{LateMonitor, MonitorTick, Submission};
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::fingerprint;
use actifix_domain::ticket::Priority;
use actifix_domain::time::Timestamp;

impl App {
    /// Files an event for each monitor that is late. Called by a worker. A monitor whose event could not be stored is
    /// late still, and comes up again with the next call.
    pub async fn check_monitors(&self) -> Result<()> {
        let now = self.now();
        let mut first_error = Ok(());
        for late in self.store.late_monitors(now).await? {
            if let Err(error) = self.file_late(late, now).await
                && first_error.is_ok()
            {
                first_error = Err(error);
            }
        }
        first_error
    }

    async fn file_late(&self, late: LateMonitor, now: Timestamp) -> Result<()> {
        let Some(project) = self.store.project(late.project).await? else { return Ok(()) };
        let environment = Some(late.environment.clone()).filter(|text| !text.is_empty());
        let message = late.failure.message(&late.slug);
        let event = monitor_event(self.ids.event_id(), &late.slug, message, environment, None, now);
        let source = Source {
            project: &project,
            provenance: Provenance {
                key: None,
                transport: Transport::Sentry,
                origin_class: OriginClass::Server,
            },
            ceiling: Priority::P1,
            priority: None,
            peer: None,
        };
        let mut submission = Submission::new(project.id, now);
        let key = fingerprint::monitor_key(&late.slug);
        submission.events.push(self.admit_own_words(&source, event, key));
        let LateMonitor { slug, environment, deadline, .. } = late;
        submission.late_monitor = Some(MonitorTick { slug, environment, deadline });
        self.keep(submission).await?;
        Ok(())
    }
}
