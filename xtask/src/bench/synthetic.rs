//! Events of 15 KB in the shape of Python SDK reports: frames with variables and source, breadcrumbs, a request,
//! and a few secrets, put together at run time.

use anyhow::Result;
use serde_json::{Value, json};

use super::bodies::{Dice, GROUP_MARK, ID_MARK, Template, USER_MARK};

/// Size of an event before compression, bytes.
const EVENT_BYTES: usize = 15 * 1024;
const FRAMES: usize = 11;
const CRUMBS_MAX: usize = 60;
const WORDS: &[&str] = &[
    "order", "invoice", "customer", "basket", "payment", "session", "charge", "refund", "ledger", "account",
    "address", "stock", "delivery", "coupon", "balance", "receipt", "quote", "carrier", "parcel", "supplier",
];
const VERBS: &[&str] =
    &["load", "save", "check", "send", "find", "merge", "split", "count", "build", "apply"];
const KINDS: &[&str] =
    &["ValueError", "KeyError", "TimeoutError", "PaymentError", "ConnectionError", "LookupError"];

/// One event that differs from those of other seeds in its words, its frames and its size by a few bytes.
///
/// Templates of one seed are equal but for the marks, so that their group is decided by [`GROUP_MARK`] alone.
pub fn template(seed: u64) -> Result<Template> {
    let (head, rest) = event(seed);
    let envelope = format!(
        "{{\"event_id\":\"{ID_MARK}\",\"sdk\":{{\"name\":\"sentry.python\",\"version\":\"2.75.0\"}}}}\n\
         {{\"type\":\"event\",\"length\":{},\"content_type\":\"application/json\"}}\n{head}",
        head.len() + rest.len()
    );
    Template::new(&envelope, format!("{rest}\n").as_bytes())
}

/// The event alone, as JSON, its marks filled.
pub fn event_json(seed: u64) -> String {
    let (head, rest) = event(seed);
    let head = head.replace(ID_MARK, &format!("{seed:032x}")).replace(GROUP_MARK, "aaaaaaaa");
    head.replace(USER_MARK, &format!("{:08}", seed % 100_000_000)) + &rest
}

/// Beginning with the marks, and the rest.
fn event(seed: u64) -> (String, String) {
    let mut dice = Dice::new(seed + 1);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let kind = pick(&mut dice, KINDS);
    let (noun, verb) = (pick(&mut dice, WORDS), pick(&mut dice, VERBS));
    let first = frame(&mut dice, 0, &format!("{verb}_{GROUP_MARK}"));
    let head = format!(
        "{{\"event_id\":\"{ID_MARK}\",\"timestamp\":{:.3},\"platform\":\"python\",\"level\":\"error\",\
         \"user\":{{\"id\":\"{USER_MARK}\",\"email\":\"user{USER_MARK}@shop.example.com\"}},\
         \"exception\":{{\"values\":[{{\"type\":\"{kind}\",\"value\":\"{noun} could not be handled by {verb}\",\
         \"module\":\"shop.errors\",\"mechanism\":{{\"type\":\"flask\",\"handled\":false}},\
         \"stacktrace\":{{\"frames\":[{first}",
        now.as_secs_f64(),
    );
    let mut rest = String::new();
    for index in 1..FRAMES {
        let name = format!("{}_{}", pick(&mut dice, VERBS), pick(&mut dice, WORDS));
        rest.push(',');
        rest.push_str(&frame(&mut dice, index, &name).to_string());
    }
    rest.push_str("]}}]},");
    let tail = tail(&mut dice).to_string();
    rest.push_str(tail.get(1..tail.len() - 1).unwrap_or_default());
    rest.push_str(",\"breadcrumbs\":{\"values\":[");
    for number in 0..CRUMBS_MAX {
        if number > 0 {
            rest.push(',');
        }
        rest.push_str(&crumb(&mut dice, number).to_string());
        if head.len() + rest.len() >= EVENT_BYTES {
            break;
        }
    }
    rest.push_str("]}}");
    (head, rest)
}

fn pick<'a>(dice: &mut Dice, words: &[&'a str]) -> &'a str {
    words.get(usize::try_from(dice.below(words.len() as u64)).unwrap_or(0)).copied().unwrap_or("word")
}

