//! A webhook: one HTTP POST for an event.

use http_body_util::Full;
use hyper::{Request, Uri, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use rpc_core::{SetupError, defaults};
use std::time::Duration;
use tokio::{net::TcpStream, time::timeout};

/// Most bytes of the head of an answer; its body is not read.
const MAX_HEAD: usize = 16 * 1024;

/// Where events are posted.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    /// `host:port`, or `host`.
    authority: String,
    /// As it is resolved.
    host: String,
    port: u16,
    /// The path and what follows it.
    target: Uri,
    /// Time for one event.
    limit: Duration,
}

impl Webhook {
    /// Reads `http://host:port/path`.
    ///
    /// # Errors
    ///
    /// It is something else; the text says what to write.
    pub(crate) fn parse(url: &str) -> Result<Self, SetupError> {
        let wrong = |why: &str| {
            let text = format!("`pressure_webhook` is {url:?}: {why}");
            SetupError::new(text)
        };
        let form = "write http://host:port/path";
        let uri: Uri = url.parse().map_err(|error| wrong(&format!("{error}; {form}")))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong(
                    "there is no TLS here: write http://host:port/path, or let \
                     `pressure_command` run a program that speaks https, such as curl",
                ));
            }
            _ => return Err(wrong(form)),
        }
        let authority = uri.authority().ok_or_else(|| wrong(form))?;
        if authority.as_str().contains('@') {
            return Err(wrong("users and passwords are not sent; write http://host:port/path"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that is none is not told from one that is not there.
        let port = match (authority.port_u16(), authority.as_str().ends_with(authority.host())) {
            (Some(port), _) if port > 0 => port,
            (None, true) => 80,
            _ => return Err(wrong(form)),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let target = path.parse().map_err(|error| wrong(&format!("{error}; {form}")))?;
        Ok(Self {
            authority: authority.to_string(),
            host: host.to_owned(),
            port,
            target,
            limit: defaults::PRESSURE_LIMIT,
        })
    }

    /// Posts `json`, and waits for the status of the answer: 10 s at most for all of it.
    ///
    /// # Errors
    ///
    /// It was not answered with a status of success.
    ///
    /// # Cancel safety
    ///
    /// Dropped half-way, the connection ends and the event may have been received or not.
    pub(super) async fn post(&self, json: &str) -> Result<(), String> {
        let limit = self.limit;
        let answered = timeout(limit, self.exchange(json)).await;
        let status = answered.unwrap_or_else(|_| Err(format!("no answer within {limit:?}")));
        status
            .and_then(|status| match status {
                200..=299 => Ok(()),
                status => Err(format!("the answer is {status}")),
            })
            // The path may hold a secret.
            .map_err(|why| format!("http://{}: {why}", self.authority))
    }

    async fn exchange(&self, json: &str) -> Result<u16, String> {
        let request = Request::post(self.target.clone())
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header(header::USER_AGENT, concat!("rpc-client/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::copy_from_slice(json.as_bytes())))
            .map_err(|error| error.to_string())?;
        // Tries every address of the host.
        let stream = TcpStream::connect((&*self.host, self.port)).await;
        let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HEAD)
            .handshake(stream)
            .await
            .map_err(|error| error.to_string())?;
        let drive = async {
            // What has become of it is known from the answer.
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            answer = sender.send_request(request) => {
                answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
            }
            never = drive => never,
        }
    }
}

#[cfg(test)]
mod tests;
