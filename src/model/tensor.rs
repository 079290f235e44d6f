//! A named piece of the flat params.

/// Name and shape of one tensor; where it lies follows from the order of a model's tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Name in a model file, such as `layers.0.weight`.
    pub name: String,
    /// Lens of its dimensions, outermost first; the values lie row-major.
    pub shape: Vec<usize>,
}

impl Tensor {
    /// Names a shape.
    pub fn new(name: impl Into<String>, shape: &[usize]) -> Self {
        Self { name: name.into(), shape: shape.to_vec() }
    }

    /// Number of elements: the product of the shape.
    #[allow(clippy::len_without_is_empty)] // a tensor without elements has no use here
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of rows and the len of each; a vector is of rows of one element.
    pub fn rows(&self) -> (usize, usize) {
        match self.shape.as_slice() {
            [rows, inner @ ..] => (*rows, inner.iter().product()),
            [] => (1, 1),
        }
    }
}
