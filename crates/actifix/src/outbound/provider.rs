//! The way to the sign-in provider: as every other way out, but that a provider on this machine may be spoken to in
//! clear, for tests, where the configuration says so (`actifix_app::oidc` decides which hosts may be asked).

use super::connect::Reach;
use super::http::{exchange, head, server_name};
use super::{Outbound, handshake};
use actifix_app::ports::{
    OutboundAnswer, PROVIDER_BODY_BYTES_MAX, ProviderAnswer, ProviderFault, ProviderRequest, ProviderWire,
};
use actifix_domain::alert::Failure;
use async_trait::async_trait;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::time::Duration;

/// A whole exchange, from the name to the last byte of the answer, takes no longer.
const DEADLINE: Duration = Duration::from_secs(10);
/// One byte beyond shows that an answer is too large.
const READ_MAX: usize = PROVIDER_BODY_BYTES_MAX + 1;

#[async_trait]
impl ProviderWire for Outbound {
    async fn exchange(&self, request: ProviderRequest) -> Result<ProviderAnswer, ProviderFault> {
        let plain = request.url.scheme() == "http";
        let sent = tokio::time::timeout(DEADLINE, self.ask_provider(request, plain)).await;
        let answer = sent.unwrap_or(Err(Failure::Timeout)).map_err(|failure| fault(failure, plain))?;
        if answer.body.len() > PROVIDER_BODY_BYTES_MAX {
            return Err(ProviderFault("an answer of more than 256 KiB"));
        }
        Ok(ProviderAnswer { status: answer.status, body: answer.body })
    }
}

impl Outbound {
    async fn ask_provider(&self, request: ProviderRequest, plain: bool) -> Result<OutboundAnswer, Failure> {
        let host = request.url.host().ok_or(Failure::Unusable)?.to_owned();
        let port = request.url.port_or_known_default().ok_or(Failure::Unusable)?;
        let message = message(request)?;
        if plain {
            let stream = self.connect_within(Reach::Loopback, &host, port).await?;
            return exchange(TokioIo::new(stream), message, READ_MAX).await;
        }
        let name = server_name(&host)?;
        let stream = self.connect(&host, port).await?;
        let stream =
            self.trust()?.tls.connect(name, stream).await.map_err(|error| handshake::class(&error))?;
        exchange(TokioIo::new(stream), message, READ_MAX).await
    }
}

fn message(request: ProviderRequest) -> Result<Request<Full<Bytes>>, Failure> {
    let method = if request.form.is_some() { Method::POST } else { Method::GET };
    let mut builder = head(method, &request.url).header(ACCEPT, "application/json");
    if let Some(authorization) = &request.authorization {
        let mut value = HeaderValue::from_str(authorization.reveal()).map_err(|_| Failure::Unusable)?;
        value.set_sensitive(true);
        builder = builder.header(AUTHORIZATION, value);
    }
    let body = match &request.form {
        Some(form) => {
            builder = builder.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            Bytes::copy_from_slice(form.reveal().as_bytes())
        }
        None => Bytes::new(),
    };
    builder.body(Full::new(body)).map_err(|_| Failure::Unusable)
}

/// The same in words for whoever signs in and whoever reads the log.
const fn fault(failure: Failure, plain: bool) -> ProviderFault {
    ProviderFault(match failure {
        Failure::Forbidden if plain => "plain HTTP to another machine",
        Failure::Forbidden => "its address is not a public one: name its network in outbound.allow_private",
        Failure::Dns => "its name is not known",
        Failure::Connect => "no connection",
        Failure::Tls => "no TLS that both speak, or a certificate that is of no use",
        Failure::TlsExpired => "its certificate has expired or is not valid yet",
        Failure::TlsName => "its certificate is for another name",
        Failure::TlsUnknownIssuer => {
            "its certificate is of nobody who is trusted: name the authority in outbound.extra_ca"
        }
        Failure::TlsSelfSigned => "its certificate signed itself: name it in outbound.extra_ca",
        Failure::Timeout => "no whole answer within 10 s",
        Failure::Unusable => "the request cannot be written",
        _ => "the connection ended before the answer",
    })
}
