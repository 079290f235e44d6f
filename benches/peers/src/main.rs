//! Trains a perceptron on MNIST with candle or RustyML, as `phalanx train` does in the comparison
//! of the book, and prints the seconds of the fastest epoch. Both split the work of one operation
//! over the threads in RAYON_NUM_THREADS.
//!
//! ```sh
//! RAYON_NUM_THREADS=2 cargo run --release -- candle ../../data/mnist 128 128
//! ```

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;
use std::time::{Duration, Instant};

use candle_core::{DType, Device, Tensor};
use candle_nn::{Linear, Module, Optimizer, SGD, VarBuilder, VarMap};
use ndarray::{Array2, Axis, Slice};
use rustyml::neural_network::Shape;
use rustyml::neural_network::layers::{Activation, Dense};
use rustyml::neural_network::losses::CategoricalCrossEntropy;
use rustyml::neural_network::sequential::SequentialBuilder;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const RATE: f32 = 0.1;
const EPOCHS: usize = 3;

struct Images {
    pixels: Vec<f32>,
    labels: Vec<u8>,
}

impl Images {
    fn read(folder: &str, part: &str) -> Result<Self> {
        let content = |name: &str, header: usize| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            let file = File::open(format!("{folder}/{part}-{name}-ubyte.gz"))?;
            flate2::read::GzDecoder::new(file).read_to_end(&mut bytes)?;
            Ok(bytes.split_off(header))
        };
        let pixels = content("images-idx3", 16)?.into_iter().map(|pixel| f32::from(pixel) / 255.0);
        Ok(Self { pixels: pixels.collect(), labels: content("labels-idx1", 8)? })
    }
}

fn argmax(row: &[f32]) -> usize {
    (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).expect("there are classes")
}

/// Returns the share of right classes of row-major outputs.
fn accuracy(outputs: &[f32], labels: &[u8]) -> f64 {
    let rows = outputs.chunks_exact(10).zip(labels);
    rows.filter(|(row, label)| argmax(row) == usize::from(**label)).count() as f64 / labels.len() as f64
}

/// Returns the fastest epoch and the outputs for the test images. The optimizer of candle has no
/// momentum.
fn candle(train: &Images, test: &Images, batch: usize, hidden: &[usize]) -> Result<(Duration, Vec<f32>)> {
    let device = Device::Cpu;
    let tensor = |images: &Images| Tensor::from_slice(&images.pixels, (images.labels.len(), 784), &device);
    let labels: Vec<u32> = train.labels.iter().map(|&label| u32::from(label)).collect();
    let (pixels, labels) = (tensor(train)?, Tensor::new(labels, &device)?);
    let params = VarMap::new();
    let builder = VarBuilder::from_varmap(&params, DType::F32, &device);
    let widths: Vec<usize> = [&[784], hidden, &[10]].concat();
    let pairs = widths.windows(2).enumerate();
    let layers: Vec<Linear> = pairs
        .map(|(l, width)| candle_nn::linear(width[0], width[1], builder.pp(l)))
        .collect::<candle_core::Result<_>>()?;
    let forward = |inputs: &Tensor| {
        let (last, others) = layers.split_last().expect("there is an output layer");
        let hidden = others.iter().try_fold(inputs.clone(), |inputs, layer| layer.forward(&inputs)?.relu());
        last.forward(&hidden?)
    };
    let mut optimizer = SGD::new(params.all_vars(), f64::from(RATE))?;
    let mut best = Duration::MAX;
    for _ in 0..EPOCHS {
        let start = Instant::now();
        for step in 0..train.labels.len() / batch {
            let outputs = forward(&pixels.narrow(0, step * batch, batch)?)?;
            let loss = candle_nn::loss::cross_entropy(&outputs, &labels.narrow(0, step * batch, batch)?)?;
            optimizer.backward_step(&loss)?;
        }
        best = best.min(start.elapsed());
    }
    Ok((best, forward(&tensor(test)?)?.flatten_all()?.to_vec1()?))
}

/// Returns the fastest epoch and the outputs for the test images.
fn rustyml(train: &Images, test: &Images, batch: usize, hidden: &[usize]) -> Result<(Duration, Vec<f32>)> {
    let inputs = |images: &Images| {
        Array2::from_shape_vec((images.labels.len(), 784), images.pixels.clone()).map(Array2::into_dyn)
    };
    let mut targets = Array2::zeros((train.labels.len(), 10));
    for (mut row, label) in targets.rows_mut().into_iter().zip(&train.labels) {
        row[usize::from(*label)] = 1.0;
    }
    let (pixels, targets) = (inputs(train)?, targets.into_dyn());
    let mut layers = SequentialBuilder::new_with_seed(42);
    for width in hidden {
        layers = layers.add(Dense::new(*width, Activation::ReLU)?);
    }
    let mut model =
        layers.add(Dense::new(10, Activation::Softmax { axis: -1 })?).build(&Shape::known(&[batch, 784]))?;
    let optimizer = rustyml::neural_network::optimizers::SGD::new(RATE, 0.9, false, 0.0)?;
    model.compile(optimizer, CategoricalCrossEntropy::new(false));
    let mut best = Duration::MAX;
    for _ in 0..EPOCHS {
        let start = Instant::now();
        for step in 0..train.labels.len() / batch {
            let rows = Slice::from(step * batch..(step + 1) * batch);
            let part = |values: &ndarray::ArrayD<f32>| values.slice_axis(Axis(0), rows).to_owned();
            model.train_batch(&part(&pixels), &part(&targets))?;
        }
        best = best.min(start.elapsed());
    }
    Ok((best, model.predict(&inputs(test)?)?.iter().copied().collect()))
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, peer, folder, batch, hidden] = &arguments[..] else {
        return Err("usage: peers candle|rustyml MNIST_FOLDER BATCH WIDTH,WIDTH...".into());
    };
    let hidden = hidden.split(',').map(str::parse).collect::<std::result::Result<Vec<usize>, _>>()?;
    let (train, test) = (Images::read(folder, "train")?, Images::read(folder, "t10k")?);
    rustyml::set_global_seed(42);
    let run = if peer == "candle" { candle } else { rustyml };
    let (epoch, outputs) = run(&train, &test, batch.parse()?, &hidden)?;
    let mut hash = DefaultHasher::new();
    outputs.iter().for_each(|output| output.to_bits().hash(&mut hash));
    println!(
        "{peer} epoch_secs={:.4} test_accuracy={:.4} outputs={:016x}",
        epoch.as_secs_f64(),
        accuracy(&outputs, &test.labels),
        hash.finish()
    );
    Ok(())
}
