//! NumPy arrays in the npy format, versions 1 to 3: inputs of shape (samples, ...), labels of shape
//! (samples) or (samples, outputs).
//!
//! The header is a Python dictionary with the keys `descr`, `fortran_order` and `shape`.
//!
//! Source: NumPy enhancement proposal 1 and `numpy.lib.format`.

use super::dataset::Dataset;
use super::error::{DataError, Location};
use super::features::{Features, StoredFeatures};
use super::labels::{LabelReader, ReadLabels, TargetKind, Targets, check_counts};
use super::options::LoadOptions;
use super::stream::{Input, Stream};

/// The number of bytes that are converted at a time; a multiple of every element size.
const BLOCK_BYTES: usize = 1 << 16;
/// The maximum header length. A dictionary of three short entries takes 118 bytes; the limit only
/// protects against a malicious length.
const MAX_HEADER: u64 = 1 << 16;

/// Reads inputs and labels, or inputs only if there are no labels.
pub(super) fn load(
    inputs: &Input,
    labels: Option<&Input>,
    options: &LoadOptions,
) -> Result<Dataset, DataError> {
    let file = inputs.name();
    let features = Array::open(inputs)?.features()?;
    options.check_features(&file, features.columns)?;
    let labels = match (labels, options.target) {
        (_, TargetKind::None) | (None, TargetKind::Auto) => LabelReader::none(),
        (None, TargetKind::Classes) => return Err(DataError::NoLabels { file, expected: "classes" }),
        (None, TargetKind::Values) => return Err(DataError::NoLabels { file, expected: "values" }),
        (Some(labels), _) => {
            let array = Array::open(labels)?;
            check_counts(&file, features.rows(), &array.stream.file, array.layout.shape[0])?;
            array.targets(options)?
        }
    };
    Dataset::from_file(&file, features, labels)
}

/// An array whose header has been read, but not its elements.
struct Array<'a> {
    stream: Stream<'a>,
    layout: ArrayLayout,
}

impl<'a> Array<'a> {
    fn open(input: &'a Input) -> Result<Array<'a>, DataError> {
        let mut stream = Stream::open(input)?;
        let layout = ArrayLayout::read(&mut stream)?;
        Ok(Array { stream, layout })
    }

    fn features(mut self) -> Result<Features, DataError> {
        let stored = self.read_features()?;
        Ok(Features { stored, columns: self.layout.columns(), shape: self.shape() })
    }

    /// Returns the shape of one sample.
    fn shape(&self) -> Vec<usize> {
        match &self.layout.shape[1..] {
            [] => vec![1],
            extents => extents.to_vec(),
        }
    }

    fn targets(mut self, options: &LoadOptions) -> Result<ReadLabels, DataError> {
        let outputs = self.layout.columns();
        let is_auto = options.target == TargetKind::Auto && options.classes.is_none();
        // Rows of several floats are values, unless they are one-hot classes.
        let are_rows = is_auto && outputs != 1 && self.layout.element.is_float();
        if (options.target == TargetKind::Values && outputs != 1) || are_rows {
            let values = self.read_target_values()?;
            if are_rows && values.chunks_exact(outputs).all(is_one_hot) {
                return Err(DataError::OneHot { file: self.stream.file, outputs });
            }
            let targets = Targets::Values { values, outputs };
            return Ok(ReadLabels { targets, classes: None, remarks: Vec::new() });
        }
        if outputs != 1 {
            return Err(DataError::Header {
                file: self.stream.file,
                byte: 10,
                part: "shape of the labels",
                found: format!("{:?}", self.layout.shape),
                expected: "one class per sample, as in Y.argmax(axis=1) for one-hot rows; only --loss mse has rows of numbers"
                    .to_string(),
            });
        }
        let mut reader = LabelReader::new(&self.stream.file, options.target, options.classes.as_ref());
        reader.reserve(self.layout.len);
        self.read_scalars(|spot, scalar| match scalar {
            Scalar::Integer(number) => reader.push_integer(number, || spot.location()),
            Scalar::Float(number) => reader.push_number(number, || spot.location()),
        })?;
        reader.finish()
    }

    /// Reads all elements, of N bytes each, and passes them to `take` in blocks, each with the
    /// index of its first element in file order.
    fn read_blocks<const N: usize>(
        &mut self,
        mut take: impl FnMut(ElementPosition<'_>, &[[u8; N]]) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let Array { stream, layout } = self;
        let mut block = vec![0; BLOCK_BYTES];
        let promised = layout.start_byte + (layout.len * N) as u64;
        for file_at in (0..layout.len).step_by(BLOCK_BYTES / N) {
            let bytes = &mut block[..(layout.len - file_at).min(BLOCK_BYTES / N) * N];
            stream.read_header(bytes, promised)?;
            take(ElementPosition { file: &stream.file, layout, file_at }, bytes.as_chunks().0)?;
        }
        stream.expect_end(promised)
    }

    /// Reads all elements and stores each, converted, at its position in sample order. `convert`
    /// also returns whether the element is valid.
    fn read_values<const N: usize, U: Clone + Default>(
        &mut self,
        scalar: impl Fn([u8; N]) -> Scalar,
        convert: impl Fn([u8; N]) -> (U, bool),
    ) -> Result<Vec<U>, DataError> {
        let mut values = Vec::with_capacity(self.layout.len);
        if self.layout.is_fortran {
            values.resize(self.layout.len, U::default());
        }
        self.read_blocks(|start, block| {
            // No early exit at an invalid element, so that the compiler vectorizes the loop.
            let mut are_valid = true;
            let converted = block.iter().map(|bytes| {
                let (value, is_valid) = convert(*bytes);
                are_valid &= is_valid;
                value
            });
            if start.layout.is_fortran {
                (start.file_at..)
                    .zip(converted)
                    .for_each(|(at, value)| values[start.layout.position(at)] = value);
            } else {
                values.extend(converted);
            }
            if are_valid {
                return Ok(());
            }
            let invalid = block.iter().position(|bytes| !convert(*bytes).1).expect("one is invalid");
            Err(start.plus(invalid).fault(scalar(block[invalid])))
        })?;
        Ok(values)
    }
}

/// The supported element types, one per line: the name in NumPy, the type in Rust, the storage of
/// features, the conversion of a feature to that storage (with whether it is valid), and the kind
/// of label.
///
/// Features of one byte, `f4` and `f8` keep their type (`f8` is rounded to `f32` when gathered);
/// longer integers are converted to `f32`, which must be exact.
macro_rules! element_types {
    ($($element:ident $name:literal $type:ty: $stored:expr, $convert:expr, $scalar:ident;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum NpyElement {
            $($element),+
        }

        impl NpyElement {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$element),)+
                    _ => None,
                }
            }

            fn bytes(self) -> usize {
                match self {
                    $(Self::$element => size_of::<$type>()),+
                }
            }

            fn is_float(self) -> bool {
                match self {
                    $(Self::$element => matches!(Scalar::$scalar(Default::default()), Scalar::Float(_))),+
                }
            }
        }

