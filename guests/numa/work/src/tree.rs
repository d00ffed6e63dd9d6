//! A tree of boxes around triangles, so that a ray looks at few of them: built along a curve through space
//! (Morton's), as Lauterbach and others describe it (*Fast BVH Construction on GPUs*, 2009).

use crate::scene::Triangle;
use crate::vector::{cross, dot_wide, sub, Vector, ONE, POINT};

/// A box, and what is in it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct Node {
    /// Its least coordinates, and its greatest.
    sides: [[i32; 3]; 2],
    /// Of a leaf its first triangle; of another one its second child. The first child is behind the node.
    first: u32,
    /// Triangles of a leaf; 0 of others.
    count: u32,
}

/// Most triangles of a leaf.
const LEAF: usize = 2;
/// Nodes on the way down that are looked at later, at most: one for each bit of a place on the curve, and of
/// a triangle's number.
const DEPTH: usize = 64;
/// Further than anything.
const FAR: i64 = 2048 * ONE;

/// Nodes that a tree of so many triangles has at most.
pub const fn most_nodes(triangles: usize) -> usize {
    2 * triangles
}

/// Triangles and the tree above them.
#[derive(Clone, Copy, Debug)]
pub struct Tree<'a> {
    nodes: &'a [Node],
    triangles: &'a [Triangle],
}

/// A ray.
#[derive(Clone, Copy, Debug)]
pub struct Ray {
    /// Where it begins.
    pub origin: Vector,
    /// Where it goes, of length 1.
    pub direction: Vector,
    /// 1 divided by that.
    inverse: Vector,
}

/// What a ray hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// How far away.
    pub distance: i64,
    /// The triangle's number.
    pub triangle: usize,
}

impl Ray {
    /// From a point into a direction.
    pub fn new(origin: Vector, direction: Vector) -> Self {
        let inverse = direction.map(|d| (1 << (2 * POINT)) / if d == 0 { 1 } else { d });
        Self {
            origin,
            direction,
            inverse,
        }
    }
}

/// Puts `triangles` into `ordered` along the curve, and builds their tree in `nodes`. `keys` is room for as
/// many numbers as there are triangles.
pub fn build<'a>(
    triangles: &[Triangle],
    keys: &mut [u64],
    ordered: &'a mut [Triangle],
    nodes: &'a mut [Node],
) -> Tree<'a> {
    for (number, (key, triangle)) in keys.iter_mut().zip(triangles).enumerate() {
        *key = place_on_curve(triangle) << 32 | number as u64;
    }
    keys.sort_unstable();
    for (place, key) in ordered.iter_mut().zip(keys.iter()) {
        *place = triangles[*key as u32 as usize];
    }
    let mut builder = Builder {
        keys,
        triangles: ordered,
        nodes,
        used: 0,
    };
    builder.add(0, triangles.len());
    let used = builder.used;
    Tree {
        nodes: &nodes[..used],
        triangles: ordered,
    }
}

/// Ten bits of each coordinate of its middle, interleaved.
fn place_on_curve(triangle: &Triangle) -> u64 {
    let corners = triangle.corners();
    let spread = |axis: usize| {
        let middle = (corners[0][axis] + corners[1][axis] + corners[2][axis]) / 3;
        let place = ((middle >> POINT) + 128).clamp(0, 255) << 2 | middle >> (POINT - 2) & 3;
        (0..10).fold(0, |bits, bit| bits | (place as u64 >> bit & 1) << (3 * bit))
    };
    spread(0) << 2 | spread(1) << 1 | spread(2)
}

struct Builder<'a> {
    keys: &'a [u64],
    triangles: &'a [Triangle],
    nodes: &'a mut [Node],
    used: usize,
}

impl Builder<'_> {
    /// Adds the node of a range of triangles and those below it; its number.
    fn add(&mut self, first: usize, count: usize) -> usize {
        let number = self.used;
        self.used += 1;
        self.nodes[number] = if count <= LEAF {
            self.leaf(first, count)
        } else {
            let left = self.split(first, count);
            let one = self.add(first, left);
            let other = self.add(first + left, count - left);
            let (a, b) = (self.nodes[one], self.nodes[other]);
            Node {
                sides: [
                    core::array::from_fn(|axis| a.sides[0][axis].min(b.sides[0][axis])),
                    core::array::from_fn(|axis| a.sides[1][axis].max(b.sides[1][axis])),
                ],
                first: other as u32,
                count: 0,
            }
        };
        number
    }

    fn leaf(&self, first: usize, count: usize) -> Node {
        let mut node = Node {
            sides: [[i32::MAX; 3], [i32::MIN; 3]],
            first: first as u32,
            count: count as u32,
        };
        let triangles = &self.triangles[first..first + count];
        for corner in triangles.iter().flat_map(Triangle::corners) {
            for (axis, at) in corner.map(|at| at as i32).into_iter().enumerate() {
                node.sides[0][axis] = node.sides[0][axis].min(at);
                node.sides[1][axis] = node.sides[1][axis].max(at);
            }
        }
        node
    }

    /// How many of a range come before the highest bit in which their keys differ changes.
    fn split(&self, first: usize, count: usize) -> usize {
        let keys = &self.keys[first..first + count];
        let differ = keys[0] ^ keys[count - 1];
        // Keys end with the triangle's number, so no two are equal.
        let bit = 1 << (63 - differ.leading_zeros());
        keys.partition_point(|key| key & bit == 0)
    }
}

