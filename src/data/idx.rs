//! The IDX format of MNIST: two zero bytes, an element type, the number of dimensions, the
//! dimensions (big-endian), and the elements.
//!
//! A source is a folder of such files with MNIST's names: `train-images-idx3-ubyte` and so on,
//! plain or `.gz`.
//!
//! Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits, "File
//! formats".

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, LoadedData};
use super::error::{DataError, Location};
use super::features::{Features, StoredFeatures};
use super::labels::{Classes, LabelReader, ReadLabels, TargetKind, check_counts};
use super::options::LoadOptions;
use super::stream::{Input, Stream};

/// Pixels are bytes, gathered as byte / 255.
const DIVISOR: f32 = 255.0;

/// The files of the training or the test part.
struct PartFiles {
    images: PathBuf,
    labels: Option<PathBuf>,
}

/// Reads the training part and the test part in parallel; either may be missing.
///
/// The labels of the test part are mapped to the classes of the training part.
pub(super) fn load(folder: &Path, options: &LoadOptions) -> Result<LoadedData, DataError> {
    let train = find_part(folder, "train", options.target)?;
    let test = find_part(folder, "t10k", options.target)?;
    if train.is_none() && test.is_none() {
        return Err(DataError::FolderEmpty { folder: folder.display().to_string() });
    }
    let (train, test) = rayon::join(|| read_part(train), || read_part(test));
    let (train, test) = (train?, test?);
    let train = train.map(|part| part.finish(options.target, options.classes.as_ref())).transpose()?;
    let classes = options.classes.as_ref().or(train.as_ref().and_then(Dataset::classes));
    let test = test.map(|part| part.finish(options.target, classes)).transpose()?;
    match (train, test) {
        (Some(train), test) => {
            same_features(folder, &train, test.as_ref()).map(|()| LoadedData { train, test })
        }
        (None, Some(test)) => Ok(LoadedData { train: test.select(&[]), test: Some(test) }),
        (None, None) => unreachable!("one of the parts was found"),
    }
}

fn same_features(folder: &Path, train: &Dataset, test: Option<&Dataset>) -> Result<(), DataError> {
    match test {
        Some(test) if test.features() != train.features() => Err(DataError::FeatureCount {
            file: format!("the t10k part of {}", folder.display()),
            found: test.features(),
            expected: train.features(),
        }),
        _ => Ok(()),
    }
}

/// Returns the files of a part, if it has any; a part may lack labels if they are not needed.
fn find_part(folder: &Path, part: &str, target: TargetKind) -> Result<Option<PartFiles>, DataError> {
    let images = find(folder, &format!("{part}-images"), "idx3-ubyte");
    let labels = find(folder, &format!("{part}-labels"), "idx1-ubyte");
    let pair = |present, absent| {
        let folder = folder.display().to_string();
        Err(DataError::FolderPair { folder, present, absent })
    };
    let images_name = format!("{part}-images-idx3-ubyte");
    let labels_name = format!("{part}-labels-idx1-ubyte");
    match (images, labels) {
        (None, None) => Ok(None),
        (None, Some(_)) => pair(labels_name, images_name),
        (Some(images), _) if target == TargetKind::None => Ok(Some(PartFiles { images, labels: None })),
        (Some(_), None) => pair(images_name, labels_name),
        (Some(images), labels) => Ok(Some(PartFiles { images, labels })),
    }
}

/// Finds a file by one of the usual names: with a hyphen or a dot before `idx`, plain or `.gz`, in
/// this order.
fn find(folder: &Path, stem: &str, kind: &str) -> Option<PathBuf> {
    ["-", "."]
        .iter()
        .flat_map(|joint| ["", ".gz"].map(|end| folder.join(format!("{stem}{joint}{kind}{end}"))))
        .find(|path| path.is_file())
}

/// The content of the files of a part.
struct ImagePart {
    files: PartFiles,
    images: Idx,
    labels: Option<Idx>,
}

