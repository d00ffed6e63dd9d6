//! A server of the network block device protocol ("fixed newstyle", simple replies), as QEMU's client
//! speaks it: one export, one connection, one request after the other. The protocol is described in
//! `doc/proto.md` of the NetworkBlockDevice/nbd project; all its numbers are big-endian.
//!
//! Own since the crates there are need an async runtime, or end at the handshake.

use super::volatile::VolatileDisk;
use anyhow::{bail, ensure, Context, Result};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// First bytes from the server, then from everybody who names an option.
const SERVER_MAGIC: u64 = 0x4e42_444d_4147_4943;
const OPTION_MAGIC: u64 = 0x4948_4156_454f_5054;
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;

/// Handshake: the fixed kind, and no 124 zeros behind an export's description.
const HANDSHAKE: u16 = 1 | 2;
const NO_ZEROES: u32 = 2;
/// The export has flags, takes flushes, and writes that are durable when they end.
const EXPORT: u16 = 1 | 4 | 8;

const OPTION_EXPORT_NAME: u32 = 1;
const OPTION_ABORT: u32 = 2;
const OPTION_INFO: u32 = 6;
const OPTION_GO: u32 = 7;
const REPLY_ACK: u32 = 1;
const REPLY_INFO: u32 = 3;
const REPLY_UNSUPPORTED: u32 = 1 << 31 | 1;
const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

const READ: u16 = 0;
const WRITE: u16 = 1;
const DISCONNECT: u16 = 2;
const FLUSH: u16 = 3;
const DURABLE: u16 = 1;

const EIO: u32 = 5;
const EINVAL: u32 = 22;

/// Most bytes of an option or a request.
const BYTES_MAX: u32 = 32 << 20;

/// The disk as server and soak share it.
pub type SharedDisk = Arc<Mutex<VolatileDisk>>;

/// A server that waits for one client, and serves it until it goes.
pub struct Server {
    socket: PathBuf,
    thread: JoinHandle<Result<()>>,
}

impl Server {
    /// Starts to listen at `socket`.
    pub fn start(socket: &Path, disk: SharedDisk) -> Result<Self> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket)
            .with_context(|| format!("cannot listen at {}", socket.display()))?;
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept()?;
            serve(stream, &disk)
        });
        Ok(Self {
            socket: socket.to_path_buf(),
            thread,
        })
    }

    /// Waits until the client, which has ended or been killed, is served: behind this nothing of it
    /// reaches the disk.
    pub fn end(self) -> Result<()> {
        // If it never came, the server hears of somebody else who goes at once.
        drop(UnixStream::connect(&self.socket));
        let _ = fs::remove_file(&self.socket);
        match self.thread.join() {
            Ok(result) => result.context("the disk's server"),
            Err(_) => bail!("the disk's server panicked"),
        }
    }
}

/// Serves a client until it goes.
fn serve(mut stream: UnixStream, disk: &SharedDisk) -> Result<()> {
    let mut served = || -> Result<()> {
        let length = lock(disk).length();
        if handshake(&mut stream, length)? {
            while request(&mut stream, disk)? {}
        }
        Ok(())
    };
    match served() {
        // Whoever is killed does not say so, and may have left a part of a request.
        Err(error) if is_gone(&error) => Ok(()),
        other => other,
    }
}

fn is_gone(error: &anyhow::Error) -> bool {
    let gone = [
        ErrorKind::UnexpectedEof,
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionReset,
    ];
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| gone.contains(&error.kind()))
}

fn lock(disk: &SharedDisk) -> std::sync::MutexGuard<'_, VolatileDisk> {
    disk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Comes to terms; `false` if the client wants nothing more.
fn handshake(stream: &mut UnixStream, length: u64) -> Result<bool> {
    let mut greeting = SERVER_MAGIC.to_be_bytes().to_vec();
    greeting.extend(OPTION_MAGIC.to_be_bytes());
    greeting.extend(HANDSHAKE.to_be_bytes());
    stream.write_all(&greeting)?;
    let flags = u32::from_be_bytes(take(stream)?);
    let mut export = length.to_be_bytes().to_vec();
    export.extend(EXPORT.to_be_bytes());
    loop {
        let magic = u64::from_be_bytes(take(stream)?);
        ensure!(magic == OPTION_MAGIC, "an option begins with {magic:#x}");
        let option = u32::from_be_bytes(take(stream)?);
        let data = take_bytes(stream)?;
        match option {
            OPTION_EXPORT_NAME => {
                if flags & NO_ZEROES == 0 {
                    export.extend([0; 124]);
                }
                stream.write_all(&export)?;
                return Ok(true);
            }
            OPTION_INFO | OPTION_GO => {
                drop(data);
                let info = [&INFO_EXPORT.to_be_bytes()[..], &export].concat();
                answer_option(stream, option, REPLY_INFO, &info)?;
                answer_option(stream, option, REPLY_INFO, &block_size())?;
                answer_option(stream, option, REPLY_ACK, &[])?;
                if option == OPTION_GO {
                    return Ok(true);
                }
            }
            OPTION_ABORT => {
                answer_option(stream, option, REPLY_ACK, &[])?;
                return Ok(false);
            }
            _ => answer_option(stream, option, REPLY_UNSUPPORTED, &[])?,
        }
    }
}

