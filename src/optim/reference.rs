//! Slow versions of every optimizer: one tensor at a time, one param at a time, as in its paper or
//! PyTorch.
//!
//! The fast versions are tested against these definitions. Except for [`sum_of_squares`], which has
//! the bits of the fast version, they compute in `f64` throughout.

use super::options::{EpsForm, Hyper, Moments, Momentum, MomentumForm, OptimizerOptions, Rule};
use super::reduction::Reduction;

/// Returns Σ x² in `f64`, in the order that the fast
/// [`sum_of_squares`](crate::internals::sum_of_squares) guarantees.
#[must_use]
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; 8];
    for (i, &x) in values.iter().enumerate() {
        lanes[i % 8] += f64::from(x) * f64::from(x);
    }
    ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]))
}

/// Returns the Euclidean norm.
///
/// # Examples
///
/// ```
/// use phalanx::optim::reference::{norm, sum_of_squares};
///
/// assert_eq!(norm(&[3.0, -4.0]), 5.0);
/// assert_eq!(sum_of_squares(&[3.0, -4.0]), 25.0);
/// ```
#[must_use]
pub fn norm(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// The samples of one shard, for one param.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShardSum {
    /// The total weight of its samples, w_k: 0 if they all have weight 0.
    pub weight: f64,
    /// The weighted sum of their gradients, s_k.
    pub gradient: f64,
}

/// Returns the gradient of a step, for one param, by the formula of its [`Reduction`], or `None` if
/// all samples have weight 0, because such a step changes nothing. `shards` are those with samples.
///
/// # Examples
///
/// Four samples in two processes of PyTorch DDP with a summed loss. The samples of the second
/// process have weight 0, but the process counts:
///
/// ```
/// use phalanx::optim::{Reduction, reference::{ShardSum, reduced_gradient}};
///
/// let shards = [ShardSum { weight: 2.0, gradient: 6.0 }, ShardSum { weight: 0.0, gradient: 0.0 }];
/// assert_eq!(reduced_gradient(Reduction::MeanOfShardSums, &shards), Some(3.0));
/// assert_eq!(reduced_gradient(Reduction::MeanOfShardMeans, &shards), Some(3.0));
/// assert_eq!(reduced_gradient(Reduction::Sum, &shards), Some(6.0));
/// ```
#[must_use]
pub fn reduced_gradient(reduction: Reduction, shards: &[ShardSum]) -> Option<f64> {
    let weight: f64 = shards.iter().map(|shard| shard.weight).sum();
    if weight == 0.0 {
        return None;
    }
    let sum: f64 = shards.iter().map(|shard| shard.gradient).sum();
    let means: Vec<f64> =
        shards.iter().filter(|shard| shard.weight > 0.0).map(|shard| shard.gradient / shard.weight).collect();
    Some(match reduction {
        Reduction::Mean => sum / weight,
        Reduction::Sum => sum,
        Reduction::MeanOfShardMeans => means.iter().sum::<f64>() / means.len() as f64,
        Reduction::SumOfShardMeans => means.iter().sum(),
        Reduction::MeanOfShardSums => sum / shards.len() as f64,
    })
}

/// An optimizer of one tensor, in `f64`.
///
/// # Examples
/// ```
/// use phalanx::optim::{OptimizerOptions, reference::TensorOptimizer};
///
/// let mut optimizer = TensorOptimizer::new(&OptimizerOptions::default().hyper()?, 2);
/// let mut params = [1.0, 2.0];
/// optimizer.step(0.5, &mut params, &[2.0, -2.0]);
/// assert_eq!(params, [0.0, 3.0]);
/// # Ok::<(), phalanx::optim::OptimError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TensorOptimizer {
    hyper: Hyper,
    first: Vec<f64>,
    second: Vec<f64>,
    steps: i32,
}

impl TensorOptimizer {
    /// Creates the optimizer of a tensor of `len` params.
    #[must_use]
    pub fn new(hyper: &Hyper, len: usize) -> Self {
        let start = match hyper.rule {
            Rule::Adagrad { initial_accumulator, .. } => initial_accumulator,
            _ => 0.0,
        };
        Self { hyper: *hyper, first: vec![start; len], second: vec![0.0; len], steps: 0 }
    }

