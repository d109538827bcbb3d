//! {name} {version}: {summary}, answered by edgexl {edgexl}.
//!
//! ```
//! # #[cfg(feature = "bundle")] fn main() -> {module}::Result<()> {
//! let words = {module}::open()?;
//! let answer = words.predict({example})?;
//! assert_eq!(answer.labels[0].id, {answer});
//! # Ok(()) }
//! # #[cfg(not(feature = "bundle"))] fn main() {}
//! ```
//!
//! Without the feature `bundle`, which is on by default, the crate has the runtime alone: [`Bundle::open`] opens a file.

#![warn(missing_debug_implementations, unsafe_op_in_unsafe_fn)]

mod binding;
pub mod ffi;

pub use binding::*;

/// Public keys, one of which must have signed a bundle, unless [`OpenOptions`] says otherwise.
pub const TRUSTED_KEYS: &[&str] = &[{keys}];

/// The least version that they may have given it.
pub const LEAST_VERSION: u64 = {least_version};

#[cfg(feature = "bundle")]
#[repr(C, align(64))]
struct Aligned<Bytes: ?Sized>(Bytes);

#[cfg(feature = "bundle")]
static ALIGNED: &Aligned<[u8]> = &Aligned(*include_bytes!("../{file}"));

/// The bundle that comes with this crate.
#[cfg(feature = "bundle")]
pub static BUNDLE: &[u8] = &ALIGNED.0;

/// Open the bundle that comes with this crate, where it lies in the program. Its labels are those of the compile;
/// `OpenOptions::new().labels(path).from_static(BUNDLE)` has changes kept in a file.
#[cfg(feature = "bundle")]
pub fn open() -> Result<Bundle> {
    OpenOptions::new().from_static(BUNDLE)
}
