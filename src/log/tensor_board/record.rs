//! The records of an event file: the format called TFRecord.
//!
//! | bytes | what, numbers little-endian |
//! |---|---|
//! | 8 | len of the data |
//! | 4 | masked CRC32C of these 8 bytes |
//! | len | the data |
//! | 4 | masked CRC32C of the data |
//!
//! A checksum is masked because the data may hold some of their own: rotated by 15 bits to the right, plus `0xa282ead8`.
//!
//! Source: "TFRecords format details" in TensorFlow's guide to TFRecord; `tensorboard/compat/tensorflow_stub/pywrap_tensorflow.py`.

/// The record of some data.
pub(super) fn record(data: &[u8]) -> Vec<u8> {
    let len = (data.len() as u64).to_le_bytes();
    [&len[..], &masked_crc(&len), data, &masked_crc(data)].concat()
}

/// The data of each record, up to the first that is damaged or not whole.
pub(super) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (data, rest) = first(bytes)?;
        bytes = rest;
        Some(data)
    })
}

/// The data of the first record, and what comes after it.
fn first(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<8>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    if *crc != masked_crc(len) {
        return None;
    }
    let (data, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    (*crc == masked_crc(data)).then_some((data, rest))
}

fn masked_crc(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back_up_to_the_first_that_is_damaged() {
        let [one, two, three] = [&b"one"[..], b"", b"three"].map(record);
        let whole = [one.clone(), two, three].concat();
        let read = |bytes: &[u8]| records(bytes).map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(read(&whole), [&b"one"[..], b"", b"three"]);
        for len in 0..whole.len() {
            assert_eq!(read(&whole[..len]), read(&whole)[..read(&whole[..len]).len()]);
            assert!(read(&whole[..len]).len() < 3, "cut to {len}");
        }
        for at in one.len()..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            assert!((1..3).contains(&read(&damaged).len()), "byte {at}");
        }
    }
}
