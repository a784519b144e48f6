//! The only place that reads the environment.

/// A variable that is set to something, as text.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Every variable that is text.
#[allow(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub fn environment_all() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
