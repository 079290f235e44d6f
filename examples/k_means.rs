//! k-means on threads of `std`: each rank sums its points, and all ranks add the sums.
//!
//! The points are split into a fixed number of blocks, whose sums are combined in a fixed tree over
//! the blocks. So the centres have the same bits for any number of threads. An all-reduce of one
//! sum per rank would not guarantee this, because its tree is over the ranks.
//!
//! Run with `cargo run --release --example k_means`.

use phalanx::collective::tree::{Node, Stack};
use phalanx::collective::{CollectiveError, Communicator, World, segment};

const CENTRES: usize = 3;
const BLOCKS: usize = 16;
const ROUNDS: usize = 10;

type Point = [f64; 2];

/// For each centre: the sums of x and of y of the points nearest to it, and their number.
type Sums = [[f64; 3]; CENTRES];

fn main() -> Result<(), CollectiveError> {
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

fn k_means(points: &[Point], threads: usize) -> Result<[Point; CENTRES], CollectiveError> {
    let mut results = World::run(threads, |rank| run_rank(rank, points))?;
    Ok(results.pop().expect("there is at least one rank"))
}

/// Runs one rank. The ranks differ only in the blocks that they sum.
fn run_rank(rank: &mut Communicator, points: &[Point]) -> Result<[Point; CENTRES], CollectiveError> {
    let mut centres = [points[0], points[1], points[2]];
    let mut stack = Stack::with_capacity(BLOCKS);
    for _ in 0..ROUNDS {
        for block in segment(BLOCKS, rank.world_size(), rank.rank()) {
            let block_points = &points[segment(points.len(), BLOCKS, block)];
            stack.push(Node::leaf(block), sum_points(block_points, &centres), add);
        }
        let own: Vec<(Node, Sums)> = stack.drain().collect();
        let sums = rank.lend(&own, |all| Stack::fold(all.iter().flatten().copied(), add))?;
        for (centre, [x, y, count]) in centres.iter_mut().zip(sums.expect("there is at least one block")) {
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
