//! Settings of an App.

use actifix_app::app::AppSettings;

/// Settings that switch nothing off and bound nothing more than the defaults; a test changes what it is about.
pub fn settings() -> AppSettings {
    AppSettings {
        public_url: "https://errors.example.net".to_owned(),
        limits: Default::default(),
        announce_dropped_kinds: true,
        rates: Default::default(),
        api_limits: Default::default(),
        rate_limit_disabled: false,
        sample_after: 0,
        retention: Default::default(),
        backup_every_hours: None,
        decode_parallel: 1,
        outbound: Default::default(),
        outbound_timeout_seconds: 5,
        in_effect: Vec::new(),
        cors_origins: Vec::new(),
        security_txt: None,
    }
}
