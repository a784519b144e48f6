//! Forms of the answers, for the OpenAPI document. A test compares them with what the server really answers.
//!
//! Notation: members are `name:form`, separated by spaces. A form is `string`, `integer`, `number`, `boolean`, `time`
//! (RFC 3339), `object` (free), the name of another schema, or `[form]` for a list; a final `?` allows null. A name
//! that begins with `-` may be absent.

use serde_json::{Map, Value, json};

/// Named schemas.
const SCHEMAS: &[(&str, &str)] = &[
    (
        "Ticket",
        "id:string project:integer title:string culprit:string level:string status:string priority:string \
         priority_reason:string count:integer users:integer first_seen:time last_seen:time fingerprint:string \
         near_key:string? first_release:string? last_release:string? platform:string? unhandled:boolean \
         resolved_at:time? resolved_in:string? resolved_after:string? regressions:integer raised:boolean assignee:string? \
         approval:string approval_reason:string created_at:time version:integer",
    ),
    (
        "TicketDetail",
        "+Ticket url:string fingerprints:[string] grouping:object? grouping_sentence:string? latest_event:string? \
         lease:HeldLease? activity:[object] facets:[object] redactions:[RuleCount] hours:[HourCount] \
         days:[DayCount] suspect_commits:[SuspectCommit] held_because:Waiting? \
         needs_person:boolean",
    ),
    (
        "SuspectCommit",
        "id:string release:string author:string? message:string at:time? files:[string] why:string url:string?",
    ),
    (
        "Release",
        "project:integer version:string first_seen:time last_seen:time? recorded_at:time released_at:time? \
         url:string? events:integer new_tickets:integer regressions:integer deploys:integer commits:integer trusted:boolean",
    ),
    (
        "ReleaseDetail",
        "release:Release deploys:[Deploy] commits:[Commit] sessions:SessionTotals new_tickets:[Ticket] \
         regressed:[Ticket] resolved:[Ticket]",
    ),
    ("Deploy", "id:integer environment:string name:string? url:string? started_at:time? finished_at:time"),
    (
        "Commit",
        "id:string author:string? author_email:string? message:string at:time? paths:[string] paths_left_out:integer",
    ),
    ("SessionTotals", "sessions:integer errored:integer crashed:integer"),
    ("RuleCount", "rule:string count:integer"),
    ("HeldLease", "fence:integer holder:string since:time expires_at:time"),
    ("Lease", "+HeldLease lease_id:string"),
    ("Claim", "+Lease ticket:Ticket"),
    ("MergedTicket", "+Ticket approval_ended:boolean"),
    ("HourCount", "hour:time count:integer"),
    ("DayCount", "day:time count:integer"),
    (
        "Recorded",
        "event_id:string ticket_id:string? outcome:string change:string count:integer -held_because:Waiting?",
    ),
    ("Waiting", "priority:string reason:string why:string until:string"),
    (
        "EventSummary",
        "event_id:string ticket_id:string project:integer timestamp:time received_at:time title:string \
         release:string? environment:string?",
    ),
    (
        "Event",
        "event_id:string ticket_id:string project:integer received_at:time timestamp:time outcome:string type:string -client_timestamp:string \
         level:string title:string culprit:string provenance:object redactions:[object] -platform:string \
         -logger:string -transaction:string -server_name:string -release:string -dist:string -environment:string \
         -logentry:object -exception:[object] -stacktrace:object -threads:[object] -breadcrumbs:[object] \
         -request:object -user:object -tags:object -contexts:object -extra:object -modules:object \
         -fingerprint:[string] -sdk:object -debug_images:[object] -csp:object -other:object -problems:[string]",
    ),
    (
        "Attachment",
        "number:integer name:string content_type:string attachment_type:string size:integer digest:string kept:boolean",
    ),
    (
        "Finding",
        "id:string project:integer rule:string severity:string masked:string count:integer first_seen:time \
         last_seen:time state:string note:string fix:string places:[FindingPlace] version:integer \
         hash:string?",
    ),
    ("FindingPlace", "path:string ticket_id:string?"),
    ("Project", "id:integer name:string settings:object created_at:time version:integer"),
    (
        "Key",
        "project:integer public_key:string label:string kind:string enabled:boolean allowed_origins:[string] \
         unlisted_origins:[string] rate_per_minute:integer? created_at:time version:integer dsn:string",
    ),
    ("TicketContext", "server:object untrusted:object?"),
    ("NewProject", "+Project dsn:string"),
    ("Dsn", "dsn:string"),
    ("Outcome", "outcome:string reason:string category:string quantity:integer"),
    ("Retention", "policy:object holds:[Hold] last_run:Run? clock:string?"),
    ("Hold", "id:integer project:integer ticket:string? reason:string actor:string created_at:time"),
    ("Run", "kind:string target:string started_at:time finished_at:time ok:boolean detail:object"),
    ("BackupFile", "name:string size:integer created_at:time"),
    ("BackupMade", "+BackupFile recipients:[string]"),
    ("Backup", "+BackupFile verified_at:time? problem:string?"),
    (
        "BackupVerdict",
        "name:string intact:boolean faults:[string] counts:object audit_head:integer audit_verified:boolean \
         authenticity:string created_at:time? former_root_key:string?",
    ),
    ("DamagedRow", "table:string row:integer"),
    ("Integrity", "intact:boolean rows:integer damaged:[DamagedRow] structure:[string]"),
    ("LastIntegrity", "last:Run?"),
    ("DoctorReport", "checked_at:time production:boolean healthy:boolean counts:object checks:[DoctorCheck]"),
    (
        "DoctorCheck",
        "id:string group:string severity:string title:string guide:boolean state:string evidence:string advice:string",
    ),
    ("Incident", "lockdown:object? job:object? last:object?"),
    ("IncidentDone", "state:Incident shown_once:[object]"),
    (
        "Leaked",
        "state:string kind:string name:string next:string touched:[object] seen_in_findings:[string] -shown_once:string",
    ),
    ("SignedReport", "document:string signature:object"),
    (
        "KeptReview",
        "id:integer period:string reviewer:string recorded_at:time document:string signature:string intact:boolean",
    ),
    (
        "Review",
        "period:string installation:string program:string made_at:time last:object? due_at:time missed:integer \
         items:[object] reviewer:string? facts:object",
    ),
    ("Busiest", "busiest:[object]"),
    ("RetentionRun", "deleted:object dry_run:boolean clock:string?"),
    ("Throttle", "throttle:object held:object refused:[RefusedRequests]"),
    (
        "RefusedRequests",
        "reason:string project:integer? asked_project:integer? count:integer first_seen:time last_seen:time",
    ),
    (
        "ThrottleDecision",
        "at:time project:integer decision:string priority:string? reason:string count:integer",
    ),
    ("Promoted", "promoted:[string]"),
    (
        "Token",
        "id:string name:string scopes:[string] project:integer? created_at:time expires_at:time revoked_at:time? \
         replaced:boolean last_used_at:time?",
    ),
    ("NewToken", "+Token token:string"),
    (
        "AccessToken",
        "id:string access_token:string token_type:string expires_in:integer expires_at:time scopes:[string] \
         project:integer?",
    ),
    ("Identity", "issuer:string subject:string created_at:time"),
    ("Unlinked", "unlinked:integer"),
    ("SigningKey", "id:string created_at:time retires_at:time?"),
    ("Secret", "name:string size:integer created_at:time updated_at:time version:integer"),
    ("SecretValue", "name:string value:string"),
    (
        "Vault",
        "backend:string state:string place:string key_id:string? recorded_at:time? pending:string? problem:string?",
    ),
    (
        "AuditRow",
        "seq:integer at:time actor:string action:string target:string project:integer? network:string? \
         result:string detail:object hash:string",
    ),
    (
        "User",
        "id:string name:string role:string created_at:time password_at:time disabled_at:time? failures:integer \
         locked:boolean second_factor:boolean version:integer",
    ),
    (
        "Session",
        "id:string user:string created_at:time seen_at:time authenticated_at:time expires_at:time network:string?",
    ),
    ("SecondFactor", "enabled:boolean confirmed_at:time? recovery_codes_left:integer"),
    ("Enrolment", "secret:string uri:string expires_at:time"),
    ("RecoveryCodes", "recovery_codes:[string]"),
    ("LoggedIn", "user:string role:string csrf_token:string expires_at:time"),
    ("OwnSession", "actor:string session:Session? -csrf_token:string -csrf_header:string"),
    ("AuditFault", "kind:string seq:integer message:string"),
    (
        "AuditReport",
        "intact:boolean rows:integer first:integer last:integer witnessed:integer? faults:[AuditFault]",
    ),
    ("AuditWitness", "witnessed:integer"),
    (
        "Webhook",
        "name:string kind:string project:integer? place:string production:boolean enabled:boolean \
         from_environment:boolean disabled_reason:string? streak:integer last_failure:string? last_failure_at:time? \
         last_success_at:time? next_attempt_at:time? created_at:time updated_at:time version:integer breaker:string \
         pending:integer oldest_pending_at:time? dead:integer",
    ),
    ("NewWebhook", "+Webhook -secret:string -public_key:string? -former_ends_at:time?"),
    ("WebhookSecret", "secret:string public_key:string? former_ends_at:time?"),
    ("WebhookTest", "delivered:boolean failure:string? status:integer? id:string milliseconds:integer"),
    (
        "Delivery",
        "id:string endpoint:string trigger:string? ticket:string? state:string test:boolean attempts:integer \
         last_failure:string? last_status:integer? created_at:time attempted_at:time? expires_at:time",
    ),
    ("Inbound", "name:string kind:string project:integer target:string? created_at:time last_used_at:time?"),
    ("NewInbound", "+Inbound secret:string url:string"),
    (
        "AlertRule",
        "name:string project:integer? enabled:boolean triggers:[string] rate:AlertRate? users:integer? \
         when:AlertConditions endpoints:[string] cooldown_minutes:integer burst:integer digest_minutes:integer \
         quiet:AlertQuietHours? \
         is_default:boolean created_at:time?",
    ),
    (
        "AlertDryRun",
        "from:time matched:integer would_have_sent:integer digests:integer repeated:integer messages:[string] \
         inexact:[string]",
    ),
    ("TicketMute", "mute:Mute?"),
    ("Mute", "until:time? until_count:integer? until_regression:boolean"),
    (
        "SourceMaps",
        "id:integer release:string dist:string maps:integer sources:integer bytes:integer uploaded_at:time \
         used_at:time? debug_ids:[string]",
    ),
    (
        "SourceMapUsage",
        "uploads:integer uploads_max:integer maps:integer bytes:integer bytes_max:integer waiting_parts:integer \
         waiting_parts_max:integer waiting_bytes:integer waiting_bytes_max:integer",
    ),
];

