//! actifix-protocol
