//! The rule files that are part of the engine. A vendor is added by its file and a line here.

/// Their names, in the order they are read.
pub(crate) const RULE_FILES: &[&str] = &[
    "rules/generic.toml",
    "rules/formats.toml",
    "rules/actifix.toml",
    "rules/aws.toml",
    "rules/azure.toml",
    "rules/google.toml",
    "rules/openai.toml",
    "rules/ai.toml",
    "rules/github.toml",
    "rules/gitlab.toml",
    "rules/stripe.toml",
    "rules/slack.toml",
    "rules/packages.toml",
    "rules/mail.toml",
    "rules/cloud.toml",
    "rules/saas.toml",
    "rules/identity.toml",
    "rules/chat.toml",
    "rules/payments.toml",
    "rules/watch.toml",
    "rules/work.toml",
];
