//! Secrets in commands whose flags have no telling names (`sshpass -p x`), and other values that are known by their
//! position: third argument of a database call, second part of an Oracle address, last field of a line of `.pgpass`,
//! column of a table.
use super::checks::{is_nothing, is_prose};
use super::hunt::Hunt;
use super::value::{Joint, VALUE_BYTES_MAX, blanks, closed_by, quote, quoted_at, word_end};
use crate::bytes::{at, before, has, is_name, run, slice, starts_token};

/// How far behind the name of a program its flag is looked for, and the longest secret there.
const COMMAND_BYTES_MAX: usize = 300;
const SECRET_BYTES_MAX: usize = 256;
/// Columns and lines of a table.
const LINE_BYTES_MAX: usize = 1_024;
const ROWS_MAX: usize = 1_000;

/// How a flag and its value stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Glue {
    /// `-px`
    Glued,
    /// `-p x`
    Apart,
    /// `/user:bob x`: the flag holds the user, the password follows.
    User,
    /// `-u name,x`
    Split(u8),
}

/// Programs with the flag of their password.
const TOOLS: &[(&str, &str, Glue)] = &[
    ("mysql", "-p", Glue::Glued),
    ("mysqldump", "-p", Glue::Glued),
    ("mysqladmin", "-p", Glue::Glued),
    ("mariadb", "-p", Glue::Glued),
    ("sshpass", "-p", Glue::Apart),
    ("docker login", "-p", Glue::Apart),
    ("podman login", "-p", Glue::Apart),
    ("redis-cli", "-a", Glue::Apart),
    ("mongo", "-p", Glue::Apart),
    ("mongosh", "-p", Glue::Apart),
    ("mongodump", "-p", Glue::Apart),
    ("ldapsearch", "-w", Glue::Apart),
    ("ldapmodify", "-w", Glue::Apart),
    ("ldapadd", "-w", Glue::Apart),
    ("psexec", "-p", Glue::Apart),
    ("zip", "-P", Glue::Apart),
    ("unzip", "-P", Glue::Apart),
    ("net use", "/user:", Glue::User),
    ("sshpass", "-p", Glue::Glued),
    ("7z", "-p", Glue::Glued),
    ("7za", "-p", Glue::Glued),
    ("docker', 'login", "-p", Glue::Apart),
    ("docker\", \"login", "-p", Glue::Apart),
    ("docker\",\"login", "-p", Glue::Apart),
    ("keytool", "-storepass", Glue::Apart),
    ("keytool", "-keypass", Glue::Apart),
    ("sqlcmd", "-P", Glue::Apart),
    ("bcp", "-P", Glue::Apart),
    ("cqlsh", "-p", Glue::Apart),
    ("snowsql", "-p", Glue::Apart),
    ("az login", "-p", Glue::Apart),
    ("schtasks", "/rp", Glue::Apart),
    ("snmpwalk", "-c", Glue::Apart),
    ("snmpget", "-c", Glue::Apart),
    ("openssl enc", "-k", Glue::Apart),
    ("openssl', 'enc", "-k", Glue::Apart),
    ("smbclient", "-U", Glue::Split(b'%')),
    ("lftp", "-u", Glue::Split(b',')),
];

/// The names of the programs, for the table of keywords.
pub(crate) fn tool_names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|(name, ..)| *name)
}

/// What comes next in a list of arguments that began with a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    flag: &'static str,
    glue: Glue,
}

impl Arguments {
    /// The program, if the argument is one of the known: `sshpass`, `/usr/bin/mysql`.
    pub(crate) fn of(program: &str) -> Option<Self> {
        let name = program.rsplit('/').next().unwrap_or(program);
        TOOLS
            .iter()
            .find(|(known, ..)| known.split(' ').next() == Some(name))
            .map(|(_, flag, glue)| Self { flag, glue: *glue })
    }

    /// Whether the argument after this one is the secret.
    pub(crate) fn announces(self, argument: &str) -> bool {
        self.glue == Glue::Apart && argument == self.flag
    }

    /// Where the secret starts in an argument that holds it.
    pub(crate) fn glued(self, argument: &str) -> Option<usize> {
        let long = self.glue == Glue::Glued && argument.starts_with(self.flag) && argument.len() > 3;
        long.then_some(self.flag.len())
    }
}

fn between(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b',' | b'\\')
}

