//! One page about images: what they share, what takes the room, which packages they have, in what they differ.
//!
//! ```text
//! images + lock → gather → Page (data) → html → one self-contained file
//! gather.rs     from the images to the data  packages.rs   packages, and whose which file is
//! facts.rs      the data                     sizes.rs      what takes the room
//! html.rs       the data as a document       tables.rs     its tables
//! page.css      how it looks                 page.js       the map, filters, platforms
//! ```
//!
//! The page is a function of the images (and of the lock, and of what it is compared with): no clock, no machine, no order of
//! reading plays a part. It asks the network for nothing, and its policy (`Content-Security-Policy`) would not let it.

mod facts;
mod gather;
mod html;
mod packages;
mod sizes;
mod tables;

pub use facts::Page;
pub use gather::{Asked, PageError, Subject, gather};

use crate::shown::Shown;

/// A foreign text on one line, with nothing in it that hides or reorders what is beside it.
fn shown(text: &[u8]) -> String {
    Shown::new(text).bare().to_owned()
}

/// A size for people: `1.5 MiB`.
fn size_text(bytes: u64) -> String {
    let (mut unit, mut value) = (0, bytes as f64);
    while value >= 1023.95 && unit < 4 {
        (unit, value) = (unit + 1, value / 1024.0);
    }
    match unit {
        0 => format!("{bytes} B"),
        unit => format!("{value:.1} {}", ["B", "KiB", "MiB", "GiB", "TiB"][unit]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_and_a_unit() {
        let shown: Vec<String> =
            [0, 1023, 1024, 1_572_864, (1 << 20) - 1, 5 << 30].iter().map(|size| size_text(*size)).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 MiB", "1.0 MiB", "5.0 GiB"]);
    }
}
