//! A picture of a scene: light, shadow, and what balls mirror.

use crate::tree::{Ray, Tree};
use crate::vector::{add, cross, dot, scale, sub, unit, Vector, ONE};

/// Pixels of a tile along its sides. They are spread over the whole picture, as a progressive renderer has them: the first
/// tile shows all of it already.
const SIDE: u32 = 16;
/// Pixels of a tile.
pub const TILE_PIXELS: u32 = SIDE * SIDE;
/// Where the eye is: it looks along z.
const EYE: Vector = [0, 0, -220 * ONE];
/// How far behind it the picture is that is 2 wide.
const FOCUS: i64 = 2 * ONE;
/// Where the light comes from.
const LIGHT: Vector = [150 * ONE, 200 * ONE, -200 * ONE];
/// How often a ray is mirrored.
const MIRRORED: u32 = 4;
/// How far from a surface another ray begins.
const OFF: i64 = ONE / 32;

/// The size of a picture, in tiles.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Along x.
    pub across: u32,
    /// Along y.
    pub down: u32,
}

impl Size {
    /// Tiles.
    pub const fn tiles(&self) -> u32 {
        self.across * self.down
    }

    /// The picture's width and height, in pixels.
    pub const fn pixels(&self) -> (u32, u32) {
        (self.across * SIDE, self.down * SIDE)
    }

    /// Where pixel `within` of a tile is, in pixels from the left and the top.
    pub const fn place(&self, tile: u32, within: u32) -> (u32, u32) {
        let x = within % SIDE * self.across + tile % self.across;
        let y = within / SIDE * self.down + tile / self.across;
        (x, y)
    }

    /// The colour of a pixel of a tile: red, green and blue in the low bytes.
    pub fn pixel(&self, tree: &Tree, tile: u32, within: u32) -> u32 {
        let (x, y) = self.place(tile, within);
        let (width, height) = self.pixels();
        let (width, height) = (i64::from(width), i64::from(height));
        let across = (2 * i64::from(x) + 1 - width) * ONE / width;
        let down = (2 * i64::from(y) + 1 - height) * ONE / width;
        let ray = Ray::new(EYE, unit([across, -down, FOCUS]));
        let [red, green, blue] = colour(tree, ray).map(|part| part.clamp(0, 255) as u32);
        red << 16 | green << 8 | blue
    }
}

/// What is seen along a ray.
fn colour(tree: &Tree, mut ray: Ray) -> Vector {
    let (mut sum, mut weight) = ([0; 3], ONE);
    for _ in 0..=MIRRORED {
        let Some(hit) = tree.nearest(&ray) else {
            return add(sum, scale(sky(ray.direction), weight));
        };
        let triangle = &tree.triangles()[hit.triangle];
        let [one, other] = triangle.edges();
        let mut normal = unit(cross(one, other));
        if dot(normal, ray.direction) > 0 {
            normal = normal.map(|part| -part);
        }
        let at = add(ray.origin, scale(ray.direction, hit.distance));
        let at = add(at, scale(normal, OFF));
        let lit = scale(triangle.colour(), brightness(tree, at, normal));
        sum = add(sum, scale(lit, weight / 2));
        weight /= 2;
        let back = 2 * dot(ray.direction, normal);
        ray = Ray::new(at, unit(sub(ray.direction, scale(normal, back))));
    }
    sum
}

/// The light at a point of a surface.
fn brightness(tree: &Tree, at: Vector, normal: Vector) -> i64 {
    let way = sub(LIGHT, at);
    let direction = unit(way);
    let facing = dot(normal, direction);
    let distance = dot(way, direction);
    let lit = facing > 0 && !tree.is_blocked(&Ray::new(at, direction), distance);
    ONE / 5 + if lit { 2 * facing } else { 0 }
}

/// The sky, which is brighter above.
fn sky(direction: Vector) -> Vector {
    let height = direction[1] + ONE;
    [40 * height / ONE, 60 * height / ONE, 110 * height / ONE]
}
