//! Which endpoint a call begins with.
//!
//! Everything here is pure but for the gauges: time and random numbers are arguments, and what is
//! not needed is not asked for. In reading order: [`field`] is the choice, [`load`] what an
//! endpoint costs, [`gauge`] how that is learned, [`warmth`] how a new instance is spared; the
//! rest are tables.

mod alias;
mod chance;
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

#[cfg(test)]
mod simulation;