impl Hunt<'_> {
    /// The name of a program stands at `start..end`.
    pub(super) fn tool(&mut self, start: usize, end: usize) {
        let text = self.text;
        if start < self.tool_done || !starts_token(text, start) || !between(at(text, end)) {
            return;
        }
        let name = slice(text, start, end);
        let limit = run(text, end, COMMAND_BYTES_MAX, |b| !matches!(b, b'\n' | b'\r' | b'|' | b';'));
        for (_, flag, glue) in TOOLS.iter().filter(|(known, ..)| name.eq_ignore_ascii_case(known.as_bytes()))
        {
            self.work += limit - end;
            if self.flag(end, limit, flag, *glue) {
                return;
            }
        }
        self.tool_done = limit;
    }

    /// Looks for a flag from `pos` to `limit`: whether it is there.
    fn flag(&mut self, pos: usize, limit: usize, flag: &str, glue: Glue) -> bool {
        let text = self.text;
        let mut pos = pos;
        for _ in 0..32 {
            let word = run(text, pos, 16, between);
            if word >= limit {
                break;
            }
            let stop = run(text, word, SECRET_BYTES_MAX, |b| !between(b) && b >= b' ');
            let head = slice(text, word, word + flag.len());
            let found = match glue {
                Glue::User => head.eq_ignore_ascii_case(flag.as_bytes()),
                _ => head == flag.as_bytes() && before(text, word) != b'-',
            };
            match glue {
                Glue::Apart if found && stop == word + flag.len() => {
                    self.argument(run(text, stop, 16, |b| between(b) && !matches!(b, b'"' | b'\'')), false);
                    return true;
                }
                Glue::Glued if found && (stop > word + flag.len() || quote(text, stop).is_some()) => {
                    self.argument(word + flag.len(), true);
                    return true;
                }
                Glue::Split(sign) if found && stop == word + flag.len() => {
                    let pair = run(text, stop, 16, between);
                    let end = run(text, pair, SECRET_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\''));
                    if let Some(split) = memchr::memchr(sign, slice(text, pair, end)) {
                        self.argument(pair + split + 1, true);
                    }
                    return true;
                }
                Glue::User if found => {
                    // A user of a domain: `/user:SHOP\bob`.
                    let user = run(text, word, SECRET_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\''));
                    self.argument(run(text, user, 16, |b| between(b) && !matches!(b, b'"' | b'\'')), false);
                    return true;
                }
                _ => pos = stop.max(word + 1),
            }
        }
        false
    }

    /// The argument at `pos` is a password.
    fn argument(&mut self, pos: usize, glued: bool) {
        let text = self.text;
        let value = quoted_at(text, pos, Joint::Flag, SECRET_BYTES_MAX);
        // A quote that closes the flag in a list of arguments: `"-p","x"`.
        let value = value.filter(|value| !slice(text, value.start, value.end).starts_with(b","));
        let (start, end) = match value {
            Some(value) => (value.start, value.end),
            None => {
                let start = run(text, pos, 16, between);
                (
                    start,
                    run(text, start, SECRET_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\'' | b'\\')),
                )
            }
        };
        let word = slice(text, start, end);
        let option = word.starts_with(b"-") || word.starts_with(b"/") || (glued && word.len() < 3);
        if !option {
            self.password(start, end);
        }
    }

    /// Adds a password, unless it is none.
    pub(super) fn password(&mut self, start: usize, end: usize) {
        let word = slice(self.text, start, end);
        if let Some(named) = self.named(b"password")
            && !is_nothing(word)
            && !is_prose(word)
        {
            self.add(start, end, named.rule, true);
            self.covered = self.covered.max(end);
        }
    }

    /// `echo bob:x | chpasswd` and `echo x | sudo -S`; `pos` is where the second program starts.
    pub(super) fn piped(&mut self, pos: usize) {
        let text = self.text;
        let from = pos.saturating_sub(COMMAND_BYTES_MAX);
        let head = slice(text, from, pos);
        let pipe = head.trim_ascii_end().len();
        self.work += head.len();
        if before(head, pipe) != b'|' {
            return;
        }
        let Some(echo) = memchr::memmem::rfind(slice(head, 0, pipe - 1), b"echo ") else { return };
        let start = from + run(head, echo + 5, 8, |b| matches!(b, b' ' | b'-' | b'n' | b'"' | b'\''));
        let start =
            if before(text, start) == b'n' && at(text, start - 2) != b'-' { start - 1 } else { start };
        let end = run(text, start, SECRET_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\'' | b'|'));
        let word = slice(text, start, end);
        match memchr::memchr(b':', word) {
            Some(colon) if has(text, pos, b"chpasswd") => self.password(start + colon + 1, end),
            None if has(text, pos, b"sudo") && word.len() >= 6 => self.password(start, end),
            _ => {}
        }
    }

    /// `new PDO('mysql:…', 'root', 'x')`, `mysqli_connect('h', 'u', 'x')`; `pos` is after the bracket.
    pub(super) fn call(&mut self, pos: usize) {
        let text = self.text;
        let mut next = pos;
        for index in 0..3 {
            let Some(value) = quoted_at(text, blanks(text, next), Joint::Flag, SECRET_BYTES_MAX) else {
                return;
            };
            self.work += value.end - value.start;
            let after = blanks(text, closed_by(text, value.end));
            if index == 2 {
                return self.password(value.start, value.end);
            }
            if at(text, after) != b',' {
                return;
            }
            next = after + 1;
        }
    }

    /// `jdbc:oracle:thin:scott/x@h`, `sqlplus scott/x@h`; `pos` is where the user starts.
    pub(super) fn oracle(&mut self, pos: usize) {
        let start = blanks(self.text, pos);
        let user = run(self.text, start, 64, is_name);
        let end =
            run(self.text, user + 1, SECRET_BYTES_MAX, |b| b > b' ' && !matches!(b, b'"' | b'\'' | b'@'));
        self.work += end - start;
        if user > start && at(self.text, user) == b'/' && at(self.text, end) == b'@' {
            self.password(user + 1, end);
        }
    }

    /// A line of `.pgpass`: `h:5432:db:user:x`; `pos` is where the database starts.
    pub(super) fn pgpass(&mut self, pos: usize) {
        let text = self.text;
        let field = |from: usize| run(text, from, 64, |b| is_name(b) || b == b'*');
        let database = field(pos);
        let user = field(database + 1);
        self.work += 2 * (user - pos);
        let colons = at(text, database) == b':' && at(text, user) == b':';
        if colons && database > pos && user > database + 1 {
            self.password(user + 1, word_end(text, user + 1, SECRET_BYTES_MAX));
        }
    }

    /// A header line of a table has the name at `start..end`: its column in the lines that follow.
    pub(super) fn column(&mut self, start: usize, end: usize, rule: u16) -> bool {
        let text = self.text;
        if start < self.header_done {
            return false;
        }
        let cell = |b: u8| is_name(b) || matches!(b, b'"' | b'\'' | b',' | b';' | b'\t');
        let next = closed_by(text, end);
        let separator = match (at(text, next), before(text, start)) {
            (byte @ (b',' | b';' | b'\t'), _) | (b'\n' | b'\r', byte @ (b',' | b';' | b'\t')) => byte,
            (b'\n' | b'\r', b'"' | b'\'') => before(text, start - 1),
            _ => return false,
        };
        if !matches!(separator, b',' | b';' | b'\t') {
            return false;
        }
        let from = start.saturating_sub(LINE_BYTES_MAX);
        let head = slice(text, from, start);
        let line = from + memchr::memrchr(b'\n', head).map_or(0, |found| found + 1);
        let stop = run(text, start, LINE_BYTES_MAX, cell);
        self.work += stop - line;
        if line < self.header_done
            || !matches!(at(text, stop), b'\n' | b'\r')
            || !slice(text, line, start).iter().all(|b| cell(*b))
        {
            self.header_done = self.header_done.max(stop);
            return false;
        }
        let columns = |line: &[u8]| line.iter().filter(|b| **b == separator).count();
        let index = columns(slice(text, line, start));
        let count = columns(slice(text, line, stop));
        let mut pos = stop + if has(text, stop, b"\r\n") { 2 } else { 1 };
        let mut rows = 0;
        while rows < ROWS_MAX && pos < text.len() {
            let row_end = run(text, pos, VALUE_BYTES_MAX, |b| b != b'\n' && b != b'\r');
            let row = slice(text, pos, row_end);
            if columns(row) != count {
                break;
            }
            self.work += row.len();
            let skipped: usize = row.split(|b| *b == separator).take(index).map(|part| part.len() + 1).sum();
            let value = row.split(|b| *b == separator).nth(index).unwrap_or(&[]);
            let quoted = usize::from(matches!(value.first(), Some(b'"' | b'\'')) && value.len() > 2);
            let (from, to) = (pos + skipped + quoted, pos + skipped + value.len() - quoted);
            let word = slice(text, from, to);
            if !is_nothing(word) && !is_prose(word) && !word.contains(&b' ') {
                self.add(from, to, rule, true);
            }
            rows += 1;
            pos = row_end + if has(text, row_end, b"\r\n") { 2 } else { 1 };
        }
        if rows > 0 {
            self.covered = self.covered.max(pos.min(text.len()));
        } else {
            self.header_done = stop;
        }
        rows > 0
    }
}