/// Least, preferred and most bytes of a request.
fn block_size() -> Vec<u8> {
    let mut info = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
    for bytes in [super::volatile::SECTOR as u32, 4096, BYTES_MAX] {
        info.extend(bytes.to_be_bytes());
    }
    info
}

fn answer_option(stream: &mut UnixStream, option: u32, kind: u32, data: &[u8]) -> Result<()> {
    let mut reply = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    for number in [option, kind, u32::try_from(data.len())?] {
        reply.extend(number.to_be_bytes());
    }
    reply.extend(data);
    Ok(stream.write_all(&reply)?)
}

/// Serves one request; `false` if it was the last one.
fn request(stream: &mut UnixStream, disk: &SharedDisk) -> Result<bool> {
    let magic = u32::from_be_bytes(take(stream)?);
    ensure!(magic == REQUEST_MAGIC, "a request begins with {magic:#x}");
    let flags = u16::from_be_bytes(take(stream)?);
    let kind = u16::from_be_bytes(take(stream)?);
    let cookie: [u8; 8] = take(stream)?;
    let offset = u64::from_be_bytes(take(stream)?);
    let length = u32::from_be_bytes(take(stream)?);
    ensure!(length <= BYTES_MAX, "a request of {length} bytes");
    let mut data = vec![0; if kind == FLUSH { 0 } else { length as usize }];
    if kind == WRITE {
        stream.read_exact(&mut data)?;
    }
    let mut disk = lock(disk);
    if !disk.has_power() {
        drop(disk);
        std::io::copy(stream, &mut std::io::sink())?;
        return Ok(false);
    }
    let in_range = disk.check(offset, u64::from(length)).is_ok();
    let result = match kind {
        DISCONNECT => return Ok(false),
        FLUSH => disk.flush(),
        READ if in_range => disk.read(offset, &mut data),
        WRITE if in_range => disk.write(offset, &data, flags & DURABLE != 0),
        _ => Err(ErrorKind::InvalidInput.into()),
    };
    drop(disk);
    let status = match &result {
        Ok(()) => 0,
        Err(error) if error.kind() == ErrorKind::InvalidInput => EINVAL,
        Err(_) => EIO,
    };
    let mut reply = REPLY_MAGIC.to_be_bytes().to_vec();
    reply.extend(status.to_be_bytes());
    reply.extend(cookie);
    if kind == READ && result.is_ok() {
        reply.append(&mut data);
    }
    stream.write_all(&reply)?;
    Ok(true)
}

