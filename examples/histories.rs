//! A recurrent model with an analytic gradient on histories of different lengths: each review of a
//! card changes its log-stability h, and with it the probability to recall it after t days.
//!
//! h_1 = θ_0, h_{k+1} = h_k + θ_1 if review k was recalled, + θ_2 if not; p_k = exp(−t_k e^{−h_k}).
//! The loss of a history is the mean cross-entropy of its reviews, its weight their number: so the
//! loss of a batch is the mean over all reviews. Run with: cargo run --release --example histories

use phalanx::data::Dataset;
use phalanx::model::{Samples, from_fn};
use phalanx::optim::{OptimizerKind, OptimizerOptions};
use phalanx::train::{Length, Options, Trainer};

/// The days since the last review, and whether the card was recalled.
type History = Vec<(f32, bool)>;

const TRUE_PARAMS: [f32; 3] = [1.0, 0.6, -0.4];

/// Returns the sum of the losses of a history, and adds the gradient, divided by the reviews.
fn loss(history: &History, params: &[f32], grads: &mut [f32]) -> f32 {
    let (mut loss, mut h, mut h_grad) = (0.0, params[0], [1.0, 0.0, 0.0]);
    for &(days, recalled) in history {
        // p = e^{−u} with u = t e^{−h}, so ∂u/∂h = −u.
        let u = days * (-h).exp();
        let forgotten = -(-u).exp_m1();
        loss += if recalled { u } else { -forgotten.ln() };
        let u_grad = if recalled { 1.0 } else { -(-u).exp() / forgotten };
        for (grad, h_grad) in grads.iter_mut().zip(h_grad) {
            *grad -= u_grad * u * h_grad / history.len() as f32;
        }
        let which = if recalled { 1 } else { 2 };
        (h, h_grad[which]) = (h + params[which], h_grad[which] + 1.0);
    }
    loss / history.len() as f32
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let histories: Vec<History> = (0..4000).map(generate).collect();
    let reviews = histories.iter().map(|history| history.len() as f32).collect();
    let data = Dataset::from_indices((0..4000).collect(), Some(reviews))?;
    let model = from_fn(vec![0.0; 3], |params: &[f32], samples: &Samples<'_>, grads: &mut [f32]| {
        grads.fill(0.0);
        let mut loss_sum = 0.0;
        for (k, index) in samples.indices.iter().enumerate() {
            let (mut own, weight) = ([0.0; 3], samples.weight(k));
            loss_sum += f64::from(weight * loss(&histories[*index as usize], params, &mut own));
            grads.iter_mut().zip(own).for_each(|(sum, own)| *sum += weight * own);
        }
        loss_sum
    });
    let train = |threads| {
        let optimizer = OptimizerOptions { kind: OptimizerKind::Adam, ..OptimizerOptions::default() };
        let (length, rate) = (Length::Epochs(20), Some(0.02));
        let options = Options { threads, batch_size: 128, length, rate, optimizer, ..Options::default() };
        Trainer::new(&model, &data, options).run()
    };
    let params = train(1)?.params;
    println!("trained params {params:.2?}, true params {TRUE_PARAMS:?}");
    assert!(params.iter().zip(TRUE_PARAMS).all(|(found, exact)| (found - exact).abs() < 0.1));
    assert!((2..=4).all(|threads| train(threads).is_ok_and(|outcome| outcome.params == params)));
    Ok(())
}

/// Returns 1 to 8 reviews of a card by the true params, from a linear congruential generator.
fn generate(card: u64) -> History {
    let mut state = card;
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 24) as f32
    };
    let (mut h, count) = (TRUE_PARAMS[0], 1 + card % 8);
    let review = |_| {
        let days = h.exp() * (0.2 + 1.3 * uniform());
        let recalled = uniform() < (-days * (-h).exp()).exp();
        h += TRUE_PARAMS[if recalled { 1 } else { 2 }];
        (days, recalled)
    };
    (0..count).map(review).collect()
}
