//! Argon2id over the peppered password, a few at a time.
//!
//! The pepper is a keyed hash with a key of the vault before Argon2: whoever has the database alone cannot try
//! passwords at all. Each verification costs memory and time by design, so that two run at once and the rest waits
//! shortly or is refused; the permit goes into the blocking task, since that one is not ended with its request. One
//! more is kept for who is known already, so that a crowd of strangers does not lock them out.

use super::password::normalised;
use crate::error::{Error, Result};
use crate::ports::Ids;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Memory of a verification, KiB.
const MEMORY_KIB: u32 = 46 << 10;
/// Passes over it.
const PASSES: u32 = 1;
/// Least memory of a verifier that is good, KiB (OWASP: 19 MiB with two passes).
const FLOOR_KIB: u32 = 19 << 10;
/// Passes over that.
const FLOOR_PASSES: u64 = 2;
/// Verifications at the same time.
const PARALLEL: usize = 2;
/// Wait for one of them to end; then the request is refused.
const WAIT: Duration = Duration::from_secs(2);

const BUSY: Error = Error::Throttled { retry_after_seconds: 3 };

/// Leave to spend the time and memory of one verification.
pub(crate) struct Permit {
    /// Given back when it is dropped.
    _held: OwnedSemaphorePermit,
}

/// Who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Anybody.
    Stranger,
    /// A device that logged in before, somebody who is logged in, a command of this machine.
    Known,
}

/// Makes verifiers and checks passwords against them.
pub(crate) struct Verifiers {
    pepper: [u8; 32],
    ids: Arc<dyn Ids>,
    permits: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    /// What an unknown name is checked against, so that it costs the same. Nothing matches it.
    nobody: String,
}

impl Verifiers {
    pub(crate) fn new(pepper: [u8; 32], ids: Arc<dyn Ids>) -> Self {
        let nobody = format!(
            "$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1${}${}",
            base64_no_pad(&random::<16>(ids.as_ref())),
            base64_no_pad(&random::<32>(ids.as_ref()))
        );
        let (permits, reserved) = (Arc::new(Semaphore::new(PARALLEL)), Arc::new(Semaphore::new(1)));
        Self { pepper, ids, permits, reserved, nobody }
    }

    /// Waits shortly for leave to verify. `Throttled` when too many do: strangers can bring that about, so it is no fault of
    /// the server.
    pub(crate) async fn permit(&self, caller: Caller) -> Result<Permit> {
        let semaphore = match caller {
            Caller::Known if self.permits.available_permits() == 0 => &self.reserved,
            _ => &self.permits,
        };
        let waiting = Arc::clone(semaphore).acquire_owned();
        let permit = tokio::time::timeout(WAIT, waiting).await.map_err(|_| BUSY)?.map_err(Error::internal)?;
        Ok(Permit { _held: permit })
    }

    /// A verifier of `password`.
    pub(crate) async fn make(&self, password: &str) -> Result<String> {
        let permit = self.permit(Caller::Known).await?;
        let (peppered, salt) = (self.peppered(password), random::<16>(self.ids.as_ref()));
        run(permit, move || {
            let salt = SaltString::encode_b64(&salt).map_err(fault)?;
            Ok(argon2()?.hash_password(&peppered, &salt).map_err(fault)?.to_string())
        })
        .await
    }

    /// Whether `password` is the one of `verifier`; without one, no, at the same cost.
    pub(crate) async fn check(&self, permit: Permit, password: &str, verifier: Option<&str>) -> Result<bool> {
        let peppered = self.peppered(password);
        let known = verifier.is_some();
        let verifier = verifier.unwrap_or(&self.nobody).to_owned();
        run(permit, move || {
            let parsed = PasswordHash::new(&verifier).map_err(fault)?;
            Ok(argon2()?.verify_password(&peppered, &parsed).is_ok() && known)
        })
        .await
    }

    /// Whether a verifier was made with less than is asked for today.
    pub(crate) fn is_weak(verifier: &str) -> bool {
        let expected = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p=1$");
        !verifier.starts_with(&expected)
    }

    fn peppered(&self, password: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.pepper, normalised(password).as_bytes()).as_bytes()
    }
}