        impl Array<'_> {
            /// Reads the elements as features.
            fn read_features(&mut self) -> Result<StoredFeatures, DataError> {
                let is_big_endian = self.layout.is_big_endian;
                Ok(match self.layout.element {
                    $(NpyElement::$element => {
                        let convert: fn($type) -> (_, bool) = $convert;
                        let decode = |bytes| decoded!($type, bytes, is_big_endian);
                        let scalar = |bytes| Scalar::$scalar(decode(bytes).into());
                        $stored(self.read_values(scalar, |bytes| convert(decode(bytes)))?)
                    })+
                })
            }

            /// Reads the elements as target values.
            fn read_target_values(&mut self) -> Result<Vec<f32>, DataError> {
                let is_big_endian = self.layout.is_big_endian;
                match self.layout.element {
                    $(NpyElement::$element => {
                        let scalar = |bytes| Scalar::$scalar(decoded!($type, bytes, is_big_endian).into());
                        self.read_values(scalar, |bytes| value(scalar(bytes)))
                    })+
                }
            }

            /// Passes each element and its position to `take`, in file order.
            fn read_scalars(
                &mut self,
                mut take: impl FnMut(ElementPosition<'_>, Scalar) -> Result<(), DataError>,
            ) -> Result<(), DataError> {
                let is_big_endian = self.layout.is_big_endian;
                match self.layout.element {
                    $(NpyElement::$element => self.read_blocks(|start, block| {
                        block.iter().enumerate().try_for_each(|(index, bytes)| {
                            let scalar = Scalar::$scalar(decoded!($type, *bytes, is_big_endian).into());
                            take(start.plus(index), scalar)
                        })
                    })),+
                }
            }
        }
    };
}

macro_rules! decoded {
    ($type:ty, $bytes:expr, $is_big_endian:expr) => {
        if $is_big_endian { <$type>::from_be_bytes($bytes) } else { <$type>::from_le_bytes($bytes) }
    };
}

element_types! {
    Bool "b1" u8: stored_bytes, unchanged, Integer;
    U8 "u1" u8: stored_bytes, unchanged, Integer;
    I8 "i1" i8: StoredFeatures::I8, unchanged, Integer;
    U16 "u2" u16: StoredFeatures::F32, widened, Integer;
    I16 "i2" i16: StoredFeatures::F32, widened, Integer;
    U32 "u4" u32: StoredFeatures::F32, exact, Integer;
    I32 "i4" i32: StoredFeatures::F32, exact, Integer;
    U64 "u8" u64: StoredFeatures::F32, exact, Integer;
    I64 "i8" i64: StoredFeatures::F32, exact, Integer;
    F32 "f4" f32: StoredFeatures::F32, finite, Float;
    F64 "f8" f64: StoredFeatures::F64, finite, Float;
}