fn read_part(files: Option<PartFiles>) -> Result<Option<ImagePart>, DataError> {
    let Some(files) = files else { return Ok(None) };
    let (images, labels) = rayon::join(
        || Idx::read(&files.images, 2..=4),
        || files.labels.as_ref().map(|labels| Idx::read(labels, 1..=1)).transpose(),
    );
    Ok(Some(ImagePart { images: images?, labels: labels?, files }))
}

impl ImagePart {
    fn finish(self, target: TargetKind, classes: Option<&Classes>) -> Result<Dataset, DataError> {
        let images_file = self.files.images.display().to_string();
        let shape = self.images.extents[1..].to_vec();
        let columns = shape.iter().product();
        let stored = StoredFeatures::U8 { values: self.images.bytes, zero: 0.0, divisor: DIVISOR };
        let features = Features { stored, columns, shape };
        let labels = match (&self.labels, &self.files.labels) {
            (Some(labels), Some(path)) => {
                let labels_file = path.display().to_string();
                check_counts(&images_file, features.rows(), &labels_file, labels.bytes.len())?;
                read_labels(&labels.bytes, LabelReader::new(&labels_file, target, classes))?
            }
            _ => LabelReader::none(),
        };
        Dataset::from_file(&images_file, features, labels)
    }
}

/// Reads the labels, which follow a header of eight bytes.
fn read_labels(labels: &[u8], mut reader: LabelReader<'_>) -> Result<ReadLabels, DataError> {
    reader.reserve(labels.len());
    for (&label, byte) in labels.iter().zip(8..) {
        reader.push_number(f64::from(label), || Location::Byte(byte))?;
    }
    reader.finish()
}

const UNSIGNED_BYTE: u8 = 0x08;

/// The content of an IDX file of bytes.
#[derive(Debug)]
pub(super) struct Idx {
    /// The lengths of the dimensions; the first is the number of samples.
    pub extents: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Idx {
    /// Reads a file whose number of dimensions is in `dimensions`.
    pub fn read(path: &Path, dimensions: RangeInclusive<u8>) -> Result<Idx, DataError> {
        let input = Input::of(path)?;
        let mut stream = Stream::open(&input)?;
        let mut magic = [0; 4];
        stream.read_header(&mut magic, 8)?;
        check_magic(&stream.file, magic, dimensions)?;
        let mut raw = vec![0; 4 * usize::from(magic[3])];
        let header_bytes = 4 + raw.len() as u64;
        stream.read_header(&mut raw, header_bytes)?;
        let extents: Vec<u64> = raw.chunks_exact(4).map(big_endian).collect();
        let product = extents.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        let bytes = stream.read_rest(product.unwrap_or(u64::MAX))?;
        if bytes.is_empty() {
            return Err(DataError::Empty { file: stream.file, expected: "sample of at least one byte" });
        }
        Ok(Idx { extents: extents.into_iter().map(|extent| extent as usize).collect(), bytes })
    }
}

fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn check_magic(file: &str, magic: [u8; 4], dimensions: RangeInclusive<u8>) -> Result<(), DataError> {
    let fault = |byte, part, found, expected| {
        Err(DataError::Header { file: file.to_string(), byte, part, found, expected })
    };
    if magic[..2] != [0, 0] {
        let found = format!("0x{:02x}{:02x}{:02x}{:02x}", magic[0], magic[1], magic[2], magic[3]);
        let expected = format!(
            "0x000008{:02x}, an IDX file of bytes; decompress it if it is compressed",
            dimensions.start()
        );
        return fault(0, "magic number", found, expected);
    }
    if magic[2] != UNSIGNED_BYTE {
        let found = format!("0x{:02x}", magic[2]);
        return fault(
            2,
            "element type",
            found,
            "0x08 (unsigned byte); convert the file, or save it as npy".to_string(),
        );
    }
    if !dimensions.contains(&magic[3]) {
        let range = match dimensions.start() == dimensions.end() {
            true => dimensions.start().to_string(),
            false => format!("{} to {}", dimensions.start(), dimensions.end()),
        };
        let expected = format!("{range}; the images and labels may be swapped");
        return fault(3, "number of dimensions", magic[3].to_string(), expected);
    }
    Ok(())
}
