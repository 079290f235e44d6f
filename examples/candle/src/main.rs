//! A network of candle behind the trait `Model`: candle computes the gradients of shards by
//! automatic differentiation, and Phalanx cuts the batches, adds the gradients in its fixed tree
//! and updates the params. So the params have the same bits for any number of threads.
//!
//! The products of candle use all threads of the current rayon pool, and their bits may depend on
//! its size. Therefore each rank computes in a pool of one thread, which is part of its workspace.
//!
//! Run with: cargo run --release --manifest-path examples/candle/Cargo.toml

use candle_core::{D, DType, Device, Module, Result, Tensor, Var};
use candle_nn::{Linear, VarBuilder, VarMap, linear, loss::cross_entropy};
use phalanx::data::{LoadOptions, Source};
use phalanx::model::{self, BatchTargets, Model, Samples, Score};
use phalanx::train::{Length, Options, Trainer, score};
use std::collections::BTreeMap;

struct Digits;

struct Workspace {
    pool: rayon::ThreadPool,
    /// The variables by name: the order in which the flat params store them.
    vars: BTreeMap<String, Var>,
    layers: [Linear; 2],
}

impl Workspace {
    fn new() -> Result<Self> {
        let map = VarMap::new();
        let vars = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        let layers = [linear(64, 32, vars.pp("hidden"))?, linear(32, 10, vars.pp("output"))?];
        let vars = map.data().lock().expect("no thread panicked").clone().into_iter().collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be started");
        Ok(Self { pool, vars, layers })
    }

    /// Returns the logits and the labels of the samples.
    fn forward(&self, params: &[f32], samples: &Samples<'_>) -> Result<[Tensor; 2]> {
        assert!(samples.weights.is_none(), "this model ignores weights");
        let BatchTargets::Classes(labels) = samples.targets else { panic!("the digits have classes") };
        let mut rest = params;
        for var in self.vars.values() {
            let values;
            (values, rest) = rest.split_at(var.elem_count());
            var.set(&Tensor::from_slice(values, var.dims(), &Device::Cpu)?)?;
        }
        let inputs = samples.inputs.as_slice().expect("the inputs are contiguous");
        let inputs = Tensor::from_slice(inputs, samples.inputs.dim(), &Device::Cpu)?;
        let hidden = self.layers[0].forward(&inputs)?.relu()?;
        Ok([self.layers[1].forward(&hidden)?, Tensor::from_slice(labels, labels.len(), &Device::Cpu)?])
    }

    /// Computes the loss sum and its gradient.
    fn backward(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32]) -> Result<f64> {
        let [logits, labels] = self.forward(params, samples)?;
        let loss = (cross_entropy(&logits, &labels)? * samples.len() as f64)?;
        let (found, mut rest) = (loss.backward()?, grads);
        for var in self.vars.values() {
            let values;
            (values, rest) = rest.split_at_mut(var.elem_count());
            let grad = found.get(var).expect("the loss depends on every variable");
            values.copy_from_slice(&grad.flatten_all()?.to_vec1::<f32>()?);
        }
        Ok(f64::from(loss.to_scalar::<f32>()?))
    }
}

impl Model for Digits {
    type Workspace = Workspace;

    fn tensors(&self) -> Vec<model::Tensor> {
        let vars = self.workspace(0).vars;
        vars.iter().map(|(name, var)| model::Tensor::new(name, var.dims())).collect()
    }

    /// candle does not seed its own initial values.
    fn initial_params(&self, seed: u64) -> Vec<f32> {
        let spread = |index: usize| ((seed as f64 + index as f64) * 0.618_033_988_75).fract() as f32;
        (0..self.params_len()).map(|index| 0.4 * (spread(index) - 0.5)).collect()
    }

    fn workspace(&self, _: usize) -> Workspace {
        Workspace::new().expect("candle makes a network of this shape")
    }

    fn gradient(&self, params: &[f32], samples: &Samples<'_>, grads: &mut [f32], own: &mut Workspace) -> f64 {
        own.pool.install(|| own.backward(params, samples, grads)).expect("the shapes match")
    }

    fn score(&self, params: &[f32], samples: &Samples<'_>, own: &mut Workspace) -> Score {
        let sums = || -> Result<[f64; 2]> {
            let [logits, labels] = own.forward(params, samples)?;
            let loss = cross_entropy(&logits, &labels)?.to_scalar::<f32>()?;
            let hits = logits.argmax(D::Minus1)?.eq(&labels)?.to_dtype(DType::F32)?.sum_all()?;
            Ok([f64::from(loss) * samples.len() as f64, f64::from(hits.to_scalar::<f32>()?)])
        };
        let [loss_sum, correct] = own.pool.install(sums).expect("the shapes match");
        Score { loss_sum, weight: samples.len() as f64, correct: Some(correct) }
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let data = "digits".parse::<Source>()?.load(&LoadOptions::default())?;
    let test = data.test.expect("the digits have test samples");
    let train = |threads| {
        let options = Options { threads, length: Length::Epochs(20), ..Options::default() };
        Trainer::new(&Digits, &data.train, options).run()
    };
    let params = train(1)?.params;
    let accuracy = score(&Digits, &params, &test)?.accuracy().expect("the digits have classes");
    println!("test accuracy {accuracy:.3}");
    assert!(accuracy > 0.93);
    for threads in 2..=4 {
        assert_eq!(train(threads)?.params, params, "the bits must not depend on the number of threads");
    }
    println!("the same bits for 1 to 4 threads");
    Ok(())
}
