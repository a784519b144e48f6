//! What of accounts only a turned clock shows: the use cases of the App on a real database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use actifix_app::App;
use actifix_app::accounts::{PASSWORD_BYTES_MAX, UserChange};
use actifix_app::audit::from_address;
use actifix_app::error::{Error, Result};
use actifix_app::login::{CHALLENGE_MICROS, LoggedIn, Login, Refused};
use actifix_app::ports::{Clock, Store};
use actifix_app::sessions::{IDLE_MICROS, SESSION_MICROS};
use actifix_app::tokens::NewToken;
use actifix_domain::access::{Actor, Role};
use actifix_domain::audit::{Action, AuditRecord};
use actifix_domain::login::{FAILURES_MAX, WAIT_SECONDS_MAX};
use actifix_domain::time::{DAY, HOUR, MINUTE, SECOND};
use actifix_store::StoreOptions;
use actifix_testkit::{FakeClock, NOW, OpenVault, OrderedIds, settings};
use std::net::IpAddr;
use std::sync::Arc;
use tempfile::TempDir;
use totp_rs::{Builder, Secret, Totp};

const PASSWORD: &str = "violet tractor hums quietly";
/// Refused without the work that a verification costs, and counted all the same.
const WRONG: &str = "wrong";

struct Bench {
    app: Arc<App>,
    store: Arc<dyn Store>,
    clock: Arc<FakeClock>,
    _dir: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(FakeClock::at(NOW));
        let options = StoreOptions::new(dir.path().join("data"), clock.clone(), [7; 32]);
        let store = actifix_store::open(options).await.unwrap();
        let settings = settings();
        let ids = Arc::new(OrderedIds::default());
        let app = App::new(Arc::clone(&store), clock.clone(), ids, Arc::new(OpenVault), settings);
        for (name, role) in [("admin", Role::Admin), ("jo", Role::Operator)] {
            app.create_user(&Actor::System, name, role, PASSWORD).await.unwrap();
        }
        Self { app, store, clock, _dir: dir }
    }

    async fn try_in(
        &self,
        password: &str,
        device: Option<&str>,
    ) -> Result<std::result::Result<Login, Refused>> {
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        from_address(Some(address), self.app.log_in("jo", password, None, device)).await
    }

    async fn log_in(&self) -> LoggedIn {
        match self.try_in(PASSWORD, None).await {
            Ok(Ok(Login::In(begun))) => *begun,
            other => panic!("no session: {other:?}"),
        }
    }

    /// Fails so often that each failure cost the longest wait, which this takes.
    async fn fail(&self, times: u32, device: Option<&str>) {
        let wrong = WRONG.repeat(PASSWORD_BYTES_MAX);
        for _ in 0..times {
            self.clock.advance(WAIT_SECONDS_MAX * SECOND);
            assert!(matches!(self.try_in(&wrong, device).await, Ok(Err(Refused))));
        }
        self.clock.advance(WAIT_SECONDS_MAX * SECOND);
    }

    async fn failures(&self) -> (u32, bool) {
        let users = self.app.users(&Actor::System).await.unwrap();
        let jo = users.iter().find(|view| view.user.name == "jo").unwrap();
        (jo.failures, jo.locked)
    }
}

#[tokio::test]
async fn sp800_63b_a_hundred_failures_close_an_account_to_strangers_and_not_to_its_own_devices() {
    let bench = Bench::new().await;
    let device = bench.log_in().await.device;
    bench.fail(FAILURES_MAX - 1, None).await;
    assert_eq!(bench.failures().await, (FAILURES_MAX - 1, false));
    assert!(matches!(bench.try_in(PASSWORD, None).await, Ok(Ok(Login::In(_)))), "one was left");
    assert_eq!(bench.failures().await, (0, false), "in a row");
    bench.fail(FAILURES_MAX, None).await;
    assert_eq!(bench.failures().await, (FAILURES_MAX, true));
    assert!(matches!(bench.try_in(PASSWORD, None).await, Ok(Err(Refused))), "the right one is refused alike");
    assert!(matches!(bench.try_in(PASSWORD, Some(device.reveal())).await, Ok(Ok(Login::In(_)))));
    assert!(bench.failures().await.1, "which opens it to nobody else");
    let unlock = UserChange { unlock: true, ..UserChange::default() };
    bench.app.change_user(&Actor::System, "jo", unlock).await.unwrap();
    assert_eq!(bench.failures().await, (0, false));
    bench.clock.advance(MINUTE);
    assert!(matches!(bench.try_in(PASSWORD, None).await, Ok(Ok(Login::In(_)))));
}

