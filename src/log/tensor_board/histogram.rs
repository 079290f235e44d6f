//! How the values of a tensor lie.

use super::message::HistogramProto;

/// Buckets of a histogram: as many as TensorFlow's own summaries have, in which TensorBoard's views resample it anyway.
const BUCKETS: usize = 30;

/// Counts the finite values in 30 buckets of one width from the least to the largest, or in one if they are all the same; nothing
/// if there are none. A value on a limit counts above it, the largest in the last bucket.
pub(super) fn histogram(values: &[f32]) -> Option<HistogramProto> {
    let finite = || values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value));
    let (min, max) = (finite().reduce(f64::min)?, finite().reduce(f64::max)?);
    let buckets = if min == max { 1 } else { BUCKETS };
    let (width, last) = ((max - min) / buckets as f64, buckets - 1);
    let mut bucket_limit: Vec<f64> = (1..buckets).map(|limit| min + width * limit as f64).collect();
    bucket_limit.push(max);
    let mut histogram =
        HistogramProto { min, max, bucket_limit, bucket: vec![0.0; buckets], ..Default::default() };
    for value in finite() {
        // Rounded, the quotient can be off by one bucket. With one bucket it is no number, and that bucket 0.
        let mut at = (((value - min) / width) as usize).min(last);
        if at > 0 && value < histogram.bucket_limit[at - 1] {
            at -= 1;
        } else if at < last && value >= histogram.bucket_limit[at] {
            at += 1;
        }
        histogram.bucket[at] += 1.0;
        histogram.num += 1.0;
        histogram.sum += value;
        histogram.sum_squares += value * value;
    }
    Some(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_a_limit_count_above_it_and_the_largest_in_the_last_bucket() {
        let values: Vec<f32> = (0..=30).map(|value| value as f32 - 15.0).collect();
        let found = histogram(&values).unwrap();
        let mut counts = vec![1.0; 30];
        counts[29] = 2.0;
        assert_eq!((found.min, found.max, found.num, found.sum), (-15.0, 15.0, 31.0, 0.0));
        assert_eq!((found.bucket, found.sum_squares), (counts, 2480.0));
        assert_eq!(found.bucket_limit[..3], [-14.0, -13.0, -12.0]);
    }

    #[test]
    fn every_value_counts_between_the_limits_of_its_bucket() {
        let values: Vec<f32> = (0..10_000).map(|at: u32| ((at * at) as f32).sin() * 0.07 + 0.3).collect();
        let found = histogram(&values).unwrap();
        for (at, count) in found.bucket.iter().enumerate() {
            let from = if at == 0 { found.min } else { found.bucket_limit[at - 1] };
            let to = if at == 29 { f64::INFINITY } else { found.bucket_limit[at] };
            let expected = values.iter().filter(|value| (from..to).contains(&f64::from(**value))).count();
            assert_eq!(*count, expected as f64, "bucket {at}");
        }
    }

    #[test]
    fn equal_values_have_one_bucket_and_others_than_numbers_none() {
        let same = histogram(&[0.25, f32::NAN, 0.25, f32::INFINITY]).unwrap();
        assert_eq!((same.bucket_limit, same.bucket), (vec![0.25], vec![2.0]));
        assert_eq!(histogram(&[f32::NAN]), None);
        assert_eq!(histogram(&[]), None);
    }
}
