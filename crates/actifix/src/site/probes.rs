//! The running server, asked as a client would: by its own listener, and by the public address where that is https.

use super::{DoorFact, Site, network};
use crate::outbound::{Ask, NotCertified, Place, Told};
use actifix_app::doctor::{Answer, Deployment, ListenerFact, Live, RateProbe, TlsProbe};
use actifix_app::limits::{PROBE_HEADER, PROBE_PER_MINUTE};
use actifix_web::tls::ends_at;
use hyper::Method;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use url::Url;

/// Requests of a reserved key before it is taken to have no limit.
const TRIES: u32 = PROBE_PER_MINUTE + 2;
/// More than a body of the API may have.
const TOO_LARGE: usize = (1 << 20) + 1;

impl Site {
    /// What a running server answers. `key` is named where limits are tried.
    pub(super) async fn ask_server(&self, seen: &Deployment, key: &str) -> Live {
        let mut live = Live { sockets: network::sockets(), ..Live::default() };
        let public = seen.public_url.as_deref().and_then(|url| Url::parse(url).ok());
        let public = public.filter(|url| url.scheme() == "https");
        if let Some(url) = &public {
            live.tls = Some(self.certificate(url).await);
        }
        let is_good = matches!(live.tls, Some(TlsProbe::Good { .. }));
        if let Some((name, place)) = own_place(&seen.listeners, public.as_ref().filter(|_| is_good)) {
            let https = matches!(place, Place::Tls(..)) || self.trusts_loopback();
            self.ask_all(&mut live, &name, &place, https, &questions()).await;
            live.rate = self.try_limit(&mut live, &name, &place, https, key).await;
        }
        if let Some(url) = public.filter(|_| is_good) {
            let place = Place::Public(url);
            // A proxy that is used by others is not sent what it may log as an attack.
            self.ask_all(&mut live, "server.public_url", &place, true, &polite_questions()).await;
        }
        self.try_from_outside(&mut live, &seen.listeners, key).await;
        live
    }

    async fn certificate(&self, url: &Url) -> TlsProbe {
        match self.outbound.certificate(url).await {
            Ok(seen) => match ends_at(&seen.certificate) {
                Some(expires_at) => TlsProbe::Good { expires_at, protocol: seen.protocol },
                None => TlsProbe::Refused("its end cannot be read".to_owned()),
            },
            Err(NotCertified::Refused(why)) => TlsProbe::Refused(why),
            Err(NotCertified::Unreached(why)) => TlsProbe::Unreached(why.to_owned()),
        }
    }

    async fn ask_all(&self, live: &mut Live, name: &str, place: &Place, https: bool, asks: &[Ask]) {
        for ask in asks {
            let ask = self.forwarded(ask.clone(), place, https);
            match self.outbound.ask(place, &ask).await {
                Ok(told) => live.answers.push(answer(name, &ask, told, https)),
                Err(why) => {
                    live.silent.push(format!("{name} did not answer {} {}: {why}", ask.method, ask.path));
                    // Who does not answer one does not answer the others.
                    return;
                }
            }
        }
    }

    /// As the proxy on this machine would pass a request on.
    fn forwarded(&self, ask: Ask, place: &Place, https: bool) -> Ask {
        match place {
            Place::Plain(_) if https => ask.with("x-forwarded-proto", "https"),
            _ => ask,
        }
    }

    async fn try_limit(
        &self,
        live: &mut Live,
        name: &str,
        place: &Place,
        https: bool,
        key: &str,
    ) -> RateProbe {
        for at in 1..=TRIES {
            let ask = Ask::new(Method::GET, "/api/v1/doctor").with(PROBE_HEADER, key);
            let ask = self.forwarded(ask, place, https);
            let Ok(told) = self.outbound.ask(place, &ask).await else { return RateProbe::Untried };
            let status = told.status;
            live.answers.push(answer(name, &ask, told, https));
            if status == 429 {
                return RateProbe::Refused { at };
            }
        }
        RateProbe::NeverRefused { asked: TRIES }
    }

    /// Listeners of this machine alone are tried at its addresses in networks. It must be this server that answers:
    /// another program may have the same port there.
    async fn try_from_outside(&self, live: &mut Live, listeners: &[ListenerFact], key: &str) {
        let addresses = network::addresses();
        live.tried_from = addresses.len();
        let ask = Ask::new(Method::GET, "/api/v1/doctor").with("host", "localhost").with(PROBE_HEADER, key);
        for listener in listeners.iter().filter(|listener| listener.is_loopback() && !listener.tls) {
            for ip in &addresses {
                let address = SocketAddr::new(*ip, listener.address.port());
                if listeners.iter().any(|other| covers(other, address)) {
                    continue;
                }
                let told = self.outbound.ask(&Place::Plain(address), &ask).await;
                if told.is_ok_and(|told| matches!(told.status, 204 | 429)) {
                    live.leaking.push(format!("listeners.{} ({address})", listener.name));
                }
            }
        }
    }
}

/// Whether a listener is at an address anyway.
fn covers(listener: &ListenerFact, address: SocketAddr) -> bool {
    listener.address == address || (listener.is_everywhere() && listener.address.port() == address.port())
}

/// The first listener that carries the API, and how it is asked: with TLS only by the name that its certificate is for.
fn own_place(listeners: &[ListenerFact], public: Option<&Url>) -> Option<(String, Place)> {
    let open = listeners.iter().filter(|listener| listener.serves_people);
    let mut places = open.filter_map(|listener| {
        let door = DoorFact { name: format!("listeners.{}", listener.name), address: listener.address };
        let address = reachable(&door);
        let place = match (listener.tls, public) {
            (false, _) => Place::Plain(address),
            (true, Some(url)) => Place::Tls(address, url.clone()),
            (true, None) => return None,
        };
        Some((door.name, place))
    });
    places.next()
}

/// Where this machine reaches a listener.
fn reachable(door: &DoorFact) -> SocketAddr {
    let port = door.address.port();
    match door.address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
        _ => door.address,
    }
}

/// Requests that are answered with a dozen different statuses. None of them has a credential, and none is counted as a
/// failed login.
fn questions() -> Vec<Ask> {
    let login = || Ask::new(Method::POST, "/api/v1/auth/login");
    let json = ("content-type", "application/json");
    let mut asks = polite_questions();
    asks.extend([
        Ask::new(Method::GET, "/").with("accept", "text/html"),
        Ask::new(Method::GET, "/login").with("accept", "text/html"),
        // A host of the reserved domain, which is nobody's.
        Ask::new(Method::GET, "/api/v1/tickets").with("host", "doctor.invalid"),
        login().with(json.0, json.1).body("{"),
        login().with("content-type", "text/plain").body("x"),
        login().with(json.0, json.1).body(vec![b' '; TOO_LARGE]),
        Ask::new(Method::OPTIONS, "/api/v1/tickets")
            .with("origin", "https://doctor.invalid")
            .with("access-control-request-method", "GET"),
    ]);
    asks
}

/// Those that nobody takes amiss.
fn polite_questions() -> Vec<Ask> {
    vec![
        Ask::new(Method::GET, "/healthz"),
        Ask::new(Method::GET, "/api/v1/tickets"),
        Ask::new(Method::GET, "/doctor-asks-for-nothing"),
        Ask::new(Method::DELETE, "/healthz"),
    ]
}

fn answer(place: &str, ask: &Ask, told: Told, https: bool) -> Answer {
    Answer {
        place: place.to_owned(),
        asked: format!("{} {}", ask.method, ask.path),
        status: told.status,
        https,
        headers: told.headers,
    }
}
