//! L-BFGS for logistic regression with an L2 penalty: one sum gives the loss and its gradient.
//!
//! Its order is fixed, so the line search and the weights are the same for any number of threads.
//!
//! Run with `cargo run --release --example l_bfgs`.

use ndarray::{Array1, Array2, s};
use phalanx::collective::{ChunkError, segment, sum_chunks};

const PENALTY: f64 = 1e-3;
const HISTORY: usize = 8;
type Vector = Array1<f64>;

fn main() -> Result<(), ChunkError> {
    let x = Array2::from_shape_fn((4000, 8), |(i, j)| ((8 * i + j) as f64).powi(2).sin() / (j + 1) as f64);
    let y = Array1::from_shape_fn(4000, |i| (x.row(i).sum() + (i as f64).powi(2).cos()).signum());
    let weights = l_bfgs(8, |weights| evaluate(&x, &y, weights, 1))?;
    for threads in 2..=4 {
        let other = l_bfgs(8, |weights| evaluate(&x, &y, weights, threads))?;
        assert_eq!(weights.mapv(f64::to_bits), other.mapv(f64::to_bits), "{threads} threads");
    }
    // Plain gradient descent, in matrix form and without threads, ends at the same weights.
    let mut plain = Array1::zeros(8);
    for _ in 0..4000 {
        let slopes = -&y / ((&y * x.dot(&plain)).exp() + 1.0) / 4000.0;
        plain = &plain - 6.0 * (x.t().dot(&slopes) + PENALTY * &plain);
    }
    assert!((&weights - &plain).iter().all(|difference| difference.abs() < 1e-6), "{plain} or {weights}");
    println!("the same bits with 1 to 4 threads: {weights:.4}");
    Ok(())
}

/// Returns the mean loss for the weights `w`, with its penalty, and the gradient. Each row of `x`
/// is a sample; `y` has the labels, −1 or 1.
fn evaluate(x: &Array2<f64>, y: &Vector, w: &Vector, threads: usize) -> Result<(f64, Vector), ChunkError> {
    let add = |(): &mut (), chunk, sums: &mut [f64]| {
        for (x, y) in segment(y.len(), 64, chunk).map(|row| (x.row(row), y[row])) {
            let margin = y * x.dot(w);
            let slope = -y / (margin.exp() + 1.0);
            sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += slope * x);
            sums[w.len()] += (-margin).max(0.0) + (-margin.abs()).exp().ln_1p();
        }
        Ok(())
    };
    let mut sums = vec![0.0; w.len() + 1]; // The gradient, then the loss.
    sum_chunks(threads, 64, &mut sums, || (), add)?;
    let means = Array1::from(sums) / y.len() as f64;
    Ok((means[w.len()] + 0.5 * PENALTY * w.dot(w), &means.slice(s![..-1]) + PENALTY * w))
}

/// Returns where the norm of the gradient is at most 1e-8 of the initial one, or 100 rounds end.
fn l_bfgs<E>(len: usize, evaluate: impl Fn(&Vector) -> Result<(f64, Vector), E>) -> Result<Vector, E> {
    let mut weights = Array1::zeros(len);
    let (mut loss, mut gradient) = evaluate(&weights)?;
    let goal = 1e-16 * gradient.dot(&gradient);
    let (mut history, mut rounds) = (Vec::<(Vector, Vector)>::new(), 0..100);
    while rounds.next().is_some() && gradient.dot(&gradient) > goal {
        let (mut step, mut factors) = (-&gradient, Vec::new());
        for (s, y) in history.iter().rev() {
            factors.push(s.dot(&step) / s.dot(y));
            step.scaled_add(-factors[factors.len() - 1], y);
        }
        step *= history.last().map_or(1.0, |(s, y)| s.dot(y) / y.dot(y));
        for ((s, y), factor) in history.iter().zip(factors.iter().rev()) {
            step = (factor - y.dot(&step) / s.dot(y)) * s + step;
        }
        let mut next = evaluate(&(&weights + &step))?;
        // The Armijo condition, within the rounding errors of the loss.
        while next.0 > loss + 1e-4 * gradient.dot(&step) + 1e-14 * loss {
            step /= 2.0;
            next = evaluate(&(&weights + &step))?;
        }
        weights += &step;
        history.push((step, &next.1 - &gradient)); // s, and y: the change of the gradient.
        history.drain(..history.len().saturating_sub(HISTORY));
        (loss, gradient) = next;
    }
    Ok(weights)
}
