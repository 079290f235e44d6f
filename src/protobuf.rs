//! The subset of Protocol Buffers that ONNX and TensorBoard files need: messages are written and
//! read field by field, by field number.
//!
//! A field is a key followed by a value. The key is a varint: the field number times 8, plus the
//! wire type. The wire type determines the encoding of the value:
//!
//! | | encoding |
//! |---|---|
//! | 0 | a varint: 7 bits per byte, lowest bits first, with the top bit set in every byte except the last |
//! | 1 | 8 bytes, little-endian |
//! | 2 | a length in bytes as a varint, then that number of bytes: a string, a message or a packed list of numbers |
//! | 5 | 4 bytes, little-endian |
//!
//! Source: "Encoding" at <https://protobuf.dev/programming-guides/encoding/>.

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const BYTES: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// A message under construction. As in proto3, zeros, empty strings and empty lists are omitted,
/// since these are the default values of missing fields.
#[derive(Default)]
pub(crate) struct MessageBuffer(Vec<u8>);

impl MessageBuffer {
    /// Adds an integer.
    pub(crate) fn int(mut self, field: u64, value: i64) -> Self {
        if value != 0 {
            self.key(field, VARINT);
            push_varint(&mut self.0, value as u64);
        }
        self
    }

    /// Adds an f64.
    pub(crate) fn double(mut self, field: u64, value: f64) -> Self {
        if value != 0.0 {
            self.key(field, EIGHT_BYTES);
            self.0.extend(value.to_le_bytes());
        }
        self
    }

    /// Adds an f32 even if it is 0: for a field of a `oneof`, whose presence carries information.
    pub(crate) fn present_float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    /// Adds bytes or a string.
    pub(crate) fn bytes(self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        match bytes.as_ref() {
            [] => self,
            bytes => self.with_len(field, bytes),
        }
    }

    /// Adds a packed list of integers.
    pub(crate) fn ints(self, field: u64, values: impl IntoIterator<Item = i64>) -> Self {
        let mut packed = Vec::new();
        values.into_iter().for_each(|value| push_varint(&mut packed, value as u64));
        self.bytes(field, packed)
    }

    /// Adds a packed list of f64.
    pub(crate) fn doubles(self, field: u64, values: &[f64]) -> Self {
        self.bytes(field, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Adds a message, even if it is empty.
    pub(crate) fn message(self, field: u64, message: Self) -> Self {
        self.with_len(field, &message.0)
    }

    /// Adds a repeated field: one entry for each message.
    pub(crate) fn messages(self, field: u64, messages: impl IntoIterator<Item = Self>) -> Self {
        messages.into_iter().fold(self, |whole, message| whole.message(field, message))
    }

    /// Returns the encoded message.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn with_len(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, BYTES);
        push_varint(&mut self.0, bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn key(&mut self, field: u64, wire_type: u64) {
        push_varint(&mut self.0, field << 3 | wire_type);
    }
}

fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// The fields of a decoded message, in file order.
pub(crate) struct Fields<'a>(Vec<(u64, FieldValue<'a>)>);

enum FieldValue<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// A number of 4 or 8 bytes; no reader needs its value.
    Fixed,
}

impl<'a> Fields<'a> {
    /// Reads a message; returns `None` if it is malformed.
    pub(crate) fn read(mut message: &'a [u8]) -> Option<Self> {
        let mut fields = Vec::new();
        while !message.is_empty() {
            let key = read_varint(&mut message)?;
            let value = match key & 7 {
                VARINT => FieldValue::Varint(read_varint(&mut message)?),
                EIGHT_BYTES => read_bytes(&mut message, 8).map(|_| FieldValue::Fixed)?,
                BYTES => {
                    let len_bytes = read_varint(&mut message)?;
                    FieldValue::Bytes(read_bytes(&mut message, len_bytes)?)
                }
                FOUR_BYTES => read_bytes(&mut message, 4).map(|_| FieldValue::Fixed)?,
                _ => return None,
            };
            fields.push((key >> 3, value));
        }
        Some(Self(fields))
    }

