//! Shards: parts of the matrix that take about the same time.

use std::fmt;
use std::num::NonZeroUsize;
use std::str::FromStr;

/// One shard of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) of: NonZeroUsize,
}

/// A text that names no shard.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write i/n with i from 1 to n, such as 1/4 for the first of four")]
pub(crate) struct NoShard;

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Self, NoShard> {
        let (number, of) = text.split_once('/').ok_or(NoShard)?;
        let number = number.parse().map_err(|_| NoShard)?;
        let of: NonZeroUsize = of.parse().map_err(|_| NoShard)?;
        if (1..=of.get()).contains(&number) { Ok(Self { number, of }) } else { Err(NoShard) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// Gives each weight a shard number from 1: the heaviest first, each to the shard that has least so far.
///
/// No shard is heavier than another by more than the heaviest weight. Equal input gives equal output.
pub(crate) fn balance(weights: &[u64], of: NonZeroUsize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(weights[index]));
    let mut load = vec![0; of.get()];
    let mut shards = vec![1; weights.len()];
    for index in order {
        let least = (0..load.len()).min_by_key(|&shard| load[shard]).unwrap_or_default();
        load[least] += weights[index];
        shards[index] = least + 1;
    }
    shards
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::first("1/4", 1, 4)]
    #[case::only("1/1", 1, 1)]
    #[case::last("12/12", 12, 12)]
    fn shards_are_read_as_they_are_written(#[case] text: &str, #[case] number: usize, #[case] of: usize) {
        let shard: Shard = text.parse().unwrap();
        assert_eq!((shard.number, shard.of.get(), shard.to_string().as_str()), (number, of, text));
    }

    #[rstest]
    #[case::zeroth("0/4")]
    #[case::beyond("5/4")]
    #[case::of_none("1/0")]
    #[case::negative("-1/4")]
    #[case::one_number("3")]
    #[case::words("one/four")]
    #[case::empty("")]
    fn others_are_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Shard>(), Err(NoShard));
    }

    #[rstest]
    #[case::even(&[50, 50, 50, 50], 2)]
    #[case::one_long(&[300, 10, 20, 30, 40, 50], 3)]
    #[case::nothing(&[], 4)]
    #[case::fewer_than_shards(&[5, 7], 4)]
    #[case::zero_weights(&[0, 0, 9], 2)]
    fn every_weight_is_in_one_shard_and_none_is_far_heavier(#[case] weights: &[u64], #[case] of: usize) {
        let shards = balance(weights, NonZeroUsize::new(of).unwrap());
        assert_eq!(shards.len(), weights.len());
        assert!(shards.iter().all(|shard| (1..=of).contains(shard)), "{shards:?}");
        let load = |shard: usize| -> u64 {
            shards.iter().zip(weights).filter(|(own, _)| **own == shard).map(|(_, weight)| weight).sum()
        };
        let loads: Vec<u64> = (1..=of).map(load).collect();
        let spread = loads.iter().max().unwrap() - loads.iter().min().unwrap();
        assert!(spread <= weights.iter().copied().max().unwrap_or_default(), "{loads:?}");
    }
}