    /// Performs a step with reduced and clipped gradients.
    ///
    /// # Panics
    /// If `params` or `grads` do not have the tensor's length.
    pub fn step(&mut self, rate: f64, params: &mut [f64], grads: &[f64]) {
        assert!(params.len() == self.first.len() && grads.len() == self.first.len());
        self.steps += 1;
        let Hyper { rule, options: OptimizerOptions { l2, weight_decay, .. } } = self.hyper;
        let mut g: Vec<f64> = grads.iter().zip(&*params).map(|(g, w)| g + l2 * w).collect();
        if let Rule::Lars { trust_coefficient, .. } = rule {
            let local = local_rate(trust_coefficient, l2, norm(params), norm(grads));
            g.iter_mut().for_each(|g| *g *= local);
        }
        let mut change: Vec<f64> = (0..g.len()).map(|i| self.change(i, rate, g[i])).collect();
        if let Rule::Lamb(_) = rule {
            change = lamb_change(&change, params, rate, weight_decay);
        } else {
            params.iter_mut().for_each(|w| *w *= 1.0 - rate * weight_decay);
        }
        params.iter_mut().zip(change).for_each(|(w, change)| *w -= change);
    }

    /// Returns the amount subtracted from param i, without decay; for lamb the direction of Adam's
    /// rule.
    fn change(&mut self, i: usize, rate: f64, g: f64) -> f64 {
        let (first, second) = (&mut self.first[i], &mut self.second[i]);
        match self.hyper.rule {
            Rule::Sgd(momentum) | Rule::Lars { momentum, .. } => match momentum {
                None => rate * g,
                Some(momentum) => momentum_change(momentum, rate, g, first),
            },
            Rule::Adagrad { eps, form, .. } => {
                *first += g * g;
                rate * g / root(*first, eps, form)
            }
            Rule::Rmsprop { alpha, eps, form, momentum } => {
                *first = alpha * *first + (1.0 - alpha) * g * g;
                *second = momentum * *second + g / root(*first, eps, form);
                rate * *second
            }
            Rule::Adam(moments) => rate * adam_direction(moments, self.steps, g, (first, second)),
            Rule::Lamb(moments) => adam_direction(moments, self.steps, g, (first, second)),
        }
    }
}

fn momentum_change(momentum: Momentum, rate: f64, g: f64, v: &mut f64) -> f64 {
    let Momentum { factor: mu, form, nesterov } = momentum;
    let before = *v;
    match form {
        MomentumForm::Pytorch => {
            *v = mu * before + g;
            rate * if nesterov { g + mu * *v } else { *v }
        }
        MomentumForm::Caffe => {
            *v = mu * before + rate * g;
            if nesterov { (1.0 + mu) * *v - mu * before } else { *v }
        }
    }
}

fn adam_direction(moments: Moments, step: i32, g: f64, (m, v): (&mut f64, &mut f64)) -> f64 {
    let Moments { beta1, beta2, eps, form } = moments;
    *m = beta1 * *m + (1.0 - beta1) * g;
    *v = beta2 * *v + (1.0 - beta2) * g * g;
    let m_hat = *m / (1.0 - beta1.powi(step));
    let correction = 1.0 - beta2.powi(step);
    match form {
        EpsForm::Uncorrected => m_hat * correction.sqrt() / (v.sqrt() + eps),
        _ => m_hat / ((*v / correction).sqrt() + eps),
    }
}

fn root(square: f64, eps: f64, form: EpsForm) -> f64 {
    match form {
        EpsForm::Inside => (square + eps).sqrt(),
        _ => square.sqrt() + eps,
    }
}

fn lamb_change(adam: &[f64], params: &[f64], rate: f64, weight_decay: f64) -> Vec<f64> {
    let u: Vec<f64> = adam.iter().zip(params).map(|(r, w)| r + weight_decay * w).collect();
    let (w_norm, u_norm) = (norm(params), norm(&u));
    let ratio = if w_norm == 0.0 || u_norm == 0.0 { 1.0 } else { w_norm / u_norm };
    u.iter().map(|u| rate * ratio * u).collect()
}

fn local_rate(trust_coefficient: f64, l2: f64, w_norm: f64, g_norm: f64) -> f64 {
    if w_norm == 0.0 || g_norm == 0.0 { 1.0 } else { trust_coefficient * w_norm / (g_norm + l2 * w_norm) }
}
