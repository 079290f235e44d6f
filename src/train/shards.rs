//! How a batch is cut into shards, and which rank computes which.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// How many shards a batch is cut into: part of the mathematics, never derived from the number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shards {
    /// Chosen from the batch size alone, see [`Shards::count`].
    Auto,
    /// So many. A batch of fewer samples has one shard a sample.
    Count(usize),
}

/// With `auto`, a shard has about this many samples: fewer make thin matrix products.
const SAMPLES_OF_A_SHARD: usize = 32;
/// With `auto`, small batches are still cut into this many, to feed as many threads ...
const FEWEST: usize = 4;
/// ... as long as each has this many samples.
const FEWEST_SAMPLES: usize = 8;
/// With `auto`, more shards than this feed no machine better, but cost a combination each ...
const MOST: usize = 64;
/// ... up to this many samples a shard, which bound the memory of a rank.
const MOST_SAMPLES: usize = 1024;

impl Shards {
    /// Number of shards of a batch of `batch_size` samples.
    ///
    /// `auto` is batch_size/32, at least 4 if that leaves 8 samples a shard, at most 64 unless a shard would exceed
    /// 1024 samples: 1 for 8 samples, 4 for 32 to 128, 8 for 256, 32 for 1024, 64 from 2048 to 65536.
    pub fn count(self, batch_size: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Auto => {
                let small = FEWEST.min(batch_size / FEWEST_SAMPLES);
                let count = (batch_size / SAMPLES_OF_A_SHARD).clamp(small.max(1), MOST);
                count.max(batch_size.div_ceil(MOST_SAMPLES))
            }
        }
    }
}

/// The k-th of `parts` contiguous ranges of 0..len whose lens differ by at most one, the larger first.
///
/// It cuts a batch into shards, and a run of shards into ranks.
pub(super) fn part(len: usize, parts: usize, k: usize) -> Range<usize> {
    let (size, larger) = (len / parts, len % parts);
    let start = k * size + k.min(larger);
    start..start + size + usize::from(k < larger)
}

/// Which of the [parts](part) of 0..len has an index.
pub(super) fn part_of(len: usize, parts: usize, index: usize) -> usize {
    let (size, larger) = (len / parts, len % parts);
    let of_larger = larger * (size + 1);
    if index < of_larger { index / (size + 1) } else { larger + (index - of_larger) / size }
}

impl fmt::Display for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Count(count) => count.fmt(f),
        }
    }
}

impl FromStr for Shards {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text
                .parse()
                .map(Self::Count)
                .map_err(|_| format!("'{text}' is not a number of shards, nor 'auto'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn auto_feeds_as_many_threads_as_it_promises() {
        for (batch_size, shards) in [
            (1, 1),
            (7, 1),
            (8, 1),
            (16, 2),
            (32, 4),
            (64, 4),
            (128, 4),
            (256, 8),
            (1024, 32),
            (60_000, 64),
            (100_000, 98),
        ] {
            assert_eq!(Shards::Auto.count(batch_size), shards, "batch of {batch_size}");
        }
    }

    proptest! {
        #[test]
        fn parts_follow_one_another_and_differ_by_at_most_one(len in 0_usize..500, parts in 1_usize..40) {
            let ranges: Vec<_> = (0..parts).map(|k| part(len, parts, k)).collect();
            prop_assert_eq!(ranges[0].start, 0);
            prop_assert_eq!(ranges[parts - 1].end, len);
            prop_assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(ranges.windows(2).all(|pair| pair[0].len() >= pair[1].len()));
            prop_assert!(ranges[0].len() - ranges[parts - 1].len() <= 1);
            prop_assert!((0..len).all(|index| ranges[part_of(len, parts, index)].contains(&index)));
        }
    }
}
