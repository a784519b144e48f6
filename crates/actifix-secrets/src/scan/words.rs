//! Words of people and of programs, against what a machine made.

/// Longest value that is judged by its words, in bytes.
const WORDY_BYTES_MAX: usize = 256;

/// Passwords that stand in every manual.
const WEAK: &[&str] = &[
    "admin",
    "administrator",
    "root",
    "user",
    "username",
    "guest",
    "test",
    "tester",
    "testing",
    "demo",
    "pass",
    "passwd",
    "password",
    "passw0rd",
    "p@ssw0rd",
    "p@ssword",
    "pa$$word",
    "pa55word",
    "pwd",
    "secret",
    "mysecret",
    "my_secret",
    "letmein",
    "welcome",
    "changeme",
    "changeit",
    "default",
    "foo",
    "bar",
    "foobar",
    "foobarbaz",
    "baz",
    "qux",
    "abc",
    "abcd",
    "qwerty",
    "asdf",
    "postgres",
    "postgresql",
    "mysql",
    "mongo",
    "redis",
    "rabbit",
    "rabbitmq",
    "minio",
    "minioadmin",
    "minioadmin123",
    "elastic",
    "oracle",
    "sa",
    "token",
    "key",
    "apikey",
    "mykey",
    "mytoken",
    "mypassword",
    "credentials",
    "supersecret",
    "topsecret",
    "verysecret",
    "hunter",
    "monkey",
    "dragon",
    "iloveyou",
    "master",
    "docker",
    "vagrant",
    "ubuntu",
    "hello",
    "world",
    "helloworld",
    "alice",
    "bob",
    "mypass",
    "userpass",
    "rootpass",
    "adminpass",
    "testpass",
    "testpassword",
    "testsecret",
    "testtoken",
    "testkey",
    "dbpass",
    "dbpassword",
    "example",
    "sample",
    "dummy",
    "fake",
    "mock",
    "local",
    "localhost",
    "dev",
    "development",
    "prod",
    "production",
    "staging",
    "s3cr3t_placeholder",
    "none",
    "string",
    "value",
    "text",
    "undefined",
    "notset",
    "unset",
    "open sesame",
    "opensesame",
    "keyboard cat",
    "keyboardcat",
    "sesame",
    "trustno",
    "insecure",
    "unsafe",
    "notasecret",
    "not_a_secret",
    "itsasecret",
];

/// Whether a value is a word of [`WEAK`], digits and marks at its end aside.
pub(crate) fn known_weak(value: &[u8]) -> bool {
    let lower = value.get(..value.len().min(64)).unwrap_or(&[]).to_ascii_lowercase();
    let trimmed = |list: &[u8]| {
        let end = lower.iter().rposition(|b| !list.contains(b)).map_or(0, |last| last + 1);
        lower.get(..end).map(<[u8]>::to_vec).unwrap_or_default()
    };
    let is = |word: &[u8]| WEAK.iter().any(|weak| weak.as_bytes() == word);
    value.len() <= 32 && (is(&lower) || is(&trimmed(b"0123456789!?.@#$_-")))
}

/// Whether one of the words stands in a value, ASCII case ignored. The words are in lower case.
pub(crate) fn holds_words(value: &[u8], words: &[&[u8]]) -> bool {
    let lower = value.get(..value.len().min(WORDY_BYTES_MAX)).unwrap_or(&[]).to_ascii_lowercase();
    words.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// Whether a value is made of words, as identifiers, file names and sentences are: pieces of some letters with
/// vowels in them, few digits.
pub(crate) fn is_wordy(value: &[u8]) -> bool {
    if value.is_empty() || value.len() > WORDY_BYTES_MAX {
        return false;
    }
    let (mut pieces, mut letters, mut vowels, mut worded, mut digits) =
        (0_usize, 0_usize, 0_usize, 0_usize, 0_usize);
    // Places where a letter follows a digit: `sha256With`.
    let mut turns = 0_usize;
    let mut start = 0;
    for index in 0..=value.len() {
        let byte = value.get(index).copied().unwrap_or(b' ');
        let last = index.checked_sub(1).and_then(|i| value.get(i)).copied().unwrap_or(b' ');
        let next = value.get(index + 1).copied().unwrap_or(b' ');
        let letter = byte.is_ascii_alphabetic();
        let camel = byte.is_ascii_uppercase()
            && (last.is_ascii_lowercase() || (last.is_ascii_uppercase() && next.is_ascii_lowercase()));
        digits += usize::from(byte.is_ascii_digit());
        turns += usize::from(letter && last.is_ascii_digit());
        if letter && !camel {
            continue;
        }
        let piece = value.get(start..index).unwrap_or(&[]);
        let start_before = start.checked_sub(1);
        start = if letter { index } else { index + 1 };
        if piece.is_empty() {
            continue;
        }
        let sounds = piece.iter().filter(|b| b"aeiouyAEIOUY".contains(b)).count();
        pieces += 1;
        letters += piece.len();
        vowels += sounds;
        // Capitals inside of other letters and digits are no word.
        let bounded = |byte: Option<&u8>| byte.is_none_or(|b| !b.is_ascii_alphanumeric());
        let shouted = piece.len() >= 2
            && piece.iter().all(u8::is_ascii_uppercase)
            && !(bounded(start_before.and_then(|at| value.get(at))) && bounded(value.get(index)));
        let like_word = !shouted && piece.len() >= 2 && sounds > 0 && longest_without_vowel(piece) <= 4;
        worded += if like_word { piece.len() } else { 0 };
    }
    letters > 0
        && turns <= 1
        && letters * 2 >= pieces * 5
        && vowels * 5 >= letters
        && worded * 4 >= letters * 3
        && digits * 3 <= value.len()
}

fn longest_without_vowel(piece: &[u8]) -> usize {
    let (mut longest, mut now) = (0, 0);
    for byte in piece {
        now = if b"aeiouyAEIOUY".contains(byte) { 0 } else { now + 1 };
        longest = longest.max(now);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_made_values() {
        for word in [
            "my-app-secret-v2",
            "getUserById2",
            "passwordField",
            "com.example.TokenService",
            "user_access_token",
            "ForgotPassword",
            "oauth2_client_credentials",
            "base64-encoded-value",
        ] {
            assert!(is_wordy(word.as_bytes()), "{word}");
        }
        for parts in [
            ["a8f3k2", "m9x1"],
            ["xkqzjw", "mp4trb"],
            ["Tr0ub4", "dor&3"],
            ["9aF3kLm2", "Qx7ZpW8v"],
            ["Zk4vQp", "Rt7Lm2Xc9"],
        ] {
            let word = parts.concat();
            assert!(!is_wordy(word.as_bytes()), "{word}");
        }
        assert!(known_weak(b"password123") && known_weak(b"Admin!") && !known_weak(b"hunter2x9"));
    }
}