/// Schema of the answer of an operation; `*Name` is a page of it. Operations that are not here answer with a free
/// object, with bytes, or with nothing.
const ANSWERS: &[(&str, &str)] = &[
    ("record_event", "Recorded"),
    ("get_event", "Event"),
    ("list_attachments", "*Attachment"),
    ("list_findings", "*Finding"),
    ("get_finding", "Finding"),
    ("resolve_finding", "Finding"),
    ("list_projects", "*Project"),
    ("create_project", "NewProject"),
    ("get_project", "Project"),
    ("change_project", "Project"),
    ("get_dsn", "Dsn"),
    ("list_keys", "*Key"),
    ("list_outcomes", "*Outcome"),
    ("get_retention", "Retention"),
    ("run_retention", "RetentionRun"),
    ("list_holds", "*Hold"),
    ("set_hold", "Hold"),
    ("list_backups", "*Backup"),
    ("get_incident", "Incident"),
    ("lock_down", "IncidentDone"),
    ("lift_lockdown", "Incident"),
    ("rotate_credentials", "IncidentDone"),
    ("revoke_leaked", "Leaked"),
    ("make_incident_report", "SignedReport"),
    ("list_reviews", "*KeptReview"),
    ("review", "Review"),
    ("get_limits", "Busiest"),
    ("get_diagnostics", "object"),
    ("create_backup", "BackupMade"),
    ("list_backup_runs", "*Run"),
    ("verify_backup", "BackupVerdict"),
    ("get_integrity", "LastIntegrity"),
    ("check_integrity", "Integrity"),
    ("get_doctor", "DoctorReport"),
    ("get_throttle", "Throttle"),
    ("list_throttle_history", "*ThrottleDecision"),
    ("promote_held", "Promoted"),
    ("list_tickets", "*Ticket"),
    ("list_releases", "*Release"),
    ("get_release", "ReleaseDetail"),
    ("get_ticket", "TicketDetail"),
    ("get_ticket_context", "TicketContext"),
    ("change_ticket", "Ticket"),
    ("approve_ticket", "Ticket"),
    ("merge_tickets", "MergedTicket"),
    ("assign_ticket", "Ticket"),
    ("claim_ticket", "Claim"),
    ("ignore_ticket", "Ticket"),
    ("add_note", "Ticket"),
    ("reopen_ticket", "Ticket"),
    ("list_ticket_events", "*EventSummary"),
    ("list_similar", "*Ticket"),
    ("list_tokens", "*Token"),
    ("create_token", "NewToken"),
    ("rotate_token", "NewToken"),
    ("issue_access_token", "AccessToken"),
    ("list_identities", "*Identity"),
    ("link_identity", "Identity"),
    ("unlink_identities", "Unlinked"),
    ("list_signing_keys", "*SigningKey"),
    ("rotate_signing_key", "SigningKey"),
    ("list_users", "*User"),
    ("create_user", "User"),
    ("change_user", "User"),
    ("set_password", "User"),
    ("list_sessions", "*Session"),
    ("log_in", "LoggedIn"),
    ("get_session", "OwnSession"),
    ("get_totp", "SecondFactor"),
    ("begin_totp", "Enrolment"),
    ("confirm_totp", "RecoveryCodes"),
    ("renew_recovery_codes", "RecoveryCodes"),
    ("list_secrets", "*Secret"),
    ("set_secret", "Secret"),
    ("get_secret", "Secret"),
    ("reveal_secret", "SecretValue"),
    ("get_vault", "Vault"),
    ("rotate_vault", "Vault"),
    ("list_audit", "*AuditRow"),
    ("verify_audit", "AuditReport"),
    ("renew_audit_witness", "AuditWitness"),
    ("list_webhooks", "*Webhook"),
    ("add_webhook", "NewWebhook"),
    ("get_webhook", "Webhook"),
    ("enable_webhook", "Webhook"),
    ("disable_webhook", "Webhook"),
    ("rotate_webhook", "WebhookSecret"),
    ("test_webhook", "WebhookTest"),
    ("list_deliveries", "*Delivery"),
    ("list_inbound", "*Inbound"),
    ("add_inbound", "NewInbound"),
    ("list_alert_rules", "*AlertRule"),
    ("save_alert_rule", "AlertRule"),
    ("dry_run_alert_rule", "AlertDryRun"),
    ("mute_ticket", "TicketMute"),
    ("unmute_ticket", "TicketMute"),
    ("list_source_maps", "*SourceMaps"),
    ("source_map_usage", "SourceMapUsage"),
];

