//! Where a trace goes when it is not written to a file: `-`, `unix:PATH` or `tcp:HOST:PORT`.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::{Hint, Usage};

/// Both ways of a connection.
trait Duplex: Read + Write + Send {}
impl<T: Read + Write + Send> Duplex for T {}

/// Where a stream of bytes goes to or comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// Standard output.
    Stdout,
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
}

/// How long a collector may take to say that it has the whole trace.
const CONFIRMATION: Duration = Duration::from_secs(60);
const COLLECT_HINT: Hint = Hint("start `guesttrace collect` there first, with the same address");

impl Endpoint {
    /// Reads an output's name; `None` when it is that of a file.
    pub(crate) fn parse(name: &Path) -> Option<Self> {
        let text = name.to_str()?;
        if text == "-" {
            return Some(Self::Stdout);
        }
        match text.split_once(':')? {
            ("unix", path) => Some(Self::Unix(path.into())),
            ("tcp", address) => Some(Self::Tcp(address.to_owned())),
            _ => None,
        }
    }

    /// Refuses what cannot be an address.
    pub(crate) fn check(&self) -> Result<()> {
        let problem = match self {
            Self::Stdout if io::stdout().is_terminal() => {
                let usage = Usage::new("the trace would be written to the terminal");
                return Err(usage.hint("name a file, or pipe it to a program").into());
            }
            Self::Stdout => return Ok(()),
            Self::Unix(path) if path.as_os_str().is_empty() => "no path after `unix:`",
            Self::Unix(_) => return Ok(()),
            Self::Tcp(address) => match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                    return Ok(());
                }
                _ => "no HOST:PORT after `tcp:`",
            },
        };
        let hint = "write unix:PATH or tcp:HOST:PORT, such as tcp:127.0.0.1:5555";
        Err(Usage::new(problem).hint(hint).into())
    }

    /// Connects to it.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let failed = || format!("cannot connect to {self}");
        Ok(match self {
            Self::Stdout => {
                // Standard output itself is locked for the results of the verb.
                let out = io::stdout().as_fd().try_clone_to_owned();
                Connection::Pipe(File::from(out.with_context(failed)?))
            }
            Self::Unix(path) => Connection::Unix(
                UnixStream::connect(path)
                    .with_context(failed)
                    .context(COLLECT_HINT)?,
            ),
            Self::Tcp(address) => Connection::Tcp(
                TcpStream::connect(address)
                    .with_context(failed)
                    .context(COLLECT_HINT)?,
            ),
        })
    }

    /// Waits until somebody connects.
    pub(crate) fn accept(&self, is_ready: impl FnOnce() -> io::Result<()>) -> Result<Connection> {
        let failed = || format!("cannot listen on {self}");
        match self {
            Self::Stdout => anyhow::bail!("nobody can connect to a standard output"),
            Self::Unix(path) => {
                let listener = listen(path).with_context(failed)?;
                is_ready()?;
                let accepted = listener.accept();
                let _ = fs::remove_file(path);
                let (stream, _) = accepted.with_context(failed)?;
                Ok(Connection::Unix(stream))
            }
            Self::Tcp(address) => {
                let listener = TcpListener::bind(address).with_context(failed)?;
                is_ready()?;
                let (stream, _) = listener.accept().with_context(failed)?;
                Ok(Connection::Tcp(stream))
            }
        }
    }
}

/// Listens on a path. A socket that nobody listens on any more is in nobody's way.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let tried = UnixStream::connect(path);
            if tried.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
                fs::remove_file(path)?;
                return UnixListener::bind(path);
            }
            Err(error)
        }
        bound => bound,
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stdout => write!(out, "standard output"),
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Tcp(address) => write!(out, "tcp:{address}"),
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) enum Connection {
    /// One way only.
    Pipe(File),
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    fn stream(&mut self) -> &mut dyn Duplex {
        match self {
            Self::Pipe(file) => file,
            Self::Unix(stream) => stream,
            Self::Tcp(stream) => stream,
        }
    }

    /// Says that everything was sent, and takes what the other side answers, within a minute. A pipe answers nothing.
    pub(crate) fn finish(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::Pipe(_) => return Ok(None),
            Self::Unix(stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(CONFIRMATION))?;
            }
            Self::Tcp(stream) => {
                stream.shutdown(Shutdown::Write)?;
                stream.set_read_timeout(Some(CONFIRMATION))?;
            }
        }
        let mut answer = Vec::new();
        self.stream().take(4096).read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        Ok(Some(answer.trim_end().to_owned()))
    }
}

impl Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream().read(bytes)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream().flush()
    }
}
