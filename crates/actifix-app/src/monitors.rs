//! Monitors that missed a run, or run too long: noticed by a worker, filed like any failure.

use crate::app::App;
use crate::error::Result;
use crate::ingest::{Source, monitor_event};
use crate::ports::Submission;
use actifix_domain::event::{OriginClass, Provenance, Transport};
use actifix_domain::fingerprint;
use actifix_domain::ticket::Priority;

impl App {
    /// Files an event for each monitor that is overdue. Called by a worker.
    pub async fn check_monitors(&self) -> Result<()> {
        let now = self.now();
        for project in self.store.projects().await? {
            let mut submission = Submission::new(project.id, now);
            for monitor in self.store.monitors(project.id).await? {
                let mut state = monitor.state;
                let Some(failure) = state.tick(now) else { continue };
                let environment = Some(monitor.environment.clone()).filter(|text| !text.is_empty());
                let message = failure.message(&monitor.slug);
                let event =
                    monitor_event(self.ids.event_id(), &monitor.slug, message, environment, None, now);
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
                let key = fingerprint::monitor_key(&monitor.slug);
                submission.events.push(self.admit_own_words(&source, event, key));
                submission.monitor_states.push((monitor.slug, monitor.environment, state));
            }
            if !submission.is_empty() {
                self.store.ingest(submission).await?;
            }
        }
        Ok(())
    }
}
