//! A step's look at a server in a virtual machine, through a forwarded port.

use crate::run::network::Forward;
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// A forward to `vm:port` from a port of this computer that is free now.
pub fn forward(target: &str) -> Result<Forward> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
    format!("{}:{target}", free.port())
        .parse()
        .map_err(anyhow::Error::msg)
}

/// What the server answers to a request for `path`: head and body.
pub fn get(forward: &Forward, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, forward.host))
        .with_context(|| format!("cannot reach {forward}"))?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let host = &forward.vm;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{forward, get};
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn an_answer_is_read_to_its_end() {
        let forward = forward("alpha:80").unwrap();
        assert_eq!((&*forward.vm, forward.port), ("alpha", 80));
        let listener = TcpListener::bind(("127.0.0.1", forward.host)).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of it: what is not read when a connection is closed resets it.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nhello").unwrap();
            request
        });
        let answer = get(&forward, "/file").unwrap();
        assert!(answer.ends_with("\r\n\r\nhello"));
        assert!(server.join().unwrap().starts_with(b"GET /file HTTP/"));
    }
}
