//! Prints what redaction costs: `cargo run --release -p actifix-secrets --example redact_speed`.
#![allow(clippy::print_stdout, clippy::disallowed_methods)]

use std::time::Instant;

use actifix_secrets::{Engine, Report, Settings};
use serde_json::{Value, json};

fn frame(index: usize) -> Value {
    json!({
        "filename": format!("flask/app_{index}.py"),
        "abs_path": format!("/srv/shop/venv/lib/python3.11/site-packages/flask/app_{index}.py"),
        "function": "full_dispatch_request", "module": "flask.app", "lineno": 900 + index, "in_app": index.is_multiple_of(3),
        "pre_context": ["        try:", "            request_started.send(self, _async_wrapper=self.ensure_sync)",
            "            rv = self.preprocess_request()", "            if rv is None:", ""],
        "context_line": "                rv = self.dispatch_request()",
        "post_context": ["        except Exception as e:", "            rv = self.handle_user_exception(e)",
            "        return self.finalize_request(rv)", "", "    def finalize_request("],
        "vars": {"self": "<Flask 'shop'>", "rv": "None", "order_id": "1234", "url": "https://svc.example.net/v1/orders/1234?page=2",
            "cart": [{"sku": "'A-1'", "qty": "2"}, {"sku": "'B-7'", "qty": "1"}]}
    })
}

fn event() -> Value {
    json!({
        "event_id": "09eb509b211848a9a74bebdadeb3fb98", "level": "error", "platform": "python", "release": "shop@2.4.1",
        "exception": {"values": [{"type": "PaymentError", "value": "order 1234 could not be paid",
            "stacktrace": {"frames": (0..24).map(frame).collect::<Vec<_>>()}}]},
        "user": {"id": "4711", "email": "bob@example.com", "ip_address": "203.0.113.189"},
        "request": {"url": "http://localhost/orders/1234/pay", "query_string": "token=abcdef0123&page=2",
            "headers": {"User-Agent": "Mozilla/5.0 test", "Host": "localhost", "Authorization": "Bearer abcdef0123456789"}},
        "extra": {"password": "hunter2hunter2", "note": "keep me"},
        "breadcrumbs": {"values": [{"category": "auth", "message": "login ok password=hunter2hunter2"}]}
    })
}

#[inline(never)]
fn redact_once(engine: &Engine, settings: &Settings, event: &mut Value) -> (Report, bool) {
    let mut session = engine.session(settings);
    let ok = session.value("event", event).is_ok();
    session.echo_value(event);
    (session.finish(), ok)
}

fn main() {
    let begin = Instant::now();
    let engine = Engine::builtin();
    println!("build: {:.1} ms, {} rules", begin.elapsed().as_secs_f64() * 1e3, engine.rules().count());
    let settings = Settings::default();
    let event = event();
    let bytes = event.to_string().len();
    let rounds: u32 = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(2_000);
    let mut redactions = 0;
    let (mut worst, mut best) = (0.0_f64, f64::MAX);
    let mut total = 0.0_f64;
    for round in 0..rounds + 100 {
        let mut copy = event.clone();
        let begin = Instant::now();
        let (report, ok) = redact_once(&engine, &settings, &mut copy);
        let spent = begin.elapsed().as_secs_f64();
        if round >= 100 {
            total += spent;
            worst = worst.max(spent);
            best = best.min(spent);
        }
        redactions = report.redactions.values().sum::<u64>() + u64::from(!ok);
    }
    let kib = bytes as f64 / 1024.0;
    let mean = total / f64::from(rounds) * 1e6;
    println!(
        "event of {bytes} bytes, {redactions} redactions: {mean:.1} us, {:.2} us/KB, best {:.2}, worst {:.2} us/KB",
        mean / kib,
        best * 1e6 / kib,
        worst * 1e6 / kib
    );
}
