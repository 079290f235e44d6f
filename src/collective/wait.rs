//! How long a rank spins and yields before it sleeps.

/// Rounds of waiting before sleep: first spinning, which answers fastest, then yielding, which lets others run.
///
/// A spinning rank holds its core. With more ranks than cores it would keep from running the very rank it waits for, so
/// then nobody spins; and when there are cores for all, other programs may still hold some of them, so spinning ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Looks with a pause in between, each about 20 ns.
    pub(super) spins: u32,
    /// Looks with the core offered to others in between, each 0.3 µs or more.
    pub(super) yields: u32,
}

impl Patience {
    /// For a world of `ranks` on the cores this process may use.
    pub(super) fn for_ranks(ranks: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if ranks <= cores { Self { spins: 2_000, yields: 32 } } else { Self { spins: 0, yields: 4 } }
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
