//! Letters that look like ASCII ones, invisible ones, and the word for a password in other scripts. `p\u{430}ssword` is a
//! password to every reader.
use super::decode::View;

/// Words for a password in scripts that have no ASCII letters.
const WORDS: &[&str] = &["пароль", "パスワード", "密码", "密碼", "비밀번호", "סיסמה", "парола"];
const PASSWORD: &str = "password";

/// What a reader sees in place of a character: nothing, an ASCII character, or itself (none).
fn folded(letter: char) -> Option<Option<char>> {
    let ascii = match letter {
        '\u{00ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'
        | '\u{feff}'
        | '\u{fe0f}'
        | '\u{0300}'..='\u{036f}' => {
            return Some(None);
        }
        '\u{00a0}' | '\u{2007}' | '\u{2009}' | '\u{202f}' | '\u{3000}' => ' ',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(letter) - 0xfee0)?,
        'а' | 'à'..='å' | 'α' => 'a',
        'ç' | 'с' => 'c',
        'ԁ' => 'd',
        'е' | 'è'..='ë' => 'e',
        'һ' => 'h',
        'і' | 'ì'..='ï' | 'ι' | 'ı' => 'i',
        'ј' => 'j',
        'к' | 'κ' => 'k',
        'ł' => 'l',
        'ñ' => 'n',
        'о' | 'ò'..='ö' | 'ο' | 'ø' => 'o',
        'р' | 'ρ' => 'p',
        'ԛ' => 'q',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'у' | 'ù'..='ü' => 'u',
        'ѵ' | 'ν' => 'v',
        'ԝ' | 'ω' => 'w',
        'х' => 'x',
        'ý' | 'ÿ' => 'y',
        'А' | 'À'..='Å' | 'Α' => 'A',
        'В' | 'Β' => 'B',
        'С' => 'C',
        'Е' | 'È'..='Ë' | 'Ε' => 'E',
        'Н' => 'H',
        'І' | 'Ι' => 'I',
        'К' | 'Κ' => 'K',
        'М' | 'Μ' => 'M',
        'Ñ' | 'Ν' => 'N',
        'О' | 'Ò'..='Ö' | 'Ο' => 'O',
        'Р' | 'Ρ' => 'P',
        'Ѕ' => 'S',
        'Т' | 'Τ' => 'T',
        'Х' | 'Χ' => 'X',
        _ => return None,
    };
    Some(Some(ascii))
}

/// The text as its reader sees it; none if nothing changes.
pub(crate) fn fold(text: &str) -> Option<View> {
    if text.is_ascii() || u32::try_from(text.len()).is_err() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut origin: Vec<u32> = Vec::with_capacity(text.len() + 1);
    let (mut changed, mut pos) = (false, 0);
    while let Some(rest) = text.get(pos..)
        && let Some(letter) = rest.chars().next()
    {
        let length = letter.len_utf8();
        let word = if letter.is_ascii() { None } else { word_at(rest) };
        if let Some(bytes) = word {
            changed = true;
            out.push_str(PASSWORD);
            origin.extend([pos as u32; PASSWORD.len()]);
            pos += bytes;
            continue;
        }
        let kept = match if letter.is_ascii() { None } else { folded(letter) } {
            Some(seen) => {
                changed = true;
                seen
            }
            None => Some(letter),
        };
        if let Some(letter) = kept {
            out.push(letter);
            origin.extend((0..letter.len_utf8()).map(|offset| (pos + offset) as u32));
        }
        pos += length;
    }
    origin.push(pos as u32);
    changed.then(|| View::new(out, origin))
}

/// Length of a word for a password at the start of a text, in any case.
fn word_at(text: &str) -> Option<usize> {
    WORDS.iter().find_map(|word| {
        let mut length = 0;
        let mut letters = text.chars();
        for want in word.chars() {
            let have = letters.next()?;
            if have != want && !have.to_lowercase().eq(std::iter::once(want)) {
                return None;
            }
            length += have.len_utf8();
        }
        Some(length)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_read_as_what_they_look_like() {
        for (text, want) in [
            ("p\u{430}ssword=x", "password=x"),
            ("ｐassword\u{ff1a}x", "password:x"),
            ("pass\u{200b}wo\u{301}rd", "password"),
            ("Пароль: x", "password: x"),
            ("パスワード=x", "password=x"),
            ("contraseña=x", "contrasena=x"),
            ("4242\u{a0}4242", "4242 4242"),
        ] {
            assert_eq!(fold(text).unwrap().text, want);
        }
        assert!(fold("日本 ✓").is_none() && fold("plain").is_none());
        let view = fold("Пароль: xyz").unwrap();
        assert_eq!(view.to_origin(10, 13), Some(("Пароль: ".len(), "Пароль: xyz".len())));
    }
}
