//! The attributes seen from outside: what the compiler says to contracts with mistakes, and that
//! it says nothing to contracts without.

mod compiler;
mod fail;
mod pass;
