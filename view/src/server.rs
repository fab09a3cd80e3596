//! Answers a browser on this machine, and nobody else.
//!
//! Invariant: whoever does not know the token gets no data: not another user of the machine, not another page in the same
//! browser. Nothing that is asked for changes anything.

use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::answer::{Answer, Refusal};
use crate::query::Query;
use crate::routes::{Traces, answer, is_slow};

/// Bytes of a question's body.
const BODY_BYTES_MAX: usize = 1 << 16;
/// Bytes of a question's address.
const ADDRESS_BYTES_MAX: usize = 1 << 14;
/// Answers that are worked at in one moment; the others wait.
const WORKERS: usize = 4;
/// The same of those that read much of a trace, each of which keeps a CPU busy.
const SLOW_WORKERS: usize = 3;
const TOKEN_BYTES: usize = 16;

/// What every answer says to the browser.
const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cache-control", "no-store"),
];

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    address: SocketAddr,
    token: String,
}

#[derive(Clone)]
struct Shop {
    traces: Traces,
    token: Arc<str>,
    port: u16,
    workers: Arc<Semaphore>,
    slow_workers: Arc<Semaphore>,
}

/// Tells an answer under way that nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Server {
    /// Listens on loopback; on any free port if `port` is 0.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn listen(port: u16) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let mut random = [0; TOKEN_BYTES];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            listener,
            address,
            token,
        })
    }

    /// The address of the page.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/{}/", self.address, self.token)
    }

    /// Answers until Ctrl-C or `kill`.
    ///
    /// # Errors
    /// When the system does not let it.
    pub fn run(self, traces: Traces) -> io::Result<()> {
        let shop = Shop {
            traces,
            token: self.token.into(),
            port: self.address.port(),
            workers: Arc::new(Semaphore::new(WORKERS)),
            slow_workers: Arc::new(Semaphore::new(SLOW_WORKERS)),
        };
        self.listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let listener = TcpListener::from_std(self.listener)?;
            let router = Router::new().fallback(serve).with_state(shop);
            let mut terminated = signal(SignalKind::terminate())?;
            let end = async move {
                tokio::select! {
                    _ = tokio::signal::ctrl_c() => {}
                    _ = terminated.recv() => {}
                }
            };
            // A page that keeps its connection open must not keep the server from ending.
            tokio::select! {
                served = axum::serve(listener, router) => served,
                () = end => Ok(()),
            }
        })
    }
}

async fn serve(State(shop): State<Shop>, request: Request) -> Response {
    let mut response = match take(&shop, request).await {
        Ok(answer) => response_of(answer),
        Err((status, error, hint)) => {
            let text = json!({ "error": error, "hint": hint }).to_string();
            let mut response = Response::new(Body::from(text));
            *response.status_mut() = status;
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        }
    };
    for (name, value) in HEADERS {
        let (name, value) = (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
        response.headers_mut().insert(name, value);
    }
    response
}

fn response_of(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.bytes));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(answer.media_type),
    );
    if let Some(name) = answer.file_name {
        let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
        let name: String = name.chars().filter(is_plain).collect();
        let value = format!("attachment; filename=\"{name}\"");
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(header::CONTENT_DISPOSITION, value);
        }
    }
    response
}

type Refused = (StatusCode, String, String);

fn refused(status: StatusCode, error: &str) -> Refused {
    (status, error.to_owned(), String::new())
}

/// Looks at who asks, then answers.
async fn take(shop: &Shop, request: Request) -> Result<Answer, Refused> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let pairs = head.uri.query().unwrap_or("").to_owned();
    if path.len() + pairs.len() > ADDRESS_BYTES_MAX {
        return Err(refused(StatusCode::URI_TOO_LONG, "the address is too long"));
    }
    if !is_from_here(&head.headers, shop.port) {
        return Err(refused(
            StatusCode::FORBIDDEN,
            "only pages of this very server may ask it",
        ));
    }
    let rest = path.strip_prefix('/').unwrap_or("");
    let (token, question) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_same(token.as_bytes(), shop.token.as_bytes()) {
        let error = "this address is not complete: open the one that `guesttrace serve` printed";
        return Err(refused(StatusCode::FORBIDDEN, error));
    }
    let is_query = question.ends_with("/sql");
    let is_allowed = match head.method {
        Method::GET | Method::HEAD => !is_query,
        Method::POST => is_query,
        _ => false,
    };
    if !is_allowed {
        return Err(refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "this cannot be asked in that way",
        ));
    }
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Err(refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the question is too long",
        ));
    };
    let mut pairs = form_pairs(&pairs)?;
    if is_query {
        let text = String::from_utf8_lossy(&body).into_owned();
        pairs.push(("query".to_owned(), text));
    }
    work(shop, question.to_owned(), Query::new(pairs)).await
}

/// Answers in a thread of its own; a browser that goes away ends that.
async fn work(shop: &Shop, question: String, query: Query) -> Result<Answer, Refused> {
    let workers = if is_slow(&question) {
        &shop.slow_workers
    } else {
        &shop.workers
    };
    let _stop = StopOnDrop(Arc::clone(query.stop()));
    let Ok(permit) = Arc::clone(workers).acquire_owned().await else {
        let error = "the server is about to end";
        return Err(refused(StatusCode::SERVICE_UNAVAILABLE, error));
    };
    let traces = Arc::clone(&shop.traces);
    let worked = tokio::task::spawn_blocking(move || {
        let result = answer(&traces, &question, &query);
        drop(permit);
        result
    });
    let Ok(answered) = worked.await else {
        let error = "the answer failed inside the program; the terminal says where";
        return Err(refused(StatusCode::INTERNAL_SERVER_ERROR, error));
    };
    answered.map_err(|refusal| told(&refusal))
}

fn told(refusal: &Refusal) -> Refused {
    let status =
        StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut error = refusal.to_string();
    let mut source = std::error::Error::source(refusal);
    while let Some(cause) = source {
        error = format!("{error}: {cause}");
        source = cause.source();
    }
    let hint = match refusal {
        Refusal::Malformed { hint, .. } => hint.clone(),
        Refusal::Missing { .. } | Refusal::Trace(_) | Refusal::Failed(_) => String::new(),
    };
    (status, error, hint)
}

fn form_pairs(query: &str) -> Result<Vec<(String, String)>, Refused> {
    serde_urlencoded::from_str(query).or(Err(refused(
        StatusCode::BAD_REQUEST,
        "the address cannot be read",
    )))
}

/// Whether a request comes from a page of this server, or from a person's address bar: another site's page that has had
/// its name point here has another host, and one that asks across origins says its own.
fn is_from_here(headers: &HeaderMap, port: u16) -> bool {
    let names = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let is_own_host = host.is_some_and(|host| names.iter().any(|name| name == host));
    let origins = headers.get_all(header::ORIGIN);
    let is_own_origin = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or("");
        origin
            .strip_prefix("http://")
            .is_some_and(|host| names.iter().any(|name| name == host))
    };
    let site = headers
        .get("sec-fetch-site")
        .and_then(|site| site.to_str().ok());
    let is_own_site = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    is_own_host && origins.iter().all(is_own_origin) && is_own_site
}

/// Compares in a time that does not tell where a difference is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (a, b)| sum | (a ^ b));
    one.len() == other.len() && differences == 0
}