impl Tree<'_> {
    /// Triangles.
    pub fn triangles(&self) -> &[Triangle] {
        self.triangles
    }

    /// Bytes of triangles and nodes.
    pub fn bytes(&self) -> usize {
        size_of_val(self.triangles) + size_of_val(self.nodes)
    }

    /// What a ray hits first.
    pub fn nearest(&self, ray: &Ray) -> Option<Hit> {
        let mut nearest = None;
        self.walk(ray, FAR, |hit| {
            nearest = Some(hit);
            Some(hit.distance)
        });
        nearest
    }

    /// Whether a ray hits anything within `distance`.
    pub fn is_blocked(&self, ray: &Ray, distance: i64) -> bool {
        let mut blocked = false;
        self.walk(ray, distance, |_| {
            blocked = true;
            None
        });
        blocked
    }

    /// Gives `found` each triangle that a ray hits nearer than `limit`; it says how far to look from then on, or to
    /// stop.
    fn walk(&self, ray: &Ray, mut limit: i64, mut found: impl FnMut(Hit) -> Option<i64>) {
        let mut later = [(0, 0); DEPTH];
        let mut waiting = 0;
        let mut next = (!self.nodes.is_empty()).then_some(0);
        while let Some(number) = next {
            let node = &self.nodes[number];
            next = None;
            if node.count == 0 {
                let children = [number + 1, node.first as usize];
                let [one, other] = children.map(|child| self.nodes[child].entered(ray, limit));
                let (near, far) = match (one, other) {
                    (Some(one), Some(other)) if one <= other => (Some(0), Some((1, other))),
                    (Some(one), Some(_)) => (Some(1), Some((0, one))),
                    (one, other) => (one.map(|_| 0).or(other.map(|_| 1)), None),
                };
                next = near.map(|child: usize| children[child]);
                if let Some((child, entered)) = far {
                    later[waiting] = (children[child], entered);
                    waiting += 1;
                }
            } else {
                let first = node.first as usize;
                for triangle in first..first + node.count as usize {
                    let distance = self.triangles[triangle].hit(ray);
                    let Some(distance) = distance.filter(|distance| *distance < limit) else {
                        continue;
                    };
                    match found(Hit { distance, triangle }) {
                        Some(nearer) => limit = nearer,
                        None => return,
                    }
                }
            }
            while next.is_none() && waiting > 0 {
                waiting -= 1;
                let (number, entered) = later[waiting];
                next = (entered < limit).then_some(number);
            }
        }
    }
}

impl Node {
    /// How far away a ray enters the box, if that is nearer than `limit`.
    fn entered(&self, ray: &Ray, limit: i64) -> Option<i64> {
        let (mut enters, mut leaves) = (0, limit);
        for axis in 0..3 {
            let at = |side: usize| {
                let side = i64::from(self.sides[side][axis]);
                ((side - ray.origin[axis]) * ray.inverse[axis]) >> POINT
            };
            let first = usize::from(ray.direction[axis] < 0);
            enters = at(first).max(enters);
            leaves = at(1 - first).min(leaves);
            if enters > leaves {
                return None;
            }
        }
        Some(enters)
    }
}

impl Triangle {
    /// How far away a ray hits it, if it does (Möller and Trumbore, 1997).
    fn hit(&self, ray: &Ray) -> Option<i64> {
        let [one, other] = self.edges();
        let p = cross(ray.direction, other);
        let volume = dot_wide(one, p);
        let sign = volume.signum();
        let volume = volume * sign;
        if volume >> 8 == 0 {
            return None;
        }
        let from_corner = sub(ray.origin, self.corner());
        let u = dot_wide(from_corner, p) * sign;
        if u < 0 || u > volume {
            return None;
        }
        let q = cross(from_corner, one);
        let v = dot_wide(ray.direction, q) * sign;
        if v < 0 || u + v > volume {
            return None;
        }
        let distance = ((dot_wide(other, q) * sign) << 8) / (volume >> 8);
        (distance > 0).then_some(distance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::{self, BALL};
    use crate::vector::unit;
    use crate::Random;

    /// The tree finds what a look at all triangles finds.
    #[test]
    fn rays_hit_what_they_hit_without_a_tree() {
        let mut triangles = vec![Triangle::default(); 150 * BALL];
        let count = scene::build(&mut triangles, 9);
        let mut ordered = vec![Triangle::default(); count];
        let mut nodes = vec![Node::default(); most_nodes(count)];
        let tree = build(&triangles, &mut vec![0; count], &mut ordered, &mut nodes);
        let mut random = Random::new(2);
        let mut coordinate = |spread: u32| {
            i64::from(random.below(2 * spread * ONE as u32)) - i64::from(spread) * ONE
        };
        let mut hits = 0;
        for _ in 0..100 {
            let origin = [coordinate(100), coordinate(100), coordinate(100)];
            let direction = unit([coordinate(1), coordinate(1), coordinate(1)]);
            let ray = Ray::new(origin, direction);
            let all = tree
                .triangles()
                .iter()
                .filter_map(|triangle| triangle.hit(&ray));
            let expected = all.min();
            let found = tree.nearest(&ray).map(|hit| hit.distance);
            assert_eq!(found, expected);
            let blocked = expected.is_some_and(|distance| distance < 50 * ONE);
            assert_eq!(tree.is_blocked(&ray, 50 * ONE), blocked);
            hits += u32::from(found.is_some());
        }
        assert!((20..80).contains(&hits), "{hits} of 100 rays hit");
    }
}
