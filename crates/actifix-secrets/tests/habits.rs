//! How programs print what they hold, language by language: names in the spelling of the language, values that are random,
//! that have signs, and that are words. What an attacker reads in a ticket is what is left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::print_stdout, reason = "says how many of how many leak")]

#[path = "support/redact.rs"]
mod whole;

use serde_json::json;
use whole::{redact, redact_value};

/// Templates of a language: `§` the value, `{n}` the name in snake case, `{c}` in camel case, `{C}` in Pascal case, `{N}` in
/// upper case, `{k}` in kebab case.
const HABITS: &[(&str, &[&str])] = &[
    (
        "python",
        &[
            "Config(host='db1', {n}='§', port=5432)",
            "Namespace(verbose=False, {n}='§')",
            "    {n} = '§'\n    retries = 3",
            "{'host': 'db1',\n '{n}': '§',\n 'port': 5432}",
            "OrderedDict([('host', 'db1'), ('{n}', '§')])",
            "argument --{k}: invalid int value: '§'",
            "app.py: error: unrecognized arguments: --{k} §",
            "environ({'HOME': '/root', '{N}': '§'})",
            "{n} {n}='§' of <User 3> was refused",
            "TypeError: connect() got an unexpected value for {n}: '§'",
            "defaultdict(<class 'str'>, {'{n}': '§'})",
            "Settings({n}=SecretStr('§'))",
        ],
    ),
    (
        "ruby",
        &[
            "#<Config:0x000078 @host=\"db1\", @{n}=\"§\">",
            "#<struct Config host=\"db1\", {n}=\"§\">",
            "{host: \"db1\", {n}: \"§\"}",
            "{\"host\" => \"db1\", \"{n}\" => \"§\"}",
            "Parameters: {\"user\"=>{\"name\"=>\"bob\", \"{n}\"=>\"[FILTERED]\"}, \"{n}\"=>\"§\"}",
            "UPDATE \"users\" SET \"{n}\" = $1 WHERE \"users\".\"id\" = $2  [[\"{n}\", \"§\"], [\"id\", 3]]",
            "#<data Config host=\"db1\", {n}=\"§\">",
        ],
    ),
    (
        "php",
        &[
            "array (\n  'host' => 'db1',\n  '{n}' => '§',\n)",
            "Array\n(\n    [host] => db1\n    [{n}] => §\n)",
            "object(Config)#1 (2) {\n  [\"{c}\"]=>\n  string(14) \"§\"\n}",
            "App\\Config {#12\n  -host: \"db1\"\n  -{c}: \"§\"\n}",
            "^ array:2 [▼\n  \"host\" => \"db1\"\n  \"{n}\" => \"§\"\n]",
            "enum(Config) {{c}: '§'}",
            "O:6:\"Config\":1:{s:8:\"{n}\";s:14:\"§\";}",
        ],
    ),
    (
        "java",
        &[
            "Config[host=db1, {c}=§]",
            "Config(host=db1, {c}=§, port=5432)",
            "{host=db1, {c}=§}",
            "Config{host='db1', {c}='§'}",
            "app.datasource.{k}=§",
            "app.datasource.{k} : §",
            "[{c} -> §]",
            "Binding to target failed:\n\n    Property: app.{k}\n    Value: \"§\"\n    Origin: x",
            "-D{c}=§ -Xmx1g",
        ],
    ),
    (
        "go",
        &[
            "{Host:db1 {C}:§ Port:5432}",
            "&{Host:db1 {C}:§}",
            "main.Config{Host:\"db1\", {C}:\"§\"}",
            "map[host:db1 {n}:§]",
            "map[string]string{\"host\":\"db1\", \"{n}\":\"§\"}",
            "level=info msg=\"connecting\" {n}=§ host=db1",
            "level=info msg=\"connecting\" {n}=\"§\"",
            "url.Values{\"{n}\":[]string{\"§\"}}",
            "INFO\tconnecting\t{\"{n}\": \"§\"}",
            "2026/11/30 12:00:00 {n}=§",
            "invalid value \"§\" for flag -{k}: parse error",
            "strconv.Atoi: parsing {n} \"§\": invalid syntax",
        ],
    ),
    (
        "rust",
        &[
            "Config { host: \"db1\", {n}: \"§\" }",
            "Config {\n    host: \"db1\",\n    {n}: \"§\",\n}",
            "[src/main.rs:4:5] {n} = \"§\"",
            "[src/main.rs:4:5] &self.{n} = Some(\n    \"§\",\n)",
            "INFO connect{host=db1 {n}=§}: app: started",
            "{\"{n}\": String(\"§\")}",
            "error: invalid value '§' for '--{k} <{N}>': not a number",
            "Secret({n}: \"§\")",
        ],
    ),
    (
        "dotnet",
        &[
            "Config { Host = db1, {C} = § }",
            "{ Host = db1, {C} = \"§\" }",
            "Failed to convert configuration value '§' at 'App:{C}' to type 'System.Int32'.",
            "@{c}='§' (Size = 14), @p1='3'",
            "[Parameters=[@{c}='§' (Size = 4000)], CommandType='Text']",
        ],
    ),
    (
        "node",
        &[
            "{ host: 'db1', {c}: '§' }",
            "Map(2) { 'host' => 'db1', '{n}' => '§' }",
            "[Object: null prototype] { {n}: '§' }",
            "URLSearchParams { 'user' => 'bob', '{n}' => '§' }",
            "Headers { 'x-{k}': '§' }",
            "{\n  headers: { 'x-{k}': [ '§' ] }\n}",
            "Config { host: 'db1', _{c}: '§' }",
            "PrismaClientValidationError: Argument `{c}`: Invalid value provided. Expected Int, provided String '§'.",
            "✖ Invalid value for {c}: §",
            "env.{N}: '§'",
            "process.env.{N} = '§'",
            "[ [ '{n}', '§' ] ]",
            "Symbol({c}): '§'",
        ],
    ),
    (
        "apple",
        &[
            "Config(host: \"db1\", {c}: \"§\")",
            "▿ Config\n  - host: \"db1\"\n  - {c}: \"§\"",
            "{c}: Optional(\"§\")",
            "[\"host\": \"db1\", \"{c}\": \"§\"]",
            "{\n    host = db1;\n    {c} = \"§\";\n}",
            "{\n    {c} = §;\n}",
            "UserInfo={{c}=§, host=db1}",
            "AnyHashable(\"{c}\"): \"§\"",
        ],
    ),
    (
        "beam",
        &[
            "%{host: \"db1\", {n}: \"§\"}",
            "%{\"host\" => \"db1\", \"{n}\" => \"§\"}",
            "[host: \"db1\", {n}: \"§\"]",
            "%Config{host: \"db1\", {n}: \"§\"}",
            "#{host => <<\"db1\">>,{n} => <<\"§\">>}",
            "{{n}, ~c\"§\"}",
            "{config,\"db1\",{{n},\"§\"}}",
        ],
    ),
    (
        "others",
        &[
            "Config {host = \"db1\", {c} = \"§\"}",
            "Map(host -> db1, {c} -> §)",
            "{:host \"db1\", :{k} \"§\"}",
            "{\n  [\"host\"] = \"db1\",\n  [\"{n}\"] = \"§\"\n}",
            "$VAR1 = {\n          '{n}' => '§'\n        };",
            "$host\n[1] \"db1\"\n\n${n}\n[1] \"§\"\n",
            " $ {n}: chr \"§\"",
            "Dict{String, String}(\"host\" => \"db1\", \"{n}\" => \"§\")",
            "(host = \"db1\", {n} = \"§\")",
            "{host: db1, {c}: §}",
            "(:host \"db1\" :{k} \"§\")",
            "{c}=\"§\"; host=\"db1\"",
            ".{n} = \"§\",",
        ],
    ),
    (
        "shells",
        &[
            "+ {N}=§\n+ run",
            "+ export {N}=§",
            "declare -x {N}=\"§\"",
            "{N}=$'§'",
            "set -x {N} §",
            "setenv {N} §",
            "set {N}=§&& run",
            "$env:{N} = \"§\"",
            "[Environment]::SetEnvironmentVariable(\"{N}\", \"§\", \"User\")",
            "Host : db1\n{C} : §\nPort : 5432",
            "@{Host=db1; {C}=§}",
            "./run --{k} § --host db1",
            "./run --{k}=§ --host db1",
            "./run -{c}:§",
            "./run /{c}:§",
            "docker run -e {N}=§ image",
            "docker run --env {N}=\"§\" image",
            "docker run --build-arg {N}=§ .",
            "helm upgrade x --set app.{c}=§",
            "kubectl create secret generic x --from-literal={k}=§",
            "heroku config:set {N}=§",
            "fly secrets set {N}=§",
            "vault kv put secret/app {n}=§",
            "echo \"{N}=§\" >> .env",
            "terraform apply -var={n}=§",
            "terraform apply -var '{n}=§'",
            "ansible-playbook x.yml -e {n}=§",
            "git config user.{c} §",
            "npm config set //registry.example.net/:_{c} §",
        ],
    ),
    (
        "data",
        &[
            "{n}: '§'",
            "{n}: §",
            "{n} = \"§\"",
            "[db]\n{n}=§\nhost=db1",
            "\"{n}\":\"§\"",
            "{'{n}':'§'}",
            "{\\\"{n}\\\":\\\"§\\\"}",
            "<{c}>§</{c}>",
            "<db {c}=\"§\"/>",
            "<entry key=\"{n}\">§</entry>",
            "<var name='{n}' value='§'/>",
            "<string name=\"{n}\">§</string>",
            "<{C} xsi:type=\"xsd:string\">§</{C}>",
            "id\t{n}\tcity\n1\t§\tBonn",
            "id;{n};city\n1;§;Bonn",
            "*************************** 1. row ***************************\n      id: 1\n{n}: §",
            "      id = 1\n{n} = §",
            "COPY users (id, {n}) FROM stdin;\n1\t§\n\\.",
            "INSERT INTO t SET {n}='§', id=3",
            "REPLACE INTO t ({n}, id) VALUES ('§', 3)",
            "select * from t where {n} = '§' and id=3",
            "call login(user => 'bob', {n} => '§')",
            "- {n}: §\n- host: db1",
            "{n}: \"§\" # rotate",
            "{ \"key\": \"{n}\", \"value\": \"§\" }",
            "name: {n}, value: §",
            "{\"name\":\"{n}\",\"type\":\"string\",\"value\":\"§\"}",
            "{\"{n}\":{\"S\":\"§\"}}",
            "{\"{n}\":{\"stringValue\":\"§\"}}",
            "{\"{n}\":[\"§\"]}",
            "{\"{n}\":{\"value\":\"§\"}}",
            "{\"field\":\"{n}\",\"old\":\"§\",\"new\":null}",
            "-{n}=§\n+{n}=other1",
        ],
    ),
    (
        "web",
        &[
            "POST /login user=bob&{n}=§",
            "GET /login?user=bob&{n}=§ HTTP/1.1",
            "/login;{n}=§?x=1",
            "https://h.example.net/cb#{n}=§&state=1",
            "X-{k}: §",
            "x-{k}: §\r\nhost: h",
            "\"X-{k}\": \"§\"",
            "> X-{k}: §",
            "Content-Disposition: form-data; name=\"{n}\"\r\n\r\n§\r\n--b",
            "user%5B{n}%5D=§",
            "{\"query\":\"mutation { login(user: \\\"bob\\\", {c}: \\\"§\\\") { id } }\"}",
            "{\"variables\":{\"{c}\":\"§\"}}",
            "mutation { login(user: \"bob\", {c}: \"§\") { id } }",
            "data: {\"{n}\": \"§\"}\n\n",
            "curl -d '{\"{n}\":\"§\"}' https://h",
            "curl -d {n}=§ https://h",
            "curl -F {n}=§ https://h",
            "curl -H 'X-{k}: §' https://h",
            "http POST h {n}=§",
            "fetch('/x', { body: JSON.stringify({ {c}: '§' }) })",
            "localStorage.setItem('{n}', '§')",
            "document.cookie = '{n}=§; path=/'",
            "Set-Cookie: {n}=§; HttpOnly",
            "<input name=\"{n}\" value=\"§\">",
        ],
    ),
];

