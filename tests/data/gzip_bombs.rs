//! A compressed file that decompresses to an implausible multiple of its size is rejected, however
//! it was created.

use crate::bad_bytes::{compressed_images, idx};
use crate::bad_source::{Rejections, case, gz};

/// More bytes than are decompressed from a small file.
const BOMB_BYTES: usize = 80 << 20;

/// Returns concatenated gzip members of 1 MiB each, which form a valid gzip file.
fn in_members(unit: &[u8]) -> Vec<u8> {
    gz(&unit.repeat((1 << 20) / unit.len())).repeat(BOMB_BYTES >> 20)
}

#[test]
fn a_gzip_bomb_ends_with_an_error() {
    const TOO_LARGE: &[&str] = &["to more than 67", "at most 256 times its size"];
    const ONE_ROW: &[&str] = &["line 1 of a.csv.gz has more than 4194304 bytes"];
    let table = gz(&b"0,0,0,0,0,0,0,0\n".repeat(BOMB_BYTES / 16));
    let images = |len: u32| idx(8, &[len, 28, 28], &[]);
    let honest = gz(&[images(100_000), vec![0; 100_000 * 28 * 28]].concat());
    let zeros = in_members(&[0]);
    let endless = [gz(b"1,\""), in_members(b"x")].concat();
    let one_byte_each = gz(b"0").repeat(1 << 18);
    // Only the first layer is decompressed: its content is neither a table nor images.
    let (nested_table, nested_images) = (gz(&table), gz(&honest));
    Rejections("E4", "gzip bombs that end with an error").check(vec![
        case("a.csv.gz", table, TOO_LARGE),
        case("a.csv.gz", zeros.clone(), ONE_ROW),
        case("a.csv.gz", in_members(b"\n"), TOO_LARGE),
        case("a.csv.gz", in_members(b"0,0,0,0,0,0,0,0\n"), TOO_LARGE),
        case("a.csv.gz", endless, ONE_ROW),
        case("a.csv.gz", one_byte_each, &["1 column in line 1 of a.csv.gz"]),
        case("a.csv.gz", nested_table, &["line 1 of a.csv.gz is not UTF-8"]),
        compressed_images(honest, TOO_LARGE),
        compressed_images([gz(&images(100_000)), zeros.clone()].concat(), TOO_LARGE),
        compressed_images([gz(&images(1)), zeros.clone()].concat(), &["holds at least 801 bytes", "800"]),
        compressed_images(
            [gz(&idx(8, &[u32::MAX; 3], &[])), zeros].concat(),
            &["compressed bytes hold at most"],
        ),
        compressed_images(nested_images, &["magic number 0x1f8b0800 at byte 0", "decompress it"]),
    ]);
}
