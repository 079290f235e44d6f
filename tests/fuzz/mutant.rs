//! Mutations of valid files that take the structure of files into account: numbers in text and in
//! binary are replaced by those at the limits of types, and pieces are removed, duplicated, moved,
//! and inserted from other files.

/// Numbers that often cause errors in parsers.
const WORDS: [&str; 24] = [
    "0",
    "-0",
    "1",
    "-1",
    "7",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "16777216",
    "16777217",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e39",
    "1e-46",
    "0.1",
    "nan",
    "inf",
];
const EDGES: [u64; 14] = [
    0,
    1,
    2,
    127,
    255,
    256,
    1032,
    65_535,
    65_536,
    1 << 24,
    u32::MAX as u64,
    1 << 32,
    i64::MAX as u64,
    u64::MAX,
];

/// SplitMix64: the same bytes from the same seed on every machine.
///
/// Source: G. Steele, D. Lea, C. Flood, Fast splittable pseudorandom number generators, 2014.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `end`, or 0 if `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Returns a range of up to `most` bytes in a file of `len` bytes.
fn piece(chance: &mut Chance, len: usize, most: usize) -> std::ops::Range<usize> {
    let start = chance.below(len + 1);
    start..(start + chance.below(most + 1)).min(len)
}

/// Applies one to six changes; `others` are files from which pieces are inserted, `words` are
/// elements of the format.
pub fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
    for _ in 0..=chance.below(6) {
        change(chance, bytes, others, words);
    }
}

fn change(chance: &mut Chance, bytes: &mut Vec<u8>, others: &[Vec<u8>], words: &[&str]) {
    let len = bytes.len();
    let at = chance.below(len);
    match chance.below(11) {
        0 if len > 0 => bytes[at] ^= 1 << chance.below(8),
        1 if len > 0 => bytes[at] = chance.next() as u8,
        2 => bytes.truncate(chance.below(len + 1)),
        3 => _ = bytes.drain(piece(chance, len, 16)),
        4 => {
            let doubled = bytes[piece(chance, len, 32)].to_vec();
            let times = *chance.one(&[1, 1, 2, 3, 8, 40]);
            bytes.splice(at..at, doubled.repeat(times));
        }
        5 => {
            let other = chance.one(others);
            let taken = &other[piece(chance, other.len(), 64)];
            let replaced = piece(chance, len, 64);
            bytes.splice(replaced, taken.iter().copied());
        }
        6 | 7 => replace_number(chance, bytes, at),
        8 => {
            let word = chance.one(words).as_bytes();
            bytes.splice(at..at, word.iter().copied());
        }
        9 => overwrite_number(chance, bytes, at),
        _ => {
            let moved: Vec<u8> = bytes.drain(piece(chance, len, 24)).collect();
            let to = chance.below(bytes.len() + 1);
            bytes.splice(to..to, moved);
        }
    }
}

/// Replaces the number in text at or after a position by another.
fn replace_number(chance: &mut Chance, bytes: &mut Vec<u8>, at: usize) {
    let is_digit = |byte: &u8| byte.is_ascii_digit();
    let Some(start) = bytes[at..].iter().position(is_digit).map(|skipped| at + skipped) else { return };
    let end = bytes[start..].iter().position(|byte| !is_digit(byte)).map_or(bytes.len(), |len| start + len);
    bytes.splice(start..end, chance.one(&WORDS).bytes());
}

/// Replaces a binary number of one to eight bytes, in either byte order, by another.
fn overwrite_number(chance: &mut Chance, bytes: &mut [u8], at: usize) {
    let width = *chance.one(&[1, 2, 4, 8]);
    let edge = *chance.one(&EDGES);
    let (small, big) = (edge.to_le_bytes(), edge.to_be_bytes());
    let number = if chance.below(2) == 0 { &small[..width] } else { &big[8 - width..] };
    bytes.iter_mut().skip(at).zip(number).for_each(|(byte, &new)| *byte = new);
}
