//! The fingerprint of params.

use std::fmt::Write;

use sha2::{Digest, Sha256};

/// Computes SHA-256 over the little-endian f32 bytes of all tensors in their order, in lower-case hex.
///
/// For a perceptron that is layer by layer, weight before bias: the order in which the flat params lie. Two runs with
/// the same hash have the same params, bit for bit.
///
/// # Examples
///
/// The same in Python: `hashlib.sha256(b"".join(tensors[name].tobytes() for name in names)).hexdigest()`.
///
/// ```
/// use phalanx::checkpoint::params_sha256;
///
/// assert!(params_sha256(&[]).starts_with("e3b0c442"));
/// ```
pub fn params_sha256(params: &[f32]) -> String {
    let mut hash = Sha256::new();
    for group in params.chunks(1024) {
        let bytes: Vec<u8> = group.iter().flat_map(|param| param.to_le_bytes()).collect();
        hash.update(&bytes);
    }
    hex(hash)
}

/// The digest in lower-case hex.
pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes what is written to it");
        text
    })
}
