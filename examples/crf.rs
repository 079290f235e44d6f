//! A linear-chain conditional random field. Each thread reuses its lattice for all its sentences.
//!
//! Run with `cargo run --release --example crf`.

use phalanx::collective::{ChunkError, segment, sum_chunks};

const LABELS: usize = 3;
const ROWS: usize = LABELS + 11; // One per label, for the label after it; one per word, for its label.
const LEN: usize = LABELS * ROWS;
type Sentence = Vec<(usize, usize)>; // The row of each word, and its label.

fn main() -> Result<(), ChunkError> {
    let word = |i: usize, t| (LABELS + (i * i / 10 + 5 * t) % 11, (i + t + i * t % 4 / 3) % LABELS);
    let sentences: Vec<Sentence> = (0..900).map(|i| (0..=i % 9).map(|t| word(i, t)).collect()).collect();
    let mut weights = [[0.0; LABELS]; ROWS];
    for _ in 0..30 {
        let sums = evaluate(&sentences, &weights, 1)?;
        for threads in 2..=4 {
            assert_eq!(evaluate(&sentences, &weights, threads)?.map(f64::to_bits), sums.map(f64::to_bits));
        }
        weights.as_flattened_mut().iter_mut().zip(sums).for_each(|(weight, slope)| *weight += 3e-4 * slope);
    }
    // The gradient agrees with central differences of the log-likelihood.
    let sums = evaluate(&sentences, &weights, 4)?;
    for index in (0..LEN).step_by(4) {
        let [mut below, mut above] = [weights; 2];
        below.as_flattened_mut()[index] -= 1e-4;
        above.as_flattened_mut()[index] += 1e-4;
        let change = evaluate(&sentences, &above, 4)?[LEN] - evaluate(&sentences, &below, 4)?[LEN];
        assert!((change / 2e-4 - sums[index]).abs() < 1e-4, "weight {index}");
    }
    // The probabilities of all sequences of labels for five words add up to 1: this checks log Z.
    let probabilities = (0..LABELS.pow(5)).map(|n| {
        let labels = (0..5).map(|t| n / LABELS.pow(t) % LABELS);
        let sentence = sentences[4].iter().zip(labels).map(|(&(word, _), label)| (word, label)).collect();
        Ok(evaluate(&[sentence], &weights, 1)?[LEN].exp())
    });
    assert!((probabilities.sum::<Result<f64, ChunkError>>()? - 1.0).abs() < 1e-12);
    println!("the log-likelihood is {:.3}, with the same bits for 1 to 4 threads", sums[LEN]);
    Ok(())
}

/// Returns the gradient of the log-likelihood and, as the last element, the log-likelihood.
fn evaluate(data: &[Sentence], w: &[[f64; LABELS]], threads: usize) -> Result<[f64; LEN + 1], ChunkError> {
    let mut sums = [0.0; LEN + 1];
    let lattice = || vec![[0.0, f64::NEG_INFINITY, f64::NEG_INFINITY]]; // All sentences follow label 0.
    sum_chunks(threads, 64, &mut sums, lattice, |lattice, chunk, sums| {
        data[segment(data.len(), 64, chunk)].iter().for_each(|sentence| add(sentence, w, lattice, sums));
        Ok(())
    })?;
    Ok(sums)
}

fn add(sentence: &Sentence, w: &[[f64; LABELS]], lattice: &mut Vec<[f64; LABELS]>, sums: &mut [f64]) {
    let (gradient, likelihood) = sums.as_chunks_mut::<LABELS>();
    lattice.truncate(1); // For each word and each of its labels, log Z of the sentence up to there.
    for (t, &(word, _)) in sentence.iter().enumerate() {
        lattice.push([0, 1, 2].map(|to| w[word][to] + log_sum(|from| lattice[t][from] + w[from][to])));
    }
    let log_z = log_sum(|label| lattice[sentence.len()][label]);
    likelihood[0] -= log_z;
    let mut rest = [-log_z; LABELS]; // For each label of a word, log Z of the words after it, less log Z.
    for (t, &(word, label)) in sentence.iter().enumerate().rev() {
        let before = if t == 0 { 0 } else { sentence[t - 1].1 };
        likelihood[0] += w[before][label] + w[word][label];
        let score = |from: usize, to: usize| w[from][to] + w[word][to] + rest[to];
        for (from, to) in (0..LABELS * LABELS).map(|pair| (pair / LABELS, pair % LABELS)) {
            let slope = f64::from((from, to) == (before, label)) - (lattice[t][from] + score(from, to)).exp();
            gradient[from][to] += slope;
            gradient[word][to] += slope;
        }
        rest = [0, 1, 2].map(|from| log_sum(|to| score(from, to)));
    }
}

fn log_sum(term: impl Fn(usize) -> f64) -> f64 {
    let max = (0..LABELS).map(&term).fold(f64::NEG_INFINITY, f64::max);
    max + (0..LABELS).map(|index| (term(index) - max).exp()).sum::<f64>().ln()
}
