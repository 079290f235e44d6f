//! What a multi-layer perceptron is made of.

use serde::{Deserialize, Serialize};

use super::{Activation, Loss};

/// What an [`Mlp`](super::Mlp) is made of; a model file carries it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MlpShape {
    /// Features of a sample.
    pub inputs: usize,
    /// Widths of the hidden layers; none of them gives linear, logistic or softmax regression.
    pub hidden: Vec<usize>,
    /// K: classes, or values to predict.
    pub outputs: usize,
    /// The function after each hidden layer.
    pub activation: Activation,
    /// What is made small.
    pub loss: Loss,
}

impl MlpShape {
    /// Number of params, Σ (I + 1)·O; `None` if a layer is 0 wide or the number exceeds what can be addressed.
    pub fn params_len(&self) -> Option<usize> {
        let widths = self.widths();
        if widths.contains(&0) {
            return None;
        }
        widths.windows(2).try_fold(0_usize, |sum, pair| {
            let layer = pair[0].checked_add(1)?.checked_mul(pair[1])?;
            sum.checked_add(layer).filter(|sum| *sum <= isize::MAX as usize / size_of::<f64>())
        })
    }

    /// Inputs, hidden widths, outputs.
    pub(super) fn widths(&self) -> Vec<usize> {
        [self.inputs].into_iter().chain(self.hidden.iter().copied()).chain([self.outputs]).collect()
    }
}
