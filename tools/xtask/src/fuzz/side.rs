//! One place where programs run: the machine, and its memory as a file.
//!
//! The machine's RAM is shared with QEMU, so programs go in and results come out without the machine
//! knowing. Reading and writing go through the file: no mapping, nothing unsafe.

use crate::bare::Place;
use crate::run::session::Session;
use anyhow::{bail, ensure, Context, Result};
use disco_executor_layout as layout;
use disco_fuzz::outcome::Outcome;
use disco_fuzz::program::Program;
use regex::bytes::Regex;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How long a machine may take to start, and to answer the monitor's console.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a batch may take: many times of what it takes on a busy host.
const BATCH: Duration = Duration::from_secs(20);
/// How often the mailbox is looked at.
const POLL: Duration = Duration::from_micros(300);

/// A file that becomes a machine's RAM. Nobody finds it by its name for longer than QEMU takes to
/// open it.
pub struct Ram {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Ram {
    /// Makes one of `bytes`, in memory if there is room.
    pub fn new(place: Place, bytes: u64) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let room = |folder: &Path| {
            rustix::fs::statvfs(folder).is_ok_and(|info| info.f_bavail * info.f_frsize > 2 * bytes)
        };
        let folder = if room(memory) {
            memory.to_path_buf()
        } else {
            crate::paths::target().join("fuzz")
        };
        let name = format!("disco-fuzz-{}-{}.ram", std::process::id(), place.name());
        let path = folder.join(name);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        file.set_len(bytes)?;
        Ok(Self { path, file, bytes })
    }

    /// QEMU's arguments for it.
    pub fn arguments(&self) -> Vec<String> {
        let path = self.path.display().to_string().replace(',', ",,");
        let size = self.bytes;
        vec![
            "-object".to_owned(),
            format!("memory-backend-file,id=ram,share=on,mem-path={path},size={size}"),
            "-machine".to_owned(),
            "memory-backend=ram".to_owned(),
        ]
    }

    fn word(&self, offset: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn set_word(&self, offset: u64, value: u64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_be_bytes(), offset)?)
    }

    fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length)?];
        self.file.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

