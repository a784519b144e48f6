//! Hostile text costs in proportion to its length, or ends in an error: counted in work, not in time.
use serde_json::{Value, json};

use crate::bytes::steps;
use crate::{Budget, BudgetExceeded, Engine, Settings};

/// Work per byte that no text may cost, with all of its passes and views: at most that of all patterns of a keyword on
/// their windows. The budget ends it long before.
const PER_BYTE_MAX: u64 = 2_500;

/// Work of one value under a budget that does not end it: as the session counts it and in steps of the searches.
fn work(mut value: Value) -> (u64, u64) {
    let budget = Budget { bytes_max: u64::MAX, work_per_byte_max: 100_000, ..Budget::default() };
    let settings = Settings { budget, ..Settings::default() };
    let engine = Engine::builtin();
    let mut session = engine.session(&settings);
    steps::take();
    session.value("event", &mut value).unwrap();
    (session.work(), steps::take())
}

fn repeated(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len())
}

/// What made the engine scan the same bytes again and again.
fn units() -> Vec<String> {
    let mut units: Vec<String> = [
        "sid=",
        "pass=",
        "pin:",
        "jwt=",
        "auth=",
        "session=",
        "bearer=",
        "token:",
        "?key=",
        "pass%3d",
        "%70%61%73%73%3d",
        "Cookie: a",
        "cookie=",
        "INSERT INTO a(",
        "insert into ",
        "sk-proj-",
        "a://b:",
        "a://b:${",
        "sid=/1-",
        "auth=digest ",
        "set-cookie:a=b",
        "session ",
        "token ",
        "AKIA=",
        "x-auth: ",
        "authorization=",
        "Bearer ",
        "Basic ",
        "curl -u a",
        "ghs_",
        "AIza",
        "eyJ.",
        "eyJ-",
        "pass=\"",
        "pass='",
        "pass=''",
        "pass=%22",
        "<pass>",
        "&sig=",
        "{\"sid\":",
        "sid=(",
        "pass=\\\"",
        "sid_at_",
        "password",
        "password ",
        "a@",
        "1.",
        "a:",
        "\\u0070",
        "identified by '",
        "--password ",
        "\"password\" {",
        "password\n",
        "name=\"password\"\r\n",
        "datadog_key=",
        "[redacted:a]sid=",
        "password,",
        "a,password\n",
        "echo x | sudo -S ",
        "mysql -u ",
        "sshpass ",
        "password:\n",
        "('password', ",
        "new PDO('a',",
        "<password a=",
        "x:5432:",
        "jdbc:oracle:thin:a/",
        "p\u{430}ssword=",
        "a+%3D--",
        "41",
        "password: |\n ",
        "auth=a,",
        "sid=;",
        "cookie:a;",
        "dbpass=",
        "password:a:",
        "a://b:c\"d@e/",
        "a://b:c&",
        "password=''a",
        "input_value=",
        "\npassword\n  input_value='a",
        "field password rejected value [",
        " at path password value ",
        "path: ['password'] input",
        "path: [",
        "assert 'a' ==",
        "failed: password\n  left: \"",
        "insert into a(password) values(?) [parameters: ('",
        "[parameters: ",
        "parameters: $1 = '",
        "key (password)=(",
        "sp_executesql pwd=@p @p='a",
        "declare @password ",
        "password('",
        "password|\n--\n",
        "| password |\n|--|\n|a|\n",
        "auth=(",
        "connect(1,",
        "login('a','",
        "rawheaders: ['a','",
        "acl setuser >a ",
        "|echo a --password-stdin",
        "a:b@tcp(",
        "a/b@c:1521",
        "_proxy=a:b@",
        "\"a@b\" for connection option",
        "'password': ['",
        "password: Some(\n",
        ";pwd={",
        "password:private]=>",
        "LOGIN a ",
        "AUTH ",
        "smbclient -U a%",
        "password = \"a\" -> \"",
    ]
    .iter()
    .map(|unit| (*unit).to_owned())
    .collect();
    units.push(["-----BEGIN RSA PRIVATE ", "KEY-----"].concat());
    units.push(["AKIA", "ABCDEFGHIJKLMNOP "].concat());
    units
}

#[test]
fn work_grows_with_the_text_and_not_with_its_square() {
    let mut wrong = Vec::new();
    for unit in units() {
        let (short, long) = (repeated(&unit, 10_000), repeated(&unit, 100_000));
        let ((few, few_steps), (many, many_steps)) = (work(json!(short)), work(json!(long)));
        let linear = many <= few.max(200_000) * 13 && many_steps <= few_steps.max(200_000) * 13;
        // Addresses and card numbers are looked for in some bytes around each sign, which the session does not count.
        if many > PER_BYTE_MAX * 100_000 || many_steps > 3 * many || !linear {
            wrong.push(format!(
                "{unit:?}: {few} and {few_steps} for 10 KB, {many} and {many_steps} for 100 KB"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn work_grows_with_the_number_of_keys() {
    let keys = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("{}{n:030}", ["ghp", "_"].concat()), json!(n)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let ((few, _), (many, _)) = (work(keys(1_000)), work(keys(10_000)));
    assert!(many < few * 13, "{few} for 1,000 keys, {many} for 10,000");
}

#[test]
fn hostile_text_ends_in_an_error() {
    let engine = Engine::builtin();
    let settings = Settings::default();
    let mut text = json!(repeated("sk-proj-", 900_000));
    let mut session = engine.session(&settings);
    let ended = session.value("event", &mut text);
    assert!(matches!(ended, Err(BudgetExceeded::Bytes { .. })), "{ended:?}, {} units", session.work());
    // What came before the end is no licence for more.
    assert!(session.text("more", &mut "x".to_owned()).is_err());
}
