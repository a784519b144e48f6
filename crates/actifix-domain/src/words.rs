//! Numbers with their things, as people read them: the same on every face.

/// 12,345
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number and its thing: `1 event`, `2 events`.
pub fn many(number: u64, one: &str) -> String {
    plural(number, one, &format!("{one}s"))
}

/// As [`many`], for things whose plural is a word of its own: `1 address`, `2 addresses`.
pub fn plural(number: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { more })
}

/// How often: `once`, `2 times`.
pub fn times(number: u64) -> String {
    if number == 1 { "once".to_owned() } else { many(number, "time") }
}

/// The verb of so many.
pub const fn are(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_plural_and_digits_stand_in_threes() {
        for (number, text) in
            [(0, "0 events"), (1, "1 event"), (2, "2 events"), (1_234_567, "1,234,567 events")]
        {
            assert_eq!(many(number, "event"), text);
        }
        assert_eq!(
            (plural(1, "address", "addresses"), plural(3, "address", "addresses")),
            ("1 address".into(), "3 addresses".into())
        );
        assert_eq!((times(1), times(1_000)), ("once".into(), "1,000 times".into()));
        assert_eq!((are(1), are(0), grouped(999)), ("is", "are", "999".into()));
    }
}
