//! The predictions of a model for individual samples: its confusion matrix, and the samples that it
//! predicts worst, as pictures.

use std::cmp::Reverse;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ndarray::{Array2, ArrayView1};
use phalanx::data::{Dataset, Targets};
use png::{BitDepth, ColorType, Encoder};

/// Maximum number of samples shown.
const MAX_SAMPLES: usize = 24;
/// Maximum number of features shown of a sample that is not a picture.
const MAX_FEATURES: usize = 16;
/// Maximum number of pixels of a picture; larger pictures would make the page too large to send.
const MAX_PIXELS: usize = 1 << 14;
/// Maximum number of dots of a figure.
const MAX_DOTS: usize = 1000;

/// The predictions of a model for samples whose targets are known.
#[derive(Clone, Debug, PartialEq)]
pub struct TestPredictions {
    /// The name of the samples.
    pub name: String,
    /// Notes about the samples.
    pub notes: Vec<String>,
    /// Names of the features, in order; if empty, the page numbers the features.
    pub feature_names: Vec<String>,
    /// The number of samples.
    pub samples: usize,
    /// True if the samples have weights; the counts ignore the weights.
    pub weighted: bool,
    /// The name of the prediction for a class: probability or output.
    pub output: &'static str,
    /// The predictions compared with the truth.
    pub targets: TestTargets,
}

/// Predictions compared with the truth.
#[derive(Clone, Debug, PartialEq)]
pub enum TestTargets {
    /// Predictions of classes.
    Classes {
        /// The names of the classes.
        names: Vec<String>,
        /// Counts of true and predicted classes.
        confusion: Confusion,
        /// The samples with the lowest probability of their true class, lowest first.
        worst: Vec<WorstClass>,
    },
    /// Predictions of values.
    Values {
        /// Pairs of a true and a predicted value for each output, of at most a thousand evenly
        /// spaced samples.
        points: Vec<Vec<(f64, f64)>>,
        /// The samples with the largest error, largest first.
        worst: Vec<WorstValue>,
    },
}

/// A sample with a low probability of its true class.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstClass {
    /// The sample.
    pub sample: ShownSample,
    /// The true class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// The probability of the true class.
    pub probability: f64,
    /// The probability of the predicted class.
    pub of_predicted: f64,
}

/// A sample with a large error.
#[derive(Clone, Debug, PartialEq)]
pub struct WorstValue {
    /// The sample.
    pub sample: ShownSample,
    /// The true values.
    pub truth: Vec<f32>,
    /// The predicted values.
    pub predicted: Vec<f32>,
    /// The root mean square of their differences.
    pub error: f64,
}

/// A sample prepared for display.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownSample {
    /// The index in the data, from 0.
    pub index: usize,
    /// The picture, if the samples are images of at most 128 × 128 pixels.
    pub picture: Option<Picture>,
    /// The first features otherwise.
    pub features: Vec<f32>,
}

impl TestPredictions {
    /// Compares predictions of [`predict`](phalanx::train::predict) with the targets of the
    /// samples; `None` if the samples have no targets. `output` is what the model predicts for a
    /// class: its "probability", or with a squared loss its "output".
    ///
    /// # Panics
    ///
    /// If `predictions` does not have one row per sample and one output per class or value.
    pub fn new(name: &str, data: &Dataset, predictions: &Array2<f32>, output: &'static str) -> Option<Self> {
        assert_eq!(predictions.nrows(), data.len(), "a row for each sample");
        let targets = match data.targets() {
            Targets::Classes { labels, .. } => of_classes(data, labels, predictions),
            Targets::Values { values, outputs } => of_values(data, values, *outputs, predictions),
            Targets::None => return None,
        };
        let (samples, weighted) = (data.len(), data.weights().is_some());
        let (name, notes, feature_names) = (name.to_owned(), Vec::new(), Vec::new());
        Some(Self { name, notes, feature_names, samples, weighted, output, targets })
    }
}

