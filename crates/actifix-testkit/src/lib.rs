//! actifix-testkit
