//! Texts that look as if they held credentials and hold none.
use super::dice::{Dice, base64, base64url, crc_base62};
use super::forms::card;

/// A kind of such texts.
#[derive(Debug)]
pub struct Negative {
    /// Its name in reports.
    pub name: &'static str,
    /// `<class*count>` and the pieces below are made up.
    templates: &'static [&'static str],
}

/// All kinds.
#[rustfmt::skip]
pub const NEGATIVES: &[Negative] = &[
    Negative { name: "placeholder", templates: &[
        "API_KEY=your-api-key-here", "api_key = \"YOUR_API_KEY\"", "token: <your-token>", "password = \"changeme\"", "SECRET_KEY=xxxxxxxxxxxxxxxxxxxxxxxx",
        "export OPENAI_API_KEY=sk-your-key-here", "STRIPE_KEY=sk_test_<lit:xxxxxxxxxxxx>xxxxxxxxxxxx", "GITHUB_TOKEN=ghp_<lit:xxxxxxxxxxxxxxxxxx>xxxxxxxxxxxxxxxxxx",
        "AWS_ACCESS_KEY_ID=AKIA<lit:XXXXXXXX>XXXXXXXX", "password: ********", "client_secret: REPLACE_ME_WITH_SECRET", "DB_PASSWORD=password123",
        "apiKey: 'insert-your-key'", "auth_token = \"TODO\"", "SLACK_TOKEN=xoxb-<lit:your-slack>-bot-token", "secret: \"dummy-secret-value-1\"", "password: \"example-password-1\"",
        "token=00000000000000000000000000000000", "api_key=12345678901234567890", "api_key: \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", "SENDGRID=SG.<lit:xxxxxxxxxxx>xxxxxxxxxxx.xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] },
    Negative { name: "documented example", templates: &[
        "AKIA<lit:IOSFODNN7>EXAMPLE", "aws_secret_access_key = wJalr<lit:XUtnFEMI/K7MDENG/>bPxRfiCYEXAMPLEKEY", "https://hooks.slack.com/services/<lit:T0000>0000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX",
        "card 4242 4242 4242 4242", "pan=4111111111111111", "stripe.api_key = \"sk_test_<lit:4eC39HqLyj>WDarjtT1zdp7dc\"", "key: sk_test_<lit:BQokikJOvB>iI2HlWgH4olfQ2",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.<lit:SflKxwRJSMeKKF2QT4fwpM>eJf36POk6yJV_adQssw5c",
        "AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/<lit:K1SZFPTOtr>/KBHBeksoGMGw==;",
        "https://user:password@example.com/", "postgres://user:pass@localhost/db", "mysql://root:root@127.0.0.1/test", "postgres://postgres:postgres@db:5432/app",
    ] },
    Negative { name: "reference", templates: &[
        "password: ${DB_PASSWORD}", "apiKey: process.env.API_KEY,", "password = os.environ[\"DB_PASSWORD\"]", "token: {{ .Values.github.token }}", "secret = config.get('secret')",
        "DATABASE_URL=postgres://${USER}:${PASSWORD}@db/app", "client_secret: !Ref ClientSecret", "token: ${{ secrets.GITHUB_TOKEN }}", "password = var.db_password",
        "API_KEY=$(vault kv get -field=key secret/app)", "password=\"$POSTGRES_PASSWORD\"", "secretKeyRef: { name: app, key: api_key }", "password = getpass.getpass()",
        "auth: (request.headers['authorization'] || '').slice(7)", "token = f\"{prefix}-{token_id}\"", "api_key = settings.STRIPE_API_KEY", "password: %DB_PASSWORD%",
        "secret: op://vault/item/field", "let token = self.tokens.get(index)?;", "Authorization: Bearer ${token}", "-H \"Authorization: Bearer $TOKEN\"", "curl -u \"$USER:$PASS\" https://api.test",
        "const password = document.getElementById('password').value;", "private String password = builder.password;", "password := flag.String(\"password\", \"\", \"database password\")",
    ] },
    Negative { name: "identifier", templates: &[
        "class PasswordResetTokenGenerator2:", "def check_password(self, raw_password):", "import { AuthTokenProvider } from './auth-token-provider';", "token_urlsafe(32)", "secret_key_base",
        "if token_type == 'access_token_v2':", "passwordInput.addEventListener('change', onPasswordChange2);", "enum TokenKind { AccessToken, RefreshToken }", "sk_buff_head_init_2", "password_field = \"user_password_field\"",
        "api_key_header = \"X-Api-Key\"", "token = TokenType.IDENTIFIER", "key = \"settings.notifications.email\"", "secret_name = \"prod/shop/db\"", "tokenizer = \"bert-base-uncased\"", "password: \"Passwort vergessen?\"",
        "\"password\": \"Kennwort\",", "auth = \"oauth2_client_credentials\"", "session: \"session-storage-key-v1\"", "credentials: 'same-origin'", "ask-driven-development-is-a-practice-of-the-team", "task_live_reload_configuration_option",
        "npm_config_cache_location_of_the_user_home", "hf_transformer_models_of_the_year_collection", "let glpat_tokens_counter = glpat_total;", "token: 'keyword.control.import.js'",
    ] },
    Negative { name: "UUID or hash under another name", templates: &[
        "cache_key=<uuid>", "request_id: <uuid>", "{\"user_id\":\"<uuid>\"}", "etag: \"<hex*32>\"", "commit <hex*40>", "sha256:<hex*64>", "\"checksum\": \"<hex*64>\"", "build_hash=<hex*40>", "md5 = '<hex*32>'",
        "instance: <uuid>", "idempotency_key=<uuid>", "partition_key: <hex*32>", "primary_key = '<uuid>'", "foreign_key: <uuid>", "revision=<hex*12>", "x-request-id: <uuid>", "image: shop@sha256:<hex*64>", "digest = \"<hex*64>\"",
    ] },
    Negative { name: "trace, span and debug ids", templates: &[
        "trace_id=<hex*32> span_id=<hex*16>", "traceparent: 00-<hex*32>-<hex*16>-01", "sentry-trace: <hex*32>-<hex*16>-1", "\"debug_id\":\"<uuid>\"", "{\"event_id\":\"<hex*32>\",\"trace\":{\"trace_id\":\"<hex*32>\"}}", "baggage: sentry-trace_id=<hex*32>,sentry-public_key=<hex*32>",
        "X-Amzn-Trace-Id: Root=1-<hex*8>-<hex*24>", "dd.trace_id=<dig*19> dd.span_id=<dig*19>", "datadog_trace_id=<hex*32>",
    ] },
    Negative { name: "lockfile", templates: &[
        "\"integrity\": \"sha512-<b64bytes*64>\"", "checksum = \"<hex*64>\"", "github.com/pkg/errors v0.9.1 h1:<b64bytes*32>", "    --hash=sha256:<hex*64> \\", "resolved \"https://registry.npmjs.org/ms/-/ms-2.1.3.tgz#<hex*40>\"",
        "  sha256: \"<hex*64>\"", "source = \"git+https://github.com/a/b?rev=<hex*40>#<hex*40>\"", "integrity sha1-<b64bytes*20>",
    ] },
    Negative { name: "public key or certificate", templates: &[
        "-----BEGIN PUBLIC KEY-----\nMIIB<b64bytes*200>\n-----END PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----\nMIID<b64bytes*600>\n-----END CERTIFICATE-----", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI<64*43> deploy@shop",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ<64*340> a@b", "public_key = \"<b64bytes*32>\"", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n<b64bytes*300>\n-----END PGP PUBLIC KEY BLOCK-----", "age1<low*58>",
        "\"kty\":\"RSA\",\"n\":\"<url*342>\",\"e\":\"AQAB\"", "fingerprint: SHA256:<64*43>", "if line.startswith('-----BEGIN RSA <lit:PRIVATE> KEY-----'):",
    ] },
    Negative { name: "publishable key", templates: &[
        "STRIPE_PUBLISHABLE_KEY=pk_live_<62*24>", "pk_test_51<62*97>", "sb_publishable_<62*31>", "mapboxgl.accessToken = 'pk.<jsonpart>.<62*22>';", "recaptcha_site_key: 6L<62*38>", "NEXT_PUBLIC_POSTHOG_KEY=phc_<62*43>", "vapid_public_key=B<url*86>",
    ] },
    Negative { name: "DSN", templates: &[
        "SENTRY_DSN=https://<hex*32>@o<nz*6>.ingest.sentry.io/<nz*7>", "dsn: \"https://<hex*32>@errors.shop.test/42\"", "Sentry.init({dsn:\"https://<hex*32>@o1.ingest.us.sentry.io/2\"})",
    ] },
    Negative { name: "base64 image or font", templates: &[
        "background:url(data:image/png;base64,iVBORw0KGgo<b64bytes*600>)", "<img src=\"data:image/gif;base64,R0lGODlh<b64bytes*200>\">", "src:url(data:font/woff2;base64,d09GMgAB<b64bytes*900>) format('woff2')", "//# sourceMappingURL=data:application/json;base64,eyJ2ZXJzaW9uIjozLCJzb3VyY2Vz<b64bytes*300>",
    ] },
    Negative { name: "minified code", templates: &[
        "!function(e,t){var n=t.token||e.key,r=n?n.split(\".\"):[];for(var o=0;o<r.length;o++)i[r[o]]=1}(a,b);", "var a=\"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/\";", "t.exports={password:e.password,secret:n(42),token:r.token};",
        "\"use strict\";var r=n(<dig*5>),o=r.__importDefault(n(<dig*5>));t.apiKey=o.default.apiKey", "const e=\"<hex*8>\",t={key:\"ArrowDown\",code:\"ArrowDown\",which:40};", ".css-<low*6>-MuiButton{color:#<hex*6>}.sc-<low*5>{key:1}",
    ] },
    Negative { name: "wrong checksum", templates: &["ghp_<62*30><badcrc>", "token = \"npm_<62*30><badcrc>\"", "gho_<62*30><badcrc>", "https://x/?t=ghs_<62*30><badcrc>"] },
    Negative { name: "numbers and times", templates: &[
        "ts=17955136999882290<dig*2>", "order <badcard>", "elapsed=0.<dig*16>", "offset 4<dig*15>e3", "phone: +1-202-555-01<dig*2>", "[<dig*10>,<dig*10>,<dig*10>,<dig*10>,<dig*10>]", "isbn 978-3-16-148410-0", "id=<badcard>",
    ] },
    Negative { name: "prose and messages", templates: &[
        "password authentication failed for user \"shop\"", "The token has expired; request a new one at https://shop.test/login", "Your password must contain at least 8 characters.", "invalid api key: authentication required", "Set the secret in the environment before the start.",
        "Bearer token missing in request header", "error: token: unexpected end of input", "the key is stored in /etc/ssl/private/server.key", "password reset link was sent to the user", "Unexpected token < in JSON at position 0", "see https://docs.test/authentication#api-keys",
    ] },
    Negative { name: "settings without secrets", templates: &[
        "token_ttl=3600", "password_min_length: 12", "max_tokens = 4096", "session_timeout: 30m", "auth_method=oauth2", "secret_rotation_days: 90", "api_key_id=12", "cookie: theme=dark; lang=en; consent=1", "password_hash_rounds=12", "jwt_algorithm: HS256",
        "key_file: /run/secrets/tls.key", "credential_helper = osxkeychain", "token_endpoint: https://login.test/oauth2/token", "public_key_path=/etc/keys/pub.pem", "secretsmanager: arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop-AbCdEf",
    ] },
];

impl Negative {
    /// A text of this kind.
    pub fn text(&self, dice: &mut Dice) -> String {
        let mut out = String::new();
        let mut rest: &str = dice.one(self.templates);
        while let Some((head, tail)) = rest.split_once('<') {
            out.push_str(head);
            match tail.split_once('>').and_then(|(piece, tail)| Some((part(piece, &out, dice)?, tail))) {
                Some((made, tail)) => {
                    out.push_str(&made);
                    rest = tail;
                }
                None => {
                    out.push('<');
                    rest = tail;
                }
            }
        }
        out + rest
    }
}

fn part(piece: &str, so_far: &str, dice: &mut Dice) -> Option<String> {
    if let Some(literal) = piece.strip_prefix("lit:") {
        return Some(literal.to_owned());
    }
    match piece {
        "uuid" => return Some(dice.uuid()),
        "badcrc" => {
            let body = so_far.rsplit_once('_').map_or(so_far, |(_, body)| body);
            let right = crc_base62(body.as_bytes());
            let last = if right.ends_with('A') { 'B' } else { 'A' };
            return Some(format!("{}{last}", &right[..5]));
        }
        "badcard" => {
            let right = card("4", 16, dice);
            let last = right.bytes().last()? - b'0';
            return Some(format!("{}{}", &right[..15], (last + 1 + dice.below(8) as u8) % 10));
        }
        "jsonpart" => return Some(base64url(br#"{"u":"shop","a":"clx1"}"#)),
        _ => {}
    }
    let (class, count) = piece.split_once('*')?;
    let count = count.parse().ok()?;
    match class {
        "b64bytes" => Some(base64(&dice.bytes(count))),
        "62" | "64" | "url" | "hex" | "low" | "dig" | "nz" => Some(dice.class(class, count)),
        _ => None,
    }
}
