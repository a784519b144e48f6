//! actifix-web
