//! The claims. Every number is followed by the place where it is published; one that could not be
//! read there is marked as not verified.

use super::computed::{noisy_quadratic, two_gaussians};

/// A statement of a source, and the runs that test it.
#[derive(Debug)]
pub struct Claim {
    /// The name on the command line.
    pub name: &'static str,
    /// The source, with the place of the numbers.
    pub source: &'static str,
    /// The statement.
    pub says: &'static str,
    /// The convention of its numbers.
    pub convention: &'static str,
    /// The wrong reading.
    pub mistake: &'static str,
    /// Differences from the original, and remarks on its numbers.
    pub remark: &'static str,
    /// The settings.
    pub settings: &'static [ClaimSetting],
    /// The quantity.
    pub measure: Measure,
    /// The test of the measured values.
    pub test: Test,
    /// Minutes on two cores, with all seeds.
    pub minutes: f64,
    /// Number of seeds.
    pub seeds: u64,
    /// The runs.
    pub work: Work,
}

/// The way in which the values of a claim are measured.
#[derive(Debug)]
pub enum Work {
    /// By training.
    Trained {
        /// The samples.
        data: ClaimData,
        /// The flags of `train` that all settings have in common.
        flags: &'static str,
    },
    /// By a function of the seed, the index of the setting, and whether the reading is right.
    Computed(fn(seed: u64, setting: usize, is_right: bool) -> f64),
}

/// One row of a claim.
#[derive(Debug)]
pub struct ClaimSetting {
    /// The name, by which it differs from the other settings.
    pub name: &'static str,
    /// The published value, with all its digits.
    pub published: Option<&'static str>,
    /// The flags of the right reading.
    pub right: &'static str,
    /// The flags of the wrong one.
    pub wrong: &'static str,
}

/// The samples of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimData {
    /// The built-in digits.
    Digits,
    /// MNIST: the first n training samples, and all test samples.
    Mnist(usize),
    /// MNIST's first 50,000 training samples; the epoch is chosen by n of the other 10,000, and the
    /// error is that of n test samples.
    MnistValidated(usize),
}

impl ClaimData {
    /// Returns the data of a `train` command, and what that command leaves out.
    pub fn in_train(self, mnist: &str) -> (&str, String) {
        match self {
            Self::Digits => ("digits", String::new()),
            Self::Mnist(60_000) => (mnist, String::new()),
            Self::Mnist(samples) => (mnist, format!("here on the first {samples} training samples")),
            Self::MnistValidated(samples) => (
                mnist,
                format!(
                    "here on the first 50000 training samples; the epoch is chosen by {samples} of the others, and the error is \
                     that of {samples} test samples"
                ),
            ),
        }
    }
}

/// The measured quantity of a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Error on the test samples after the last epoch, in percent.
    Error,
    /// Accuracy on the test samples after the last epoch, in percent.
    Accuracy,
    /// The highest accuracy on the test samples after any epoch, in percent.
    BestAccuracy,
    /// Error on the test samples after the epoch with the lowest error on the validation samples,
    /// in percent.
    ValidatedError,
    /// Epochs until the error on the test samples is at most this, in percent.
    EpochsTo(f64),
    /// The gradient noise scale over the run, in samples.
    NoiseScale,
    /// The quantity of a computation, with its unit.
    Computed(&'static str),
    /// The distance of the final params from those of the run with these flags, in percent of the
    /// distance between its initial and its final params.
    DistanceFrom(&'static str),
}

impl Measure {
    /// Returns its name and unit.
    pub fn name(self) -> String {
        match self {
            Self::Error => "test error, %".to_owned(),
            Self::Accuracy => "test accuracy, %".to_owned(),
            Self::BestAccuracy => "highest test accuracy of an epoch, %".to_owned(),
            Self::ValidatedError => "test error of the best validation epoch, %".to_owned(),
            Self::EpochsTo(error) => format!("epochs to a test error of {error} %"),
            Self::NoiseScale => "noise scale, samples".to_owned(),
            Self::Computed(name) => name.to_owned(),
            Self::DistanceFrom(reference) => format!(
                "distance of the final params from those of {reference}, % of the way from the initial params"
            ),
        }
    }
}

/// The test of the measured values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Test {
    /// Each setting has its published value.
    Published,
    /// All settings have the same value, to within this factor.
    SameFactor(f64),
    /// All settings have the same value, to within this difference.
    SameDifference(f64),
    /// All settings are below this.
    Below(f64),
    /// All settings are within this factor of the published value.
    Within(f64),
}

