//! Predictions as an array of numpy.
//!
//! Source: NumPy enhancement proposal 1.

use std::io::{self, Write};

use super::answers::Answers;

/// The header is padded so that the numbers start at a multiple of this many bytes.
const ALIGN: usize = 64;
/// Magic text, version 1.0, and the header's len of two bytes.
const PRELUDE_BYTES: usize = 10;

/// Writes an f32 array of (samples, numbers of each).
pub(super) fn write(answers: &Answers<'_>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&header(answers.samples(), answers.width()))?;
    answers.rows().try_for_each(|row| row.iter().try_for_each(|number| out.write_all(&number.to_le_bytes())))
}

fn header(samples: usize, width: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({samples}, {width}), }}").into_bytes();
    let whole = (PRELUDE_BYTES + text.len() + 1).next_multiple_of(ALIGN);
    text.resize(whole - PRELUDE_BYTES - 1, b' ');
    text.push(b'\n');
    let len = u16::try_from(text.len()).expect("two numbers take less than 64 KiB");
    [b"\x93NUMPY\x01\x00", &len.to_le_bytes()[..], &text].concat()
}
