//! Every notation that an attacker found loses its secret and keeps the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/redact.rs"]
mod whole;

use serde_json::json;
use whole::{redact, redact_value};

/// A secret in each of some texts, where `§` stands: random, with signs, a word.
fn assert_gone(texts: &[&str], secrets: &[String]) {
    let mut wrong = Vec::new();
    for text in texts {
        for secret in secrets {
            let text = text.replace('§', secret);
            let got = redact(&text);
            if got.contains(secret.as_str()) || !got.contains("[redacted:") {
                wrong.push(format!("{text}\n    got {got}"));
            }
        }
    }
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

fn all_kinds() -> [String; 3] {
    [["Zx81k", "qPqw"].concat(), ["q7#L-m9", ".xab"].concat(), ["correct", "horse"].concat()]
}

fn random_ones() -> [String; 2] {
    [["Zx81k", "qPqwAb"].concat(), ["k3j4h5g", "6f7d8"].concat()]
}

#[test]
fn a_quote_in_a_value_does_not_end_it_however_often_it_is_escaped() {
    let tail = ["TAIL", "tail99"].concat();
    for inner in ["\"", "\"\\", "\\\"", "\"\"", "-\"/"] {
        let secret = format!("Abcdefgh12{inner}{tail}");
        let text = json!({ "user": "jo", "password": secret, "port": 5432 }).to_string();
        // As it is, as the `repr` of it, and as the `repr` of that in a string of JSON.
        let repr = format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
        for text in [text, repr.clone(), json!({ "raw": repr.clone() }).to_string(), format!("body = {repr}")]
        {
            let got = redact(&text);
            assert!(!got.contains(&tail) && got.contains("5432"), "{text}\n    got {got}");
        }
        let vars = redact_value(json!({ "vars": { "body": repr, "list": [{ "raw": repr }] } }));
        assert!(!vars.to_string().contains(&tail), "{vars}");
    }
    let two = r"C:\\Users\\jo";
    for text in [
        format!("password = \"Abcdefgh12\\\\\"; path = \"{two}\""),
        format!("{{'token': 'Abcdefgh12\\\\', 'path': '{two}'}}"),
    ] {
        let got = redact(&text);
        assert!(got.contains(two) && !got.contains("Abcdefgh12"), "{text}\n    got {got}");
    }
}

#[test]
fn yaml_and_its_relatives() {
    assert_gone(
        &[
            "password: |\n  §\nhost: x",
            "client_secret: >-\n    §\n",
            "password:\n  §\n",
            "passwords:\n  - §\n  - other1\n",
            "password: &pw §\n",
            "password: !!str §\n",
            "- name: DB_PASSWORD\n  value: §\n",
            "password = \"\"\"§\"\"\"",
            "password = <<EOF\n§\nEOF\n",
            "variable \"db_password\" {\n  type = string\n  default = \"§\"\n}",
            "Password:\n§",
            "password\u{ff1d}§",
            "password\u{ff1a}§",
            "userPassword:: §",
        ],
        &all_kinds(),
    );
    assert_eq!(
        redact("password: |\n  abc def\n  ghi\nhost: x"),
        "password: |\n  [redacted:password]\nhost: x"
    );
    assert_eq!(redact("password:\n  hunter2x\nport: 1"), "password:\n  [redacted:password]\nport: 1");
    assert_kept(&[
        "password:\n    type: string\n    minLength: 8",
        "Invalid password:\n\nTraceback (most recent call last):",
        "secret:\n  name: db-credentials\n",
        "password:\n- must be 8 characters\n- must have a digit",
        "errors:\n  password:\n    - is too short\n",
        "password:\n  required\n",
        "use App::password::hash;",
    ]);
}

#[test]
fn xml_and_forms() {
    assert_gone(
        &[
            "<password><![CDATA[§]]></password>",
            "<wsse:Password Type=\"http://x/PasswordText\">§</wsse:Password>",
            "<ns:apiKey>§</ns:apiKey>",
            "<property name=\"password\">§</property>",
            "<key>Password</key>\n<string>§</string>",
            "<name>db.password</name><value>§</value>",
            "&lt;password&gt;§&lt;/password&gt;",
            "{&#39;password&#39;: &#39;§&#39;}",
            "<input value=\"§\" type=\"password\" name=\"password\">",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\nContent-Type: text/plain\r\n\r\n§\r\n--b--",
        ],
        &all_kinds(),
    );
    assert_eq!(
        redact("<ns:password a=\"b\">x1y2z3</ns:password><host>h</host>"),
        "<ns:password a=\"b\">[redacted:password]</ns:password><host>h</host>"
    );
    assert_kept(&[
        "<label for=\"password\">Enter your password</label>",
        "<input type=\"password\" name=\"password\" placeholder=\"Password\">",
        "password <br/> field",
    ]);
}

#[test]
fn tuples_dumps_and_calls() {
    assert_gone(
        &[
            "('password', '§')",
            "[{password,\"§\"},{user,\"x\"}]",
            "array(1) {\n  [\"password\"]=>\n  string(13) \"§\"\n}",
            "a:1:{s:8:\"password\";s:13:\"§\";}",
            "define('DB_PASSWORD', '§');",
            "new PDO('mysql:host=h', 'root', '§')",
            "PDO->__construct('mysql:host=h', 'root', '§')",
        ],
        &all_kinds(),
    );
    assert_kept(&[
        "('password', 'string')",
        "t('password', 'Enter password')",
        "form.add('password', 'PasswordType')",
        "{'fields': ['user', 'password', 'email']}",
    ]);
}

#[test]
fn commands() {
    assert_gone(
        &[
            "mysql -uroot -p§ shop",
            "mysql -u root -p'§' shop",
            "sshpass -p § ssh h",
            "sshpass -p '§' ssh h",
            "[\"sshpass\",\"-p\",\"§\",\"ssh\",\"h\"]",
            "docker login -u bob -p § reg.example.net",
            "redis-cli -h x -a § ping",
            "mongo -u bob -p § --authenticationDatabase admin",
            "ldapsearch -D cn=x -w § -b dc=x",
            "zip -P § a.zip b",
            "echo 'bob:§' | chpasswd",
            "echo § | sudo -S ls",
        ],
        &all_kinds(),
    );
    assert_eq!(redact("sshpass -p hunter2x ssh -p 2222 h"), "sshpass -p [redacted:password] ssh -p 2222 h");
    let event = redact_value(
        json!({"a": ["/usr/bin/sshpass", "-p", "correcthorse", "ssh"], "b": ["mysql", "-phunter2x"]}),
    );
    assert_eq!(event["a"], json!(["/usr/bin/sshpass", "-p", "[redacted:password]", "ssh"]));
    assert_eq!(event["b"], json!(["mysql", "-p[redacted:password]"]));
    assert_kept(&[
        "mysql -uroot -p shop",
        "tar -xpf a.tar",
        "ssh -p 2222 host",
        "docker run -p 8080:80 nginx",
        "redis-cli -h localhost -p 6379 ping",
        "zip -r a.zip dir",
    ]);
}

#[test]
fn databases_and_tables() {
    assert_gone(
        &[
            "jdbc:oracle:thin:scott/§@//db.example.net:1521/ORCL",
            "db.example.net:5432:shop:bob:§",
            "ALTER USER bob IDENTIFIED BY §;",
            "ALTER USER bob WITH PASSWORD '§'",
            "user,password\nbob,§\n",
            "\"user\";\"password\"\n\"bob\";\"§\"\n",
        ],
        &all_kinds(),
    );
    assert_eq!(
        redact("id,password,city\n1,hunter2x,Bonn\n2,correcthorse,Ulm\nend"),
        "id,password,city\n1,[redacted:password],Bonn\n2,[redacted:password],Ulm\nend"
    );
    assert_gone(&["password;§"], &random_ones());
    assert_kept(&[
        "def login(user, password, remember):",
        "SELECT user,password FROM t",
        "insert(name, password)\nreturn ok",
        "resource identified by order42 in region",
        "user;password;email",
    ]);
}

#[test]
fn nested_maps_and_cards_in_id_fields() {
    let secret = ["Zx81k", "qPqw1"].concat();
    let event = redact_value(json!({
        "Authorization": {"a": {"b": secret}}, "token": {"data": {"raw": secret}, "type": "bearer"}, "csrf": {"x": [secret]},
    }));
    assert_eq!(event["Authorization"]["a"]["b"], "[redacted:authorization]");
    assert_eq!(event["token"], json!({"data": {"raw": "[redacted:token]"}, "type": "bearer"}));
    assert_eq!(event["csrf"]["x"], json!(["[redacted:csrf]"]));
    let plain = json!({"token": {"type": "bearer", "id": "abc", "expires": "2026-11-24T09:48:16Z"}});
    assert_eq!(redact_value(plain.clone()), plain);

    let card = ["4111", "1111", "1111", "1111"];
    for key in ["card_id", "paid", "valid", "update", "id", "userId"] {
        for number in
            [json!(card.concat()), json!(card.concat().parse::<u64>().unwrap()), json!(card.join(" "))]
        {
            assert_eq!(
                redact_value(json!({ key: number.clone() }))[key],
                "[redacted:card]",
                "{key} {number}"
            );
        }
    }
    let number = card.concat();
    let number = json!({"created_at": number, "start_timestamp": number});
    assert_eq!(redact_value(number.clone()), number);
    assert_eq!(redact(&card.join("\u{a0}")), "[redacted:card]");
    // A long id whose check digit happens to be right.
    let snowflake = ["6212345678", "901234568"].concat();
    let snowflake = json!({ "message_id": snowflake });
    assert_eq!(redact_value(snowflake.clone()), snowflake);
}

#[test]
fn forms_with_plus_signs() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    let pem = format!("key={}BEGIN+PRIVATE+KEY-----%0A{body}%0A-----END+PRIVATE+KEY-----&x=1", "-----");
    assert_eq!(redact(&pem), "key=[redacted:private_key]&x=1");
    assert_eq!(redact("password+%3D+%22hunter2x%22"), "password+%3D+%22[redacted:password]%22");
    assert_eq!(redact("cmd=app+--password+correcthorse+-v"), "cmd=app+--password+[redacted:password]+-v");
    assert_kept(&["q=a+b+c&lang=en", "password+reset+mail", "+1+2+3 a+b"]);
}

