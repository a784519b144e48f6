//! The rule files that are part of the engine. A vendor is added by its file and a line here.

/// Name and text of each file, in the order they are read.
pub(crate) const BUILTIN_RULES: &[(&str, &str)] = &[
    ("rules/generic.toml", include_str!("../rules/generic.toml")),
    ("rules/formats.toml", include_str!("../rules/formats.toml")),
];
