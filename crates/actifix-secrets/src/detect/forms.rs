//! Fixed phrases around a secret: which words of a text call which detector.
use super::hunt::Hunt;
use crate::engine::Trigger;

/// What a fixed phrase is the sign of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Form {
    /// A phrase of `echoed::PHRASES` by its number.
    Phrase(u8),
    /// A function of `calls::FUNCTIONS` by its number.
    Call(u8),
    /// A command of `lines::LINES` by its number.
    Line(u8),
    /// The place of a wrong value: `'loc': ('body', 'password')`.
    Place,
    /// An assertion about two values.
    Assertion,
    /// Two values that an assertion of Rust prints.
    Sides,
    /// Parameters of a statement, after it or before it.
    Parameters,
    /// `Key (a, b)=(1, 2)`.
    UniqueKey,
    /// `sp_executesql N'… pwd=@p', …, @p='x'`.
    Executed,
    /// `DECLARE @password nvarchar(50) = 'x'`.
    Declared,
    /// `PASSWORD('x')`.
    Function,
    /// `IDENTIFIED WITH plugin BY 'x'`.
    IdentifiedWith,
    /// `user:x@tcp(host)`.
    Driver,
    /// `http_proxy=user:x@host`.
    Proxy,
    /// `user/x@host:1521`.
    Listener,
    /// `"x@host" for connection option "port"`.
    Option,
    /// `ConvertTo-SecureString 'x'`.
    SecureString,
    /// `rawHeaders: [ 'X-Api-Key', 'x' ]`.
    RawHeaders,
    /// `ACL SETUSER bob >x`.
    AccessList,
    /// `echo x | docker login --password-stdin`.
    StandardInput,
    /// `COPY users (id, password) FROM stdin;` and rows.
    Copied,
    /// `Failing row contains (1, bob, x)`.
    FailingRow,
    /// `/password/reset/x`: a segment of a path.
    Segment,
}

impl Hunt<'_> {
    /// The phrase of a form stands at `start..end`.
    pub(super) fn form_at(&mut self, form: Form, start: usize, end: usize) {
        match form {
            Form::Phrase(number) => self.phrase(number, start, end),
            Form::Place => self.placed(end),
            Form::Assertion => self.assertion(end),
            Form::Sides => self.sides(start, end),
            Form::Parameters => self.parameters(start, end),
            Form::UniqueKey => self.unique_key(start, end),
            Form::Executed => self.executed(end),
            Form::Declared => self.declared(end),
            Form::Function => self.function(start, end),
            Form::IdentifiedWith => self.identified_with(end),
            Form::Call(number) => self.argument_of(number, end),
            Form::Line(number) => self.line(number, start, end),
            Form::Driver => self.driver(start),
            Form::Proxy => self.proxy(end),
            Form::Listener => self.listener(start),
            Form::Option => self.option(start),
            Form::SecureString => self.secure_string(end),
            Form::RawHeaders => self.raw_headers(end),
            Form::AccessList => self.access_list(end),
            Form::StandardInput => self.standard_input(start),
            Form::Copied => self.copied(start, end),
            Form::FailingRow => self.failing_row(end),
            Form::Segment => self.segment(end),
        }
    }
}

/// All phrases with what they call.
pub(crate) fn keywords() -> impl Iterator<Item = (&'static str, Trigger)> {
    let phrases = super::echoed::phrases().map(|(number, keyword)| (keyword, Form::Phrase(number)));
    let calls = super::calls::functions().map(|(number, keyword)| (keyword, Form::Call(number)));
    let lines = super::lines::lines().map(|(number, keyword)| (keyword, Form::Line(number)));
    let segments = super::path::BEFORE_TOKENS.iter().map(|keyword| (*keyword, Form::Segment));
    let fixed = FIXED.iter().copied().chain(segments);
    phrases.chain(calls).chain(lines).chain(fixed).map(|(keyword, form)| (keyword, Trigger::Form(form)))
}

const FIXED: &[(&str, Form)] = &[
    ("'loc': ", Form::Place),
    ("\"loc\":", Form::Place),
    ("\\\"loc\\\":", Form::Place),
    ("path: [", Form::Place),
    ("path\":[", Form::Place),
    ("path\": [", Form::Place),
    ("path\\\":[", Form::Place),
    ("assert '", Form::Assertion),
    ("assert \"", Form::Assertion),
    ("where '", Form::Assertion),
    ("\n  left: \"", Form::Sides),
    ("[parameters: ", Form::Parameters),
    ("-- parameters: ", Form::Parameters),
    ("with params ", Form::Parameters),
    ("parameters: $1 = ", Form::Parameters),
    ("key (", Form::UniqueKey),
    ("sp_executesql", Form::Executed),
    ("declare @", Form::Declared),
    ("password('", Form::Function),
    ("password(\"", Form::Function),
    ("identified with ", Form::IdentifiedWith),
    ("@tcp(", Form::Driver),
    ("@unix(", Form::Driver),
    ("_proxy=", Form::Proxy),
    (":1521", Form::Listener),
    (" for connection option", Form::Option),
    ("convertto-securestring ", Form::SecureString),
    ("rawheaders: [", Form::RawHeaders),
    ("acl setuser ", Form::AccessList),
    ("--password-stdin", Form::StandardInput),
    (") from stdin", Form::Copied),
    ("failing row contains (", Form::FailingRow),
];
