//! actifix-secrets
