//! The programs that are measured, and what has to come out of them: the host computes it, too.

use disco_numa_work::groups::{self, Group};
use disco_numa_work::mix;
use disco_numa_work::netlist::{self, Gate};
use disco_numa_work::picture::{Size, TILE_PIXELS};
use disco_numa_work::scene::{self, Triangle, BALL};
use disco_numa_work::tree::{self, Node};
use std::fs;
use std::path::Path;
use std::thread;

/// Virtual CPUs that compute, each on a node of its own.
pub const MEMBERS: u64 = 8;

/// Each job's gates, of 32 bytes: 6 MiB.
const GATES: usize = 192 << 10;
const CYCLES: u64 = 40;
/// The scene's balls: 27 MiB of triangles and tree.
const BALLS: usize = 300;
const SEED: u64 = 1;
const SIZE: Size = Size {
    across: 56,
    down: 56,
};
/// Places of the table, of 16 bytes: 16 MiB.
const PLACES: usize = 1 << 20;
const BATCHES: u64 = 320;
const ROWS: u64 = 8000;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A job for each virtual CPU.
    Jobs,
    /// A ray tracer.
    Rays,
    /// A table that all write.
    Groups,
}

impl Program {
    /// All.
    pub const ALL: [Self; 3] = [Self::Jobs, Self::Rays, Self::Groups];

    /// The guest's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Rays => "rays",
            Self::Groups => "groups",
        }
    }

    /// What it is.
    pub fn about(self) -> &'static str {
        match self {
            Self::Jobs => "(a) 8 circuits are simulated, each by one virtual CPU: 48 MiB",
            Self::Rays => "(b) ray tracer: 8 virtual CPUs read one scene of 27 MiB",
            Self::Groups => "(c) 8 virtual CPUs add up rows in one table of 16 MiB",
        }
    }

    /// Its command line, with the checksum that has to come out. The ray tracer's picture goes to `folder`.
    pub fn command_line(self, folder: &Path) -> std::io::Result<String> {
        let (options, sum) = match self {
            Self::Jobs => (format!("gates={GATES} cycles={CYCLES}"), jobs()),
            Self::Rays => {
                let picture = rays();
                fs::write(folder.join("rays.ppm"), as_file(&picture))?;
                let sum = picture.iter().fold(0, |sum, &pixel| mix(sum, pixel.into()));
                let Size { across, down } = SIZE;
                let options = format!("balls={BALLS} seed={SEED} across={across} down={down}");
                (options, sum)
            }
            Self::Groups => {
                let options = format!("places={PLACES} batches={BATCHES} rows={ROWS}");
                (options, grouped())
            }
        };
        Ok(format!("members={MEMBERS} {options} sum={sum}"))
    }
}

/// The sum of all jobs' checksums, in order.
fn jobs() -> u64 {
    let job = |seed| {
        let mut gates = vec![Gate::default(); GATES];
        netlist::build(&mut gates, seed);
        (0..CYCLES).for_each(|_| netlist::cycle(&mut gates));
        netlist::checksum(&gates)
    };
    (0..MEMBERS).map(job).fold(0, mix)
}

/// The picture, tile by tile.
fn rays() -> Vec<u32> {
    let mut triangles = vec![Triangle::default(); BALLS * BALL];
    let count = scene::build(&mut triangles, SEED);
    let mut keys = vec![0; count];
    let mut ordered = vec![Triangle::default(); count];
    let mut nodes = vec![Node::default(); tree::most_nodes(count)];
    let tree = tree::build(&triangles, &mut keys, &mut ordered, &mut nodes);
    let tile = |tile| (0..TILE_PIXELS).map(move |within| SIZE.pixel(&tree, tile, within));
    let half = SIZE.tiles() / 2;
    thread::scope(|scope| {
        let second = scope.spawn(move || (half..SIZE.tiles()).flat_map(tile).collect::<Vec<_>>());
        let mut picture: Vec<u32> = (0..half).flat_map(tile).collect();
        picture.extend(
            second
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        );
        picture
    })
}

/// A picture as a portable pixmap.
fn as_file(picture: &[u32]) -> Vec<u8> {
    let (width, height) = SIZE.pixels();
    let mut file = format!("P6 {width} {height} 255\n").into_bytes();
    let header = file.len();
    file.resize(header + 3 * (width * height) as usize, 0);
    for (number, pixel) in (0..).zip(picture) {
        let (x, y) = SIZE.place(number / TILE_PIXELS, number % TILE_PIXELS);
        let place = header + 3 * (y * width + x) as usize;
        file[place..place + 3].copy_from_slice(&pixel.to_be_bytes()[1..]);
    }
    file
}

/// The table's checksum.
fn grouped() -> u64 {
    let table: Vec<Group> = (0..PLACES).map(|_| Group::default()).collect();
    for member in 0..MEMBERS {
        for batch in 1..=BATCHES {
            groups::add_up(&table, member << 32 | batch, ROWS, PLACES as u32 / 2);
        }
    }
    groups::checksum(&table)
}