/// Forms in which a plain word could as well be a state, a type or a label: only other values go.
const LOOSE: &[&str] = &[
    "{C}\n--------\n§\n",
    "INFO settings loaded | {n} → §",
    "[:{n}, \"§\"]",
    "Parameter '{c}' has the illegal value '§'",
    "argument [{c}] = [§]",
    "[{C}, §]",
    "[{n}, §], [host, db1]",
    "key={n} value=§",
    "((host . \"db1\") ({k} . \"§\"))",
    "gh secret set {N} --body §",
    "aws ssm put-parameter --name /app/{n} --value §",
    "-[ RECORD 1 ]---\nid       | 1\n{n} | §",
];

/// Names in snake case that say so surely.
const NAMES: &[&str] = &["password", "api_key", "client_secret", "db_password", "secret_key"];

fn values() -> [String; 3] {
    [["Qz7Wt4Lk", "Bn2xPv9"].concat(), ["Tr0ut&", "Lake!71"].concat(), ["lantern", "gravelmoss"].concat()]
}

fn spelled(template: &str, name: &str) -> String {
    let words: Vec<&str> = name.split('_').collect();
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    let pascal: String = words.iter().map(|word| capital(word)).collect();
    let camel = pascal[..1].to_lowercase() + &pascal[1..];
    template
        .replace("{n}", name)
        .replace("{c}", &camel)
        .replace("{C}", &pascal)
        .replace("{N}", &name.to_uppercase())
        .replace("{k}", &words.join("-"))
}

