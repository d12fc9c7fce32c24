//! Numbers in as few bytes as they need: seven bits a byte, the lowest first; the highest bit says that more follow.

/// Most bytes of a number.
pub const MOST_BYTES: usize = 10;

/// Adds a number.
pub fn write(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Reads a number. Returns it with what follows it, or none if it has no end.
pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (i, byte) in bytes.iter().take(MOST_BYTES).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * i as u32)?;
        if byte & 0x80 == 0 {
            return Some((number, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in [0, 1, 0x7f, 0x80, 300, 1 << 40, u64::MAX] {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            for len in 0..bytes.len() {
                assert_eq!(read(&bytes[..len]), None, "{number} without its end");
            }
            bytes.push(7);
            assert_eq!(read(&bytes), Some((number, &[7][..])));
        }
        assert_eq!(read(&[0xff; 20]), None);
    }
}
