//! What a sweep says, in sentences.

use super::{BestRate, Findings};
use crate::report::figure::short_number;
use phalanx::optim::Reduction;

/// Two digits: more are not known.
fn rough(value: f64) -> String {
    short_number(format!("{value:.1e}").parse().expect("a number was written"))
}

/// The answer to "does one divide by the batch size?", as far as the sweep gives it, of one reduction.
pub(super) fn answer(findings: &Findings, reduction: Reduction) -> Vec<String> {
    let best: Vec<&BestRate> = findings.best_of(reduction).filter(|best| !best.at_end).collect();
    let Some(goal) = findings.goal else {
        return vec![
            "No loss is reached by every batch size; more --epochs, or a --goal, would tell more.".to_owned(),
        ];
    };
    let sentences = [measured(&best), law(findings), noise(findings), trade_off(findings, goal)];
    sentences.into_iter().flatten().collect()
}

/// The best rates at both ends, and by how much each convention had to change its rate.
fn measured(best: &[&BestRate]) -> Option<String> {
    let [a, b, .., c, d] = best else {
        return Some(format!(
            "Only {} batch sizes have a best rate within the rates tried: too few to tell how it depends on the batch; \
             add --batch-size or --lr values.",
            best.len()
        ));
    };
    let span = |from: &BestRate, to: &BestRate| {
        let (mean, sum) =
            (to.rate_under_mean / from.rate_under_mean, to.rate_under_sum / from.rate_under_sum);
        let [from, to] = [from, to].map(|best| best.cell.batch_size);
        format!(
            "from {from} to {to} samples the best rate changes by a factor of {mean:.2} under mean and {sum:.2} under sum"
        )
    };
    Some(format!("Measured: {}; {}.", span(a, b), span(c, d)))
}

fn law(findings: &Findings) -> Option<String> {
    let law = findings.rate_law?;
    let (max, noise, sum) =
        (rough(law.max_rate), rough(law.noise_scale), rough(law.max_rate / law.noise_scale));
    Some(format!(
        "So neither dividing by the batch size nor leaving it makes the rate free of the batch: well below {noise} samples \
         one rate of the sum serves every batch (about {sum}; under mean it grows with the batch), well above {noise} one rate \
         of the mean does (about {max}; under sum it falls with the batch)."
    ))
}

fn noise(findings: &Findings) -> Option<String> {
    let noise = findings.noise.as_ref()?;
    let (low, high) = noise.range;
    let [value, low, high] = [noise.value, low, high].map(rough);
    let beside = findings.rate_law.map_or_else(String::new, |law| {
        let factor = (noise.value / law.noise_scale).max(law.noise_scale / noise.value);
        format!(", a factor of {factor:.1} from the {} that the best rates bend at", rough(law.noise_scale))
    });
    Some(format!(
        "The gradient noise scale of these runs, measured on the way to the goal, is {value} samples ({low} to {high}){beside}: \
         --noise-scale tells without a sweep on which side a batch lies."
    ))
}

fn trade_off(findings: &Findings, goal: f64) -> Option<String> {
    let law = findings.trade_off?;
    let goal = short_number(goal);
    let [steps, samples, batch] = [law.min_steps, law.min_samples, law.critical_batch].map(rough);
    Some(format!(
        "A test loss of {goal} takes at least {steps} steps, however large the batch, and at least {samples} samples, however \
         small; at {batch} samples a batch it takes twice as many of both."
    ))
}
