//! What somebody may have meant who wrote a name that there is not.

/// The known name that is most like this one, if any is like it.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |known: &'a str| (strsim::jaro_winkler(name, known), known);
    let most = known.into_iter().map(likeness).max_by(|(one, _), (other, _)| one.total_cmp(other));
    most.filter(|(likeness, _)| *likeness > ALIKE).map(|(_, known)| known)
}

/// Lets pass a letter missing, doubled or exchanged, and not a name that merely shares some letters.
const ALIKE: f64 = 0.85;

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_told_from_another_name() {
        let known = ["batch-size", "base-batch-size", "lr", "epochs", "test", "test-split"];
        for (slip, meant) in [("batchsize", "batch-size"), ("epoch", "epochs"), ("tset-split", "test-split")]
        {
            assert_eq!(nearest(slip, known), Some(meant));
        }
        for other in ["learning-rate", "train", "x", ""] {
            assert_eq!(nearest(other, known), None, "{other}");
        }
    }
}
