//! Arrays of numpy: inputs of (samples, ...), labels of (samples) or (samples, outputs).

use super::error::Place;
use super::features::{Features, Stored};
use super::input::Input;
use super::labels::{LabelReader, ReadLabels};
use super::npy_header::{Element, Layout};
use super::stream::Stream;
use super::{DataError, Dataset, LoadOptions, TargetKind, Targets};

/// Elements converted at once; a multiple of every element size.
const BLOCK_BYTES: usize = 1 << 16;

/// Reads inputs and labels; without labels, inputs alone.
pub(super) fn load(
    inputs: &Input,
    labels: Option<&Input>,
    options: &LoadOptions,
) -> Result<Dataset, DataError> {
    let file = inputs.name();
    let features = Array::open(inputs)?.features()?;
    let labels = match (labels, options.target) {
        (_, TargetKind::None) | (None, TargetKind::Auto) => {
            LabelReader::new(TargetKind::None, None).finish(&file)?
        }
        (None, TargetKind::Classes) => return Err(DataError::NoLabels { file, expected: "classes" }),
        (None, TargetKind::Values) => return Err(DataError::NoLabels { file, expected: "values" }),
        (Some(labels), _) => {
            let array = Array::open(labels)?;
            if array.layout.shape[0] != features.rows() {
                return Err(DataError::Counts {
                    samples_file: file,
                    samples: features.rows(),
                    labels_file: array.stream.file,
                    labels: array.layout.shape[0],
                });
            }
            array.targets(options)?
        }
    };
    Dataset::of_file(&file, features, labels)
}

/// An array whose header is read and whose elements are not.
struct Array<'a> {
    stream: Stream<'a>,
    layout: Layout,
}

impl<'a> Array<'a> {
    fn open(input: &'a Input) -> Result<Array<'a>, DataError> {
        let mut stream = Stream::open(input)?;
        let layout = Layout::read(&mut stream)?;
        Ok(Array { stream, layout })
    }

    /// The elements in the type they have, where `f32` can take its values as they are; else as `f32` if that is exact.
    fn features(mut self) -> Result<Features, DataError> {
        let stored = match self.layout.element {
            Element::Bool | Element::U8 => {
                Stored::U8 { values: self.read(|_, x: u8| Ok(x))?, zero: 0.0, divisor: 1.0 }
            }
            Element::I8 => Stored::I8(self.read(|_, x: i8| Ok(x))?),
            Element::U16 => Stored::F32(self.read(|_, x: u16| Ok(f32::from(x)))?),
            Element::I16 => Stored::F32(self.read(|_, x: i16| Ok(f32::from(x)))?),
            Element::U32 => Stored::F32(self.read(|place, x: u32| exact(i128::from(x), place))?),
            Element::I32 => Stored::F32(self.read(|place, x: i32| exact(i128::from(x), place))?),
            Element::U64 => Stored::F32(self.read(|place, x: u64| exact(i128::from(x), place))?),
            Element::I64 => Stored::F32(self.read(|place, x: i64| exact(i128::from(x), place))?),
            Element::F32 => Stored::F32(self.read(|place, x: f32| finite(f64::from(x), place).map(|()| x))?),
            Element::F64 => Stored::F64(self.read(|place, x: f64| finite(x, place).map(|()| x))?),
        };
        Ok(Features { stored, columns: self.layout.columns(), shape: self.shape() })
    }

    /// The extents of one sample.
    fn shape(&self) -> Vec<usize> {
        match &self.layout.shape[1..] {
            [] => vec![1],
            extents => extents.to_vec(),
        }
    }

    fn targets(mut self, options: &LoadOptions) -> Result<ReadLabels, DataError> {
        let outputs = self.layout.columns();
        let is_auto = options.target == TargetKind::Auto && options.classes.is_none();
        // Rows of several floats can only be values, unless they are classes in another form.
        let are_rows = is_auto && outputs != 1 && self.layout.element.is_float();
        if (options.target == TargetKind::Values && outputs != 1) || are_rows {
            let values = self.read_numbers(|place, number| value(number, place))?;
            if are_rows && values.chunks_exact(outputs).all(is_one_hot) {
                return Err(DataError::OneHot { file: self.stream.file, outputs });
            }
            return Ok(ReadLabels {
                targets: Targets::Values { values, outputs },
                classes: None,
                remarks: Vec::new(),
            });
        }
        if outputs != 1 {
            return Err(DataError::Header {
                file: self.stream.file,
                byte: 10,
                part: "shape of the labels",
                found: format!("{:?}", self.layout.shape),
                expected: "one class per sample; for one-hot rows save Y.argmax(axis=1), for numbers to predict pass --loss mse"
                    .to_string(),
            });
        }
        let mut reader = LabelReader::new(options.target, options.classes.as_ref());
        reader.reserve(self.layout.len);
        let fault = |place: &Spot, fault| {
            let row = place.at + 1;
            DataError::Label { file: place.file.to_string(), row, place: place.place(), fault }
        };
        let mut push = |place: &Spot, number: i128| reader.push_integer(number).map_err(|f| fault(place, f));
        match self.layout.element {
            Element::U64 => drop(self.read(|place, x: u64| push(place, x.into()))?),
            Element::I64 => drop(self.read(|place, x: i64| push(place, x.into()))?),
            _ => drop(
                self.read_numbers(|place, number| reader.push_number(number).map_err(|f| fault(place, f)))?,
            ),
        }
        reader.finish(&self.stream.file)
    }

    /// Reads elements of any type by way of `f64`.
    fn read_numbers<U: Clone + Default>(
        &mut self,
        mut convert: impl FnMut(&Spot, f64) -> Result<U, DataError>,
    ) -> Result<Vec<U>, DataError> {
        match self.layout.element {
            Element::Bool | Element::U8 => self.read(|place, x: u8| convert(place, x.into())),
            Element::I8 => self.read(|place, x: i8| convert(place, x.into())),
            Element::U16 => self.read(|place, x: u16| convert(place, x.into())),
            Element::I16 => self.read(|place, x: i16| convert(place, x.into())),
            Element::U32 => self.read(|place, x: u32| convert(place, x.into())),
            Element::I32 => self.read(|place, x: i32| convert(place, x.into())),
            Element::U64 => self.read(|place, x: u64| convert(place, exact64(x.into(), place)?)),
            Element::I64 => self.read(|place, x: i64| convert(place, exact64(x.into(), place)?)),
            Element::F32 => self.read(|place, x: f32| convert(place, x.into())),
            Element::F64 => self.read(|place, x: f64| convert(place, x)),
        }
    }

    /// Reads all elements as `T`, and puts what `convert` makes of each where it belongs, samples first.
    fn read<T: Number, U: Clone + Default>(
        &mut self,
        mut convert: impl FnMut(&Spot, T) -> Result<U, DataError>,
    ) -> Result<Vec<U>, DataError> {
        let Array { stream, layout } = self;
        let mut values = vec![U::default(); layout.len];
        let mut block = vec![0; BLOCK_BYTES];
        let promised = layout.start_byte + (layout.len * size_of::<T>()) as u64;
        let mut at = 0;
        while at < layout.len {
            let count = (layout.len - at).min(BLOCK_BYTES / size_of::<T>());
            let bytes = &mut block[..count * size_of::<T>()];
            stream.read_header(bytes, promised)?;
            for element in bytes.chunks_exact(size_of::<T>()) {
                let spot = Spot { file: &stream.file, layout, at: layout.position(at), file_at: at };
                values[spot.at] = convert(&spot, T::decode(element, layout.is_big_endian))?;
                at += 1;
            }
        }
        stream.expect_end(promised)?;
        Ok(values)
    }
}

/// Which element of which file, for messages.
struct Spot<'a> {
    file: &'a str,
    layout: &'a Layout,
    /// Samples first.
    at: usize,
    /// In the order of the file.
    file_at: usize,
}