fn frame(dice: &mut Dice, index: usize, function: &str) -> Value {
    let in_app = index % 3 != 2;
    let module = format!("{}.{}", if in_app { "shop" } else { "flask" }, pick(dice, WORDS));
    let root = if in_app { "/srv/shop" } else { "/srv/shop/venv/lib/python3.13/site-packages" };
    let (a, b, c) = (pick(dice, WORDS), pick(dice, VERBS), pick(dice, WORDS));
    json!({
        "filename": format!("{}.py", module.replace('.', "/")),
        "abs_path": format!("{root}/{}.py", module.replace('.', "/")),
        "function": function, "module": module, "lineno": 20 + dice.below(900), "in_app": in_app,
        "pre_context": [
            format!("    def {b}_{a}(self, {a}_id, {c}=None):"),
            format!("        {a} = self.{a}s.get({a}_id)"),
            format!("        if {a} is None or {a}.closed:"),
            format!("            log.warning(\"no {a} to {b}\", extra={{\"{a}\": {a}_id}})"),
            "            return None",
        ],
        "context_line": format!("        return self.backend.{b}({a}, {c}=self.{c}_for({a}))"),
        "post_context": [
            "", format!("    def {c}_for(self, {a}):"),
            format!("        with self.lock({a}.id):"),
            format!("            return self.{c}s[{a}.{c}_id]"), "",
        ],
        "vars": {
            "self": format!("<shop.{a}.Service object at 0x7f{:010x}>", dice.below(1 << 40)),
            format!("{a}_id"): dice.below(1_000_000).to_string(),
            format!("{c}"): format!("<{c} {} of customer {}>", dice.below(100_000), dice.below(100_000)),
            "retries": dice.below(5).to_string(),
            "options": {"timeout": "30", "currency": "'EUR'", "dry_run": "False"},
        },
    })
}

fn crumb(dice: &mut Dice, number: usize) -> Value {
    let (noun, verb) = (pick(dice, WORDS), pick(dice, VERBS));
    match number % 3 {
        0 => json!({
            "type": "http", "category": "httplib", "timestamp": 1_795_513_000.0 + number as f64,
            "data": {"url": format!("https://api.example.net/v1/{noun}s/{}", dice.below(1_000_000)),
                     "method": "GET", "status_code": 200, "reason": "OK"},
        }),
        1 => json!({
            "type": "default", "category": "query", "timestamp": 1_795_513_000.0 + number as f64,
            "message": format!("SELECT id, state, total FROM {noun}s WHERE customer_id = %s AND state <> %s ORDER BY id"),
        }),
        _ => json!({
            "type": "log", "category": format!("shop.{noun}"), "level": "info",
            "timestamp": 1_795_513_000.0 + number as f64,
            "message": format!("{verb} {noun} {} for customer {}", dice.below(100_000), dice.below(100_000)),
        }),
    }
}

/// All beside exception and breadcrumbs. Six secrets, none of which stands in the source.
fn tail(dice: &mut Dice) -> Value {
    const AWS: [&str; 2] = ["AK", "IA"];
    let password = random_word(dice, 18);
    let card = ["4111", "1111", "1111", "1111"].concat();
    json!({
        "logger": "shop.web", "release": format!("shop@2.{}.0", dice.below(8)),
        "environment": if dice.below(4) == 0 { "staging" } else { "production" },
        "server_name": format!("web-{}", dice.below(12)), "transaction": "shop.web.pay",
        "tags": {"region": "eu-1", "plan": pick(dice, &["free", "team", "business"]), "worker": dice.below(16).to_string()},
        "request": {
            "url": "https://shop.example.net/orders/pay", "method": "POST",
            "query_string": format!("page=2&token={}", random_word(dice, 24)),
            "headers": {
                "Accept": "*/*", "Host": "shop.example.net", "Content-Type": "application/json",
                "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
                "Authorization": format!("Bearer {}", random_word(dice, 40)),
                "Cookie": format!("sessionid={}; theme=dark", random_word(dice, 32)),
            },
            "data": {"order": dice.below(100_000), "card": card, "amount": "129.00"},
        },
        "contexts": {
            "runtime": {"name": "CPython", "version": "3.13.1", "build": "3.13.1 (main, Dec 3 2024, 17:59:52) [GCC 12.2.0]"},
            "trace": {"trace_id": format!("{:032x}", dice.next()), "span_id": format!("{:016x}", dice.next()), "op": "http.server"},
        },
        "extra": {
            "sys.argv": ["/srv/shop/venv/bin/gunicorn", "shop.web:app", "--workers", "4"],
            "database": format!("{}://shop:{password}@db.example.internal:5432/shop", "postgresql"),
            "aws": {"key": format!("{}{}", AWS.concat(), random_word(dice, 16).to_uppercase())},
        },
        "modules": {"flask": "3.1.0", "requests": "2.32.3", "sqlalchemy": "2.0.36", "sentry-sdk": "2.75.0", "redis": "5.2.1"},
        "sdk": {"name": "sentry.python.flask", "version": "2.75.0", "integrations": ["argv", "atexit", "dedupe", "flask", "logging", "modules", "sqlalchemy", "stdlib", "threading"]},
    })
}

fn random_word(dice: &mut Dice, length: usize) -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    (0..length).map(|_| char::from(LETTERS[usize::try_from(dice.below(32)).unwrap_or(0)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_json_of_the_promised_size() {
        for seed in 0..20 {
            let text = event_json(seed);
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!((EVENT_BYTES..EVENT_BYTES + 1024).contains(&text.len()), "{} bytes", text.len());
            let frames = value["exception"]["values"][0]["stacktrace"]["frames"].as_array().unwrap();
            assert_eq!(frames.len(), FRAMES);
            assert!(frames[0]["function"].as_str().unwrap().ends_with("_aaaaaaaa"));
            assert!(value["request"]["headers"]["Authorization"].is_string());
            assert!(value["breadcrumbs"]["values"].as_array().unwrap().len() > 5);
            template(seed).unwrap();
        }
    }
}
