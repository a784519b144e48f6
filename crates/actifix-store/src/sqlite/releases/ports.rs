//! The port: each verb hands its work to a reader or to the writer.

use super::commits;
use crate::sqlite::SqliteStore;
use actifix_app::error::Result;
use actifix_app::ports::{Page, ReleaseChange, ReleaseDetail, ReleaseQuery, ReleaseStore};
use actifix_domain::audit::AuditRecord;
use actifix_domain::commit::Commit;
use actifix_domain::id::ProjectId;
use actifix_domain::release::{Deploy, Release};
use actifix_domain::time::Timestamp;
use async_trait::async_trait;

#[async_trait]
impl ReleaseStore for SqliteStore {
    async fn releases(&self, query: ReleaseQuery) -> Result<Page<Release>> {
        self.read(move |db| super::page(db, &query)).await
    }

    async fn release_detail(&self, project: ProjectId, version: &str) -> Result<Option<ReleaseDetail>> {
        let version = version.to_owned();
        self.read(move |db| super::detail(db, project, &version)).await
    }

    async fn releases_named(&self, version: &str) -> Result<Vec<Release>> {
        let version = version.to_owned();
        self.read(move |db| super::named(db, &version)).await
    }

    async fn known_releases(&self, project: ProjectId) -> Result<Vec<(String, Timestamp)>> {
        self.read(move |db| super::known(db, project)).await
    }

    async fn save_release(
        &self,
        project: ProjectId,
        version: &str,
        change: ReleaseChange,
        now: Timestamp,
        audit: &AuditRecord,
    ) -> Result<Option<Release>> {
        let version = version.to_owned();
        let save = move |work: &mut crate::sqlite::writer::Work<'_>| {
            super::save(work, project, &version, &change, now)
        };
        self.audited_if(audit, Option::is_some, save).await
    }

    async fn remove_release(&self, project: ProjectId, version: &str, audit: &AuditRecord) -> Result<bool> {
        let version = version.to_owned();
        self.audited_if(audit, |gone| *gone, move |work| super::remove_asked(work.db, project, &version))
            .await
    }

    async fn previous_with_commits(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Option<(Release, String)>> {
        let version = version.to_owned();
        self.read(move |db| commits::previous(db, project, &version)).await
    }

    async fn commits_leading_to(
        &self,
        project: ProjectId,
        version: &str,
    ) -> Result<Vec<(String, Vec<Commit>)>> {
        let version = version.to_owned();
        self.read(move |db| commits::leading_to(db, project, &version)).await
    }

    async fn add_deploy(
        &self,
        project: ProjectId,
        version: &str,
        deploy: Deploy,
        audit: &AuditRecord,
    ) -> Result<Option<Deploy>> {
        let version = version.to_owned();
        self.audited_if(audit, Option::is_some, move |work| {
            super::add_deploy(work.db, project, &version, deploy)
        })
        .await
    }

    async fn deploys(&self, project: ProjectId, version: &str) -> Result<Vec<Deploy>> {
        let version = version.to_owned();
        self.read(move |db| super::deploys(db, project, &version)).await
    }
}
