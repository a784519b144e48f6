//! Forms of secrets that survived an attack by measurement: each loses its secret, and what looks alike stays.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/redact.rs"]
mod whole;

use serde_json::json;
use whole::{redact, redact_value};

/// Random, with signs, and words.
fn secrets() -> [String; 3] {
    [["Zx81kQm", "qPqw7Ab"].concat(), ["Harbor!", "sunset482"].concat(), ["winter", "harborabcd"].concat()]
}

/// A secret in each of some texts, where `§` stands, alone and in the middle of other text.
fn assert_gone(texts: &[&str]) {
    let mut wrong = Vec::new();
    for text in texts {
        for secret in secrets() {
            let text = text.replace('§', &secret);
            for text in [text.clone(), redact_value(json!({ "extra": { "detail": text } })).to_string()] {
                let got = redact(&text);
                if got.contains(secret.as_str()) || !got.contains("[redacted:") {
                    wrong.push(format!("{text}\n    got {got}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The same with random secrets only.
fn assert_random_gone(texts: &[&str]) {
    let secret = &secrets()[0];
    let wrong: Vec<String> = texts
        .iter()
        .map(|text| text.replace('§', secret))
        .map(|text| redact(&text))
        .filter(|got| got.contains(secret.as_str()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn assert_kept(texts: &[&str]) {
    let wrong: Vec<String> = texts
        .iter()
        .filter(|text| redact(text) != **text)
        .map(|text| format!("{text}\n    got {}", redact(text)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn glued_and_foreign_names() {
    let names = "dbpass dbpwd dbpw DBPASS db_pw db_pwd userpass userpwd rootpass smtppass mysqlpass ftppass mailpass \
                 adminpass sshpass keypass storepass certpass authpass oldpass loginpwd passwrd bindpw ldap_bindpw requirepass \
                 masterauth masterkey encryptionkey enc_key aes_key aeskey signingkey signkey privkey priv_key hmackey hashkey \
                 cryptkey appkey preshared_key psk bottoken sastoken pepper pincode mdp wachtwoord has\u{142}o geheim \
                 \u{43f}\u{430}\u{440}\u{43e}\u{43b}\u{44c}";
    let mut wrong = Vec::new();
    for name in names.split_whitespace() {
        for secret in secrets() {
            let event = redact_value(json!({
                "message": format!("x {name}={secret} y"),
                "extra": { name: secret, "text": json!({ name: secret }).to_string(),
                    "ascii": format!("{{\"{}\": \"{secret}\"}}", escaped(name)) },
                "request": { "env": { name: secret } },
            }));
            if event.to_string().contains(&secret) {
                wrong.push(format!("{name} {event}"));
            }
        }
    }
    for name in ["auth", "basic_auth", "redis_auth", "sid", "sessionkey", "PHPSESSID", "sessid"] {
        let event = redact_value(json!({ "extra": { name: secrets()[2] } }));
        if event.to_string().contains(&secrets()[2]) {
            wrong.push(format!("{name} {event}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_kept(&[
        "compass: north2",
        "bypass=rule4",
        "OLDPWD=/srv/app",
        "renderPass: shadow",
        "sshpass: command not found",
        "TLS_PSK_WITH_AES_256_CBC_SHA: handshake failure",
    ]);
}

/// As JSON of ASCII only has it.
fn escaped(name: &str) -> String {
    name.chars()
        .map(
            |letter| {
                if letter.is_ascii() { letter.to_string() } else { format!("\\u{:04x}", u32::from(letter)) }
            },
        )
        .collect()
}

#[test]
fn states_references_and_code_stay() {
    assert_kept(&[
        "credentials: include",
        "fetch mode: cors, credentials: omit",
        "credentials: same-origin",
        "imagePullSecrets: regcred-prod",
        "existingSecret: postgres-credentials",
        "secretKeyRef: name: db-secret key: password",
        "redis key session:count:2026-11-24 expired",
        "id_token_signed_response_alg=RS256",
        "#login-form > div.password-wrapper:nth-child(2)",
        "api_key: (not set)",
        "password = fields.CharField(max_length=128)",
        "let token = self.next_token()?;",
        "token = tokens[i + 1]",
        "secret = Rails.application.credentials.secret_key_base",
        "'password' => $request->input('password')",
        "private readonly passwordService: PasswordService",
        "Password = model.Password,",
        "secret_id: \"arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-main\"",
    ]);
    let event = json!({ "extra": { "secret_id": "arn:x", "credentials": "include", "csrf": "missing" } });
    assert_eq!(redact_value(event.clone()), event);
}

#[test]
fn the_name_that_has_the_value_is_kept() {
    for name in ["password", "api_key", "dbpass"] {
        let text = format!("secret {name}={} z", secrets()[0]);
        let got = redact(&text);
        assert!(got.starts_with(&format!("secret {name}=[redacted:")) && got.ends_with("] z"), "{got}");
    }
}

#[test]
fn passwords_in_urls_that_nobody_encoded() {
    let mut texts = Vec::new();
    for sign in "?#&/@:%,;[]{}()^~!$*\"'` ".chars() {
        for scheme in ["postgres", "https"] {
            texts.push(format!("cannot parse {scheme}://shop:abc{sign}§@db1:5432/shop now"));
        }
    }
    texts.push("parse \"postgres://shop:99#§@db1/x\": invalid port \":99\" after host".to_owned());
    texts.push("parse \"postgres://shop:abc#§@db1/x\": invalid port \":abc\" after host".to_owned());
    assert_random_gone(&texts.iter().map(String::as_str).collect::<Vec<_>>());
    for url in ["https://host:8080/#a@b", "GET http://host:80 by \"x\"@team", "see http://a:b then mail x"] {
        assert_kept(&[url]);
    }
}

#[test]
fn errors_that_echo_the_value() {
    assert_gone(&[
        "1 validation error for Login\npassword\n  String should have at least 16 characters [type=string_too_short, input_value='§', input_type=str]",
        "2 validation errors\nbody.password\n  Bad [type=x, input_value='§', input_type=str]\nage\n  Bad [type=int, input_value='x', input_type=str]",
        "[{'type': 'string_too_short', 'loc': ('body', 'password'), 'msg': 'x', 'input': '§', 'ctx': {'min_length': 16}}]",
        "{\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\",\"password\"],\"msg\":\"weak\",\"input\":\"§\"}]}",
        "Field error in object 'login' on field 'password': rejected value [§]; codes [Size.login.password]",
        "ConstraintViolationImpl{interpolatedMessage='size', propertyPath=password, invalidValue='§'}",
        "CastError: Cast to Number failed for value \"§\" (type string) at path \"password\"",
        "User validation failed: password: Path `password` (`§`) is longer than the maximum allowed length (8).",
        "System.ArgumentException: bad value (Parameter 'password') Actual value was §.",
        "ZodError: [ { code: 'too_small', path: [ 'password' ], received: '§' } ]",
        "json: cannot unmarshal string into Go struct field Login.password of type int: \"§\"",
        "Property: app.security.jwt-secret Value: \"§\" Origin: class path resource [application.yml]",
        "ValueError: invalid literal for int() with base 10: '§' (field password)",
        "AssertionError: assert '§' == user.password",
        "assertion `left == right` failed: password\n  left: \"§\"\n right: \"x\"",
    ]);
    let secret = &secrets()[2];
    for (place, value) in [
        (json!({ "loc": ["body", "password"] }), "input"),
        (json!({ "path": ["password"] }), "received"),
        (json!({ "field": "user.password" }), "rejectedValue"),
        (json!({ "instancePath": "/password" }), "actual"),
    ] {
        let mut record = place;
        record[value] = json!(secret);
        let got = redact_value(json!({ "extra": { "errors": [record] } })).to_string();
        assert!(!got.contains(secret.as_str()), "{got}");
    }
    assert_kept(&[
        "1 validation error for Login\nage\n  Input should be an integer [type=int, input_value='twelve', input_type=str]",
        "[{'loc': ('body', 'age'), 'input': 'twelve'}]",
        "Field error on field 'age': rejected value [twelve]",
        "propertyPath=email, invalidValue='none'",
        "Cast to Number failed for value \"twelve\" (type string) at path \"age\"",
        "[ { path: [ 'age' ], received: 'twelve' } ]",
        "assertion failed: order\n  left: \"one\"\n right: \"two\"",
        "AssertionError: assert 'one' == order.state",
    ]);
}

#[test]
fn parameters_of_statements() {
    assert_gone(&[
        "[SQL: INSERT INTO users (email, password) VALUES (?, ?)]\n[parameters: ('bob', '§')]",
        "[SQL: INSERT INTO users (email, password) VALUES (?, ?)]\n[parameters: [('bob', '§'), ('eve', '§')]]",
        "[SQL: UPDATE users SET api_token=? WHERE id = ?]\n[parameters: ('§', 4)]",
        "[SQL: SELECT id FROM users WHERE email = %s AND password = %s]\n[parameters: ('bob', '§')]",
        "INSERT INTO \"user\"(\"email\", \"password\") VALUES ($1, $2) -- PARAMETERS: [\"bob\",\"§\"]",
        "executing 'INSERT INTO users (email, password) VALUES (?, ?)' with params [\"bob\", \"§\"]",
        "DETAIL: parameters: $1 = 'bob', $2 = '§' STATEMENT: update users set email=$1, password=$2",
        "LOG: execute: update users set email=$2, password=$1\nDETAIL:  parameters: $1 = '§', $2 = 'bob'",
        "DETAIL:  Key (email, password)=(bob, §) already exists.",
        "DETAIL:  Key (token)=(§) already exists.",
        "exec sp_executesql N'UPDATE Users SET Pwd=@p', N'@p nvarchar(20)', @p=N'§'",
        "DECLARE @Password nvarchar(50) = N'§'",
        "SET PASSWORD FOR 'shop'@'%' = PASSWORD('§')",
        "SELECT * FROM users WHERE pwd LIKE '§'",
        "SELECT * FROM users WHERE password IN ('§')",
        "CREATE USER 'shop'@'%' IDENTIFIED WITH mysql_native_password BY '§'",
        " user | password \n------+----------\n bob  | §\n(1 row)",
        "+------+----------+\n| user | password |\n+------+----------+\n| bob  | § |\n+------+----------+",
        "| user | password | role |\n|------|----------|------|\n| bob  | § | admin |",
    ]);
    assert_random_gone(&[
        "Duplicate entry '§' for key 'users.api_token'",
        "Duplicate entry '§' for key 'tokens_token_unique'",
        "Violation of UNIQUE KEY constraint 'UQ_ApiToken'. The duplicate key value is (§).",
        "INSERT INTO api_keys(key, owner) VALUES ('§', 4)",
    ]);
    let kept =
        redact("[SQL: INSERT INTO users (email, password) VALUES (?, ?)]\n[parameters: ('bob', 'winterx')]");
    assert!(kept.contains("('bob', '[redacted:password]')"), "{kept}");
    assert_kept(&[
        "[SQL: INSERT INTO orders (sku, note) VALUES (?, ?)]\n[parameters: ('a1b2c3d4', 'leave at the door')]",
        "DETAIL:  Key (order_id)=(88213344) is not present in table \"orders\".",
        "Duplicate entry '42-8821' for key 'order_items.PRIMARY'",
        "| user | note |\n|------|------|\n| bob  | password is set |",
        "DECLARE @count int = 4",
    ]);
}

#[test]
fn credentials_without_a_scheme() {
    assert_gone(&[
        "dial: shop:§@tcp(db1:3306)/shop?parseTime=true",
        "Error 1045: dsn shop:§@unix(/run/mysqld.sock)/shop",
        "http_proxy=u:§@proxy:3128",
        "ORA-01017 connect('scott/§@ora1:1521/ORCL')",
        "could not connect: 'host=db1 user=shop password=''§'' dbname=shop'",
        "invalid integer value \"§@db1\" for connection option \"port\"",
    ]);
    assert_kept(&["dial tcp(db1:3306) failed", "http_proxy=proxy:3128", "listener at db1:1521 is down"]);
}

#[test]
fn dumps_of_languages() {
    assert_gone(&[
        "array(1) {\n  'password' =>\n  string(14) \"§\"\n}",
        "[\"password\":\"Config\":private]=>\n  string(14) \"§\"\n",
        "[\"password\":protected]=>\n  string(14) \"§\"\n",
        "Config Object\n(\n    [password:Config:private] => §\n    [host] => db1\n)",
        "Config {\n    password: Some(\n        \"§\",\n    ),\n}",
        "(main.Cfg) {\n Password: (string) (len=14) \"§\"\n}",
        "(string) (len=8) \"password\": (string) (len=14) \"§\"\n",
        "http.Header{\"X-Api-Key\":[]string{\"§\"}}",
        "<QueryDict: {'username': ['bob'], 'password': ['§']}>",
        "[ [ 'user', 'bob' ], [ 'password', '§' ] ]",
        "rawHeaders: [ 'Host', 'api', 'X-Api-Key', '§' ]",
        "{:password, \"§\"}",
        "[{password,<<\"§\">>}]",
        "<member><name>password</name><value><string>§</string></value></member>",
        "<setting name=\"Password\" serializeAs=\"String\">\n  <value>§</value>\n</setting>",
        "<add value=\"§\" key=\"ApiKey\" />",
        "{\"ParameterKey\":\"DBPassword\",\"ParameterValue\":\"§\"}",
        "ParameterKey=DBPassword,ParameterValue=§",
        "  ~ password = \"old-one-77\" -> \"§\"",
        "Server=db1;UID=sa;PWD={§};",
    ]);
    assert_kept(&[
        "{'password': ['This field is required.']}",
        "errors: {\"password\": [\"too_short\"]}",
        "{'password': ['required']}",
    ]);
}

#[test]
fn arguments_of_calls_and_commands() {
    assert_gone(&[
        "requests.get(url, auth=('svc', '§'))",
        "auth=HTTPBasicAuth('svc', '§')",
        "new NetworkCredential(\"svc\", \"§\", \"ACME\")",
        "server.login('mailer', '§')",
        "ssh.connect('sftp.acme.example', 22, 'acme', '§')",
        "pymysql.connect('db1', 'shop', '§', 'shop')",
        "#1 /app/auth.php(12): password_verify('§', 'x')",
        "jwt.encode({'sub': 1}, '§', algorithm='HS256')",
        "define( 'AUTH_KEY', '§' );",
        "'password' => env('DB_PASSWORD', '§'),",
        "ConvertTo-SecureString -String \"§\" -AsPlainText -Force",
        "Command '['docker', 'login', '-u', 'ci', '-p', '§', 'reg.example.net']' returned 1",
        "Command '['curl', '-u', 'svc:§', 'https://api.example.net']' returned 22",
        "+ curl --proxy-user proxyuser:§ https://api",
        "+ sshpass -p§ scp a host:",
        "+ 7z x -p§ a.7z",
        "+ keytool -list -keystore a.jks -storepass §",
        "sqlcmd -S db1 -U sa -P § -Q \"select 1\"",
        "schtasks /create /tn x /ru ACME\\svc /rp §",
        "+ smbclient //fs/share -U bob%§",
        "+ lftp -u bob,§ ftp://host",
        "+ rabbitmqctl add_user shop §",
        "+ echo '§' | docker login -u ci --password-stdin",
        "ACL SETUSER bob on >§ ~*",
        "a1 LOGIN bob §",
        "requirepass §",
        "AUTH default §",
        "USER bob\nPASS §\n530 Login incorrect",
        "> Authorization: SSWS §",
        "> x-functions-key: §",
        "auth: { user: 'mailer', pass: '§' }",
    ]);
    assert_kept(&[
        "auth.login('google', 'popup')",
        "vault login failed",
        "PASS src/e2e/login2.test.ts",
        "AUTH failed for bob",
        "user login failed for bob",
        "socket.connect('db1', 5432)",
        "net user bob disabled",
    ]);
}

#[test]
fn all_sensitive_columns_of_a_grid() {
    let [one, two, _] = secrets();
    let text = format!(
        "| token | user | password |\n|---|---|---|\n| {one} | bob | {two} |\n| {two} | eve | {one} |"
    );
    let got = redact(&text);
    assert!(!got.contains(&one) && !got.contains(&two) && got.contains("| eve |"), "{got}");
}