#[tokio::test]
async fn a_known_device_may_fail_as_often_and_is_then_a_stranger() {
    let bench = Bench::new().await;
    let device = bench.log_in().await.device;
    bench.fail(FAILURES_MAX, Some(device.reveal())).await;
    assert_eq!(bench.failures().await, (0, false), "the account is not closed by it");
    bench.fail(1, Some(device.reveal())).await;
    assert_eq!(bench.failures().await, (1, false), "now it is counted as any other");
    // A new password makes strangers of all devices.
    let device = bench.log_in().await.device;
    bench.app.set_password(&Actor::System, "jo", PASSWORD).await.unwrap();
    bench.fail(1, Some(device.reveal())).await;
    assert_eq!(bench.failures().await.0, 1);
}

#[tokio::test]
async fn waits_grow_whatever_network_it_is_tried_from() {
    let bench = Bench::new().await;
    let wrong = WRONG.repeat(PASSWORD_BYTES_MAX);
    let try_from = async |number: u8| {
        let address = IpAddr::from([192, 0, 2, number]);
        from_address(Some(address), bench.app.log_in(" Jo", &wrong, None, None)).await
    };
    let mut waits = Vec::new();
    for number in 0..40 {
        match try_from(number).await {
            Ok(Err(Refused)) => {}
            Err(Error::Throttled { retry_after_seconds }) => {
                waits.push(retry_after_seconds);
                bench.clock.advance(i64::try_from(retry_after_seconds).unwrap() * SECOND);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(waits[..8], [2, 4, 8, 16, 32, 64, 128, 256]);
    assert!(waits[8..].iter().all(|seconds| *seconds == 300), "{waits:?}");
}

#[tokio::test]
async fn asvs_7_3_a_session_ends_when_it_idles_and_after_a_week_in_any_case() {
    let bench = Bench::new().await;
    let idle = bench.log_in().await;
    bench.clock.advance(IDLE_MICROS - 1);
    assert!(bench.app.authenticate_session(idle.cookie.reveal()).await.unwrap().is_some());
    bench.clock.advance(IDLE_MICROS);
    assert!(bench.app.authenticate_session(idle.cookie.reveal()).await.unwrap().is_none());
    let used = bench.log_in().await;
    let began = bench.clock.now();
    while bench.clock.now().since(began) < SESSION_MICROS - HOUR {
        assert!(bench.app.authenticate_session(used.cookie.reveal()).await.unwrap().is_some());
        bench.clock.advance(HOUR);
    }
    bench.clock.advance(HOUR);
    assert!(bench.app.authenticate_session(used.cookie.reveal()).await.unwrap().is_none());
}

#[tokio::test]
async fn asvs_7_5_3_dangerous_acts_want_the_password_of_the_last_ten_minutes() {
    let bench = Bench::new().await;
    let begun = bench.log_in().await;
    let live = bench.app.authenticate_session(begun.cookie.reveal()).await.unwrap().unwrap();
    bench.app.require_recent(&live.actor, None).await.unwrap();
    bench.clock.advance(10 * MINUTE);
    let refused = bench.app.require_recent(&live.actor, None).await;
    assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
    bench.app.require_recent(&live.actor, Some(PASSWORD)).await.unwrap();
    // Whoever took over an open browser does not guess on for ever.
    let wrong = WRONG.repeat(PASSWORD_BYTES_MAX);
    for left in (0..10).rev() {
        assert!(bench.app.authenticate_session(begun.cookie.reveal()).await.unwrap().is_some(), "{left}");
        bench.clock.advance(WAIT_SECONDS_MAX * SECOND);
        let refused = bench.app.require_recent(&live.actor, Some(&wrong)).await;
        assert!(matches!(refused, Err(Error::Forbidden { .. })), "{refused:?}");
    }
    assert!(bench.app.authenticate_session(begun.cookie.reveal()).await.unwrap().is_none());
    assert_eq!(bench.failures().await.0, 0, "and the account is not what it locked");
}

#[tokio::test]
async fn ghsa_6j4w_what_was_issued_ends_with_password_role_state_and_sessions() {
    let bench = Bench::new().await;
    let epoch = async || bench.store.user("jo").await.unwrap().unwrap();
    let change = async |what: &str, before: &actifix_app::ports::UserRecord| {
        assert!(!bench.app.is_current_epoch(&before.id, before.epoch).await.unwrap(), "{what}");
        epoch().await
    };
    let jo = epoch().await;
    assert!(bench.app.is_current_epoch(&jo.id, jo.epoch).await.unwrap());
    bench.app.set_password(&Actor::System, "jo", PASSWORD).await.unwrap();
    let jo = change("password", &jo).await;
    let viewer = UserChange { role: Some(Role::Viewer), ..UserChange::default() };
    bench.app.change_user(&Actor::System, "jo", viewer).await.unwrap();
    let jo = change("role", &jo).await;
    bench.app.kill_all_sessions(&Actor::System).await.unwrap();
    let jo = change("sessions", &jo).await;
    let closed = UserChange { disabled: Some(true), ..UserChange::default() };
    bench.app.change_user(&Actor::System, "jo", closed).await.unwrap();
    let jo = change("state", &jo).await;
    assert!(!bench.app.is_current_epoch(&jo.id, jo.epoch).await.unwrap(), "closed");
    let open = UserChange { disabled: Some(false), ..UserChange::default() };
    bench.app.change_user(&Actor::System, "jo", open).await.unwrap();
    assert!(bench.app.is_current_epoch(&jo.id, jo.epoch).await.unwrap());
    assert!(!bench.app.is_current_epoch("nobody", 1).await.unwrap());
}

async fn enrolled(bench: &Bench) -> Totp {
    let begun = bench.log_in().await;
    let live = bench.app.authenticate_session(begun.cookie.reveal()).await.unwrap().unwrap();
    let enrolment = bench.app.begin_factor(&live.actor, PASSWORD).await.unwrap();
    let secret = Secret::try_from_base32(enrolment.secret.as_str()).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    bench.clock.advance(10 * MINUTE);
    let late = bench.app.confirm_factor(&live.actor, &code(bench, &totp, 0)).await;
    assert!(matches!(late, Err(Error::Conflict { .. })), "an enrolment is not open for ever: {late:?}");
    let enrolment = bench.app.begin_factor(&live.actor, PASSWORD).await.unwrap();
    let secret = Secret::try_from_base32(enrolment.secret.as_str()).unwrap();
    let totp = Builder::new().with_secret(secret).build().unwrap();
    bench.app.confirm_factor(&live.actor, &code(bench, &totp, 0)).await.unwrap();
    totp
}

/// The code of so many steps from now.
fn code(bench: &Bench, totp: &Totp, steps: i64) -> String {
    let seconds = bench.clock.now().micros() / SECOND + steps * 30;
    totp.generate(u64::try_from(seconds).unwrap()).to_string()
}

#[tokio::test]
async fn rfc_6238_a_code_is_good_for_a_step_before_and_after_and_once() {
    let bench = Bench::new().await;
    let totp = enrolled(&bench).await;
    let with = async |code: &str| match bench.app.log_in("jo", PASSWORD, Some(code), None).await {
        Ok(Ok(Login::In(_))) => true,
        Ok(Ok(Login::CodeNeeded(_))) => false,
        other => panic!("{other:?}"),
    };
    let step = |steps: i64| bench.clock.advance(steps * 30 * SECOND);
    assert!(!with(&code(&bench, &totp, 0)).await, "the one that confirmed it");
    step(10);
    assert!(!with(&code(&bench, &totp, 2)).await && !with(&code(&bench, &totp, -2)).await);
    assert!(with(&code(&bench, &totp, -1)).await);
    assert!(!with(&code(&bench, &totp, -1)).await, "once");
    assert!(with(&code(&bench, &totp, 1)).await);
    assert!(!with(&code(&bench, &totp, 0)).await, "none before one that was taken");
    step(1);
    assert!(!with(&code(&bench, &totp, 0)).await, "however its time comes");
    step(1);
    assert!(with(&code(&bench, &totp, 0)).await);
    // A clock that is put back does not bring a code back.
    let used = code(&bench, &totp, 0);
    bench.clock.set_wall(bench.clock.now().plus(-30 * SECOND));
    assert!(!with(&used).await);
}

#[tokio::test]
async fn a_challenge_is_answered_within_minutes_or_not_at_all() {
    let bench = Bench::new().await;
    let totp = enrolled(&bench).await;
    let asked = async || match bench.app.log_in("jo", PASSWORD, None, None).await {
        Ok(Ok(Login::CodeNeeded(challenge))) => challenge.text,
        other => panic!("{other:?}"),
    };
    let challenge = asked().await;
    bench.clock.advance(CHALLENGE_MICROS);
    let answer = bench.app.answer_challenge(challenge.reveal(), &code(&bench, &totp, 0), None).await;
    assert!(matches!(answer, Ok(Ok(Login::In(_)))), "{answer:?}");
    let challenge = asked().await;
    bench.clock.advance(CHALLENGE_MICROS + 1);
    let late = bench.app.answer_challenge(challenge.reveal(), &code(&bench, &totp, 0), None).await;
    assert!(matches!(late, Ok(Err(Refused))), "{late:?}");
}

#[tokio::test]
async fn sp800_63b_a_hundred_wrong_codes_close_the_second_factor_to_strangers() {
    let bench = Bench::new().await;
    let device = bench.log_in().await.device;
    let totp = enrolled(&bench).await;
    let Ok(Ok(Login::CodeNeeded(challenge))) = bench.app.log_in("jo", PASSWORD, None, None).await else {
        panic!("no challenge");
    };
    let mut challenge = challenge.text;
    for _ in 0..FAILURES_MAX {
        bench.clock.advance(CHALLENGE_MICROS);
        // Each answer brings the next challenge: the password is not asked for again.
        match bench.app.answer_challenge(challenge.reveal(), "no code", None).await {
            Ok(Ok(Login::CodeNeeded(next))) => challenge = next.text,
            other => panic!("{other:?}"),
        }
    }
    bench.clock.advance(WAIT_SECONDS_MAX * SECOND);
    assert_eq!(bench.failures().await, (FAILURES_MAX, true));
    let right = code(&bench, &totp, 0);
    let stranger = bench.app.log_in("jo", PASSWORD, Some(&right), None).await;
    assert!(matches!(stranger, Ok(Ok(Login::CodeNeeded(_)))), "{stranger:?}");
    let known = bench.app.log_in("jo", PASSWORD, Some(&right), Some(device.reveal())).await;
    assert!(matches!(known, Ok(Ok(Login::In(_)))), "and the code was not used up: {known:?}");
}

/// Pages and changes of accounts look as well; who comes by another way must find the same.
#[tokio::test]
async fn rights_are_looked_at_where_a_thing_is_and_again_while_it_lasts() {
    let bench = Bench::new().await;
    let begun = bench.log_in().await;
    let live = bench.app.authenticate_session(begun.cookie.reveal()).await.unwrap().unwrap();
    assert!(matches!(bench.app.settings_in_effect(&live.actor), Err(Error::Forbidden { .. })));
    assert!(matches!(bench.app.examine(&live.actor, false).await, Err(Error::Forbidden { .. })));
    assert!(bench.app.goes_on(&live).await.unwrap());
    let mut user = bench.store.user("jo").await.unwrap().unwrap();
    user.role = Role::Viewer;
    let record = AuditRecord::system(NOW, Action::UserRoleChanged, "user:jo");
    bench.store.save_user(&user, false, &record).await.unwrap();
    assert!(!bench.app.goes_on(&live).await.unwrap(), "a session that went on with other rights");
}

async fn token(bench: &Bench, days: u32) -> (String, String) {
    let new = NewToken { name: "ci".to_owned(), scopes: Role::Viewer.scopes(), project: None, days };
    let (record, text) = bench.app.create_token(&Actor::System, new).await.unwrap();
    (record.id, text.reveal().to_owned())
}

#[tokio::test]
async fn uses_of_a_token_are_noted_seldom_and_not_by_requests() {
    let bench = Bench::new().await;
    let (id, text) = token(&bench, 30).await;
    let used = async || {
        let rows = bench.store.tokens().await.unwrap();
        rows.into_iter().find(|row| row.id == id).unwrap().last_used_at
    };
    let begun = bench.clock.now();
    bench.app.authenticate_token(&text).await.unwrap().unwrap();
    assert_eq!(used().await, None, "the request writes nothing");
    bench.app.flush_token_uses().await.unwrap();
    assert_eq!(used().await, Some(begun));
    for _ in 0..9 {
        bench.clock.advance(MINUTE);
        bench.app.authenticate_token(&text).await.unwrap().unwrap();
        bench.app.flush_token_uses().await.unwrap();
    }
    assert_eq!(used().await, Some(begun), "not again within ten minutes");
    bench.clock.advance(MINUTE);
    bench.app.authenticate_token(&text).await.unwrap().unwrap();
    bench.app.flush_token_uses().await.unwrap();
    assert_eq!(used().await, Some(bench.clock.now()));
    bench.app.revoke_tokens(&Actor::System, Some(&id)).await.unwrap();
    let last = used().await;
    bench.clock.advance(HOUR);
    assert!(bench.app.authenticate_token(&text).await.unwrap().is_none());
    bench.app.flush_token_uses().await.unwrap();
    assert_eq!(used().await, last, "a refused one is no use");
}

#[tokio::test]
async fn people_are_warned_14_7_and_1_days_before_a_token_ends_once_each() {
    let bench = Bench::new().await;
    let (id, _) = token(&bench, 30).await;
    let (rotated, _) = token(&bench, 30).await;
    let (new, _) = bench.app.rotate_token(&Actor::System, &rotated, 7 * 24).await.unwrap();
    let warned = async |id: &str| {
        bench.app.warn_of_token_expiry().await.unwrap();
        let rows = bench.store.tokens().await.unwrap();
        rows.into_iter().find(|row| row.id == id).unwrap().warned_days
    };
    let mut seen = vec![warned(&id).await];
    for _ in 0..30 {
        bench.clock.advance(DAY);
        let now = warned(&id).await;
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [None, Some(14), Some(7), Some(1)]);
    assert_eq!(warned(&rotated).await, None, "who replaced it need not hear of its end");
    assert_eq!(warned(&new.id).await, Some(1));
    let (short, _) = token(&bench, 1).await;
    assert_eq!(warned(&short).await, Some(1), "a short one is warned about once and not three times");
    let ending = bench.app.ending_tokens().await.unwrap();
    let told: Vec<_> = ending.iter().map(|token| (token.name.as_str(), token.hours_left)).collect();
    assert_eq!(told, [("ci", 24)]);
}
