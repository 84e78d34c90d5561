//! Random draws in proportion to weights, at the same price for any number of them.
//!
//! The alias method (Walker 1977, tables after Vose 1991): each index is a cell that keeps a draw
//! with some chance and else gives it to one other. In whole numbers, so shares are exact.

use super::chance::scale;

/// A table to draw indices from.
#[derive(Debug)]
pub(super) struct Alias {
    /// The part of `whole` that a cell keeps, and who gets the rest.
    cells: Box<[(u64, u32)]>,
    whole: u64,
}

impl Alias {
    /// The indices of `weights`, of which one is positive. Their sum times their number fits.
    pub(super) fn new(weights: &[u64]) -> Self {
        let whole: u64 = weights.iter().sum();
        let mut parts: Vec<u64> = weights.iter().map(|w| w * weights.len() as u64).collect();
        let mut cells: Vec<(u64, u32)> = vec![(whole, 0); weights.len()];
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let (mut poor, mut rich): (Vec<usize>, Vec<usize>) =
            (0..weights.len()).partition(|index| parts[*index] < whole);
        while let (Some(small), Some(&large)) = (poor.pop(), rich.last()) {
            cells[small] = (parts[small], number(large));
            parts[large] -= whole - parts[small];
            if parts[large] < whole {
                rich.pop();
                poor.push(large);
            }
        }
        Self { cells: cells.into(), whole }
    }

    pub(super) fn draw(&self, random: u64) -> usize {
        let index = scale(random, self.cells.len());
        let Some((kept, other)) = self.cells.get(index) else { return 0 };
        let at = (u128::from(random.rotate_left(32)) * u128::from(self.whole)) >> 64;
        if at < u128::from(*kept) { index } else { *other as usize }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_in_proportion() {
        let mut random = fastrand::Rng::with_seed(3);
        for weights in [&[100, 300, 0, 600][..], &[1], &[10_000, 1], &[7; 100]] {
            let alias = Alias::new(weights);
            let mut counts = vec![0u64; weights.len()];
            for _ in 0..100_000 {
                counts[alias.draw(random.u64(..))] += 1;
            }
            let total: u64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let expected = 100_000 * weight / total;
                assert!(count.abs_diff(expected) <= 300 + expected / 50, "{weights:?}: {counts:?}");
                assert!(*weight > 0 || *count == 0);
            }
        }
    }
}