fn take<const N: usize>(stream: &mut UnixStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A length and as many bytes.
fn take_bytes(stream: &mut UnixStream) -> Result<Vec<u8>> {
    let length = u32::from_be_bytes(take(stream)?);
    ensure!(length <= BYTES_MAX, "an option of {length} bytes");
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use disco_fuzz::random::Random;
    use rustix::fs::{memfd_create, MemfdFlags};
    use std::fs::File;

    const LENGTH: u64 = 64 << 10;

    /// A client with a server of its own, past the handshake.
    struct Client {
        stream: UnixStream,
        disk: SharedDisk,
        server: JoinHandle<Result<()>>,
    }

    impl Client {
        fn new() -> Self {
            let file = File::from(memfd_create("disk", MemfdFlags::empty()).unwrap());
            file.set_len(LENGTH).unwrap();
            let disk = VolatileDisk::new(file, Random::new(1, 0)).unwrap();
            let disk = Arc::new(Mutex::new(disk));
            let (stream, theirs) = UnixStream::pair().unwrap();
            let shared = Arc::clone(&disk);
            let server = thread::spawn(move || serve(theirs, &shared));
            let mut client = Self {
                stream,
                disk,
                server,
            };
            assert_eq!(client.take::<8>(), *b"NBDMAGIC");
            assert_eq!(client.take::<8>(), *b"IHAVEOPT");
            assert_eq!(client.take::<2>(), [0, 3]);
            client.send(&[&3_u32.to_be_bytes()]);
            client
        }

        /// Past `OPTION_GO`.
        fn ready() -> Self {
            let mut client = Self::new();
            client.option(OPTION_GO, &[0; 6]);
            let (kind, export) = client.option_reply();
            assert_eq!((kind, &export[..2]), (REPLY_INFO, &[0, 0][..]));
            assert_eq!(export[2..10], LENGTH.to_be_bytes());
            assert_eq!(export[10..], EXPORT.to_be_bytes());
            let (kind, sizes) = client.option_reply();
            assert_eq!((kind, &sizes[..6]), (REPLY_INFO, &[0, 3, 0, 0, 2, 0][..]));
            assert_eq!(client.option_reply(), (REPLY_ACK, Vec::new()));
            client
        }

        fn send(&mut self, parts: &[&[u8]]) {
            self.stream.write_all(&parts.concat()).unwrap();
        }

        fn take<const N: usize>(&mut self) -> [u8; N] {
            take(&mut self.stream).unwrap()
        }

        fn option(&mut self, option: u32, data: &[u8]) {
            let length = u32::try_from(data.len()).unwrap();
            self.send(&[
                b"IHAVEOPT",
                &option.to_be_bytes(),
                &length.to_be_bytes(),
                data,
            ]);
        }

        fn option_reply(&mut self) -> (u32, Vec<u8>) {
            assert_eq!(self.take(), OPTION_REPLY_MAGIC.to_be_bytes());
            self.take::<4>();
            let kind = u32::from_be_bytes(self.take());
            (kind, take_bytes(&mut self.stream).unwrap())
        }

        /// Sends a request and gives its status.
        fn request(&mut self, flags: u16, kind: u16, offset: u64, length: u32, data: &[u8]) -> u32 {
            self.send(&[
                &REQUEST_MAGIC.to_be_bytes(),
                &flags.to_be_bytes(),
                &kind.to_be_bytes(),
                b"a cookie",
                &offset.to_be_bytes(),
                &length.to_be_bytes(),
                data,
            ]);
            assert_eq!(self.take(), REPLY_MAGIC.to_be_bytes());
            let status = u32::from_be_bytes(self.take());
            assert_eq!(self.take::<8>(), *b"a cookie");
            status
        }

        fn durable(&self, offset: u64) -> u8 {
            let mut byte = [0];
            lock(&self.disk).durable(offset, &mut byte).unwrap();
            byte[0]
        }
    }

    #[test]
    fn writes_are_read_back_and_durable_after_a_flush() {
        let mut client = Client::ready();
        assert_eq!(client.request(0, WRITE, 1024, 512, &[7; 512]), 0);
        assert_eq!(client.durable(1024), 0);
        assert_eq!(client.request(0, READ, 512, 1024, &[]), 0);
        assert_eq!(client.take::<512>(), [0; 512]);
        assert_eq!(client.take::<512>(), [7; 512]);
        assert_eq!(client.request(0, FLUSH, 0, 0, &[]), 0);
        assert_eq!(client.durable(1024), 7);
        assert_eq!(client.request(DURABLE, WRITE, 2048, 512, &[8; 512]), 0);
        assert_eq!(client.durable(2048), 8);
    }

    #[test]
    fn what_cannot_be_done_is_an_error_and_the_next_request_is_served() {
        let mut client = Client::ready();
        assert_eq!(client.request(0, WRITE, LENGTH, 512, &[7; 512]), EINVAL);
        assert_eq!(client.request(0, READ, 100, 512, &[]), EINVAL);
        assert_eq!(client.request(0, 99, 0, 0, &[]), EINVAL);
        assert_eq!(client.request(0, READ, 0, 512, &[]), 0);
        assert_eq!(client.take::<512>(), [0; 512]);
    }

    #[test]
    fn without_power_nobody_answers() {
        let mut client = Client::ready();
        lock(&client.disk).cut_behind(vec![0], 0);
        assert_eq!(client.request(0, WRITE, 0, 512, &[7; 512]), 0);
        assert!(lock(&client.disk).is_off());
        client.send(&[
            &REQUEST_MAGIC.to_be_bytes(),
            &[0, 0, 0, 3],
            &[0; 16],
            &[0; 4],
        ]);
        client.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        client.stream.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
        assert!(client.server.join().unwrap().is_ok());
        assert_eq!(lock(&client.disk).cut().unwrap().unflushed, 1);
    }

    #[test]
    fn options_that_there_are_not_are_refused_and_others_work() {
        let mut client = Client::new();
        client.option(8, &[]);
        assert_eq!(client.option_reply(), (REPLY_UNSUPPORTED, Vec::new()));
        client.option(OPTION_EXPORT_NAME, b"");
        assert_eq!(client.take(), LENGTH.to_be_bytes());
        assert_eq!(client.take(), EXPORT.to_be_bytes());
        assert_eq!(client.request(0, FLUSH, 0, 0, &[]), 0);
    }

    #[test]
    fn a_client_that_is_killed_ends_the_service_without_an_error() {
        let mut client = Client::ready();
        // The head of a write whose data never comes.
        let length = 512_u32.to_be_bytes();
        let head: [&[u8]; 5] = [
            &REQUEST_MAGIC.to_be_bytes(),
            &[0, 0, 0, 1],
            &[0; 16],
            &length,
            &[1; 9],
        ];
        client.send(&head);
        drop(client.stream);
        assert!(client.server.join().unwrap().is_ok());
        let mut silent = Client::new();
        silent.option(OPTION_ABORT, &[]);
        assert_eq!(silent.option_reply().0, REPLY_ACK);
        assert!(silent.server.join().unwrap().is_ok());
    }

    #[test]
    fn nonsense_ends_the_service_with_an_error() {
        let mut client = Client::ready();
        client.send(&[&[0xff; 28]]);
        assert!(client.server.join().unwrap().is_err());
    }
}
