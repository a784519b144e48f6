//! actifix-app