fn of_classes(data: &Dataset, labels: &[u32], predictions: &Array2<f32>) -> TestTargets {
    let all: Vec<SamplePrediction> = labels
        .iter()
        .zip(predictions.rows())
        .map(|(label, row)| SamplePrediction::new(*label as usize, row))
        .collect();
    let classes = predictions.ncols().max(2);
    let mut names: Vec<String> = data.classes().map_or_else(Vec::new, |classes| classes.names().to_vec());
    names.extend((names.len()..classes).map(|class| class.to_string()));
    let pairs = all.iter().map(|judged| (judged.truth, judged.predicted));
    let confusion = Confusion::new(names.len(), pairs);
    let order = lowest(all.iter().map(|judged| judged.probability));
    let shown = shown(data, &order);
    let worst = order.iter().zip(shown).map(|(&index, sample)| {
        let SamplePrediction { truth, predicted, probability, of_predicted } = all[index];
        WorstClass { sample, truth, predicted, probability, of_predicted }
    });
    TestTargets::Classes { worst: worst.collect(), names, confusion }
}

/// The prediction of one sample.
struct SamplePrediction {
    truth: usize,
    predicted: usize,
    probability: f64,
    of_predicted: f64,
}

impl SamplePrediction {
    /// Evaluates the outputs of one sample. A single output is the probability of the second of two
    /// classes.
    fn new(truth: usize, outputs: ArrayView1<'_, f32>) -> Self {
        let each: Vec<f64> = match outputs.len() {
            1 => vec![1.0 - f64::from(outputs[0]), f64::from(outputs[0])],
            _ => outputs.iter().map(|output| f64::from(*output)).collect(),
        };
        let predicted = (1..each.len()).fold(0, |best, k| if each[k] > each[best] { k } else { best });
        Self { truth, predicted, probability: each[truth], of_predicted: each[predicted] }
    }
}

fn of_values(data: &Dataset, values: &[f32], outputs: usize, predictions: &Array2<f32>) -> TestTargets {
    let truth = |sample: usize| &values[sample * outputs..][..outputs];
    let error = |sample: usize| {
        let squares =
            truth(sample).iter().zip(predictions.row(sample)).map(|(t, p)| f64::from(p - t).powi(2));
        (squares.sum::<f64>() / outputs as f64).sqrt()
    };
    let order = lowest((0..data.len()).map(|sample| -error(sample)));
    let shown = shown(data, &order);
    let worst = order.iter().zip(shown).map(|(&index, sample)| WorstValue {
        sample,
        truth: truth(index).to_vec(),
        predicted: predictions.row(index).to_vec(),
        error: error(index),
    });
    let every = data.len().div_ceil(MAX_DOTS).max(1);
    let point =
        |sample, output: usize| (f64::from(truth(sample)[output]), f64::from(predictions[[sample, output]]));
    let points = (0..outputs)
        .map(|output| (0..data.len()).step_by(every).map(|sample| point(sample, output)).collect());
    TestTargets::Values { points: points.collect(), worst: worst.collect() }
}

/// Returns the indices of the lowest values, NaN first.
fn lowest(values: impl Iterator<Item = f64>) -> Vec<usize> {
    let known = |value: f64| if value.is_nan() { f64::NEG_INFINITY } else { value };
    let mut order: Vec<(f64, usize)> = values.map(known).zip(0..).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order.into_iter().take(MAX_SAMPLES).map(|(_, index)| index).collect()
}

/// Prepares samples for display; all pictures share one range from black to white.
fn shown(data: &Dataset, samples: &[usize]) -> Vec<ShownSample> {
    let features: Vec<Vec<f32>> = samples.iter().map(|&sample| data.features_of(sample)).collect();
    let all = || features.iter().flatten().copied();
    let range = (all().fold(f32::INFINITY, f32::min), all().fold(f32::NEG_INFINITY, f32::max));
    let size = data.image_size().filter(|(height, width)| height * width <= MAX_PIXELS);
    let show = |(&index, features): (&usize, &Vec<f32>)| {
        let picture = size.map(|size| Picture::new(size, features, range));
        let features = features.iter().copied().take(MAX_FEATURES);
        let features = if picture.is_some() { Vec::new() } else { features.collect() };
        ShownSample { index, picture, features }
    };
    samples.iter().zip(&features).map(show).collect()
}