/// Texts that still hold their secret, of one language.
fn leaks_in(templates: &[&str], names: &[&str], values: &[String]) -> (Vec<String>, usize) {
    let (mut leaks, mut tried) = (Vec::new(), 0);
    for template in templates {
        for name in names {
            for value in values {
                let text = spelled(template, name).replace('§', value);
                tried += 1;
                let event = redact_value(json!({ "message": text, "extra": { "output": text } }));
                let left =
                    event.to_string().contains(value.as_str()) || redact(&text).contains(value.as_str());
                if left {
                    leaks.push(format!("{text:?}\n    got {:?}", redact(&text)));
                }
            }
        }
    }
    (leaks, tried)
}

#[test]
fn habits_of_languages() {
    let mut wrong = Vec::new();
    let (mut all, mut lost) = (0, 0);
    for (language, templates) in HABITS {
        let (leaks, tried) = leaks_in(templates, NAMES, &values());
        all += tried;
        lost += leaks.len();
        println!("{language}: {} of {tried} leak", leaks.len());
        wrong.extend(leaks);
    }
    let (loose, tried) = leaks_in(LOOSE, NAMES, &values()[..2]);
    show("loose", &loose, tried);
    wrong.extend(loose);
    println!("{lost} of {all} leak");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What people and programs write in sentences. Values are random, have signs, or have digits; plain words are left where
/// nothing says that they are a value.
const SENTENCES: &[&str] = &[
    "the password is §",
    "The password is §.",
    "your password is: §",
    "password was §, now rotated",
    "password set to §",
    "password changed to §",
    "password changed from § to winter",
    "password has been reset to §",
    "the new password is §",
    "new password: §",
    "my password is \"§\"",
    "bob's password is §",
    "the password for bob is §",
    "the password of user bob on db1 is §",
    "password for bob: §",
    "password for bob = §",
    "logged in as bob with password §",
    "logged in as bob using password §",
    "login with bob and password §",
    "wrong password '§' for bob",
    "wrong password § for bob",
    "invalid password \"§\" given",
    "Invalid password: §",
    "password '§' is too short",
    "password \"§\" does not match",
    "password `§` rejected",
    "password (§) rejected",
    "password [§] rejected",
    "password <§> rejected",
    "bad password, got §",
    "expected password §",
    "passphrase § accepted",
    "temporary password § mailed to bob",
    "Temporary password: §",
    "one-time password § sent",
    "Incorrect API key provided: §. You can find it in the settings.",
    "API key § is invalid",
    "API key '§' is invalid",
    "api key § not found",
    "invalid api key §",
    "Invalid API key: §",
    "using api key §",
    "client secret § expired",
    "client secret is §",
    "the client secret '§' is wrong",
    "secret: §",
    "the secret is §",
    "the secret was §",
    "shared secret § is weak",
    "Passwort ist §",
    "das Passwort lautet §",
    "le mot de passe est §",
    "la contraseña es §",
    "wachtwoord is §",
    "a senha é §",
    "\u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c} §",
    "user bob, password §",
    "user: bob, password: §",
    "user bob / password §",
    "user bob password § host db1",
    "creds bob:§",
    "credentials: bob / §",
    "credentials bob/§",
    "username/password: bob/§",
    "login: bob\npassword: §",
    "pw: §",
    "pwd is §",
    "wifi password § on the wall",
    "I typed § as the password",
    "use § as password",
    "used § as the password",
    "with '§' as password",
    "\"§\" is not a valid password",
    "'§' is not a valid API key",
    "\"§\" is the wrong password",
];

/// Sentences in which a short word with digits is as often a name or a state.
const LOOSE_SENTENCES: &[&str] = &[
    "password for user 'bob': '§'",
    "username and password are bob and §",
    "pass: §",
    "token § is invalid",
    "token '§' not found",
    "invalid token '§'",
    "Invalid token: §",
    "access token § expired",
    "the access token is §",
    "password=<§> rejected",
];

/// Short codes under names that say so.
const CODES: &[&str] = &[
    "pin=4711",
    "PIN: 4711",
    "pin is 4711",
    "the PIN is 4711.",
    "your PIN is 471100",
    "\"pin\": \"4711\"",
    "{pin: 4711}",
    "pin_code: 4711",
    "card_pin=4711",
    "userPin=4711",
    "enter pin: 4711",
    "wrong pin 4711",
    "PIN 4711 rejected",
    "cvc=471",
    "cvv: 471",
    "CVV2 4711",
    "cvc is 471",
    "cvc 471 declined",
    "security code 471",
    "security code: 471",
    "card_cvc=471",
    "\"cvc\":\"471\"",
    "otp=471100",
    "OTP: 471100",
    "otp is 471100",
    "OTP 471100 sent",
    "the OTP is 471100.",
    "your OTP is 471 100",
    "one-time code: 471100",
    "one-time code 471100",
    "verification code 471100",
    "verification code: 471100",
    "your verification code is 471100",
    "Your code is 471100",
    "471100 is your verification code",
    "471100 is your login code",
    "Use 471100 as your code",
    "login code: 471100",
    "2fa code 471100",
    "mfa_code=471100",
    "totp=471100",
    "auth_code=471100",
    "sms code 471100",
    "sms_code=471100",
    "confirmation code 471100",
    "confirmation_code=471100",
    "passcode 471100",
    "passcode: 471100",
    "backup code 4711-0022",
    "G-471100 is your Google verification code",
    "unlock code 471100",
    "access code: 471100",
    "reset_code=471100",
    "login_code: 471100",
    "activation_code=471100",
];

/// Tokens in the path of a URL.
const PATHS: &[&str] = &[
    "GET /reset/§",
    "GET /password/reset/§ HTTP/1.1",
    "GET /users/password/reset/§?x=1",
    "https://h.example.net/reset-password/§",
    "https://h.example.net/password_reset/§/",
    "https://h.example.net/accounts/password/reset/confirm/§/",
    "https://h.example.net/invite/§",
    "https://h.example.net/invitations/§/accept",
    "https://h.example.net/verify/§",
    "https://h.example.net/verify-email/§",
    "https://h.example.net/confirm/§",
    "https://h.example.net/activate/§",
    "https://h.example.net/magic-link/§",
    "https://h.example.net/login/magic/§",
    "https://h.example.net/unsubscribe/§",
    "https://h.example.net/token/§",
    "https://h.example.net/api/token/§/users",
    "https://h.example.net/tokens/§",
    "https://h.example.net/oauth/token/§",
    "https://h.example.net/secret/§",
    "https://h.example.net/webhook/§",
    "https://h.example.net/webhooks/§",
    "https://h.example.net/api_key/§/x",
];

/// Segments behind which hashes and ids of records stand as well.
const LOOSE_PATHS: &[&str] = &[
    "https://h.example.net/hooks/§",
    "https://h.example.net/key/§/x",
    "https://h.example.net/auth/§",
    "https://h.example.net/session/§",
    "https://h.example.net/share/§",
    "/sso/§",
];

fn show(group: &str, leaks: &[String], tried: usize) {
    println!("{group}: {} of {tried} leak", leaks.len());
}

#[test]
fn sentences() {
    let values =
        [["Qz7Wt4Lk", "Bn2xPv9"].concat(), ["Tr0ut&", "Lake!71"].concat(), ["lantern", "82"].concat()];
    let (leaks, tried) = leaks_in(SENTENCES, &["password"], &values);
    show("sentences", &leaks, tried);
    let (loose, tried) = leaks_in(LOOSE_SENTENCES, &["password"], &values[..2]);
    show("loose sentences", &loose, tried);
    assert!(leaks.is_empty() && loose.is_empty(), "{}\n{}", leaks.join("\n"), loose.join("\n"));
}

#[test]
fn short_codes() {
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    let wrong: Vec<String> = CODES
        .iter()
        .map(|text| (text, redact(text)))
        .filter(|(text, got)| got.contains(&digits(text)) || !got.contains("[redacted:"))
        .map(|(text, got)| format!("{text}\n    got {got}"))
        .collect();
    show("codes", &wrong, CODES.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn paths_of_urls() {
    let values = [
        ["Qz7Wt4LkBn2xPv9", "rT5yH8mN"].concat(),
        ["9f2c41d7a6b8", "e05339cf71aa", "4be0192735dc08f6"].concat(),
        ["eyx7Q2-", "k9LmP_wRt4Zs"].concat(),
    ];
    let (leaks, tried) = leaks_in(PATHS, &["password"], &values);
    show("paths", &leaks, tried);
    let mixed = [values[0].clone(), values[2].clone()];
    let (loose, tried) = leaks_in(LOOSE_PATHS, &["password"], &mixed);
    show("loose paths", &loose, tried);
    assert!(leaks.is_empty() && loose.is_empty(), "{}\n{}", leaks.join("\n"), loose.join("\n"));
}

/// What looks alike and tells nothing.
const KEPT: &[&str] = &[
    "the password is wrong",
    "the password is incorrect",
    "password is required",
    "your password was reset",
    "password was changed by admin",
    "password changed from admin console",
    "password reset to default",
    "password set to expire in 30 days",
    "the password for bob is wrong",
    "the password for user bob is required",
    "password for bob: required",
    "password for bob: expired",
    "password of user bob was rejected",
    "password is a weak one",
    "this is not a valid password",
    "that is the wrong password",
    "\"remember\" is not a valid password field",
    "use hunter as a name",
    "password hash is sha512",
    "password hash for bob is bcrypt2",
    "secret store backend is vault2",
    "secret engine is kv version 2",
    "the api key is missing",
    "api key is not set",
    "invalid api key given",
    "api key for billing is missing",
    "credentials are wrong",
    "credentials for bob/alice missing",
    "credentials: bob / missing",
    "credentials from src/config/dev.rs",
    "using credentials of path/to/file",
    "bad password, got none",
    "bad password, try again",
    "wrong password, got 3 attempts left",
    "the pin is blocked",
    "pin 13 is not an output",
    "GPIO pin 27 high",
    "pin: 13",
    "pin=12 mode=out",
    "pins 4711 and 4712",
    "pin header 2x20",
    "pin version 1.2.3",
    "pin is wrong",
    "PIN required",
    "spin 4711",
    "pinned 4711 packages",
    "status code 4711",
    "exit code 1000",
    "error code 10061",
    "zip code 90210",
    "country code 49",
    "source code 1234 lines",
    "your code has 1234 lines",
    "your code at line 4711",
    "code 4711",
    "return code: 1000",
    "HTTP code 5000",
    "otp is disabled",
    "OTP required",
    "otp: invalid",
    "verification code expired",
    "verification code is wrong",
    "confirmation code is missing",
    "auth code expired",
    "auth_code: invalid_grant",
    "security code is missing",
    "access code: denied",
    "invalid value \"abc123\" for flag -port: parse error",
    "error: invalid value 'abc1234' for '--port <PORT>': invalid digit",
    "argument --port: invalid int value: 'abc12345'",
    "Failed to convert configuration value 'abc12345' at 'App:Port' to type 'System.Int32'.",
    "Argument `port`: Invalid value provided. Expected Int, provided String 'abc12345'.",
    "login(password): Promise<Session>",
    "Name Port\n---- ----\nweb  8080\n",
    "Password policy\n---------------\nmust be long\n",
    "COPY users (id, city) FROM stdin;\n1\tBonn\n\\.",
    "REPLACE INTO t (city, id) VALUES ('Bonn', 3)",
    "DETAIL:  Failing row contains (1, bob, Bonn, 2026-11-30 12:00:00+00, null).",
    "DETAIL:  Failing row contains (7, SKU-4821-A, 5f1b6d2e-0000-4000-8000-00000000abcd, t).",
    "GET /reset/password",
    "GET /users/password/reset/new",
    "GET /verify/email",
    "GET /invite/team-platform-engineering",
    "GET /webhooks/github",
    "https://h.example.net/auth/callback",
    "https://h.example.net/auth/realms/production-eu-west-1",
    "https://h.example.net/session/5f1b6d2e-0000-4000-8000-00000000abcd",
    "https://h.example.net/share/2026-11-30-release-notes",
    "https://h.example.net/key/aws-eu-west-1-production-key",
    "/srv/app/src/hooks/useSubscriptionBillingState",
    "/srv/app/token/handlers.py",
    "/static/verify/chunk-5f3a9c1d2b4e6f70.js",
    "https://h.example.net/token/introspect",
    "https://h.example.net/tokens/507f1f77bcf86cd799439011",
    "GET /confirm/:confirmationToken1234",
    "GET /reset/{resetToken12345678}",
    "git config user.name bob12345",
    "set -x PATH /usr/local/bin2",
    "setenv HOME /home/bob2",
    "API key\n-------\nUse the key2 of your account\n",
    "{\"field\":\"city\",\"old\":\"Bonn\",\"new\":\"Ulm\"}",
    "insert ignore into t (city) values ('Bonn')",
    "Symbol(description): 'abc'",
];

#[test]
fn what_looks_alike_stays() {
    let mut wrong: Vec<String> = Vec::new();
    for text in KEPT {
        let event = json!({ "message": text, "extra": { "output": text } });
        let got = redact(text);
        if got != *text || redact_value(event.clone()) != event {
            wrong.push(format!("{text}\n    got {got}"));
        }
    }
    show("kept", &wrong, KEPT.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
