//! Which passwords are taken (NIST SP 800-63B-4): long ones, of any characters, that are not easily guessed.
//!
//! No rule of composition and no expiry: both make people choose worse ones. What is refused is what a guesser tries
//! first: known long passwords, repeats, walks over the keyboard, and words of this installation.

use unicode_normalization::UnicodeNormalization;

/// Shortest password, characters after NFC.
pub const PASSWORD_CHARS_MIN: usize = 15;
/// Longest password, bytes as given. It is used whole, never cut.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Longest part whose repetition is looked for, characters.
const UNIT_CHARS_MAX: usize = 8;
/// Characters that must be left when words of this installation are taken away.
const OWN_CHARS_MIN: usize = 8;

/// Long passwords that many people have, and beginnings of them, in lower case without spaces.
const COMMON: &[&str] = &[
    "passwordpassword",
    "password1234567",
    "password123456789",
    "administrator123",
    "administrator1234",
    "letmeinletmein",
    "iloveyouiloveyou",
    "thisismypassword",
    "mypasswordissecret",
    "correcthorsebatterystaple",
    "changemechangeme",
    "changeme1234567",
    "welcome12345678",
    "trustno1trustno1",
    "qwertyuiopasdfgh",
    "superadministrator",
    "supersecretpassword",
    "supersecurepassword",
    "donotusethispassword",
    "defaultpassword",
    "temporarypassword",
    "pleasechangeme",
    "opensesameopensesame",
    "iamthebestintheworld",
    "footballfootball",
    "princessprincess",
    "sunshinesunshine",
    "monkeymonkeymonkey",
    "dragondragondragon",
    "startrekstarwars",
];

/// Rows of keyboards and orders that fingers walk along.
const WALKS: &[&str] = &[
    "`1234567890-=",
    "qwertyuiop[]",
    "asdfghjkl;'",
    "zxcvbnm,./",
    "azertyuiop",
    "qwertzuiop",
    "qsdfghjklm",
    "wxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
];

/// Why a password is not taken; `own` are words of this installation.
pub fn check(password: &str, own: &[&str]) -> Result<(), String> {
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("at most {PASSWORD_BYTES_MAX} bytes"));
    }
    if password.contains('\0') {
        return Err("must not hold NUL".to_owned());
    }
    let normal: Vec<char> = password.nfc().collect();
    if normal.len() < PASSWORD_CHARS_MIN {
        return Err(format!("at least {PASSWORD_CHARS_MIN} characters; several words are fine"));
    }
    let plain: Vec<char> =
        normal.iter().flat_map(|c| c.to_lowercase()).filter(|c| !c.is_whitespace()).collect();
    let text: String = plain.iter().collect();
    if text.chars().count() < OWN_CHARS_MIN {
        return Err("mostly spaces: too easily guessed".to_owned());
    }
    // Hyphens between the words of a known one make it no other.
    let bare: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    if COMMON.iter().any(|common| leftover(&bare, &[common]) < OWN_CHARS_MIN) {
        return Err("too many people have this one: choose another".to_owned());
    }
    if is_repeat(&plain) {
        return Err("a repeated part is as easily guessed as the part: choose another".to_owned());
    }
    if is_walk(&plain) {
        return Err("a walk over the keyboard is easily guessed: choose another".to_owned());
    }
    if leftover(&text, own) < OWN_CHARS_MIN {
        return Err("made of names of this installation: choose another".to_owned());
    }
    Ok(())
}

/// The password as it is hashed: one spelling of each character.
pub(super) fn normalised(password: &str) -> String {
    password.nfc().collect()
}

/// Characters that are neither part of one of `words` nor digits nor punctuation.
fn leftover(text: &str, words: &[&str]) -> usize {
    let mut rest = text.to_owned();
    for word in words.iter().filter(|word| word.chars().count() >= 3) {
        rest = rest.replace(&word.to_lowercase(), "");
    }
    if rest.len() == text.len() {
        return usize::MAX;
    }
    rest.chars().filter(|c| c.is_alphabetic()).count()
}

/// Whether all of it, but for a shorter rest at the end, is one short part again and again.
fn is_repeat(chars: &[char]) -> bool {
    (1..=UNIT_CHARS_MAX).any(|unit| {
        chars.len() >= unit * 2
            && chars.iter().zip(chars.iter().skip(unit)).all(|(left, right)| left == right)
    })
}

/// Whether nearly every step goes to a neighbour on a keyboard or in the alphabet, or stays.
fn is_walk(chars: &[char]) -> bool {
    let steps = chars.len().saturating_sub(1);
    let walked =
        chars.iter().zip(chars.iter().skip(1)).filter(|(left, right)| is_step(**left, **right)).count();
    walked * 10 >= steps * 8
}

fn is_step(left: char, right: char) -> bool {
    left == right
        || WALKS.iter().any(|row| {
            let place = |wanted: char| row.chars().position(|c| c == wanted);
            matches!((place(left), place(right)), (Some(a), Some(b)) if a.abs_diff(b) == 1)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &[&str] = &["admin", "errors.example.net", "actifix"];

    #[test]
    fn long_ones_of_any_characters_are_taken() {
        for good in [
            "violet tractor hums quietly",
            "   leading and trailing   ",
            "Füße über dem Wörtersee",
            "\u{1f980}\u{1f40d}\u{1f439}\u{1f984}\u{1f433}\u{1f332}\u{1f335}\u{1f340}\u{1f341}\u{1f342}\u{1f343}\u{1f344}\u{1f345}\u{1f346}\u{1f347}",
            "nine lamps 4 rain",
            &format!("q{}", "xk wv tz pl ".repeat(80)),
        ] {
            assert_eq!(check(good, OWN), Ok(()), "{good}");
        }
    }

    #[test]
    fn short_large_and_guessable_ones_are_not() {
        for bad in [
            "",
            "fourteen chars",
            "               ",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "PasswordPassword",
            "Password 1234567",
            "correct horse battery staple",
            "Correct-Horse-Battery-Staple1",
            "qwertyuiopasdfghjkl",
            "123456789012345678",
            "1qaz2wsx3edc4rfv",
            "abcdefghijklmnopq",
            "adminadmin123456789",
            "errors.example.net2026",
            "actifix-admin-2026!!",
            "nul in the\0middle here",
            &"x1y".repeat(400),
        ] {
            assert!(check(bad, OWN).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_spellings_of_a_character_are_one_password() {
        assert_eq!(normalised("cafe\u{301}"), normalised("caf\u{e9}"));
    }
}
