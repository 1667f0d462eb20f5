//! Networks as ONNX: any segment over any rows written as a file of its own, and files of others read.
//!
//! What an operator does to numbers is defined by what [`write`](fn@write) makes of it.

#[cfg(test)]
mod arbitrary_tests;
mod file;
mod inspect;
mod operators;
mod proto;
#[cfg(test)]
mod python_tests;
mod read;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod windows;
mod write;
#[cfg(test)]
mod zoo_tests;

pub use inspect::{Border, Borders, inspect};
pub use read::{Imported, ReadMistake, read};
pub use write::{WriteError, write, write_whole};
