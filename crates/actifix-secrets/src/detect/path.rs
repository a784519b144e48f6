//! Tokens in the path of a URL: what stands behind a segment that announces one.
use super::checks::looks_random;
use super::hunt::Hunt;
use crate::bytes::{at, before, is_token, run, slice};

/// Segments behind which the next one lets somebody in: reset, invitation, confirmation, hooks.
pub(super) const BEFORE_TOKENS: &[&str] = &[
    "/reset/",
    "/reset-password/",
    "/resetpassword/",
    "/password-reset/",
    "/password_reset/",
    "/reset_password/",
    "/forgot-password/",
    "/confirm/",
    "/confirmation/",
    "/confirm-email/",
    "/verify/",
    "/verify-email/",
    "/verify_email/",
    "/verification/",
    "/activate/",
    "/activation/",
    "/invite/",
    "/invites/",
    "/invitation/",
    "/invitations/",
    "/magic/",
    "/magic-link/",
    "/magic_link/",
    "/unsubscribe/",
    "/token/",
    "/tokens/",
    "/secret/",
    "/secrets/",
    "/api_key/",
    "/apikey/",
    "/api-key/",
    "/webhook/",
    "/webhooks/",
    "/hooks/",
    "/sso/",
    "/share/",
    "/auth/",
    "/session/",
    "/key/",
];
/// Shortest token, and shortest one of hex digits: shorter ones are ids of records.
const TOKEN_BYTES_MIN: usize = 16;
const HEX_BYTES_MIN: usize = 32;
/// Longest one.
const TOKEN_BYTES_MAX: usize = 512;
/// Segments whose next one is a secret only if it has upper and lower case: hashes and ids stand there as well.
const OFTEN_IDS: &[&[u8]] = &[b"share", b"auth", b"session", b"key", b"sso", b"hooks", b"secrets"];

impl Hunt<'_> {
    /// A segment of [`BEFORE_TOKENS`] ends at `pos`.
    pub(super) fn segment(&mut self, pos: usize) {
        let text = self.text;
        let end = run(text, pos, TOKEN_BYTES_MAX, is_token);
        self.work += end - pos;
        let word = slice(text, pos, end);
        // A file, a call or a host goes on behind it.
        let ends = !matches!(at(text, end), b'.' | b'(' | b':' | b'@' | b'%' | b'{' | b'[' | b'$');
        let hex = word.iter().all(u8::is_ascii_hexdigit);
        let two_cases = word.iter().any(u8::is_ascii_lowercase) && word.iter().any(u8::is_ascii_uppercase);
        let head = slice(text, pos.saturating_sub(24), pos.saturating_sub(1));
        let name = head.rsplit(|b| *b == b'/').next().unwrap_or(head);
        let often = OFTEN_IDS.iter().any(|known| name.eq_ignore_ascii_case(known));
        let long = word.len() >= if hex { HEX_BYTES_MIN } else { TOKEN_BYTES_MIN };
        if !ends || !long || pos < self.covered || before(text, end) == b'-' || (often && !two_cases) {
            return;
        }
        let random = looks_random(word, TOKEN_BYTES_MIN) && (two_cases || hex || is_mixed(word));
        if let Some(rule) = self.engine.special.secret_word.filter(|_| random) {
            self.add(pos, end, rule, true);
            self.covered = self.covered.max(end);
        }
    }
}

/// No words with hyphens between them: letters and digits change within the parts.
fn is_mixed(word: &[u8]) -> bool {
    word.split(|b| matches!(b, b'-' | b'_')).any(|part| {
        part.len() >= 8
            && part.iter().any(u8::is_ascii_digit)
            && part.iter().any(u8::is_ascii_alphabetic)
            && looks_random(part, 8)
    })
}
