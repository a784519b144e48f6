//! The Secret Service of the session bus: GNOME Keyring, KWallet, KeePassXC.

use super::Fault;
use secret_service::{Collection, EncryptionType, Error, Item, SecretService};
use std::collections::HashMap;
use std::future::Future;
use zeroize::Zeroizing;

/// What entries are found by.
const APPLICATION: &str = "actifix";
/// What the service shows of an entry.
const LABEL: &str = "Actifix root key";

pub fn fetch(home_id: &str, key_id: &str) -> Result<Zeroizing<String>, Fault> {
    block_on(async {
        let service = connect().await?;
        let found = service.search_items(attributes(home_id, key_id)).await.map_err(fault)?;
        let Some(item) = found.unlocked.first() else {
            return Err(if found.locked.is_empty() { missing(&service).await } else { Fault::Locked });
        };
        text_of(item).await
    })
}

pub fn store(home_id: &str, key_id: &str, key: &str) -> Result<(), Fault> {
    block_on(async {
        let service = connect().await?;
        let collection = unlocked_collection(&service).await?;
        collection
            .create_item(LABEL, attributes(home_id, key_id), key.as_bytes(), true, "text/plain")
            .await
            .map_err(fault)?;
        // Some services take an entry and forget it when the session ends; what cannot be read back is no key.
        let found = service.search_items(attributes(home_id, key_id)).await.map_err(fault)?;
        match found.unlocked.first() {
            Some(item) if text_of(item).await?.as_str() == key => Ok(()),
            _ => Err(Fault::Unreachable("it did not keep the key".to_owned())),
        }
    })
}

pub fn remove(home_id: &str, key_id: &str) -> Result<(), Fault> {
    block_on(async {
        let service = connect().await?;
        let found = service.search_items(attributes(home_id, key_id)).await.map_err(fault)?;
        for item in &found.unlocked {
            item.delete().await.map_err(fault)?;
        }
        Ok(())
    })
}

async fn connect() -> Result<SecretService<'static>, Fault> {
    SecretService::connect(EncryptionType::Dh).await.map_err(fault)
}

/// The collection in which new entries are kept for good.
async fn unlocked_collection<'a>(service: &'a SecretService<'_>) -> Result<Collection<'a>, Fault> {
    let collection = service.get_default_collection().await.map_err(|error| match error {
        Error::NoResult => Fault::Unreachable(
            "it has no default keyring: log in to a desktop session once, or make one with its program"
                .to_owned(),
        ),
        other => fault(other),
    })?;
    if collection.is_locked().await.map_err(fault)? {
        return Err(Fault::Locked);
    }
    Ok(collection)
}

/// Nothing was found. A locked keyring may hide what it has: then it is not known to be absent.
async fn missing(service: &SecretService<'_>) -> Fault {
    match unlocked_collection(service).await {
        Err(Fault::Locked) => Fault::Locked,
        _ => Fault::Absent,
    }
}

async fn text_of(item: &Item<'_>) -> Result<Zeroizing<String>, Fault> {
    let bytes = item.get_secret().await.map_err(fault)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            let _overwritten = Zeroizing::new(error.into_bytes());
            Err(Fault::Unreachable("its entry is not a key".to_owned()))
        }
    }
}

fn attributes<'a>(home_id: &'a str, key_id: &'a str) -> HashMap<&'a str, &'a str> {
    HashMap::from([("application", APPLICATION), ("home", home_id), ("key", key_id)])
}

fn fault(error: Error) -> Fault {
    match error {
        // A dialog is never asked for: to need one is to be locked.
        Error::Locked | Error::Prompt | Error::PromptDisconnected => Fault::Locked,
        Error::NoResult => Fault::Absent,
        Error::Unavailable => Fault::Unreachable(
            "there is no session bus: log in, run under `dbus-run-session`, or choose another backend"
                .to_owned(),
        ),
        other if other.to_string().contains("Secret.Error.IsLocked") => Fault::Locked,
        other => Fault::Unreachable(format!("{other}; is gnome-keyring or KWallet running?")),
    }
}

/// The conversation needs a runtime; this one lives as long as the thread that holds it.
fn block_on<T>(conversation: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::Unreachable(error.to_string()))?;
    let answered = runtime.block_on(conversation);
    // Threads of the bus library that still wait for the service must not hold this one.
    runtime.shutdown_background();
    answered
}
