//! A test problem for the translations: a noisy quadratic of two tensors and three blocks.

use phalanx::internals::{Blocks, clip_factor, divide_grads, norm_of_squares, scale_grads};
use phalanx::optim::Optimizer;
use phalanx::optim::convention::Recipe;

pub const TENSOR_LENS: [usize; 2] = [1500, 7];

/// A run on a noisy quadratic, whose gradient sums over m samples are the same in every convention.
#[derive(Clone)]
pub struct Run {
    blocks: Blocks,
    pub optimizer: Optimizer,
    max_norm: Option<f64>,
    pub params: Vec<f32>,
    step: u64,
}

impl Run {
    pub fn new(recipe: &Recipe) -> Self {
        let blocks = Blocks::new(&TENSOR_LENS);
        let hyper = recipe.options.hyper().unwrap();
        let optimizer = Optimizer::for_segment(&hyper, &blocks, 0..blocks.len());
        let params = (0..blocks.params_len() as u64).map(|i| 0.1 + noise(i)).collect();
        Self { blocks, optimizer, max_norm: recipe.max_norm, params, step: 0 }
    }

    /// Continues under another convention, with its recipe, from the current params and state.
    pub fn switched_to(&self, recipe: &Recipe) -> Self {
        let mut run = Self { params: self.params.clone(), step: self.step, ..Self::new(recipe) };
        for (name, values) in self.optimizer.state() {
            run.optimizer.load_state(name, values).unwrap();
        }
        run.optimizer.set_steps(self.optimizer.steps());
        run
    }

    /// Makes a step with the gradient sum divided by `divisor`.
    pub fn step(&mut self, rate: f64, divisor: f64) {
        let mut grads = self.gradient_sum();
        divide_grads(&mut grads, divisor);
        self.clip(&mut grads);
        let mut squares = vec![[0.0; 2]; self.blocks.len()];
        self.optimizer.prepare(&self.params, &mut grads, &mut squares);
        self.optimizer.finish(rate, &mut self.params, &mut grads, &squares);
        self.step += 1;
    }

    pub fn steps(mut self, steps: u64, rate: f64, divisor: f64) -> Self {
        (0..steps).for_each(|_| self.step(rate, divisor));
        self
    }

    fn gradient_sum(&self) -> Vec<f32> {
        let slope = |i: usize| 24.0 + 16.0 * noise(i as u64 + 77);
        let pull = |i: usize| 40.0 * noise(1_000_003 * (self.step + 1) + i as u64);
        self.params.iter().enumerate().map(|(i, w)| slope(i) * w + pull(i)).collect()
    }

    fn clip(&self, grads: &mut [f32]) {
        if let Some(max_norm) = self.max_norm {
            let mut sums = vec![0.0; self.blocks.len()];
            self.blocks.sums_of_squares(0..self.blocks.len(), grads, &mut sums);
            scale_grads(grads, clip_factor(norm_of_squares(&sums), max_norm));
        }
    }

    pub fn bits(&self) -> Vec<u32> {
        self.params.iter().map(|w| w.to_bits()).collect()
    }

    pub fn state(&self, name: &str) -> Vec<f32> {
        self.optimizer.state().find(|(known, _)| *known == name).unwrap().1.to_vec()
    }
}

/// A number in ±1 that depends only on the index, computed with the finaliser of splitmix64.
fn noise(i: u64) -> f32 {
    let x = (i.wrapping_mul(0x9E37_79B9_7F4A_7C15)) ^ 0xD1B5_4A32_D192_ED03;
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x >> 40) as f32) / ((1 << 23) as f32) - 1.0
}

/// Relative distance of two runs' params, as vectors.
pub fn distance(a: &Run, b: &Run) -> f64 {
    let square = |x: f64| x * x;
    let apart: f64 = a.params.iter().zip(&b.params).map(|(a, b)| square(f64::from(a - b))).sum();
    let whole: f64 = a.params.iter().map(|a| square(f64::from(*a))).sum();
    (apart / whole).sqrt()
}
