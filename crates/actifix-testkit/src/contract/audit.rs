//! The audit log.

use super::{Case, id_of};
use crate::FakeClock;
use crate::fixtures::{EventBuilder, act};
use actifix_app::error::Error;
use actifix_app::ports::{AuditQuery, AuditRow, Clock, RetentionPolicy, Store, TokenRecord};
use actifix_domain::access::Scope;
use actifix_domain::audit::{Action, AuditRecord, Verdict};
use actifix_domain::time::DAY;
use std::sync::Arc;

/// All cases.
pub async fn run(store: Arc<dyn Store>, clock: Arc<FakeClock>) {
    a_change_and_its_record_are_one(&store, &clock).await;
    work_on_tickets_is_recorded(&Case::new(&store, &clock, "audit").await).await;
    the_log_is_asked_for_by_all_its_fields(&store, &clock).await;
    old_rows_go_and_the_rest_stays_provable(&store, &clock).await;
}

async fn all(store: &Arc<dyn Store>, query: AuditQuery) -> Vec<AuditRow> {
    store.audit_log(AuditQuery { limit: 200, ..query }).await.unwrap().items
}

async fn a_change_and_its_record_are_one(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let token = TokenRecord {
        id: "audited".to_owned(),
        name: "n".to_owned(),
        hash: [77; 32],
        scopes: [Scope::TicketsRead].into(),
        project: None,
        created_at: clock.now(),
        expires_at: clock.now().plus(DAY),
        revoked_at: None,
        replaced: false,
        last_used_at: None,
        warned_days: None,
    };
    let record = AuditRecord::system(clock.now(), Action::TokenCreated, "token:audited");
    store.add_token(&token, &record).await.unwrap();
    let refused = store.add_token(&token, &record).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })));
    let rows = all(store, AuditQuery { action: Some(Action::TokenCreated), ..AuditQuery::default() }).await;
    assert_eq!(rows.len(), 1, "what did not happen is not in the log: {rows:?}");
    assert_eq!(rows[0].record, record);
    let revoked = AuditRecord::system(clock.now(), Action::TokenRevoked, "token:nobody");
    assert_eq!(store.revoke_tokens(Some("nobody"), clock.now(), &revoked).await.unwrap(), 0);
    assert!(
        all(store, AuditQuery { action: Some(Action::TokenRevoked), ..AuditQuery::default() })
            .await
            .is_empty()
    );
    assert!(store.verify_audit().await.unwrap().intact);
}

async fn work_on_tickets_is_recorded(case: &Case) {
    let id = id_of(&case.one(EventBuilder::new(1, "a")).await);
    let mut save = case.decision(&id, "ignored").await;
    save.status = actifix_domain::ticket::Status::Ignored;
    case.store.save_ticket(save).await.unwrap();
    let rows = all(&case.store, AuditQuery { project: Some(case.project), ..AuditQuery::default() }).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let record = &rows[0].record;
    assert_eq!((record.action, record.actor.as_str()), (Action::TicketIgnored, "user jo"));
    assert_eq!(record.target, id.to_string());
    assert_eq!(
        (&record.detail["before"]["status"], &record.detail["after"]["status"]),
        (&"open".into(), &"ignored".into())
    );
}

async fn the_log_is_asked_for_by_all_its_fields(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    clock.advance(DAY);
    let now = clock.now();
    let failed = AuditRecord {
        actor: "anonymous".to_owned(),
        network: Some("192.0.2.7".to_owned()),
        result: Verdict::Refused,
        ..AuditRecord::system(now, Action::LoginFailed, "user:jo")
    };
    let done =
        AuditRecord { actor: "user:jo".to_owned(), ..AuditRecord::system(now, Action::LoginOk, "session") };
    store.append_audit(vec![failed.clone(), done.clone()]).await.unwrap();
    let found = async |query: AuditQuery| {
        all(store, query).await.into_iter().map(|row| row.record).collect::<Vec<_>>()
    };
    let any = AuditQuery::default;
    assert_eq!(
        found(AuditQuery { network: Some("192.0.2.7".into()), ..any() }).await,
        std::slice::from_ref(&failed)
    );
    assert_eq!(found(AuditQuery { user: Some("jo".into()), ..any() }).await, [done.clone(), failed.clone()]);
    assert_eq!(
        found(AuditQuery { actor: Some("user:jo".into()), ..any() }).await,
        std::slice::from_ref(&done)
    );
    assert_eq!(
        found(AuditQuery { result: Some(Verdict::Refused), ..any() }).await,
        std::slice::from_ref(&failed)
    );
    assert_eq!(found(AuditQuery { since: Some(now), ..any() }).await.len(), 2);
    assert_eq!(found(AuditQuery { until: Some(now), user: Some("jo".into()), ..any() }).await.len(), 0);
    let first = store.audit_log(AuditQuery { limit: 1, since: Some(now), ..any() }).await.unwrap();
    let next = AuditQuery { limit: 1, since: Some(now), cursor: first.next_cursor.clone(), ..any() };
    let second = store.audit_log(next).await.unwrap();
    assert_eq!((&first.items[0].record, &second.items[0].record), (&done, &failed));
    assert_eq!(second.next_cursor, None);
}

async fn old_rows_go_and_the_rest_stays_provable(store: &Arc<dyn Store>, clock: &Arc<FakeClock>) {
    let before = store.verify_audit().await.unwrap();
    clock.advance(401 * DAY);
    let record = AuditRecord { at: clock.now(), ..act() };
    store.append_audit(vec![record]).await.unwrap();
    let policy = RetentionPolicy { audit_days: 400, ..RetentionPolicy::default() };
    let dry = store.run_retention(&policy, Some(clock.now()), true).await.unwrap();
    assert_eq!(dry.audit, before.rows);
    let report = store.run_retention(&policy, Some(clock.now()), false).await.unwrap();
    assert_eq!(report.audit, before.rows);
    let after = store.verify_audit().await.unwrap();
    assert!(after.intact, "{after:?}");
    assert_eq!((after.first, after.rows), (before.last + 1, 2), "the last row and the record of the pruning");
    assert_eq!(store.run_retention(&policy, Some(clock.now()), false).await.unwrap().audit, 0);
}
