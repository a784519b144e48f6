//! How a credential is made from the description of its form.
use super::dice::{Dice, base64, base64url, crc_base62};

/// A credential and what belongs around it: the user and host of a connection string.
#[derive(Debug, Clone)]
pub struct Made {
    /// Text before the secret part.
    pub before: String,
    /// The secret part.
    pub secret: String,
    /// Text behind it.
    pub after: String,
}

/// Makes a credential: `<class*count>` and `<class*from-to>` are made-up characters, `<uuid>`, `<crc>`, `<pw*16>`, `<jwt>`,
/// `<pem:LABEL>`,
/// `<pemline:LABEL>`, `<card*16:PREFIX>` what they say; `[[` and `]]` stand around the secret part.
pub fn make(form: &str, dice: &mut Dice) -> Made {
    let mut out = String::new();
    let mut rest = form;
    let (mut start, mut end) = (0, None);
    while let Some(at) = rest.find(['<', '[', ']']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("[[") {
            start = out.len();
            rest = tail;
        } else if let Some(tail) = rest.strip_prefix("]]") {
            end = Some(out.len());
            rest = tail;
        } else if let Some((piece, tail)) = rest.strip_prefix('<').and_then(|inner| inner.split_once('>')) {
            let made = part(piece, &out, dice);
            out.push_str(&made);
            rest = tail;
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    let end = end.unwrap_or(out.len());
    Made { before: out[..start].to_owned(), secret: out[start..end].to_owned(), after: out[end..].to_owned() }
}

fn part(piece: &str, so_far: &str, dice: &mut Dice) -> String {
    if let Some(label) = piece.strip_prefix("pem:") {
        return pem(label, dice);
    }
    if let Some(label) = piece.strip_prefix("pemline:") {
        return pem(label, dice).replace('\n', "\\n");
    }
    match piece {
        "uuid" => return dice.uuid(),
        "jwt" => return jwt(dice),
        "crc" => {
            let body = so_far.rsplit_once('_').map_or(so_far, |(_, body)| body);
            return crc_base62(body.as_bytes());
        }
        "basic" => return base64(format!("deploy:{}", dice.password(14)).as_bytes()),
        "discord" => {
            // The first part is the decimal id of the bot in base64.
            let id = format!("{}{}", dice.class("nz", 1), dice.class("dig", 17));
            return format!("{}.{}.{}", base64url(id.as_bytes()), dice.class("url", 6), dice.class("62", 38));
        }
        _ => {}
    }
    let (class, count) = piece.split_once('*').unwrap_or_else(|| panic!("<{piece}> has no count"));
    if class == "card" {
        let (count, prefix) = count.split_once(':').unwrap();
        return card(prefix, count.parse().unwrap(), dice);
    }
    let count = match count.split_once('-') {
        Some((from, to)) => {
            let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
            from + dice.below(to - from + 1)
        }
        None => count.parse().unwrap(),
    };
    match class {
        "pw" => dice.password(count),
        "json64" => {
            base64url(format!("{{\"iat\":1795513699,\"url\":\"{}\"}}", dice.class("low", count)).as_bytes())
        }
        _ => dice.class(class, count),
    }
}

/// A number with a valid check digit (ISO/IEC 7812).
pub fn card(prefix: &str, count: usize, dice: &mut Dice) -> String {
    let body = format!("{prefix}{}", dice.class("dig", count - 1 - prefix.len()));
    let sum: u32 = body
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let doubled = u32::from(digit - b'0') * if index % 2 == 0 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn jwt(dice: &mut Dice) -> String {
    let header = dice.one(&[
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"typ":"JWT","alg":"RS256","kid":"k1"}"#,
        r#"{"alg":"ES256"}"#,
    ]);
    let payload = format!(
        r#"{{"iss":"https://login.test","sub":"{}","exp":{},"scope":"orders:read"}}"#,
        dice.class("dig", 9),
        1_800_000_000 + dice.below(9_999_999)
    );
    let signature = dice.bytes(32);
    format!("{}.{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()), base64url(&signature))
}

/// A block of a private key with lines of 64 characters.
fn pem(label: &str, dice: &mut Dice) -> String {
    let dashes = "-".repeat(5);
    let size = 300 + dice.below(400);
    let body = base64(&dice.bytes(size));
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let gap = if label.starts_with("PGP") { "\n" } else { "" };
    format!("{dashes}BEGIN {label}{dashes}\n{gap}{}\n{dashes}END {label}{dashes}", lines.join("\n"))
}
