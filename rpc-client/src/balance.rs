//! Which endpoint a call begins with.
//!
//! Everything here is pure but for the gauges: time and random numbers are arguments, and what is
//! not needed is not asked for. In reading order: [`field`] is the choice, [`load`] what an
//! endpoint costs, [`gauge`] how that is learned, [`warmth`] how a new instance is spared; the
//! rest are tables.

mod alias;
mod field;
mod gauge;
mod load;
mod ring;
mod smooth;
mod warmth;

pub(crate) use field::{Field, Member, Query};
pub(crate) use gauge::{Gauge, Lesson};
pub(crate) use load::Load;
pub(crate) use ring::position;

/// A random number below `count`: the high half of a product spreads evenly without a division.
fn scale(random: u64, count: usize) -> usize {
    usize::try_from((u128::from(random) * count as u128) >> 64).unwrap_or(0)
}

/// Whether something with the chance `chance` in 2^32nds happens.
fn happens(random: u64, chance: u32) -> bool {
    (random >> 32) < u64::from(chance)
}

#[cfg(test)]
mod simulation;
