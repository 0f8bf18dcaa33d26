//! The checksum in a ticket's text: a text that was cut, or that has more than the ticket, is
//! refused and not taken for the ticket of another key. It does not keep anybody from making one.

/// CRC-32 as in ISO-HDLC (zlib, PNG), in 8 digits.
pub(super) fn of(text: &str) -> String {
    let mut crc = u32::MAX;
    for byte in text.bytes() {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    format!("{:08x}", !crc)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(super::of("123456789"), "cbf43926");
        assert_eq!(super::of(""), "00000000");
    }
}
