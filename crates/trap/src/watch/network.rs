//! HTTP and TCP addresses, asked without a crate for either: a request of one line, and the answer's first.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// An HTTP address, without encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTarget {
    /// `HOST:PORT`.
    pub authority: String,
    /// `/PATH`.
    pub path: String,
}

impl HttpTarget {
    /// Reads `http://HOST[:PORT][/PATH]`; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("https is not spoken; use a command such as curl".to_owned());
        }
        let rest = text.strip_prefix("http://").ok_or("it does not begin with http://")?;
        let (host, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !plain(rest) {
            return Err("it names no host, or has blanks".to_owned());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { authority, path: path.to_owned() })
    }
}

/// Whether the address answers with a status below 400.
pub fn http(target: &HttpTarget, patience: Duration) -> Result<(), String> {
    let HttpTarget { authority, path } = target;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: coldcase-trap\r\nConnection: close\r\n\r\n"
    );
    let answer = ask(authority, request.as_bytes(), patience)?;
    let status = answer.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    match std::str::from_utf8(status).ok().and_then(|status| status.get(..3)?.parse::<u16>().ok()) {
        Some(status) if status < 400 => Ok(()),
        Some(status) => Err(format!("answers with status {status}")),
        None => Err("does not answer in HTTP".to_owned()),
    }
}

/// Whether the address takes a connection, and answers if something is sent.
pub fn tcp(address: &str, send: &[u8], patience: Duration) -> Result<(), String> {
    if send.is_empty() {
        return connect(address, patience).map(|_| ());
    }
    ask(address, send, patience).map(|_| ())
}

/// The first bytes of an answer.
fn ask(address: &str, request: &[u8], patience: Duration) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("does not answer: {error}");
    let mut stream = connect(address, patience)?;
    stream.write_all(request).map_err(failed)?;
    let mut answer = vec![0; 64];
    let count = stream.read(&mut answer).map_err(failed)?;
    if count == 0 {
        return Err("closes the connection without an answer".to_owned());
    }
    answer.truncate(count);
    Ok(answer)
}

fn connect(address: &str, patience: Duration) -> Result<TcpStream, String> {
    let addresses =
        address.to_socket_addrs().map_err(|error| format!("has no address: {error}"))?;
    let mut last = "has no address".to_owned();
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                let set = stream.set_read_timeout(Some(patience));
                let set = set.and_then(|()| stream.set_write_timeout(Some(patience)));
                return set.map(|()| stream).map_err(|error| error.to_string());
            }
            Err(error) => last = format!("cannot be connected to: {error}"),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Serves one connection with this answer.
    fn serve(answer: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            assert!(stream.read(&mut request).unwrap() > 0);
            stream.write_all(answer).unwrap();
        });
        address
    }

    #[test]
    fn addresses_are_told_apart() {
        let target = |text| HttpTarget::parse(text).unwrap();
        assert_eq!(target("http://a/b?c").authority, "a:80");
        assert_eq!((target("http://a:8080").path.as_str()), "/");
        for wrong in ["https://a", "a:80", "http://", "http://a b"] {
            assert!(HttpTarget::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_status_decides() {
        let patience = Duration::from_secs(5);
        let ask = |answer| {
            let authority = serve(answer);
            http(&HttpTarget { authority, path: "/".to_owned() }, patience)
        };
        assert_eq!(ask(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(()));
        assert!(ask(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap_err().contains("503"));
        assert!(ask(b"-ERR\r\n").is_err());
        assert!(ask(b"").is_err());
        assert_eq!(tcp(&serve(b"+PONG\r\n"), b"PING\r\n", patience), Ok(()));
    }

    #[test]
    fn nobody_there_is_a_problem() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        assert!(tcp(&address, b"", Duration::from_secs(1)).is_err());
    }
}