#[test]
fn more_names() {
    assert_gone(
        &[
            "pAsSwOrD=§",
            "p\u{430}ssword=§",
            "\u{ff50}assword=§",
            "pass\u{200b}word=§",
            "psw=§",
            "pswd=§",
            "pword=§",
            "passw0rd=§",
            "senha=§",
            "contraseña=§",
            "пароль: §",
            "パスワード=§",
            "mnemonic=§",
            "seed_phrase=§",
            "security_answer=§",
            "user=bob pass=§",
            "db_pass=§",
        ],
        &all_kinds(),
    );
    let event =
        redact_value(json!({"пароль": "correcthorse", "p\u{430}ssword": "correcthorse", "pin": 4711}));
    assert_eq!(
        event,
        json!({"пароль": "[redacted:password]", "p\u{430}ssword": "[redacted:password]", "pin": "[redacted:short_password]"})
    );
    assert_gone(
        &["is_password=§", "password_field=§", "token_id=§", "token_url=§"],
        &[["gwxZV07", "qvpmIzgo"].concat()],
    );
    assert_gone(&["sid=§", "jwt=§", "session=§"], &[["qwapxzd", "frzwrw"].concat()]);
    assert_gone(&["pin=§"], &["4711".to_owned()]);
    assert_kept(&[
        "is_password=true password_field=user_password token_url=https://auth.example.net/oauth/token token_id=42",
        "pass=true pin=ok pass=12 passed=12",
        "session=checkout auth=kerberos sid=frontend session=unavailable",
        "hasPassword=true",
    ]);
}

