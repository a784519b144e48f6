//! The rule files that are part of the engine. A vendor is added by its file and a line here.

/// Name and text of each file, in the order they are read.
pub(crate) const BUILTIN_RULES: &[(&str, &str)] = &[
    ("rules/generic.toml", include_str!("../rules/generic.toml")),
    ("rules/formats.toml", include_str!("../rules/formats.toml")),
    ("rules/actifix.toml", include_str!("../rules/actifix.toml")),
    ("rules/aws.toml", include_str!("../rules/aws.toml")),
    ("rules/azure.toml", include_str!("../rules/azure.toml")),
    ("rules/google.toml", include_str!("../rules/google.toml")),
    ("rules/openai.toml", include_str!("../rules/openai.toml")),
    ("rules/ai.toml", include_str!("../rules/ai.toml")),
    ("rules/github.toml", include_str!("../rules/github.toml")),
    ("rules/gitlab.toml", include_str!("../rules/gitlab.toml")),
    ("rules/stripe.toml", include_str!("../rules/stripe.toml")),
    ("rules/slack.toml", include_str!("../rules/slack.toml")),
    ("rules/packages.toml", include_str!("../rules/packages.toml")),
    ("rules/mail.toml", include_str!("../rules/mail.toml")),
    ("rules/cloud.toml", include_str!("../rules/cloud.toml")),
    ("rules/saas.toml", include_str!("../rules/saas.toml")),
    ("rules/identity.toml", include_str!("../rules/identity.toml")),
    ("rules/chat.toml", include_str!("../rules/chat.toml")),
    ("rules/payments.toml", include_str!("../rules/payments.toml")),
    ("rules/watch.toml", include_str!("../rules/watch.toml")),
    ("rules/work.toml", include_str!("../rules/work.toml")),
];