impl Drop for Ram {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// How a batch ended.
pub enum Ended {
    /// All programs are done.
    Done,
    /// The one in this slot does not end, or the machine is gone: why.
    Stuck(u64, String),
}

/// A machine that runs programs.
pub struct Side {
    session: Session,
    ram: Ram,
    mailbox: u64,
    slots: Vec<u64>,
    witness: Option<u64>,
    asked: u64,
}

impl Side {
    /// Takes over a machine that starts with `ram`, and waits until its executor is ready.
    /// `witness`: there is one.
    pub fn new(mut session: Session, ram: Ram, witness: bool) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = Places::find(&ram, witness)? {
                let _ = fs::remove_file(&ram.path);
                return Ok(Self {
                    session,
                    ram,
                    mailbox: found.mailbox,
                    slots: found.slots,
                    witness: found.witness,
                    asked: 0,
                });
            }
            if let Some(status) = session.ended()? {
                bail!("the machine ended before the executor was ready ({status})");
            }
            ensure!(
                Instant::now() < deadline,
                "the executor is not ready in time"
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Puts a program into a slot.
    pub fn put(&self, slot: u64, program: &Program, data: &[u8]) -> Result<()> {
        let start = self.slots[usize::try_from(slot)?];
        let file = &self.ram.file;
        file.write_all_at(data, start + layout::DATA_PAGE)?;
        // There is a witness beside the guest, and none natively.
        let control = program.control(slot, self.witness.is_some());
        file.write_all_at(&control, start + layout::CONTROL_PAGE + layout::GPR)?;
        Ok(())
    }

    /// Lets the programs in `count` slots from `first` on run, in order.
    pub fn ask(&mut self, first: u64, count: u64) -> Result<()> {
        self.asked += 1;
        let batch = self.mailbox + layout::MAIL_BATCH + (self.asked & 1) * 16;
        self.ram.set_word(batch, first)?;
        self.ram.set_word(batch + 8, count)?;
        self.ram
            .set_word(self.mailbox + layout::MAIL_ASKED, self.asked)
    }

    /// Waits until all but the last `left` batches are done.
    pub fn wait(&mut self, left: u64) -> Result<Ended> {
        let deadline = Instant::now() + BATCH;
        let wanted = self.asked.saturating_sub(left);
        let mut polls = 0_u64;
        while self.ram.word(self.mailbox + layout::MAIL_DONE)? < wanted {
            polls += 1;
            // Asking for the process costs more than the look.
            if polls.is_multiple_of(64) {
                let running = self.ram.word(self.mailbox + layout::MAIL_RUNNING)?;
                if let Some(why) = self.trouble()? {
                    return Ok(Ended::Stuck(running, why));
                }
                if Instant::now() > deadline {
                    let why = format!("it does not end within {} s", BATCH.as_secs());
                    return Ok(Ended::Stuck(running, why));
                }
            }
            thread::sleep(POLL);
        }
        Ok(Ended::Done)
    }

    /// What a program left.
    pub fn outcome(&self, slot: u64) -> Result<Outcome> {
        let start = self.slots[usize::try_from(slot)?];
        let data = self.ram.bytes(start + layout::DATA_PAGE, layout::DATA)?;
        let control = self.ram.bytes(start + layout::CONTROL_PAGE, layout::CODE)?;
        Ok(Outcome::new(data, control))
    }

    /// Why the machine does not go on, if so.
    fn trouble(&mut self) -> Result<Option<String>> {
        self.session.events.poll();
        if let Some(event) = self.session.events.find("panic", None) {
            let reason = event.reason.as_deref().unwrap_or("no reason given");
            return Ok(Some(format!("the monitor panicked: {reason}")));
        }
        if let Some(event) = self.session.events.find("vm_stopped", None) {
            let vm = event.vm.as_deref().unwrap_or("?");
            let message = event.message.as_deref().unwrap_or("");
            let reason = event.reason.as_deref().unwrap_or("?");
            return Ok(Some(format!(
                "the virtual machine {vm} ended: {reason} {message}"
            )));
        }
        let ended = self.session.ended()?;
        Ok(ended.map(|status| format!("QEMU ended ({status})")))
    }

    /// Looks whether everybody but the programs is unharmed: the witness, the monitor's invariants.
    /// The error says what is not.
    pub fn check(&mut self) -> Result<()> {
        let Some(witness) = self.witness else {
            return Ok(());
        };
        let rounds = self.ram.word(witness + layout::WITNESS_ROUNDS)?;
        let from = self.session.console_len();
        self.session.send("check\n");
        let deadline = Instant::now() + PATIENCE;
        let row = Regex::new(r"(?m)^ *(\d+) +(\d+)  (\S.*)$")?;
        loop {
            if let Some(why) = self.trouble()? {
                bail!("{why}");
            }
            // Two rounds: one of them is wholly behind the programs.
            let looked = self.ram.word(witness + layout::WITNESS_ROUNDS)? >= rounds + 2;
            let console = self.session.console();
            let rows: Vec<_> = row.captures_iter(&console[from..]).collect();
            if looked && rows.len() >= 2 {
                for row in rows {
                    ensure!(
                        &row[2] == b"0",
                        "the monitor's check says: {}",
                        String::from_utf8_lossy(&row[0])
                    );
                }
                break;
            }
            ensure!(
                Instant::now() < deadline,
                "{} does not answer",
                if looked {
                    "the monitor's check"
                } else {
                    "the witness"
                }
            );
            thread::sleep(Duration::from_millis(5));
        }
        let wrong = self.ram.word(witness + layout::WITNESS_WRONG)?;
        ensure!(
            wrong == 0,
            "{wrong} words of the witness's memory were changed"
        );
        Ok(())
    }
}

/// Where in a machine's RAM the executor and the witness are.
struct Places {
    mailbox: u64,
    slots: Vec<u64>,
    witness: Option<u64>,
}

impl Places {
    fn find(ram: &Ram, witness: bool) -> Result<Option<Self>> {
        let mut slots = vec![None; usize::try_from(layout::SLOTS)?];
        let (mut mailbox, mut watcher) = (None, None);
        for page in (0..ram.bytes).step_by(usize::try_from(layout::PAGE)?) {
            match ram.word(page)? {
                layout::MAILBOX_MAGIC => mailbox = Some(page),
                layout::WITNESS_MAGIC => watcher = Some(page),
                layout::SLOT_MAGIC => {
                    let slot = usize::try_from(ram.word(page + 8)?)?;
                    if let Some(place) = slots.get_mut(slot) {
                        *place = page.checked_sub(layout::CONTROL_PAGE);
                    }
                }
                _ => {}
            }
        }
        let slots: Option<Vec<u64>> = slots.into_iter().collect();
        Ok(match (mailbox, slots) {
            (Some(mailbox), Some(slots)) if !witness || watcher.is_some() => Some(Self {
                mailbox,
                slots,
                witness: watcher,
            }),
            _ => None,
        })
    }
}