#[test]
fn words_after_strong_carriers() {
    let word = [["abcdefgh", "ijklm"].concat()];
    assert_gone(
        &[
            "X-Auth-Token: §",
            "X-CSRF-Token: §",
            "PRIVATE-TOKEN: §\r\nAccept: */*",
            "ENV DB_PASSWORD §",
            "machine h.example.net login bob password §",
            "sent Bearer § to api",
            "[('Authorization', 'Bearer §'), ('Accept', '*/*')]",
        ],
        &word,
    );
    let event = redact_value(json!({"context_line": "ALTER USER bob WITH PASSWORD 'correcthorse'"}));
    assert_eq!(event["context_line"], "ALTER USER bob WITH PASSWORD '[redacted:password]'");
    assert_kept(&[
        "bearer token is missing",
        "Bearer authentication required",
        "WWW-Authenticate: Bearer realm=\"api\", error=\"invalid_token\"",
        "machine learning login password reset",
        "ENV NODE_ENV production",
        "X-Token: required",
    ]);
}

#[test]
fn hex_holds_secrets() {
    let key = ["SG.", "aB3dE6gH9jK2mN5pQ8sT1v", ".", "W4xY7zC0fRaB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fRa"].concat();
    let hex: String = key.bytes().map(|byte| format!("{byte:02x}")).collect();
    let wide: String =
        key.encode_utf16().map(|unit| format!("{:02x}{:02x}", unit & 0xff, unit >> 8)).collect();
    for word in [hex.clone(), hex.to_uppercase(), wide] {
        let got = redact(&format!("dump {word} end"));
        assert_eq!(got, "dump [redacted:sendgrid_key] end");
    }
    assert_kept(&["sha256 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"]);
}

#[test]
fn references_and_names_of_things_stay() {
    assert_kept(&[
        "Secret \"db-credentials\" not found in namespace \"prod\"",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf",
        "secret = config.secrets.database",
        "const token = await getToken(req);",
        "$password = $_POST[\"password\"];",
    ]);
}