/// An element of any type, without loss of precision.
enum Scalar {
    Integer(i128),
    Float(f64),
}

fn stored_bytes(values: Vec<u8>) -> StoredFeatures {
    StoredFeatures::U8 { values, zero: 0.0, divisor: 1.0 }
}

fn unchanged<T>(x: T) -> (T, bool) {
    (x, true)
}

fn widened(x: impl Into<f32>) -> (f32, bool) {
    (x.into(), true)
}

/// Returns the integer as `f32`; valid if the conversion is exact.
fn exact(x: impl Into<i128>) -> (f32, bool) {
    let x = x.into();
    (x as f32, (x as f32) as i128 == x)
}

/// NaN, infinities, and numbers that would be infinite as `f32` are invalid.
fn finite<T: Copy + Into<f64>>(x: T) -> (T, bool) {
    (x, (x.into() as f32).is_finite())
}

/// Returns a target value; an integer is valid if it is exact in `f64`.
fn value(scalar: Scalar) -> (f32, bool) {
    match scalar {
        Scalar::Integer(x) => (x as f64 as f32, (x as f64) as i128 == x),
        Scalar::Float(x) => (x as f32, finite(x).1),
    }
}

/// Returns whether a row contains a single 1 and otherwise zeros.
fn is_one_hot(row: &[f32]) -> bool {
    row.iter().all(|&x| x == 0.0 || x == 1.0) && row.iter().filter(|&&x| x == 1.0).count() == 1
}

/// The position of an element in a file, for messages.
#[derive(Clone, Copy)]
struct ElementPosition<'a> {
    file: &'a str,
    layout: &'a ArrayLayout,
    /// The index in file order.
    file_at: usize,
}

impl ElementPosition<'_> {
    fn plus(self, elements: usize) -> Self {
        Self { file_at: self.file_at + elements, ..self }
    }

    fn location(self) -> Location {
        let (at, columns) = (self.layout.position(self.file_at), self.layout.columns());
        let byte = self.layout.start_byte + (self.file_at * self.layout.element.bytes()) as u64;
        Location::Entry { row: (at / columns) as u64 + 1, column: (at % columns) as u64, byte }
    }

    /// Returns the error for an invalid element.
    fn fault(self, element: Scalar) -> DataError {
        let (file, place) = (self.file.to_string(), self.location());
        match element {
            Scalar::Integer(value) => DataError::NotExact { file, place, value },
            Scalar::Float(value) if value.is_finite() => {
                DataError::OutOfRange { file, place, text: format!("{value:?}") }
            }
            Scalar::Float(value) => DataError::NotFinite { file, place, value },
        }
    }
}

/// The layout of an array in a file.
#[derive(Debug, Clone)]
struct ArrayLayout {
    element: NpyElement,
    is_big_endian: bool,
    is_fortran: bool,
    /// The shape: at least one dimension, each of length at least 1.
    shape: Vec<usize>,
    /// The number of elements, the product of `shape`.
    len: usize,
    /// The byte where the elements start.
    start_byte: u64,
}

impl ArrayLayout {
    /// Reads a header, and checks that the file holds exactly the data that the header declares.
    fn read(stream: &mut Stream<'_>) -> Result<ArrayLayout, DataError> {
        let text = read_text(stream)?;
        let dictionary = Parser { text: &text, at: 0 }.dictionary();
        let start_byte = stream.read_bytes;
        let (descr, is_fortran, shape) = dictionary.map_err(|(at, expected)| DataError::Header {
            file: stream.file.clone(),
            byte: start_byte - text.len() as u64 + at as u64,
            part: "npy header",
            found: format!("{:?}", text[at..].chars().take(20).collect::<String>()),
            expected: expected.to_string(),
        })?;
        let (is_big_endian, element) = element_of(stream, &descr)?;
        let len = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        if shape.is_empty() || len == Some(0) {
            let expected = "sample; the array has no dimension, or one of length 0";
            return Err(DataError::Empty { file: stream.file.clone(), expected });
        }
        let bytes = len.and_then(|len| len.checked_mul(element.bytes() as u64));
        stream.check_promise(bytes.unwrap_or(u64::MAX))?;
        let len = len.expect("the file holds the declared elements") as usize;
        let shape = shape.into_iter().map(|extent| extent as usize).collect();
        Ok(ArrayLayout { element, is_big_endian, is_fortran, shape, len, start_byte })
    }

