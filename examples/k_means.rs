//! k-means: threads sum the points of fixed chunks, and the sums are combined in a fixed tree.
//!
//! So the centres have the same bits for any number of threads.
//!
//! Run with `cargo run --release --example k_means`.

use phalanx::collective::{ChunkError, map_reduce, segment};

const CENTRES: usize = 3;
const CHUNKS: usize = 64;
const ROUNDS: usize = 10;

type Point = [f64; 2];

/// For each centre: the sums of x and of y of the points nearest to it, and their number.
type Sums = [[f64; 3]; CENTRES];

fn main() -> Result<(), ChunkError> {
    let points = generate(30_000);
    let expected = k_means(&points, 1)?;
    for threads in 1..=4 {
        let centres = k_means(&points, threads)?;
        let same =
            centres.map(|centre| centre.map(f64::to_bits)) == expected.map(|centre| centre.map(f64::to_bits));
        assert!(same, "the bits must not depend on the number of threads");
        println!("{threads} threads: {centres:.4?}");
    }
    Ok(())
}

fn k_means(points: &[Point], threads: usize) -> Result<[Point; CENTRES], ChunkError> {
    let mut centres = [points[0], points[1], points[2]];
    for _ in 0..ROUNDS {
        let sum =
            |(): &mut (), chunk| Ok(sum_points(&points[segment(points.len(), CHUNKS, chunk)], &centres));
        let sums = map_reduce(threads, CHUNKS, || (), sum, add)?.expect("there is at least one chunk");
        for (centre, [x, y, count]) in centres.iter_mut().zip(sums) {
            if count > 0.0 {
                *centre = [x / count, y / count];
            }
        }
    }
    Ok(centres)
}

fn sum_points(points: &[Point], centres: &[Point; CENTRES]) -> Sums {
    let mut sums = [[0.0; 3]; CENTRES];
    for point in points {
        let distance = |centre: &Point| (point[0] - centre[0]).powi(2) + (point[1] - centre[1]).powi(2);
        let nearest = (0..CENTRES)
            .min_by(|&left, &right| distance(&centres[left]).total_cmp(&distance(&centres[right])))
            .expect("there is at least one centre");
        let [x, y, count] = sums[nearest];
        sums[nearest] = [x + point[0], y + point[1], count + 1.0];
    }
    sums
}

fn add(left: Sums, right: Sums) -> Sums {
    std::array::from_fn(|centre| std::array::from_fn(|part| left[centre][part] + right[centre][part]))
}

/// Returns points of three alternating clusters, around (0, 0), (4, 0) and (2, 3), scattered by a
/// linear congruential generator.
fn generate(count: usize) -> Vec<Point> {
    let mut state = 1u64;
    let mut spread = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 30) as f64 - 1.0
    };
    let clouds = [[0.0, 0.0], [4.0, 0.0], [2.0, 3.0]];
    (0..count).map(|index| clouds[index % 3].map(|middle| middle + spread())).collect()
}
