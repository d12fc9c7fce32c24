//! What attempts printed, read in pieces, also while they run.
//!
//! - `stream`: the output of one attempt as one stream of bytes, in `parts`.
//! - `chunks`: as much of it as fits, as text. `place`: where a reader is.
//! - `tap`: the attempts of a job, one after the other.

mod chunks;
mod parts;
mod place;
mod stream;
mod tap;

pub use self::chunks::{Chunk, Chunks};
pub use self::parts::{Part, parts};
pub use self::place::{Place, PlaceError};
pub use self::stream::{Sink, Stream};
pub use self::tap::{Reading, Tap, TapError};
