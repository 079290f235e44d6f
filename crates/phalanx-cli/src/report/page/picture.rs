//! A sample as a picture within a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use png::{BitDepth, ColorType, Encoder};

/// An image of grey pixels, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Picture {
    /// Makes one of features, of which the least of `range` becomes black and the greatest white.
    ///
    /// # Panics
    ///
    /// If there are not as many features as pixels.
    pub fn new((height, width): (usize, usize), features: &[f32], range: (f32, f32)) -> Self {
        assert_eq!(features.len(), height * width, "a feature for each pixel");
        let span = (range.1 - range.0).max(f32::MIN_POSITIVE);
        let pixel = |value: &f32| (255.0 * (value - range.0) / span).round() as u8;
        Self { width: width as u32, height: height as u32, pixels: features.iter().map(pixel).collect() }
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The picture as a PNG within a `data:` address.
    pub fn address(&self) -> String {
        let mut bytes = Vec::new();
        let mut encoder = Encoder::new(&mut bytes, self.width, self.height);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_depth(BitDepth::Eight);
        let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&self.pixels));
        written.expect("there are as many pixels as the size says, and memory takes what is written to it");
        format!("data:image/png;base64,{}", STANDARD.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pixels_are_read_back_from_the_address() {
        let picture = Picture::new((2, 3), &[-1.0, 0.0, 1.0, 3.0, 2.0, -1.0], (-1.0, 3.0));
        let address = picture.address();
        let bytes = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut pixels).unwrap();
        assert_eq!((info.width, info.height, picture.size()), (3, 2, (3, 2)));
        assert_eq!(pixels, [0, 64, 128, 255, 191, 0]);
    }

    #[test]
    fn an_image_of_one_value_is_black() {
        assert_eq!(Picture::new((1, 2), &[5.0, 5.0], (5.0, 5.0)).pixels, [0, 0]);
    }
}