/// All named schemas.
pub(super) fn components() -> Map<String, Value> {
    SCHEMAS.iter().map(|(name, members)| ((*name).to_owned(), object(members))).collect()
}

/// What an operation answers with.
pub(super) enum Answer {
    /// JSON of this schema.
    Json(Value),
    /// Bytes of a stranger's.
    Bytes,
}

/// The form of an operation's answer.
pub(super) fn answer(operation: &str) -> Answer {
    if operation == "get_attachment" {
        return Answer::Bytes;
    }
    Answer::Json(match ANSWERS.iter().find(|(id, _)| *id == operation).map(|(_, name)| *name) {
        None => json!({}),
        Some(name) => match name.strip_prefix('*') {
            Some(item) => json!({
                "type": "object",
                "required": ["items", "next_cursor"],
                "properties": {
                    "items": { "type": "array", "items": form(item) },
                    "next_cursor": { "type": ["string", "null"], "description": "for `cursor` of the next page" },
                    "total": { "type": ["integer", "null"], "description": "matches, where they are counted" }
                }
            }),
            None => form(name),
        },
    })
}

fn object(members: &str) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut whole = Vec::new();
    for member in members.split_whitespace() {
        if let Some(base) = member.strip_prefix('+') {
            whole.push(form(base));
            continue;
        }
        let Some((name, kind)) = member.split_once(':') else { continue };
        let name = match name.strip_prefix('-') {
            Some(optional) => optional,
            None => {
                required.push(name);
                name
            }
        };
        properties.insert(name.to_owned(), form(kind));
    }
    let own = json!({ "type": "object", "required": required, "properties": properties });
    if whole.is_empty() {
        return own;
    }
    whole.push(own);
    json!({ "allOf": whole })
}

fn form(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return json!({ "anyOf": [form(kind), { "type": "null" }] });
    }
    if let Some(item) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({ "type": "array", "items": form(item) });
    }
    match kind {
        "time" => json!({ "type": "string", "format": "date-time" }),
        "string" | "integer" | "number" | "boolean" | "object" => json!({ "type": kind }),
        name => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}
