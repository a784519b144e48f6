//! Secrets that are typed: without echo, and with the terminal as it was afterwards, whatever is typed.
//!
//! A reader that only switches the echo off leaves it off when Ctrl-C ends the program, and shows what is typed before
//! it switched. So the prompt comes after the switch, and the keys are read one by one, Ctrl-C among them.

use console::Term;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use zeroize::Zeroizing;

/// Longest line that is taken, bytes; further keys are ignored and the line is refused as too long by whoever asked.
const LINE_BYTES_MAX: usize = 4_096;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const DELETE: u8 = 127;

/// Whether a secret comes by standard input: something is piped in there, or nobody could be asked.
pub fn is_piped() -> bool {
    !io::stdin().is_terminal()
}

/// A line from the terminal of this process, without echo. `NotFound` without a terminal, `Interrupted` after Ctrl-C
/// or at the end of its input.
pub fn read_secret(prompt: &str) -> io::Result<Zeroizing<String>> {
    let shown = Term::stderr();
    if !shown.is_term() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut terminal = File::open("/dev/tty").map_err(|_| io::Error::from(io::ErrorKind::NotFound))?;
    let quiet = Quiet::begin(&terminal)?;
    shown.write_str(prompt)?;
    let line = read_line(&mut terminal);
    drop(quiet);
    shown.write_line("")?;
    let text = String::from_utf8(std::mem::take(&mut *line?))
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    Ok(Zeroizing::new(text))
}

/// The terminal without echo, keys one by one; as it was when this is dropped.
struct Quiet {
    terminal: File,
    before: Termios,
}

impl Quiet {
    fn begin(terminal: &File) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let quiet = Self { terminal: terminal.try_clone()?, before };
        let mut modes = quiet.before.clone();
        modes.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Flush, &modes)?;
        Ok(quiet)
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _gone = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

fn read_line(keys: &mut impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX));
    let mut key = [0u8];
    loop {
        match keys.read(&mut key) {
            Ok(0) => return Err(io::ErrorKind::Interrupted.into()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        match key {
            [b'\r' | b'\n'] => return Ok(line),
            [CTRL_C] => return Err(io::ErrorKind::Interrupted.into()),
            [CTRL_D] if line.is_empty() => return Err(io::ErrorKind::Interrupted.into()),
            [CTRL_U] => line.clear(),
            [BACKSPACE | DELETE] => {
                // A character goes whole: its last byte, and with it those that it continues.
                while let Some(byte) = line.pop() {
                    if byte & 0xc0 != 0x80 {
                        break;
                    }
                }
            }
            [byte] if line.len() < LINE_BYTES_MAX => line.push(byte),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Result<String, io::ErrorKind> {
        let line = read_line(&mut &*keys).map_err(|error| error.kind())?;
        Ok(String::from_utf8(line.to_vec()).unwrap())
    }

    #[test]
    fn keys_become_a_line() {
        assert_eq!(typed(b"a lamp\r"), Ok("a lamp".to_owned()));
        assert_eq!(typed(b"a\nb\n"), Ok("a".to_owned()));
        assert_eq!(typed("caf\u{e9}x\u{7f}\u{7f}e \n".as_bytes()), Ok("cafe ".to_owned()));
        assert_eq!(typed(b"\x7f\x08wrong\x15right\r"), Ok("right".to_owned()));
        assert_eq!(typed("\u{1f4a1}\u{1f327}\u{8}\n".as_bytes()), Ok("\u{1f4a1}".to_owned()));
        for interrupted in [&b"secret\x03\n"[..], b"\x04\n", b"cut off"] {
            assert_eq!(typed(interrupted), Err(io::ErrorKind::Interrupted), "{interrupted:?}");
        }
        let mut long = vec![b'x'; LINE_BYTES_MAX * 2];
        long.push(b'\n');
        assert_eq!(typed(&long).unwrap().len(), LINE_BYTES_MAX);
    }
}
