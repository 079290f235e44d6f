//! The built-in data set: 1,797 handwritten digits of 8 × 8 pixels.
//!
//! A copy of the test part of "Optical Recognition of Handwritten Digits", E. Alpaydin and C.
//! Kaynak, 1998, UCI Machine Learning Repository, licensed CC BY 4.0. Pixels are counts from 0 to
//! 16 with mean 4.9 and deviation 6.0, gathered as (count − 5) / 3: centred, and scaled so that 10
//! epochs at the default learning rate are enough (test accuracy 0.970 over 16 seeds; 0.966 with a
//! divisor of 6; 0.972 with a divisor of 2, which diverges at a learning rate of 0.1 with momentum
//! 0.9).

use std::io::Read;

use super::dataset::{Dataset, LoadedData};
use super::error::{DataError, Location};
use super::features::{Features, StoredFeatures};
use super::labels::LabelReader;
use super::options::LoadOptions;
use super::order::sample_order;

const PACKED: &[u8] = include_bytes!("digits.csv.gz");

const SAMPLES: usize = 1_797;

const PIXELS: usize = 64;

const ZERO: f32 = 5.0;

const DIVISOR: f32 = 3.0;

/// A fifth of the samples, rounded up.
const TEST_SAMPLES: usize = 360;

/// The seed of the split. The split is part of the data: it never depends on the seed of the run.
const SPLIT_SEED: u64 = 1998;

/// Loads the digits, split into 1,437 training and 360 test samples. The split is shuffled and
/// stratified: each class contributes its share to the test part, to within one sample.
pub(super) fn load(options: &LoadOptions) -> Result<LoadedData, DataError> {
    options.check_features("digits", PIXELS)?;
    let (pixels, labels) = unpack();
    let mut reader = LabelReader::new("digits", options.target, options.classes.as_ref());
    for (&label, line) in labels.iter().zip(1..) {
        reader.push_number(f64::from(label), || Location::Line(line))?;
    }
    let stored = StoredFeatures::U8 { values: pixels, zero: ZERO, divisor: DIVISOR };
    let features = Features { stored, columns: PIXELS, shape: vec![8, 8] };
    let all = Dataset::from_file("digits", features, reader.finish()?)?;
    let (train, test) = parts(&labels);
    Ok(LoadedData { train: all.select(&train), test: Some(all.select(&test)) })
}

/// Returns the pixels, sample by sample, and the labels. The file is part of the program, so a
/// fault in it is a bug.
fn unpack() -> (Vec<u8>, Vec<u8>) {
    let mut text = String::new();
    flate2::read::GzDecoder::new(PACKED)
        .read_to_string(&mut text)
        .expect("the built-in file is valid gzip text");
    let mut pixels = Vec::with_capacity(SAMPLES * PIXELS);
    let mut labels = Vec::with_capacity(SAMPLES);
    for line in text.lines() {
        let mut numbers =
            line.split(',').map(|field| field.parse::<u8>().expect("the built-in file contains bytes"));
        pixels.extend(numbers.by_ref().take(PIXELS));
        labels.extend(numbers);
    }
    assert_eq!((pixels.len(), labels.len()), (SAMPLES * PIXELS, SAMPLES), "the built-in file is complete");
    (pixels, labels)
}

/// Splits the shuffled samples: each goes to the test part until its class has contributed its
/// share.
fn parts(labels: &[u8]) -> (Vec<u32>, Vec<u32>) {
    let mut order = vec![0; labels.len()];
    sample_order(SPLIT_SEED, 0, &mut order);
    let mut due = test_shares(labels);
    order.into_iter().partition(|&sample| {
        let due = &mut due[usize::from(labels[sample as usize])];
        let to_test = *due > 0;
        *due -= usize::from(to_test);
        !to_test
    })
}

/// Returns the number of test samples per class: the size of the class times 360/1797, rounded
/// down, plus one for the classes with the largest remainders.
fn test_shares(labels: &[u8]) -> [usize; 10] {
    let mut sizes = [0; 10];
    labels.iter().for_each(|&label| sizes[usize::from(label)] += 1);
    let mut shares = sizes.map(|size| size * TEST_SAMPLES / SAMPLES);
    let mut by_remainder: Vec<usize> = (0..10).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(sizes[class] * TEST_SAMPLES % SAMPLES));
    let missing = TEST_SAMPLES - shares.iter().sum::<usize>();
    by_remainder.iter().take(missing).for_each(|&class| shares[class] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::super::dataset::GatherBuffer;
    use super::super::labels::{TargetKind, Targets};
    use super::*;

    fn loaded() -> (Dataset, Dataset) {
        let loaded = load(&LoadOptions::default()).unwrap();
        (loaded.train, loaded.test.unwrap())
    }

    #[test]
    fn the_parts_have_1437_and_360_samples_and_ten_classes() {
        let (train, test) = loaded();
        assert_eq!((train.len(), test.len(), train.features()), (1_437, 360, 64));
        assert_eq!(train.classes().unwrap().len(), 10);
        assert_eq!(train.describe(), "u8 images 8 × 8");
    }

    #[test]
    fn each_class_contributes_a_fifth_to_the_test_part() {
        let (_, labels) = unpack();
        let (train, test) = parts(&labels);
        let mut all = [train, test.clone()].concat();
        all.sort_unstable();
        assert!(all.iter().zip(0..).all(|(&sample, at)| sample == at));
        for class in 0..10 {
            let size = labels.iter().filter(|&&label| label == class).count() as f64;
            let share = test.iter().filter(|&&sample| labels[sample as usize] == class).count() as f64;
            assert!((share - size * 360.0 / 1_797.0).abs() < 1.0);
        }
    }

    /// The first line of the file ends with the label 0 and begins with 0,0,5,13,9,1.
    #[test]
    fn pixels_are_gathered_centred_and_scaled() {
        let (pixels, labels) = unpack();
        assert_eq!((&pixels[..6], labels[0]), (&[0, 0, 5, 13, 9, 1][..], 0));
        let (train, _) = loaded();
        let (first, _) = parts(&labels);
        let mut one = GatherBuffer::new(1, 64, 0);
        train.gather(&[0], &mut one);
        let sample = first[0] as usize;
        let expected: Vec<f32> =
            pixels[sample * 64..][..64].iter().map(|&p| (f32::from(p) - 5.0) / 3.0).collect();
        assert_eq!(one.inputs().as_slice().unwrap(), expected);
        assert_eq!(one.labels(), [u32::from(labels[sample])]);
    }

    #[test]
    fn the_labels_may_be_read_as_values_or_ignored() {
        let target = |target| load(&LoadOptions { target, ..LoadOptions::default() }).unwrap().train;
        assert!(matches!(target(TargetKind::Values).targets(), Targets::Values { outputs: 1, .. }));
        assert_eq!(target(TargetKind::None).targets(), &Targets::None);
    }
}
