//! The header of numpy's npy format, versions 1 to 3: a Python dictionary with the keys `descr`, `fortran_order` and `shape`.
//!
//! Source: NumPy enhancement proposal 1 and `numpy.lib.format`.

use super::DataError;
use super::stream::Stream;

/// A dictionary of three short entries takes 118 bytes; the limit only keeps a hostile length from being read.
const MAX_HEADER: u64 = 1 << 16;

/// The element types that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F32,
    F64,
}

impl Element {
    const ALL: [(&'static str, Element); 11] = [
        ("b1", Element::Bool),
        ("u1", Element::U8),
        ("i1", Element::I8),
        ("u2", Element::U16),
        ("i2", Element::I16),
        ("u4", Element::U32),
        ("i4", Element::I32),
        ("u8", Element::U64),
        ("i8", Element::I64),
        ("f4", Element::F32),
        ("f8", Element::F64),
    ];

    pub fn bytes(self) -> usize {
        match self {
            Element::Bool | Element::U8 | Element::I8 => 1,
            Element::U16 | Element::I16 => 2,
            Element::U32 | Element::I32 | Element::F32 => 4,
            Element::U64 | Element::I64 | Element::F64 => 8,
        }
    }

    pub fn is_float(self) -> bool {
        matches!(self, Element::F32 | Element::F64)
    }
}

/// How the elements of an array lie in the file.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub element: Element,
    pub is_big_endian: bool,
    pub is_fortran: bool,
    /// At least one extent, all above 0.
    pub shape: Vec<usize>,
    /// The product of `shape`.
    pub len: usize,
    /// Where the elements start.
    pub start_byte: u64,
}

impl Layout {
    /// Reads a header, and checks that the file holds exactly what it promises.
    pub fn read(stream: &mut Stream<'_>) -> Result<Layout, DataError> {
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
        let (is_big_endian, element) = element(stream, &descr)?;
        let len = shape.iter().try_fold(1u64, |product, &extent| product.checked_mul(extent));
        if shape.is_empty() || len == Some(0) {
            let expected = "sample; the array has no dimension, or one of extent 0";
            return Err(DataError::Empty { file: stream.file.clone(), expected });
        }
        let bytes = len.and_then(|len| len.checked_mul(element.bytes() as u64));
        stream.check_promise(bytes.unwrap_or(u64::MAX))?;
        let len = len.expect("the file holds that many elements") as usize;
        let shape = shape.into_iter().map(|extent| extent as usize).collect();
        Ok(Layout { element, is_big_endian, is_fortran, shape, len, start_byte })
    }

    /// Features per sample: the product of all extents but the first.
    pub fn columns(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Where the element that is `at`-th in the file belongs, samples first.
    pub fn position(&self, at: usize) -> usize {
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
    String::from_utf8(text).map_err(|_| fault(stream, byte, "npy header", "no text".to_string(), "UTF-8"))
}

/// Byte order and type of a `descr` such as `<f8`.
fn element(stream: &Stream<'_>, descr: &str) -> Result<(bool, Element), DataError> {
    let (order, kind) = descr.split_at_checked(1).unwrap_or_default();
    let is_big_endian = match order {
        "<" | "|" => Some(false),
        ">" => Some(true),
        "=" => Some(cfg!(target_endian = "big")),
        _ => None,
    };
    let element = Element::ALL.iter().find(|(name, _)| *name == kind);
    match (is_big_endian, element) {
        (Some(is_big_endian), Some(&(_, element))) => Ok((is_big_endian, element)),
        _ => Err(DataError::Header {
            file: stream.file.clone(),
            byte: 10,
            part: "element type",
            found: format!("{descr:?}"),
            expected: "f4, f8, b1, or an integer type; convert numbers with .astype('f4'), and class names with np.unique(y, return_inverse=True)[1]".to_string(),
        }),
    }
}

type Dictionary = (String, bool, Vec<u64>);
/// Where in the text, and what was expected there.
type Fault = (usize, &'static str);

/// Reads the subset of Python that `numpy.save` writes.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn dictionary(&mut self) -> Result<Dictionary, Fault> {
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

    fn expect(&mut self, token: &str, expected: &'static str) -> Result<(), Fault> {
        if self.take(token) { Ok(()) } else { Err((self.at, expected)) }
    }

    fn string(&mut self) -> Result<String, Fault> {
        const EXPECTED: &str = "a quoted text (an array of one plain element type)";
        self.skip_space();
        let rest = &self.text[self.at..];
        let quote =
            rest.chars().next().filter(|quote| matches!(quote, '\'' | '"')).ok_or((self.at, EXPECTED))?;
        let end = rest[1..].find(quote).ok_or((self.at, EXPECTED))?;
        self.at += end + 2;
        Ok(rest[1..=end].to_string())
    }

    fn boolean(&mut self) -> Result<bool, Fault> {
        if self.take("True") {
            return Ok(true);
        }
        self.expect("False", "True or False").map(|()| false)
    }

    fn tuple(&mut self) -> Result<Vec<u64>, Fault> {
        let mut numbers = Vec::new();
        self.expect("(", "a tuple, \"(...)\"")?;
        while !self.take(")") {
            self.skip_space();
            let rest = &self.text[self.at..];
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            numbers.push(rest[..digits].parse().map_err(|_| (self.at, "an extent"))?);
            self.at += digits;
            if !self.take(",") {
                self.expect(")", "\",\" or \")\"")?;
                break;
            }
        }
        Ok(numbers)
    }
}