    /// Returns the number of features per sample: the product of all dimensions except the first.
    fn columns(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Returns the index in sample order of the element at index `at` in file order.
    fn position(&self, at: usize) -> usize {
        if !self.is_fortran {
            return at;
        }
        let (mut rest, mut position, mut stride) = (at, 0, self.len);
        for &extent in &self.shape {
            stride /= extent;
            position += rest % extent * stride;
            rest /= extent;
        }
        position
    }
}

fn read_text(stream: &mut Stream<'_>) -> Result<String, DataError> {
    let fault = |stream: &Stream<'_>, byte, part, found, expected: &str| DataError::Header {
        file: stream.file.clone(),
        byte,
        part,
        found,
        expected: expected.to_string(),
    };
    let mut magic = [0; 8];
    stream.read_header(&mut magic, 10)?;
    if magic[..6] != *b"\x93NUMPY" {
        let found = format!("{:?}", magic[..6].escape_ascii().to_string());
        return Err(fault(stream, 0, "magic text", found, "\"\\x93NUMPY\", an npy file"));
    }
    let mut length = [0; 4];
    let length_bytes = match magic[6] {
        1 => 2,
        2 | 3 => 4,
        other => return Err(fault(stream, 6, "npy version", other.to_string(), "1, 2 or 3; save it again")),
    };
    stream.read_header(&mut length[..length_bytes], 8 + length_bytes as u64)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > MAX_HEADER {
        return Err(fault(stream, 8, "header length", length.to_string(), "at most 65536"));
    }
    let promised = stream.read_bytes + length;
    let mut text = vec![0; length as usize];
    stream.read_header(&mut text, promised)?;
    let byte = promised - length;
    String::from_utf8(text)
        .map_err(|_| fault(stream, byte, "npy header", "invalid text".to_string(), "UTF-8"))
}

/// Returns the byte order and the element type of a `descr` such as `<f8`.
fn element_of(stream: &Stream<'_>, descr: &str) -> Result<(bool, NpyElement), DataError> {
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    let is_big_endian = match order {
        "<" | "|" => Some(false),
        ">" => Some(true),
        "=" => Some(cfg!(target_endian = "big")),
        _ => None,
    };
    is_big_endian.zip(NpyElement::named(kind)).ok_or_else(|| DataError::Header {
        file: stream.file.clone(),
        byte: 10,
        part: "element type",
        found: format!("{descr:?}"),
        expected: "f4, f8, b1, or an integer type; convert numbers with .astype('f4'), and class names with np.unique(y, return_inverse=True)[1]".to_string(),
    })
}

type Dictionary = (String, bool, Vec<u64>);

/// A position in the text, and what was expected there.
type ParseFault = (usize, &'static str);

/// A parser for the subset of Python that `numpy.save` writes.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn dictionary(&mut self) -> Result<Dictionary, ParseFault> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect("{", "a dictionary, \"{...}\"")?;
        while !self.take("}") {
            let start = self.at;
            let key = self.string()?;
            self.expect(":", "\":\"")?;
            match key.as_str() {
                "descr" => descr = Some(self.string()?),
                "fortran_order" => fortran = Some(self.boolean()?),
                "shape" => shape = Some(self.tuple()?),
                _ => return Err((start, "the keys descr, fortran_order and shape")),
            }
            if !self.take(",") {
                self.expect("}", "\",\" or \"}\"")?;
                break;
            }
        }
        let missing = (0, "the keys descr, fortran_order and shape");
        self.skip_space();
        if self.at != self.text.len() {
            return Err((self.at, "nothing after \"}\""));
        }
        Ok((descr.ok_or(missing)?, fortran.ok_or(missing)?, shape.ok_or(missing)?))
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), ParseFault> {
        if self.take(token) { Ok(()) } else { Err((self.at, expected)) }
    }

    fn string(&mut self) -> Result<String, ParseFault> {
        const EXPECTED: &str = "a quoted string (an array of one plain element type)";
        self.skip_space();
        let rest = &self.text[self.at..];
        let quote =
            rest.chars().next().filter(|quote| matches!(quote, '\'' | '"')).ok_or((self.at, EXPECTED))?;
        let end = rest[1..].find(quote).ok_or((self.at, EXPECTED))?;
        self.at += end + 2;
        Ok(rest[1..=end].to_string())
    }

    fn boolean(&mut self) -> Result<bool, ParseFault> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False", "True or False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Vec<u64>, ParseFault> {
        let mut numbers = Vec::new();
        self.expect("(", "a tuple, \"(...)\"")?;
        while !self.take(")") {
            self.skip_space();
            let rest = &self.text[self.at..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            numbers.push(rest[..digits].parse().map_err(|_| (self.at, "a dimension"))?);
            self.at += digits;
            if !self.take(",") {
                self.expect(")", "\",\" or \")\"")?;
                break;
            }
        }
        Ok(numbers)
    }
}
