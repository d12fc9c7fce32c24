//! The style sheet and the script, which are in the program. Their addresses have a sum of what is in them, so that browsers keep them
//! for good and never use those of another version.

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    stem: &'static str,
    extension: &'static str,
    sum: u64,
    /// What is in it.
    pub bytes: &'static [u8],
    /// Its type.
    pub kind: &'static str,
}

pub const STYLE: Asset = Asset::new(
    ("style", "css", "text/css; charset=utf-8"),
    include_bytes!("assets/style.css"),
);
pub const SCRIPT: Asset = Asset::new(
    ("fresh", "js", "text/javascript; charset=utf-8"),
    include_bytes!("assets/fresh.js"),
);

impl Asset {
    const fn new(
        (stem, extension, kind): (&'static str, &'static str, &'static str),
        bytes: &'static [u8],
    ) -> Asset {
        Asset {
            stem,
            extension,
            sum: sum(bytes),
            bytes,
            kind,
        }
    }

    fn name(&self) -> String {
        format!("{}-{:016x}.{}", self.stem, self.sum, self.extension)
    }

    /// Returns its address.
    pub fn path(&self) -> String {
        format!("/static/{}", self.name())
    }
}

/// Returns the file of that name.
pub fn asset(name: &str) -> Option<Asset> {
    [STYLE, SCRIPT].into_iter().find(|asset| asset.name() == name)
}

/// FNV-1a. It tells versions apart; making two that have the same would gain nothing.
const fn sum(bytes: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        sum = (sum ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_own_name_alone() {
        let name = STYLE.name();
        assert_eq!(asset(&name).map(|asset| asset.bytes), Some(STYLE.bytes));
        assert!(asset("style.css").is_none() && asset("../style.css").is_none());
        assert_ne!(STYLE.sum, SCRIPT.sum);
        assert_eq!(sum(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
