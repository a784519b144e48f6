//! actifix-store
