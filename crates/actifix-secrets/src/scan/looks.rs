//! What a value looks like that is no secret: symbols, texts, templates, paths, hashes and keys that are public.
use super::place::Place;
use super::words::{holds_words, is_wordy};
use crate::bytes::{at, has, run};
use crate::detect::checks::{is_hex, looks_random};

/// Names of constants, types and variables: `SCSI_PASS_THROUGH32`, `OBJ_set_msgExt,3L`, `*pkcs8KeyBag`.
pub(super) fn is_symbol(value: &[u8]) -> bool {
    if matches!(value, [b'*' | b'&' | b'%', rest @ ..] if rest.iter().all(|b| b.is_ascii_alphanumeric() || b"_.,;*".contains(b)))
    {
        return true;
    }
    let code = value.iter().all(|b| b.is_ascii_alphanumeric() || b"_.,;*:".contains(b));
    let digits = value.iter().filter(|b| b.is_ascii_digit()).count();
    let upper = value.iter().filter(|b| b.is_ascii_uppercase()).count();
    let shouted = upper >= 4
        && (value.contains(&b'_') || (value.len() >= 10 && digits * 12 <= value.len()))
        && !value.iter().any(u8::is_ascii_lowercase);
    let joined =
        value.len() < 28 && value.iter().any(|b| matches!(b, b'_' | b',')) && digits * 6 <= value.len();
    let constant = has(value, 0, b"0x") && value.len() <= 14;
    let first = value.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    code && (constant || first && (shouted || joined))
}

/// Text with escapes, dates, options: what stands in quotes and is no secret.
pub(super) fn is_text(value: &[u8]) -> bool {
    let escapes = value.windows(2).filter(|pair| *pair == b"\\x").count();
    let percents = value.iter().filter(|b| **b == b'%').count();
    let date = matches!(value, [a, b, c, d, b'-', m, n, b'-', ..] if [a, b, c, d, m, n].iter().all(|b| b.is_ascii_digit()));
    let option =
        (value.starts_with(b"--") && is_wordy(value)) || memchr::memmem::find(value, b"=\"").is_some();
    escapes > 0 || percents * 6 >= value.len().max(6) * 2 || date || option
}

/// Under a name of hashes (`password_hash`, `token_sha256`) a hash is one.
pub(super) fn is_long_hash(value: &[u8], place: Place<'_>) -> bool {
    is_hex(value)
        && [&b"hash"[..], b"sha", b"digest", b"md5"].iter().any(|word| holds_words(place.name, &[word]))
}

pub(super) fn is_long_hex(value: &[u8]) -> bool {
    value.len() >= 20 && is_hex(value) && value.iter().any(u8::is_ascii_digit)
}

/// One byte after the other: `12345678`, `abcdef`, `aaaaaa`.
pub(super) fn is_run(value: &[u8]) -> bool {
    let steps = value
        .windows(2)
        .filter(
            |pair| matches!(pair, [a, b] if *a == *b || a.wrapping_add(1) == *b || a.wrapping_sub(1) == *b),
        )
        .count();
    value.len() >= 4 && steps * 4 >= value.len() * 3
}

pub(super) fn unquote(value: &[u8]) -> &[u8] {
    match value {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => inner,
        _ => value,
    }
}

/// `${X}`, `{{ x }}`, `<%= x %>`, `%s`, `#{x}`, `{x}`, regular expressions, references to a store of secrets.
pub(super) fn is_template(value: &[u8]) -> bool {
    const INSIDE: [&[u8]; 17] = [
        b"${", b"{{", b"<%", b"#{", b"%{", b"$(", b"$env:", b"\\w", b"\\d", b"\\s", b"[a-z", b"[A-Z",
        b"[0-9", b"[^", b"(?", b".*", b"%s",
    ];
    const HEADS: [&[u8]; 24] = [
        b"process.env",
        b"os.environ",
        b"os.getenv",
        b"getenv",
        b"env.",
        b"ENV[",
        b"import.meta",
        b"System.",
        b"secrets.",
        b"arn:",
        b"vault:",
        b"op://",
        b"ssm:",
        b"sops:",
        b"!Ref",
        b"!Sub",
        b"projects/",
        b"@Microsoft.KeyVault",
        b"file:",
        b"secret://",
        b"awssm://",
        b"gcpsm://",
        b"ref+",
        b"keyring:",
    ];
    let braced = memchr::memchr(b'{', value).is_some_and(|open| {
        let end =
            run(value, open + 1, 40, |b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'));
        at(value, end) == b'}'
    });
    let shell = matches!(value, [b'$', rest @ ..] if rest.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && rest.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'>'))
        && !rest.iter().any(u8::is_ascii_digit));
    let percent = matches!(value, [b'%', inner @ .., b'%'] if inner.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_'));
    let at_sign = matches!(value, [b'@', b'@', ..]) || matches!(value, [b'_', b'_', .., b'_', b'_']);
    let angle = matches!((value.first(), value.last()), (Some(b'<'), Some(b'>')));
    braced
        || shell
        || percent
        || at_sign
        || angle
        || HEADS.iter().any(|head| value.starts_with(head))
        || INSIDE.iter().any(|part| memchr::memmem::find(value, part).is_some())
}

/// Keys that are made to be seen.
pub(super) fn is_public(value: &[u8]) -> bool {
    const HEADS: [&[u8]; 12] = [
        b"pk_live_",
        b"pk_test_",
        b"pk.eyJ",
        b"pk_",
        b"sb_publishable_",
        b"ssh-rsa",
        b"ssh-ed25519",
        b"AAAAB3NzaC",
        b"AAAAC3NzaC",
        b"-----BEGIN PUBLIC",
        b"-----BEGIN CERT",
        b"phc_",
    ];
    HEADS.iter().any(|head| value.starts_with(head))
}

pub(super) fn public_name(name: &[u8]) -> bool {
    holds_words(
        name,
        &[
            b"public",
            b"publishable",
            b"pubkey",
            b"pub_key",
            b"sitekey",
            b"site_key",
            b"anon_key",
            b"anonkey",
            b"dsn",
        ],
    )
}

/// Paths and addresses: what they lead to may be secret, they are not.
pub(super) fn is_path(value: &[u8]) -> bool {
    let slashes = value.iter().filter(|b| **b == b'/').count();
    let scheme = memchr::memmem::find(value, b"://").is_some();
    let rooted = matches!(value, [b'/' | b'~', rest @ ..] if rest.iter().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(b)))
        && (!looks_random(value, 20) || slashes >= 3);
    let relative = value.starts_with(b"./") || value.starts_with(b"../") || value.starts_with(b"data:");
    let parts = slashes >= 2 && value.split(|b| *b == b'/').all(|part| part.is_empty() || is_wordy(part));
    let host = !value.contains(&b'/')
        && value.iter().filter(|b| **b == b'.').count() >= 2
        && value.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
    scheme || rooted || relative || parts || host
}