const ALL: ClaimData = ClaimData::Mnist(60_000);
const NIELSEN: ClaimData = ClaimData::Mnist(50_000);

/// Every claim, from the oldest to the newest.
pub const CLAIMS: &[Claim] = &[
    Claim {
        name: "lecun-gaussians",
        source: "LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 5.2, figures 10 and 11",
        says: "a linear unit on two Gaussian classes learns at a rate of 1.5, not at 2.5; the limit is 2.38",
        convention: "mean of ½e² over the 100 samples",
        mistake: "the same rate under the other reduction: the sum of 100 samples needs a hundredth of it",
        remark: "The covariance has the eigenvalues 0.84 and 0.036. The input of the bias adds an eigenvalue of about 1 to the Hessian, which the paper leaves out: the limit of the unit that it \
                 describes is 2/1.0, and a rate of 0.95 · 2.38 = 2.26 diverges. The drawn classes differ from the paper's, which are not published.",
        settings: &[
            ClaimSetting { name: "rate 1.5", published: Some("100"), right: "", wrong: "" },
            ClaimSetting {
                name: "rate 2.26, 0.95 times the stated limit",
                published: Some("100"),
                right: "",
                wrong: "",
            },
            ClaimSetting { name: "rate 2.5", published: Some("0"), right: "", wrong: "" },
            ClaimSetting { name: "rate 0.015 for the sum", published: Some("100"), right: "", wrong: "" },
            ClaimSetting { name: "rate 0.025 for the sum", published: Some("0"), right: "", wrong: "" },
        ],
        measure: Measure::Computed("runs that converge, %"),
        test: Test::Published,
        minutes: 0.0,
        seeds: 5,
        work: Work::Computed(two_gaussians),
    },
    Claim {
        name: "wilson-martinez",
        source: "Wilson and Martinez 2003, The general inefficiency of batch training for gradient descent learning, abstract and section 4",
        says: "on-line and mini-batch training need as many epochs at the same rate for the sum",
        convention: "sum of the batch",
        mistake: "the same rate for the mean of the batch",
        remark: "The rates 0.1 to 0.0001 are the paper's; its tables are of another data set and were not seen. Not reached within the 20 epochs \
                 of a run is shown as a dash.",
        settings: &[
            ClaimSetting { name: "batch 1", published: None, right: "-b 1 --reduction sum", wrong: "-b 1" },
            ClaimSetting {
                name: "batch 10",
                published: None,
                right: "-b 10 --reduction sum",
                wrong: "-b 10",
            },
            ClaimSetting {
                name: "batch 100",
                published: None,
                right: "-b 100 --reduction sum",
                wrong: "-b 100",
            },
        ],
        measure: Measure::EpochsTo(3.0),
        test: Test::SameFactor(2.0),
        minutes: 11.0,
        seeds: 5,
        work: Work::Trained { data: ALL, flags: "--hidden 100 --lr 0.01 --epochs 20" },
    },
    Claim {
        name: "wilson-martinez-digits",
        source: "Wilson and Martinez 2003, as above, on the built-in digits",
        says: "on-line and mini-batch training need as many epochs at the same rate for the sum",
        convention: "sum of the batch",
        mistake: "the same rate for the mean of the batch",
        remark: "",
        settings: &[
            ClaimSetting { name: "batch 1", published: None, right: "-b 1 --reduction sum", wrong: "-b 1" },
            ClaimSetting { name: "batch 8", published: None, right: "-b 8 --reduction sum", wrong: "-b 8" },
            ClaimSetting {
                name: "batch 32",
                published: None,
                right: "-b 32 --reduction sum",
                wrong: "-b 32",
            },
        ],
        measure: Measure::EpochsTo(5.0),
        test: Test::SameFactor(2.0),
        minutes: 0.1,
        seeds: 5,
        work: Work::Trained { data: ClaimData::Digits, flags: "--hidden 32 --lr 0.01 --epochs 60" },
    },
    Claim {
        name: "theano-logistic",
        source: "Deep Learning Tutorials (LISA lab), logistic_sgd.py and doc/logreg.txt, lines 254 to 264",
        says: "softmax regression reaches 7.489583 % test error in epoch 73 of 74",
        convention: "mean of the batch",
        mistake: "the same rate for the sum of the batch",
        remark: "Nothing is random: the params start from 0 and the samples keep their order, so that all seeds agree. The validation and the \
                 test error are those of 16 whole batches, 9,600 samples: 719 of them are wrong. The patience of the tutorial ends the run in \
                 epoch 74, as here. That its file holds pixels divided by 256 is from memory, not verified.",
        settings: &[ClaimSetting {
            name: "784-10",
            published: Some("7.489583"),
            right: "",
            wrong: "--reduction sum",
        }],
        measure: Measure::ValidatedError,
        test: Test::Published,
        minutes: 0.4,
        seeds: 5,
        work: Work::Trained {
            data: ClaimData::MnistValidated(9_600),
            flags: "--hidden none --init-weights zero --scale 1/256 -b 600 --drop-last --no-shuffle --lr 0.13 --epochs 74",
        },
    },
    Claim {
        name: "theano-mlp",
        source: "Deep Learning Tutorials (LISA lab), mlp.py and doc/mlp.txt, lines 191 to 196",
        says: "784-500-10 with tanh reaches 1.65 % test error, in epoch 828 of 1000",
        convention: "mean of the batch; L2 is 0.0001 times the sum of squares without ½, a gradient of 0.0002 w",
        mistake: "the rate for the sum of the batch, and L2 with ½",
        remark: "Three seeds, because of its time. The samples keep their order; only the initial weights differ between seeds.",
        settings: &[ClaimSetting {
            name: "784-500-10",
            published: Some("1.65"),
            right: "--l2 0.0002",
            wrong: "--reduction sum --l2 0.0001",
        }],
        measure: Measure::ValidatedError,
        test: Test::Published,
        minutes: 90.0,
        seeds: 3,
        work: Work::Trained {
            data: ClaimData::MnistValidated(10_000),
            flags: "--hidden 500 --activation tanh --init-weights theano-tutorial --scale 1/256 -b 20 --drop-last --no-shuffle --lr 0.01 \
                    --no-bias-decay --epochs 1000",
        },
    },
    Claim {
        name: "nielsen-1",
        source: "Nielsen 2015, Neural Networks and Deep Learning, chapter 1, network.py",
        says: "784-30-10 reaches 95.42 %, 784-100-10 96.59 %",
        convention: "mean of ½‖y − a‖² over the batch",
        mistake: "the same rate for the sum of the batch",
        remark: "The highest accuracy on the test samples of any of 30 epochs; Nielsen took the best of three runs. A NumPy program of the \
                 same arithmetic gives 94.99, 95.16, 95.20 and 86.35 % with 30 hidden units, and 77.62, 96.73 and 85.48 % with 100: with \
                 params from N(0, 1), an output may never learn its digit, as Nielsen's readers report. A mean of such runs says little.",
        settings: &[
            ClaimSetting {
                name: "30 hidden units",
                published: Some("95.42"),
                right: "--hidden 30",
                wrong: "--hidden 30 --reduction sum",
            },
            ClaimSetting {
                name: "100 hidden units",
                published: Some("96.59"),
                right: "--hidden 100",
                wrong: "--hidden 100 --reduction sum",
            },
        ],
        measure: Measure::BestAccuracy,
        test: Test::Published,
        minutes: 3.0,
        seeds: 5,
        work: Work::Trained {
            data: NIELSEN,
            flags: "--activation sigmoid --loss half-squared --output-activation sigmoid --init-weights normal --init-bias normal -b 10 --lr 3 \
                    --epochs 30",
        },
    },
    Claim {
        name: "nielsen-3",
        source: "Nielsen 2015, chapter 3, network2.py; fig/overfitting_full.json and fig/regularized_full.json of its repository",
        says: "with cross-entropy, 784-30-10 reaches 95.33 %, and 96.49 % with lambda = 5.0",
        convention: "mean over the batch of the cross-entropies summed over the 10 outputs; L2 is (lambda/2n)‖w‖²",
        mistake: "the rate for the sum of the batch; lambda divided by the batch, not by n",
        remark: "The highest accuracy on the test samples of any of 30 epochs, of one run each. The highest of 30 noisy epochs varies more than \
                 five seeds show: a NumPy program of the same arithmetic gives 96.36, 96.35, 96.59 and 95.95 % with L2.",
        settings: &[
            ClaimSetting {
                name: "without L2",
                published: Some("95.33"),
                right: "",
                wrong: "--reduction sum",
            },
            ClaimSetting {
                name: "lambda = 5.0",
                published: Some("96.49"),
                right: "--l2 5 --l2-form data-sum",
                wrong: "--l2 5 --l2-form batch-sum",
            },
        ],
        measure: Measure::BestAccuracy,
        test: Test::Published,
        minutes: 1.5,
        seeds: 5,
        work: Work::Trained {
            data: NIELSEN,
            flags: "--hidden 30 --activation sigmoid --loss bce-sum --init-weights normal --init-bias normal -b 10 --lr 0.5 --epochs 30 \
                    --no-bias-decay",
        },
    },
    Claim {
        name: "cntk-one-hidden",
        source: "Microsoft CNTK, Examples/Image/GettingStarted, 01_OneHidden.cntk and README.md",
        says: "784-200-10 reaches 1.76 % test error",
        convention: "sum of the batch: rates are per sample",
        mistake: "the same rates for the mean of the batch",
        remark: "learningRatesPerSample = 0.01*5:0.005, no momentum; the error after the tenth epoch of one run.",
        settings: &[ClaimSetting {
            name: "784-200-10",
            published: Some("1.76"),
            right: "--reduction sum",
            wrong: "",
        }],
        measure: Measure::Error,
        test: Test::Published,
        minutes: 0.6,
        seeds: 5,
        work: Work::Trained {
            data: ALL,
            flags: "--hidden 200 --scale 1/256 --init-weights glorot -b 64 --epochs 10 --lr 0.01 --lr-schedule step --lr-gamma 0.5 \
                    --lr-decay-epochs 5",
        },
    },
    Claim {
        name: "keskar-f1",
        source: "Keskar et al. 2016, arXiv:1609.04836, table 2, network F1",
        says: "batches of 256 reach 98.03 % test accuracy, batches of a tenth of the data 97.81 %",
        convention: "mean of the batch; Adam, whose rate does not depend on the convention",
        mistake: "Adam's rate divided by the batch size for the sum, as that of SGD would be",
        remark: "Three seeds, because of its time. Without the batch normalization of the paper, and for 10 and 40 epochs instead of until \
                 the loss stops improving. Adam's rate is not stated; 0.001 is its default.",
        settings: &[
            ClaimSetting {
                name: "batch 256",
                published: Some("98.03"),
                right: "-b 256 --lr 0.001 --epochs 10",
                wrong: "-b 256 --lr 0.00000390625 --reduction sum --epochs 10",
            },
            ClaimSetting {
                name: "batch 6000",
                published: Some("97.81"),
                right: "-b 6000 --lr 0.001 --epochs 40",
                wrong: "-b 6000 --lr 0.00000016667 --reduction sum --epochs 40",
            },
        ],
        measure: Measure::BestAccuracy,
        test: Test::Published,
        minutes: 20.0,
        seeds: 3,
        work: Work::Trained { data: ALL, flags: "--hidden 512,512,512,512,512 --optimizer adam" },
    },
    Claim {
        name: "goyal-remarks",
        source: "Goyal et al. 2017, arXiv:1706.02677, section 3, remarks 1 to 3",
        says: "L2 follows the scale of the loss, momentum the rate, the divisor all workers",
        convention: "mean of the batch over all workers",
        mistake: "L2 left alone; the rate inside the momentum without correction; the number of workers cancelled against the rate only",
        remark: "Remark 4, a single shuffling of the data for all workers, holds here by construction. On the built-in digits.",
        settings: &[
            ClaimSetting {
                name: "1: a loss times 64",
                published: None,
                right: "--reduction sum --lr 0.0015625 --l2 0.064",
                wrong: "--reduction sum --lr 0.0015625 --l2 0.001",
            },
            ClaimSetting {
                name: "2: a rate that changes",
                published: None,
                right: "--reduction sum --lr 0.0015625 --l2 0.064 --momentum-form pytorch",
                wrong: "--lr 0.1 --l2 0.001 --momentum-form caffe",
            },
            ClaimSetting {
                name: "3: means of 8 workers",
                published: None,
                right: "--reduction mean-of-shard-means --lr 0.1 --l2 0.001",
                wrong: "--reduction sum-of-shard-means --lr 0.0125 --l2 0.001",
            },
        ],
        measure: Measure::DistanceFrom("--lr 0.1 --l2 0.001"),
        test: Test::Below(0.01),
        minutes: 0.1,
        seeds: 5,
        work: Work::Trained {
            data: ClaimData::Digits,
            flags: "--hidden 16 --activation tanh -b 64 --drop-last --momentum 0.9 --epochs 12 --lr-schedule step --lr-decay-epochs 4 --shards 8",
        },
    },
    Claim {
        name: "goyal-warm-up",
        source: "Goyal et al. 2017, table 1: 23.60 % with batches of 256, 24.84 % with 8192 without, 23.74 % with gradual warm-up",
        says: "after a gradual warm-up, a large batch with the linear rule ends like a small one",
        convention: "mean of the batch",
        mistake: "the linear rule without warm-up",
        remark: "The paper trains ResNet-50 on ImageNet; here it is 784-128-10 on MNIST with batches of 64 and 1024, so its errors are not to be \
                 compared, only the pattern.",
        settings: &[
            ClaimSetting {
                name: "batch 64",
                published: None,
                right: "-b 64 --lr 0.05",
                wrong: "-b 64 --lr 0.05",
            },
            ClaimSetting {
                name: "batch 1024",
                published: None,
                right: "-b 1024 --lr 0.8 --warmup-steps 290 --warmup-start 0.0625",
                wrong: "-b 1024 --lr 0.8",
            },
        ],
        measure: Measure::Error,
        test: Test::SameDifference(0.3),
        minutes: 1.0,
        seeds: 5,
        work: Work::Trained {
            data: ALL,
            flags: "--hidden 128 --momentum 0.9 --drop-last --epochs 15 --lr-schedule cosine",
        },
    },
    Claim {
        name: "hoffer-f1",
        source: "Hoffer, Hubara and Soudry 2017, arXiv:1705.08741, table 1, network F1 (as quoted by others, not seen)",
        says: "batches of 128 reach 98.27 %, of 4096 97.05 %, or 98.53 % with √k rate and as many updates",
        convention: "mean of the batch",
        mistake: "the same rates for the sum of the batch",
        remark: "784-128-10 without the batch normalization and the random crops of the paper, and 12 epochs instead of 50, so that the last row has \
                 192; the rate falls to a tenth three times. The rule is the square root of 4096/256, as in the authors' code.",
        settings: &[
            ClaimSetting {
                name: "batch 128",
                published: Some("98.27"),
                right: "-b 128 --lr 0.1 --epochs 12 --lr-decay-epochs 3",
                wrong: "-b 128 --lr 0.1 --epochs 12 --lr-decay-epochs 3 --reduction sum",
            },
            ClaimSetting {
                name: "batch 4096",
                published: Some("97.05"),
                right: "-b 4096 --lr 0.1 --epochs 12 --lr-decay-epochs 3",
                wrong: "-b 4096 --lr 0.1 --epochs 12 --lr-decay-epochs 3 --reduction sum",
            },
            ClaimSetting {
                name: "batch 4096, adapted",
                published: Some("98.53"),
                right: "-b 4096 --lr 0.4 --epochs 192 --lr-decay-epochs 48",
                wrong: "-b 4096 --lr 0.4 --epochs 192 --lr-decay-epochs 48 --reduction sum",
            },
        ],
        measure: Measure::BestAccuracy,
        test: Test::Published,
        minutes: 11.0,
        seeds: 5,
        work: Work::Trained {
            data: ALL,
            flags: "--hidden 128 --momentum 0.9 --l2 0.0001 --clip-grad-norm 5 --lr-schedule step --lr-gamma 0.1",
        },
    },
    Claim {
        name: "smith-le",
        source: "Smith and Le 2018, arXiv:1710.06451, and Jastrzebski et al. 2018, arXiv:1711.04623, abstracts",
        says: "the result depends on the ratio of rate to batch size",
        convention: "mean of the batch; its ratio of rate to batch size is the rate for the sum",
        mistake: "the same rate for the mean of the batch, whose ratio falls with the batch",
        remark: "800 hidden units and 1,000 training images are from memory, not verified. Within the range where the rate for the mean is not too large.",
        settings: &[
            ClaimSetting { name: "batch 8", published: None, right: "-b 8 --reduction sum", wrong: "-b 8" },
            ClaimSetting {
                name: "batch 16",
                published: None,
                right: "-b 16 --reduction sum",
                wrong: "-b 16",
            },
            ClaimSetting {
                name: "batch 32",
                published: None,
                right: "-b 32 --reduction sum",
                wrong: "-b 32",
            },
            ClaimSetting {
                name: "batch 64",
                published: None,
                right: "-b 64 --reduction sum",
                wrong: "-b 64",
            },
        ],
        measure: Measure::Error,
        test: Test::SameDifference(1.0),
        minutes: 2.0,
        seeds: 5,
        work: Work::Trained {
            data: ClaimData::Mnist(1_000),
            flags: "--hidden 800 --momentum 0.9 --epochs 20 --lr 0.0005",
        },
    },
    Claim {
        name: "masters-luschi",
        source: "Masters and Luschi 2018, arXiv:1804.07612, equations 5, 6 and 9",
        says: "small batches with the same base rate, rate over batch size, learn alike",
        convention: "mean of the batch; its base rate is the rate for the sum",
        mistake: "the same rate for the mean of the batch",
        remark: "The paper has convolutional networks only; here it is 784-128-10 on MNIST.",
        settings: &[
            ClaimSetting { name: "batch 2", published: None, right: "-b 2 --reduction sum", wrong: "-b 2" },
            ClaimSetting { name: "batch 8", published: None, right: "-b 8 --reduction sum", wrong: "-b 8" },
            ClaimSetting {
                name: "batch 32",
                published: None,
                right: "-b 32 --reduction sum",
                wrong: "-b 32",
            },
        ],
        measure: Measure::Error,
        test: Test::SameDifference(0.4),
        minutes: 2.0,
        seeds: 5,
        work: Work::Trained { data: ALL, flags: "--hidden 128 --lr 0.005 --epochs 5" },
    },
    Claim {
        name: "mccandlish-noise",
        source: "McCandlish et al. 2018, arXiv:1812.06162, table 1 (as quoted by others, not seen)",
        says: "on MNIST, the gradient noise scale is 50 at the start and 900 on average",
        convention: "mean of the batch",
        mistake: "the same rate for the sum of the batch",
        remark: "The paper's network is convolutional, so only the order of magnitude can agree: within a factor of 2. Its law of the best rate, \
                 equation 2.6, is measured by phalanx sweep.",
        settings: &[
            ClaimSetting {
                name: "the first 50 steps",
                published: Some("50"),
                right: "--max-steps 50",
                wrong: "--max-steps 50 --reduction sum",
            },
            ClaimSetting {
                name: "five epochs",
                published: Some("900"),
                right: "--epochs 5",
                wrong: "--epochs 5 --reduction sum",
            },
        ],
        measure: Measure::NoiseScale,
        test: Test::Within(2.0),
        minutes: 0.3,
        seeds: 5,
        work: Work::Trained { data: ALL, flags: "--hidden 128 -b 64 --lr 0.1 --noise-scale=1" },
    },
    Claim {
        name: "zhang-quadratic",
        source: "Zhang et al. 2019, arXiv:1907.04164, and the authors' notebook nqm.ipynb",
        says: "on a noisy quadratic, the best rate is proportional to the batch size, if that is small",
        convention: "mean of the batch, with noise of covariance H/B; the best rate of a batch of 4, kept for the sum",
        mistake: "the same rate kept for the mean",
        remark: "Exact expectations by the paper's recursion, with 10,000 dimensions; steps to a loss of 0.01, and the best of 100 rates. With \
                 batches of 1024 and more the rate for the mean reaches its limit 2, and the proportion ends.",
        settings: &[
            ClaimSetting { name: "batch 4", published: None, right: "", wrong: "" },
            ClaimSetting { name: "batch 16", published: None, right: "", wrong: "" },
            ClaimSetting { name: "batch 64", published: None, right: "", wrong: "" },
            ClaimSetting { name: "batch 256", published: None, right: "", wrong: "" },
        ],
        measure: Measure::Computed("steps, relative to those at the best rate"),
        test: Test::SameFactor(1.5),
        minutes: 0.2,
        seeds: 1,
        work: Work::Computed(noisy_quadratic),
    },
    Claim {
        name: "scikit-learn",
        source: "scikit-learn 0.24, plot_mnist_filters.py, the output in its documentation",
        says: "784-50-10 reaches a test score of 0.9700",
        convention: "mean of the batch; alpha is divided by the batch size as well",
        mistake: "rate and alpha for the sum of the batch",
        remark: "One run. Later versions of the example have other settings and the score 0.9531.",
        settings: &[ClaimSetting {
            name: "784-50-10",
            published: Some("97.00"),
            right: "--l2-form batch-sum",
            wrong: "--reduction sum",
        }],
        measure: Measure::Accuracy,
        test: Test::Published,
        minutes: 0.3,
        seeds: 5,
        work: Work::Trained {
            data: ALL,
            flags: "--hidden 50 --init-weights glorot --init-bias glorot -b 200 --epochs 10 --lr 0.1 --momentum 0.9 --nesterov \
                    --momentum-form caffe --l2 1e-4 --no-bias-decay",
        },
    },
];