/// Whether a verifier was made with less than the least that is good (Argon2id, 19 MiB and two passes, or as much work
/// over more memory), or is none at all.
pub(crate) fn is_below_floor(verifier: &str) -> bool {
    let Ok(parsed) = PasswordHash::new(verifier) else { return true };
    let Ok(params) = Params::try_from(&parsed) else { return true };
    let work = u64::from(params.m_cost()).saturating_mul(u64::from(params.t_cost()));
    parsed.algorithm != Algorithm::Argon2id.ident()
        || parsed.hash.is_none()
        || params.m_cost() < FLOOR_KIB
        || work < u64::from(FLOOR_KIB) * FLOOR_PASSES
}

async fn run<T: Send + 'static>(
    permit: Permit,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        work()
    })
    .await
    .map_err(Error::internal)?
}

fn argon2() -> Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, Some(32)).map_err(fault)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::internal(format!("password hash: {error}"))
}

fn random<const N: usize>(ids: &dyn Ids) -> [u8; N] {
    let mut bytes = [0u8; N];
    ids.random(&mut bytes);
    bytes
}

fn base64_no_pad(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actifix_domain::id::EventId;

    struct Count(std::sync::atomic::AtomicU8);

    impl Ids for Count {
        fn event_id(&self) -> EventId {
            EventId([0; 16])
        }
        fn random(&self, out: &mut [u8]) {
            out.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        }
    }

    fn verifiers(pepper: u8) -> Verifiers {
        Verifiers::new([pepper; 32], Arc::new(Count(1.into())))
    }

    #[tokio::test]
    async fn a_password_fits_its_verifier_whole_and_under_its_pepper_alone() {
        let made = verifiers(1);
        let long = format!("{} end", "word ".repeat(100));
        let verifier = made.make(&long).await.unwrap();
        assert!(verifier.starts_with("$argon2id$v=19$m=47104,t=1,p=1$"), "{verifier}");
        assert!(!Verifiers::is_weak(&verifier));
        assert!(Verifiers::is_weak(&verifier.replace("47104", "19456")));
        let other = verifiers(2);
        let check = async |verifiers: &Verifiers, password: &str, verifier: Option<&str>| {
            let permit = verifiers.permit(Caller::Stranger).await.unwrap();
            verifiers.check(permit, password, verifier).await.unwrap()
        };
        assert!(check(&made, &long, Some(&verifier)).await);
        let cut: String = long.chars().take(72).collect();
        assert!(!check(&made, &cut, Some(&verifier)).await, "not cut at any length");
        assert!(!check(&other, &long, Some(&verifier)).await, "another pepper");
        assert!(!check(&made, &long, None).await, "nobody has a password");
    }

    #[test]
    fn what_is_below_the_floor_is_told_whatever_else_is_large() {
        let digest = "A".repeat(43);
        let verifier = |kind: &str, memory_kib: u32, passes: u32| {
            format!("${kind}$v=19$m={memory_kib},t={passes},p=1${}${digest}", "A".repeat(22))
        };
        for (what, verifier, is_below) in [
            ("the floor", verifier("argon2id", FLOOR_KIB, 2), false),
            ("as much work over more memory", verifier("argon2id", 2 * FLOOR_KIB, 1), false),
            ("ours", verifier("argon2id", MEMORY_KIB, PASSES), false),
            ("little memory, much work", verifier("argon2id", FLOOR_KIB - 1, 100), true),
            ("hardly any memory, very much work", verifier("argon2id", 8, 100_000), true),
            ("one pass too few", verifier("argon2id", FLOOR_KIB, 1), true),
            ("a little less work", verifier("argon2id", 2 * FLOOR_KIB - 1, 1), true),
            ("another kind", verifier("argon2i", MEMORY_KIB, 3), true),
            ("no digest", verifier("argon2id", MEMORY_KIB, 3).replace(&format!("${digest}"), ""), true),
            ("no verifier", "plain".to_owned(), true),
            ("nothing", String::new(), true),
        ] {
            assert_eq!(is_below_floor(&verifier), is_below, "{what}");
        }
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_waits_and_who_is_known_does_not() {
        let verifiers = verifiers(1);
        // Polled once: what is free is had at once.
        let at_once =
            async |caller| tokio::time::timeout(Duration::ZERO, verifiers.permit(caller)).await.ok();
        let crowd = [at_once(Caller::Stranger).await, at_once(Caller::Stranger).await];
        assert!(crowd.iter().all(Option::is_some));
        assert!(at_once(Caller::Stranger).await.is_none());
        let known = at_once(Caller::Known).await;
        assert!(known.is_some());
        assert!(at_once(Caller::Known).await.is_none(), "each costs memory");
        drop((crowd, known));
        assert!(at_once(Caller::Stranger).await.is_some());
    }
}