/// A confusion matrix: the number of samples by true and predicted class, ignoring weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    /// The counts, row by row: one row per true class, one column per predicted class.
    pub counts: Vec<u64>,
}

impl Confusion {
    /// Counts pairs of a true and a predicted class, each below `classes`.
    ///
    /// # Panics
    ///
    /// If a class is not below `classes`.
    pub fn new(classes: usize, pairs: impl Iterator<Item = (usize, usize)>) -> Self {
        let mut counts = vec![0; classes * classes];
        for (truth, predicted) in pairs {
            assert!(truth < classes && predicted < classes, "class {truth} or {predicted} of {classes}");
            counts[truth * classes + predicted] += 1;
        }
        Self { classes, counts }
    }

    /// Returns the number of samples of a true class that were predicted as `predicted`.
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// Returns the number of all samples.
    pub fn samples(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the number of samples whose class was predicted correctly.
    pub fn right(&self) -> u64 {
        (0..self.classes).map(|class| self.count(class, class)).sum()
    }

    /// Returns the number of samples of a class.
    pub fn of_class(&self, truth: usize) -> u64 {
        (0..self.classes).map(|predicted| self.count(truth, predicted)).sum()
    }

    /// Returns the number of samples that were predicted as a class.
    pub fn predicted_as(&self, predicted: usize) -> u64 {
        (0..self.classes).map(|truth| self.count(truth, predicted)).sum()
    }

    /// Returns the share of a class that was predicted correctly; `None` if the class has no
    /// samples.
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.of_class(class))
    }

    /// Returns the share of the samples predicted as a class that belong to it; `None` if no sample
    /// was predicted as the class.
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.count(class, class), self.predicted_as(class))
    }

    /// Returns the pairs of a true and a different predicted class with the most samples, at most
    /// `most` of them, and their counts.
    pub fn worst_pairs(&self, most: usize) -> Vec<(usize, usize, u64)> {
        let pairs =
            (0..self.classes * self.classes).map(|index| (index / self.classes, index % self.classes));
        let wrong = pairs.filter(|(truth, predicted)| truth != predicted);
        let counted = wrong.map(|(truth, predicted)| (truth, predicted, self.count(truth, predicted)));
        let mut pairs: Vec<_> = counted.filter(|(.., count)| *count > 0).collect();
        pairs.sort_by_key(|(truth, predicted, count)| (Reverse(*count), *truth, *predicted));
        pairs.truncate(most);
        pairs
    }
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// An image of grey pixels, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// Creates a picture from features; the lower end of `range` becomes black and the upper end
    /// white.
    ///
    /// # Panics
    ///
    /// If the number of features differs from the number of pixels.
    pub fn new((height, width): (usize, usize), features: &[f32], range: (f32, f32)) -> Self {
        assert_eq!(features.len(), height * width, "a feature for each pixel");
        let span = (range.1 - range.0).max(f32::MIN_POSITIVE);
        let pixel = |value: &f32| (255.0 * (value - range.0) / span).round() as u8;
        Self { width: width as u32, height: height as u32, pixels: features.iter().map(pixel).collect() }
    }

    /// Returns width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Returns the picture as a PNG in a `data:` URL.
    pub fn address(&self) -> String {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        written.expect("the number of pixels matches the size, and writing to memory cannot fail");
        format!("data:image/png;base64,{}", STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_worst_samples_are_those_with_the_lowest_probability_of_their_class() {
        let targets = Targets::Classes { labels: vec![0, 1, 1, 0], count: 2 };
        let data = Dataset::from_arrays(array![[1.0], [2.0], [3.0], [4.0]], targets, None).unwrap();
        let predictions = array![[0.75, 0.25], [0.875, 0.125], [0.5, 0.5], [f32::NAN, f32::NAN]];
        let tested = TestPredictions::new("four", &data, &predictions, "probability").unwrap();
        let TestTargets::Classes { confusion, worst, .. } = tested.targets else { panic!("classes") };
        assert_eq!((confusion.right(), confusion.samples(), confusion.count(1, 0)), (2, 4, 2));
        let indices: Vec<usize> = worst.iter().map(|worst| worst.sample.index).collect();
        assert_eq!(indices, [3, 1, 2, 0]);
        assert_eq!((worst[1].truth, worst[1].predicted, worst[1].probability), (1, 0, 0.125));
        assert_eq!((&worst[1].sample.features[..], worst[1].of_predicted), (&[2.0][..], 0.875));
    }

    #[test]
    fn one_output_is_the_probability_of_the_second_class() {
        let targets = Targets::Classes { labels: vec![0, 1], count: 2 };
        let data = Dataset::from_arrays(array![[1.0], [2.0]], targets, Some(vec![1.0, 2.0])).unwrap();
        let tested = TestPredictions::new("two", &data, &array![[0.25], [0.75]], "probability").unwrap();
        assert!(tested.weighted);
        let TestTargets::Classes { confusion, worst, .. } = tested.targets else { panic!("classes") };
        assert_eq!((confusion.right(), worst[0].probability), (2, 0.75));
    }

    #[test]
    fn the_worst_values_have_the_largest_errors() {
        let targets = Targets::Values { values: vec![1.0, 2.0, 3.0, 4.0], outputs: 2 };
        let data = Dataset::from_arrays(array![[1.0], [2.0]], targets, None).unwrap();
        let tested = TestPredictions::new("two", &data, &array![[1.0, 3.0], [7.0, 7.0]], "output").unwrap();
        let TestTargets::Values { points, worst } = tested.targets else { panic!("values") };
        assert_eq!(points, [vec![(1.0, 1.0), (3.0, 7.0)], vec![(2.0, 3.0), (4.0, 7.0)]]);
        assert_eq!((worst[0].sample.index, worst[0].error), (1, 12.5_f64.sqrt()));
        assert_eq!(worst[1].error, 0.5_f64.sqrt());
    }

    /// scikit-learn 1.9: confusion_matrix([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2]) == [[2, 0, 0],
    /// [0, 0, 1], [1, 0, 2]]; recall_score(average=None) == [1, 0, 2/3], precision_score == [2/3,
    /// undefined, 2/3].
    #[test]
    fn counts_and_shares_are_those_of_scikit_learn() {
        let confusion = Confusion::new(3, [2, 0, 2, 2, 0, 1].into_iter().zip([0, 0, 2, 2, 0, 2]));
        assert_eq!(confusion.counts, [2, 0, 0, 0, 0, 1, 1, 0, 2]);
        let of =
            |value: fn(&Confusion, usize) -> Option<f64>| [0, 1, 2].map(|class| value(&confusion, class));
        assert_eq!(of(Confusion::recall), [Some(1.0), Some(0.0), Some(2.0 / 3.0)]);
        assert_eq!(of(Confusion::precision), [Some(2.0 / 3.0), None, Some(2.0 / 3.0)]);
        assert_eq!(confusion.worst_pairs(5), [(1, 2, 1), (2, 0, 1)]);
        assert_eq!(confusion.worst_pairs(1), [(1, 2, 1)]);
    }

    #[test]
    fn all_samples_and_correct_predictions_are_counted() {
        let confusion = Confusion::new(2, [(0, 0), (0, 1), (1, 1)].into_iter());
        assert_eq!((confusion.count(0, 1), confusion.samples(), confusion.right()), (1, 3, 2));
        assert_eq!((confusion.recall(0), confusion.precision(1)), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn the_data_url_decodes_to_the_pixels() {
        let picture = Picture::new((2, 3), &[-1.0, 0.0, 1.0, 3.0, 2.0, -1.0], (-1.0, 3.0));
        let address = picture.address();
        let bytes = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, picture.size()), (3, 2, (3, 2)));
        assert_eq!(pixels, [0, 64, 128, 255, 191, 0]);
    }

    #[test]
    fn an_image_of_one_value_is_black() {
        assert_eq!(Picture::new((1, 2), &[5.0, 5.0], (5.0, 5.0)).pixels, [0, 0]);
    }
}