    /// Returns an integer: the last occurrence of the field, or 0 if it is missing.
    pub(crate) fn int(&self, field: u64) -> i64 {
        let found = self.0.iter().rev().find_map(|(number, value)| match value {
            FieldValue::Varint(value) if *number == field => Some(*value as i64),
            _ => None,
        });
        found.unwrap_or(0)
    }

    /// Returns all values of a field of bytes, strings or messages.
    pub(crate) fn bytes(&self, field: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter_map(move |(number, value)| match value {
            FieldValue::Bytes(bytes) if *number == field => Some(*bytes),
            _ => None,
        })
    }
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn read_bytes<'a>(bytes: &mut &'a [u8], len_bytes: u64) -> Option<&'a [u8]> {
    let (read, rest) = bytes.split_at_checked(usize::try_from(len_bytes).ok()?)?;
    *bytes = rest;
    Some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(message: MessageBuffer) -> Vec<u8> {
        message.into_bytes()
    }

    #[test]
    fn fields_have_the_bytes_of_the_encoding_guide() {
        let number = || MessageBuffer::default().int(1, 150);
        assert_eq!(encoded(number()), b"\x08\x96\x01");
        assert_eq!(encoded(MessageBuffer::default().bytes(2, "testing")), b"\x12\x07testing");
        assert_eq!(encoded(MessageBuffer::default().message(3, number())), b"\x1a\x03\x08\x96\x01");
        assert_eq!(
            encoded(MessageBuffer::default().ints(6, [3, 270, 86942])),
            b"\x32\x06\x03\x8e\x02\x9e\xa7\x05"
        );
        assert_eq!(
            encoded(MessageBuffer::default().int(1, -2)),
            b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"
        );
        assert_eq!(encoded(MessageBuffer::default().int(16, 127)), b"\x80\x01\x7f");
        assert_eq!(encoded(MessageBuffer::default().double(1, 1.5)), b"\x09\0\0\0\0\0\0\xf8\x3f");
        assert_eq!(encoded(MessageBuffer::default().doubles(1, &[1.5])), b"\x0a\x08\0\0\0\0\0\0\xf8\x3f");
        assert_eq!(encoded(MessageBuffer::default().present_float(1, 1.5)), b"\x0d\0\0\xc0\x3f");
    }

    #[test]
    fn default_values_are_omitted_except_where_presence_matters() {
        let empty =
            MessageBuffer::default().int(1, 0).double(2, 0.0).bytes(3, "").ints(4, []).doubles(5, &[]);
        assert_eq!(encoded(empty), b"");
        assert_eq!(encoded(MessageBuffer::default().message(1, MessageBuffer::default())), b"\x0a\0");
        assert_eq!(encoded(MessageBuffer::default().present_float(1, 0.0)), b"\x0d\0\0\0\0");
    }

    #[test]
    fn fields_are_read_back_and_a_truncated_message_yields_fewer() {
        let inner = MessageBuffer::default().int(1, 7);
        let message = MessageBuffer::default().double(1, 2.5).int(2, -9).present_float(3, 0.5);
        let bytes = message.messages(5, [inner, MessageBuffer::default()]).bytes(2048, "text").into_bytes();
        let fields = Fields::read(&bytes).unwrap();
        assert_eq!((fields.int(2), fields.int(4)), (-9, 0));
        assert_eq!(fields.bytes(5).collect::<Vec<_>>(), [&b"\x08\x07"[..], b""]);
        assert_eq!(fields.bytes(2048).collect::<Vec<_>>(), [b"text"]);
        for len in 0..bytes.len() {
            let read = Fields::read(&bytes[..len]).map_or(0, |part| part.0.len());
            assert!(read < fields.0.len(), "truncated to {len} bytes");
        }
    }

    #[test]
    fn malformed_messages_are_rejected() {
        // A varint without an end, a length past the end, and unsupported wire types.
        for bytes in [&[0xff; 12][..], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01a", b"\x0b", b"\x0e"] {
            assert!(Fields::read(bytes).is_none(), "{bytes:?}");
        }
    }
}
