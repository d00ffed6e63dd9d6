//! A parallel ray tracer: all read one scene, and take tiles of the picture from a shared counter.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering};
use disco_numa_guests::arena::Arena;
use disco_numa_guests::marker;
use disco_numa_guests::team::{stay, Team};
use disco_numa_work::picture::{Size, TILE_PIXELS};
use disco_numa_work::scene::{self, Triangle, BALL};
use disco_numa_work::tree::{self, Tree};
use disco_test_guests::abi::BootInfo;
use disco_test_guests::{option, println, Variable};

disco_test_guests::guest!(run);

/// What all members see.
#[derive(Clone, Copy)]
struct Job {
    tree: Tree<'static>,
    size: Size,
    /// Tile by tile, so that a tile is a piece of memory of its own.
    picture: &'static [AtomicU32],
}

static JOB: Variable<Option<Job>> = Variable::new(None);
/// Tiles that somebody has taken.
static TAKEN: AtomicU32 = AtomicU32::new(0);

fn trace(member: u64) {
    let job = JOB.get().expect("a job");
    let tiles = job.size.tiles();
    let mut shown = 0;
    loop {
        let tile = TAKEN.fetch_add(1, Ordering::Relaxed);
        if tile >= tiles {
            return;
        }
        let start = (tile * TILE_PIXELS) as usize;
        let places = &job.picture[start..start + TILE_PIXELS as usize];
        for (within, place) in (0..).zip(places) {
            place.store(job.size.pixel(&job.tree, tile, within), Ordering::Relaxed);
        }
        // The first one's tiles show how far all are.
        while member == 0 && shown < tile {
            shown += 1;
            marker::progress(shown.into(), tiles.into());
        }
    }
}

fn run(boot: &'static BootInfo) {
    let team = Team::of(boot);
    // SAFETY: once.
    let mut arena = unsafe { Arena::new(boot) };
    let count = option(boot, "balls", 10) as usize * BALL;
    let triangles: &mut [Triangle] = arena.take(count);
    scene::build(triangles, option(boot, "seed", 1));
    let keys = arena.take(count);
    let ordered = arena.take(count);
    let nodes = arena.take(tree::most_nodes(count));
    let tree = tree::build(triangles, keys, ordered, nodes);
    let side = |key| option(boot, key, 4) as u32;
    let size = Size {
        across: side("across"),
        down: side("down"),
    };
    let picture: &[AtomicU32] = arena.take((size.tiles() * TILE_PIXELS) as usize);
    let bytes = tree.bytes();
    JOB.set(Some(Job {
        tree,
        size,
        picture,
    }));
    team.work(trace);
    let sum = picture.iter().fold(0, |sum, pixel| {
        disco_numa_work::mix(sum, pixel.load(Ordering::Relaxed).into())
    });
    println!(
        "{} tiles of a scene of {bytes} bytes: {sum:#x}",
        size.tiles()
    );
    assert_eq!(sum, option(boot, "sum", sum), "the checksum");
    stay(boot);
}
