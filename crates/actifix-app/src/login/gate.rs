//! The one place where attempts to log in are counted: by account and network, or by known device.
//!
//! Counts are rows of the store, so that a restart forgives nothing and several servers share them; what they are keyed
//! by are hashes, so that they tell nothing. The rules are `actifix_domain::login`.

use crate::app::App;
use crate::audit;
use crate::error::{Error, Result};
use crate::ports::{LoginKey, LoginTaken, UserRecord};
use actifix_domain::login::{LoginEnd, LoginKind};
use actifix_domain::network::client_network;
use actifix_domain::time::SECOND;
use std::net::IpAddr;

/// The counters of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// Of whom it is that must prove something.
    pub(crate) own: LoginKey,
    /// Of the network that it is tried from.
    network: Option<LoginKey>,
}

impl Door {
    pub(crate) fn keys(&self) -> Vec<LoginKey> {
        std::iter::once(self.own).chain(self.network).collect()
    }
}

impl App {
    /// Whom an attempt is counted on. A device that logged in before has counters of its own and is not counted on
    /// its network: neither strangers who try the account nor those of the network can shut it out.
    pub(crate) fn door(&self, name: &str, user: Option<&UserRecord>, device: Option<&str>) -> Door {
        let own = match (user, device) {
            (Some(_), Some(device)) => self.login_key(LoginKind::Device, device.as_bytes()),
            (Some(user), None) => self.login_key(LoginKind::Account, user.id.as_bytes()),
            (None, _) => self.login_key(LoginKind::Name, name.as_bytes()),
        };
        let network = match (audit::address(), own.kind) {
            (None, _) | (_, LoginKind::Device) => None,
            (Some(address), _) => Some(self.network_key(address)),
        };
        Door { own, network }
    }

    pub(crate) fn login_key(&self, kind: LoginKind, name: &[u8]) -> LoginKey {
        let mut hasher = blake3::Hasher::new_keyed(&self.login_key);
        let hash = hasher.update(&[kind.number()]).update(name).finalize();
        let mut id = [0u8; 16];
        id.iter_mut().zip(hash.as_bytes()).for_each(|(to, from)| *to = *from);
        LoginKey { kind, id }
    }

    /// Addresses that one person has at their hands: one of IPv4, a /64 of IPv6.
    pub(crate) fn network_key(&self, address: IpAddr) -> LoginKey {
        match client_network(address) {
            IpAddr::V4(v4) => self.login_key(LoginKind::Network, &v4.octets()),
            IpAddr::V6(v6) => self.login_key(LoginKind::Network, &v6.octets()),
        }
    }

    /// Refuses at a glance what [`App::take_login`] would refuse.
    pub(crate) async fn glance(&self, keys: &[LoginKey]) -> Result<()> {
        if self.settings.rate_limit_disabled {
            return Ok(());
        }
        let per_minute = self.settings.api_limits.login_per_minute;
        match self.store.login_wait(keys, per_minute, self.now()).await? {
            0 => Ok(()),
            micros => Err(throttled(micros)),
        }
    }

    /// Counts an attempt before it is looked at. Returns the failures in a row that the first counter had before it.
    pub(crate) async fn take_login(&self, keys: &[LoginKey]) -> Result<u32> {
        if self.settings.rate_limit_disabled {
            return Ok(self.store.login_failures(keys).await?.first().copied().unwrap_or(0));
        }
        let per_minute = self.settings.api_limits.login_per_minute;
        match self.store.take_login(keys, per_minute, self.now()).await? {
            LoginTaken::Counted { failures } => Ok(failures),
            LoginTaken::Wait { micros } => Err(throttled(micros)),
        }
    }

    /// Says that an attempt was right.
    pub(crate) async fn login_was_right(&self, door: &Door) -> Result<()> {
        let own = (door.own, LoginEnd::Right);
        let settled: Vec<_> =
            std::iter::once(own).chain(door.network.map(|key| (key, LoginEnd::Passed))).collect();
        self.store.settle_login(&settled).await
    }

    /// Counters that can close an account.
    pub(crate) fn closing_keys(&self, user: &UserRecord) -> [LoginKey; 2] {
        [LoginKind::Account, LoginKind::Code].map(|kind| self.login_key(kind, user.id.as_bytes()))
    }
}

fn throttled(micros: i64) -> Error {
    let seconds = u64::try_from(micros.max(0)).unwrap_or(0).div_ceil(SECOND.unsigned_abs());
    Error::Throttled { retry_after_seconds: seconds.max(1) }
}
