//! Monitors that missed a run, or run too long: noticed by a worker, filed like any failure.

use crate::app::App;
use crate::error::Result;
use crate::ingest::{Source, monitor_event};
use crate::ports::Submission;
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::fingerprint;
use actifix_domain::ticket::Priority;

impl App {
    /// Files an event for each monitor that is late. Called by a worker.
    pub async fn check_monitors(&self) -> Result<()> {
        let now = self.now();
        for late in self.store.tick_monitors(now).await? {
            let Some(project) = self.store.project(late.project).await? else { continue };
            let environment = Some(late.environment).filter(|text| !text.is_empty());
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
            };
            let mut submission = Submission::new(project.id, now);
            submission.events.push(self.admit_own_words(
                &source,
                event,
                fingerprint::monitor_key(&late.slug),
            ));
            self.keep(submission).await?;
        }
        Ok(())
    }
}
