//! Random numbers put to use.

/// A random number below `count`: the high half of a product spreads evenly without a division.
pub(super) fn scale(random: u64, count: usize) -> usize {
    usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
}

/// Whether something with the chance `chance` in 2^32nds happens.
pub(super) fn happens(random: u64, chance: u32) -> bool {
    (random >> 32) < u64::from(chance)
}
