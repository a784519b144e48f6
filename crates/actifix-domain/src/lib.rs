//! actifix-domain
