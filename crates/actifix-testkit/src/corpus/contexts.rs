//! Where credentials stand.
use super::Case;
use super::dice::{Dice, base64};
use super::families::{Family, Kind};
use super::forms::{Made, make};

/// Where scanners that read files in pieces cut them, bytes.
const CHUNK: usize = 64 << 10;

/// A place for credentials.
#[derive(Debug)]
pub struct Context {
    /// Its name in reports.
    pub name: &'static str,
    /// The text around a credential, which stands at `\u{1}`; `{V}` is the name in upper case, `{v}` in lower case, `{c}` in
    /// camel case, `{w}` in words.
    templates: &'static [&'static str],
    /// How the credential is written there.
    writing: Writing,
    /// Kinds that have no sense there.
    without: &'static [Kind],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// As it is, several lines if it has them.
    Plain,
    /// On one line: line ends become `\n`.
    Line,
    /// In a JSON string at this depth.
    Json(usize),
    /// Percent-encoded.
    Percent,
    /// The whole text in base64.
    Base64,
    /// Across the end of a chunk.
    Chunk,
}

const ONE_LINE: &[Kind] = &[];
const TOKENS_ONLY: &[Kind] = &[Kind::Password, Kind::Url, Kind::Block, Kind::Card, Kind::Text];

/// All contexts.
pub const CONTEXTS: &[Context] = &[
    Context {
        name: "env file",
        templates: &[
            "PORT=8080\n{V}=\u{1}\nDEBUG=0\n",
            "# shop\nexport {V}=\"\u{1}\"\nLOG_LEVEL=info\n",
            "{V}=\u{1}",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "Python",
        templates: &[
            "import shop\n\n{V} = \"\u{1}\"\nclient = shop.Client(timeout=3)\n",
            "client = shop.Client({v}='\u{1}', timeout=3)\n",
            "settings = {\n    \"{v}\": \"\u{1}\",\n    \"timeout\": 3,\n}\n",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "JSON",
        templates: &[
            "{\"name\":\"shop\",\"{v}\":\"\u{1}\",\"retries\":3}",
            "{\n  \"{c}\": \"\u{1}\",\n  \"port\": 8080\n}\n",
        ],
        writing: Writing::Json(1),
        without: &[Kind::Text],
    },
    Context {
        name: "YAML",
        templates: &[
            "service:\n  name: shop\n  {v}: \u{1}\n  replicas: 2\n",
            "env:\n  {V}: \"\u{1}\"\n",
            "env:\n  - name: {V}\n    value: \"\u{1}\"\n",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "JS minified",
        templates: &[
            "!function(){var e={timeout:300,{c}:\"\u{1}\"},t=e;n(e)}();",
            "const a=1,r=Object.freeze({{c}:'\u{1}',debug:!1});export{r as default};",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "log line",
        templates: &[
            "2026-11-24T09:48:16Z WARN upstream refused {v}=\u{1} attempt=3",
            "[error] 17#17: request failed, {v}: \u{1}, client: 10.0.0.7",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "Bearer header",
        templates: &[
            "GET /v1/orders HTTP/1.1\r\nHost: shop.test\r\nAuthorization: Bearer \u{1}\r\nAccept: */*\r\n\r\n",
            "{\"headers\":{\"Authorization\":\"Bearer \u{1}\",\"Accept\":\"*/*\"}}",
        ],
        writing: Writing::Line,
        without: TOKENS_ONLY,
    },
    Context {
        name: "error event",
        templates: &[
            "{\"exception\":{\"values\":[{\"type\":\"HTTPError\",\"value\":\"401\",\"stacktrace\":{\"frames\":[{\"function\":\"call\",\"lineno\":12,\"vars\":{\"{v}\":\"'\u{1}'\",\"retry\":\"3\"}}]}}]}}",
            "{\"level\":\"error\",\"message\":\"login failed with {v}=\u{1} after 3 tries\",\"platform\":\"python\"}",
        ],
        writing: Writing::Json(1),
        without: &[Kind::Text],
    },
    Context {
        name: "JSON in JSON",
        templates: &[
            "{\"body\":\"{\\\"{v}\\\":\\\"\u{1}\\\",\\\"n\\\":3}\"}",
            "{\"a\":\"{\\\"b\\\":\\\"{\\\\\\\"{v}\\\\\\\":\\\\\\\"\u{1}\\\\\\\"}\\\"}\"}",
        ],
        writing: Writing::Json(2),
        without: &[Kind::Text],
    },
    Context {
        name: "URL query",
        templates: &[
            "GET https://api.shop.test/v1/items?{v}=\u{1}&page=2 502",
            "https://api.shop.test/cb?page=1&{v}=\u{1}",
        ],
        writing: Writing::Percent,
        without: &[Kind::Text, Kind::Block],
    },
    Context {
        name: "bare text",
        templates: &["I tried it with the {w} \u{1} and it fails", "{w}: \u{1}\n"],
        writing: Writing::Plain,
        without: ONE_LINE,
    },
    Context {
        name: "Terraform",
        templates: &[
            "variable \"{v}\" {\n  type    = string\n  default = \"\u{1}\"\n}\n",
            "resource \"shop_app\" \"main\" {\n  name = \"shop\"\n  {v} = \"\u{1}\"\n}\n",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "cookie",
        templates: &[
            "Cookie: theme=dark; {v}=\u{1}; lang=en\r\n",
            "Set-Cookie: {v}=\u{1}; Path=/; HttpOnly\r\n",
        ],
        writing: Writing::Percent,
        without: &[Kind::Text, Kind::Block, Kind::Url, Kind::Card],
    },
    Context {
        name: "SQL",
        templates: &[
            concat!("INSERT", " INTO settings (name, {v}) VALUES ('shop', '\u{1}');"),
            concat!("UPDATE", " settings SET {v} = '\u{1}' WHERE id = 7;"),
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "shell command",
        templates: &[
            "$ {V}='\u{1}' ./deploy.sh --region eu",
            "docker run -e {V}=\u{1} -p 80:80 shop",
            "export {V}=\"\u{1}\"; make deploy",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
    Context {
        name: "base64",
        templates: &["{V}=\u{1}\n", "{\"{v}\":\"\u{1}\"}"],
        writing: Writing::Base64,
        without: &[Kind::Text],
    },
    Context {
        name: "chunk boundary",
        templates: &["\n{v}: \"\u{1}\"\nend of the part\n"],
        writing: Writing::Chunk,
        without: &[Kind::Text],
    },
    Context {
        name: "multi-byte",
        templates: &[
            "Größe→ {v}=\u{1}、了解しました",
            "«{v}»: \"\u{1}\" — ключ не подходит",
            "🔑{v}: '\u{1}'🔥",
        ],
        writing: Writing::Line,
        without: &[Kind::Text],
    },
];

impl Context {
    /// A credential of a family in this context; none if they do not go together.
    pub fn case(&self, family: &'static Family, dice: &mut Dice) -> Option<Case> {
        if self.without.contains(&family.kind) {
            return None;
        }
        let made = make(dice.one(family.forms), dice);
        let template = dice.one(self.templates);
        let text = named(template, family.name);
        let (head, tail) = text.split_once('\u{1}')?;
        let (text, start, end) = match self.writing {
            Writing::Base64 => {
                let word =
                    base64(format!("{head}{}{}{}{tail}", made.before, made.secret, made.after).as_bytes());
                let head = "apiVersion: v1\nkind: Secret\ndata:\n  settings: ";
                (format!("{head}{word}\n"), head.len(), head.len() + word.len())
            }
            Writing::Chunk => {
                let line = "2026-11-24T09:48:16Z INFO order 4711 stored in 3 ms\n";
                let half = made.secret.len() / 2 + made.before.len() + head.len();
                let mut filler = line.repeat(CHUNK / line.len());
                filler.push_str(&".".repeat(CHUNK - filler.len()));
                filler.truncate(CHUNK - half);
                place(&format!("{filler}{head}"), &made, tail, one_line)
            }
            Writing::Plain => place(head, &made, tail, str::to_owned),
            Writing::Line => place(head, &made, tail, one_line),
            Writing::Json(depth) => place(head, &made, tail, |part| {
                // The event holds it as Python prints it, so its line ends are escaped already.
                json(part, if template.contains("\\\\\\\"") { depth + 1 } else { depth })
            }),
            Writing::Percent => place(head, &made, tail, percent),
        };
        Some(Case { family: family.family, context: self.name, text: text.into_bytes(), secret: start..end })
    }
}

fn place(head: &str, made: &Made, tail: &str, write: impl Fn(&str) -> String) -> (String, usize, usize) {
    let before = format!("{head}{}", write(&made.before));
    let secret = write(&made.secret);
    let (start, end) = (before.len(), before.len() + secret.len());
    (format!("{before}{secret}{}{tail}", write(&made.after)), start, end)
}

fn named(template: &str, name: &str) -> String {
    let mut camel = String::new();
    for (index, word) in name.split('_').enumerate() {
        let (first, rest) = word.split_at(1);
        camel.push_str(&if index == 0 { first.to_owned() } else { first.to_uppercase() });
        camel.push_str(rest);
    }
    template
        .replace("{V}", &name.to_uppercase())
        .replace("{v}", name)
        .replace("{c}", &camel)
        .replace("{w}", &name.replace('_', " "))
}

fn one_line(part: &str) -> String {
    part.replace('\n', "\\n")
}

/// Escapes for a JSON string, as often as it is nested.
fn json(part: &str, depth: usize) -> String {
    (0..depth).fold(part.to_owned(), |text, _| {
        text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t")
    })
}

fn percent(part: &str) -> String {
    let mut out = String::new();
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