impl Spot<'_> {
    fn place(&self) -> Place {
        let columns = self.layout.columns();
        let byte = self.layout.start_byte + (self.file_at * self.layout.element.bytes()) as u64;
        Place::Entry { row: (self.at / columns) as u64 + 1, column: (self.at % columns) as u64, byte }
    }
}

/// Refuses NaN, infinities, and what would be infinite as `f32`.
fn finite(x: f64, spot: &Spot) -> Result<(), DataError> {
    let file = || spot.file.to_string();
    if !x.is_finite() {
        return Err(DataError::NotFinite { file: file(), place: spot.place(), value: x });
    }
    if !(x as f32).is_finite() {
        return Err(DataError::OutOfRange { file: file(), place: spot.place(), text: format!("{x:?}") });
    }
    Ok(())
}

fn value(x: f64, spot: &Spot) -> Result<f32, DataError> {
    finite(x, spot).map(|()| x as f32)
}

/// Whether a row has one 1, and zeros otherwise.
fn is_one_hot(row: &[f32]) -> bool {
    row.iter().all(|&x| x == 0.0 || x == 1.0) && row.iter().filter(|&&x| x == 1.0).count() == 1
}

/// The integer as `f32`, if that changes nothing.
fn exact(x: i128, spot: &Spot) -> Result<f32, DataError> {
    if (x as f32) as i128 == x {
        return Ok(x as f32);
    }
    Err(DataError::NotExact { file: spot.file.to_string(), place: spot.place(), value: x })
}

/// The integer as `f64`, if that changes nothing.
fn exact64(x: i128, spot: &Spot) -> Result<f64, DataError> {
    if (x as f64) as i128 == x {
        return Ok(x as f64);
    }
    Err(DataError::NotExact { file: spot.file.to_string(), place: spot.place(), value: x })
}

/// A number as bytes in either order.
trait Number: Copy {
    fn decode(bytes: &[u8], is_big_endian: bool) -> Self;
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Number for $type {
            fn decode(bytes: &[u8], is_big_endian: bool) -> Self {
                let bytes = bytes.try_into().expect("a chunk has the size of its element");
                if is_big_endian { <$type>::from_be_bytes(bytes) } else { <$type>::from_le_bytes(bytes) }
            }
        }
    )*};
}

number!(u8 i8 u16 i16 u32 i32 u64 i64 f32 f64);
