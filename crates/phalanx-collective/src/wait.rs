//! How long a rank spins before it sleeps.

use super::sync::SPINS;

/// The looks of a waiting rank before it sleeps.
///
/// A spinning rank answers fastest, but holds its core. With more ranks than cores it would keep from running the very rank it
/// waits for, so then nobody spins.
///
/// Nobody offers its core to others (`yield_now`) either: where other programs want the core, Linux runs each of them for
/// milliseconds first, whereas one that was asleep is let in at once. Beside 8 busy programs on 2 cores, training of the digits
/// on two threads took 4.5 s with 200 spins and 200 yields, and 0.3 s with 1000 spins; alone, the same within the noise.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Looks with a pause in between, each about 20 ns.
    pub(super) spins: u32,
}

impl Patience {
    /// For a world of `ranks` on the cores this process may use.
    pub(super) fn for_ranks(ranks: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { spins: if ranks <= cores { SPINS } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_spins_when_ranks_outnumber_cores() {
        assert_eq!(Patience::for_ranks(usize::MAX).spins, 0);
    }
}
