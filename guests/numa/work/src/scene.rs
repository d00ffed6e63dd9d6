//! What the ray tracer looks at: many balls, each made of triangles.

use crate::vector::{add, scale, sub, unit, Vector, ONE};
use crate::Random;

/// A triangle.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Triangle {
    corner: [i32; 3],
    /// From the corner to the other two.
    edges: [[i32; 3]; 2],
    /// Red, green and blue, 0 to 255 each, in the low bytes.
    colour: u32,
}

/// Along each edge of the cube that a ball is blown up from, how many squares.
const SQUARES: i64 = 10;
/// Triangles of a ball: two for each square.
pub const BALL: usize = 12 * (SQUARES * SQUARES) as usize;
/// Centres of balls are so far from the middle at most, in each direction.
const SPREAD: u32 = 100 * ONE as u32;

impl Triangle {
    fn between(corners: [Vector; 3], colour: u32) -> Self {
        let [a, b, c] = corners;
        let narrow = |vector: Vector| vector.map(|x| x as i32);
        Self {
            corner: narrow(a),
            edges: [narrow(sub(b, a)), narrow(sub(c, a))],
            colour,
        }
    }

    /// Its first corner.
    pub fn corner(&self) -> Vector {
        self.corner.map(i64::from)
    }

    /// From the corner to the other two.
    pub fn edges(&self) -> [Vector; 2] {
        self.edges.map(|edge| edge.map(i64::from))
    }

    /// All corners.
    pub fn corners(&self) -> [Vector; 3] {
        let [one, other] = self.edges().map(|edge| add(self.corner(), edge));
        [self.corner(), one, other]
    }

    /// Its colour's parts, 0 to 255.
    pub fn colour(&self) -> Vector {
        [16, 8, 0].map(|shift| i64::from(self.colour >> shift & 0xff))
    }
}

/// Fills `triangles` with whole balls of `seed`, as many as there is room for; how many triangles those are.
pub fn build(triangles: &mut [Triangle], seed: u64) -> usize {
    let mut random = Random::new(seed);
    let mut balls = triangles.chunks_exact_mut(BALL);
    for ball in &mut balls {
        let centre = [(); 3].map(|()| i64::from(random.below(2 * SPREAD)) - i64::from(SPREAD));
        let radius = 6 * ONE + i64::from(random.below(8 * ONE as u32));
        let colour = random.draw() as u32 & 0x00ff_ffff;
        blow_up(ball, centre, radius, colour);
    }
    triangles.len() / BALL * BALL
}

/// Makes a ball of a cube: points of its sides, at the ball's radius.
fn blow_up(ball: &mut [Triangle], centre: Vector, radius: i64, colour: u32) {
    let mut places = ball.iter_mut();
    for side in 0..6 {
        let point = |i: i64, j: i64| {
            let mut cube = [0; 3];
            cube[side % 3] = if side < 3 { ONE } else { -ONE };
            cube[(side + 1) % 3] = 2 * i * ONE / SQUARES - ONE;
            cube[(side + 2) % 3] = 2 * j * ONE / SQUARES - ONE;
            add(centre, scale(unit(cube), radius))
        };
        for square in 0..SQUARES * SQUARES {
            let (i, j) = (square / SQUARES, square % SQUARES);
            let corners = [
                point(i, j),
                point(i + 1, j),
                point(i, j + 1),
                point(i + 1, j + 1),
            ];
            for half in [[0, 1, 2], [1, 3, 2]] {
                if let Some(place) = places.next() {
                    *place = Triangle::between(half.map(|corner| corners[corner]), colour);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::dot;

    #[test]
    fn balls_are_round_and_closed() {
        let mut ball = vec![Triangle::default(); BALL];
        let (centre, radius) = ([5 * ONE, -ONE, 0], 10 * ONE);
        blow_up(&mut ball, centre, radius, 0x10_20_30);
        let mut edges = std::collections::BTreeMap::new();
        for triangle in &ball {
            assert_eq!(triangle.colour(), [0x10, 0x20, 0x30]);
            let corners = triangle.corners();
            for corner in corners {
                let out = sub(corner, centre);
                let length = dot(out, out);
                assert!((length - 100 * ONE).abs() < ONE / 4, "{length:#x}");
            }
            for (a, b) in [(0, 1), (1, 2), (2, 0)] {
                let edge = (corners[a].min(corners[b]), corners[a].max(corners[b]));
                *edges.entry(edge).or_insert(0) += 1;
            }
        }
        assert!(
            edges.values().all(|&users| users == 2),
            "each edge has two sides"
        );
    }

    #[test]
    fn only_whole_balls_are_made() {
        let mut triangles = vec![Triangle::default(); 2 * BALL + 7];
        assert_eq!(build(&mut triangles, 1), 2 * BALL);
        assert_eq!(triangles[2 * BALL].colour, 0);
    }
}
