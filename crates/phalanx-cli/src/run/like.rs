//! `--like`: flags interpreted as another framework does.

use phalanx::model::Loss;
use phalanx::optim::{EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, OptimizerOptions};

use crate::args::flags::TrainFlags;
use crate::args::layers::Layers;
use crate::args::values::{Auto, Hidden};
use crate::terminal::failure::{Failure, usage};

/// Replaces `--like` by the flags that it stands for, with their origins.
pub fn resolve_layers(given: Layers) -> Result<Layers, Failure> {
    let Some(framework) = given.flags.like else { return Ok(given) };
    let like = match given.origin("like") {
        Some("--like") | None => format!("--like {framework}"),
        Some(origin) => format!("like {framework}, {origin}"),
    };
    let origin =
        |was: Option<&str>| was.map_or_else(|| like.clone(), |was| format!("{was}, as in {framework}"));
    given.changed_by(origin, resolve)
}

/// Replaces `--like` by the flags that it stands for; the returned flags alone define the same run.
pub fn resolve(mut flags: TrainFlags) -> Result<TrainFlags, Failure> {
    let Some(framework) = flags.like.take() else { return Ok(flags) };
    let kind = *flags.optimizer.get_or_insert(framework.default_optimizer());
    let options = framework.optimizer(kind).map_err(|error| usage!("{error}"))?;
    refuse(&flags, framework)?;
    constants(&mut flags, framework, &options);
    if kind == OptimizerKind::Sgd && flags.momentum.is_some_and(|momentum| momentum > 0.0) {
        agree(&mut flags.momentum_form, framework.momentum_form(), "momentum-form", framework)?;
    }
    agree(&mut flags.reduction, framework.reduction(), "reduction", framework)?;
    if let Some(form) = options.eps_form.filter(|form| *form != EpsForm::Outside) {
        agree(&mut flags.eps_form, form, "eps-form", framework)?;
    } else if flags.eps_form.is_some_and(|form| form != EpsForm::Outside) {
        agree(&mut flags.eps_form, EpsForm::Outside, "eps-form", framework)?;
    }
    penalty(&mut flags, framework)?;
    if !matches!(flags.loss, Some(Auto::Given(Loss::CrossEntropy | Loss::Bce))) {
        // No framework does this by default.
        flags.standardize_targets.get_or_insert(false);
    }
    Ok(flags)
}

/// Sets the constants that are not given to those of the framework.
fn constants(flags: &mut TrainFlags, framework: Framework, options: &OptimizerOptions) {
    flags.lr = flags.lr.or(framework.default_rate(options.kind));
    flags.momentum = flags.momentum.or(options.momentum);
    if options.nesterov && flags.momentum.is_some_and(|momentum| momentum > 0.0) {
        flags.nesterov.get_or_insert(true);
    }
    flags.beta1 = flags.beta1.or(options.beta1);
    flags.beta2 = flags.beta2.or(options.beta2);
    flags.eps = flags.eps.or(options.eps);
    flags.initial_accumulator = flags.initial_accumulator.or(options.initial_accumulator);
    flags.weight_decay.get_or_insert(options.weight_decay);
    flags.l2.get_or_insert(options.l2);
    match framework {
        Framework::Keras => {
            flags.batch_size.get_or_insert(32);
        }
        Framework::ScikitLearn => {
            flags.batch_size.get_or_insert(200);
            flags.hidden.get_or_insert(Hidden(vec![100]));
        }
        _ => {}
    }
}

/// Sets the L2 penalty to the form in which it is added to the gradient here, and sets the params
/// that it applies to.
fn penalty(flags: &mut TrainFlags, framework: Framework) -> Result<(), Failure> {
    let l2 = flags.l2.unwrap_or(0.0);
    let form = if l2 == 0.0 { L2Form::Gradient } else { framework.l2_form() };
    if form != L2Form::Gradient || flags.l2_form.is_some() {
        agree(&mut flags.l2_form, form, "l2-form", framework)?;
    }
    flags.l2 = Some(l2 * framework.l2_factor());
    if l2 != 0.0 {
        let excludes_biases = framework.penalises_in_objective();
        if excludes_biases || flags.no_bias_decay.is_some() {
            agree(&mut flags.no_bias_decay, excludes_biases, "no-bias-decay", framework)?;
        }
    }
    Ok(())
}

/// Returns an error for flags that cannot be combined.
fn refuse(flags: &TrainFlags, framework: Framework) -> Result<(), Failure> {
    let penalised = flags.l2.is_some_and(|l2| l2 != 0.0);
    let decayed =
        flags.weight_decay.is_some_and(|decay| decay != 0.0) || flags.optimizer == Some(OptimizerKind::Adamw);
    let changes = flags.lr_schedule.is_some_and(|kind| kind.name() != "constant")
        || flags.warmup_steps.unwrap_or(0) > 0;
    let reason = match flags {
        TrainFlags { shards: None | Some(Auto::Auto), .. } if framework.needs_shards() => {
            "its processes correspond to shards; give their number with --shards".to_owned()
        }
        TrainFlags { weight_decay: Some(decay), optimizer, .. }
            if *decay != 0.0
                && *optimizer != Some(OptimizerKind::Adamw)
                && framework.weight_decay_is_l2() =>
        {
            format!("its weight_decay is an L2 penalty; give --l2 {decay:?} instead of --weight-decay")
        }
        TrainFlags { clip_grad_norm: Some(_), .. } if framework == Framework::ScikitLearn => {
            "it does not clip gradients; drop --clip-grad-norm".to_owned()
        }
        TrainFlags { clip_grad_norm: Some(_), .. } if framework.penalises_in_objective() && penalised => {
            "it clips after adding L2, but Phalanx clips before; drop --clip-grad-norm or --l2".to_owned()
        }
        _ if framework.penalises_in_objective() && penalised && decayed => {
            "its L2 excludes biases and its weight decay does not; drop --l2, or, except with adamw, --weight-decay".to_owned()
        }
        TrainFlags { optimizer: Some(OptimizerKind::Rmsprop), momentum: Some(momentum), .. }
            if framework == Framework::Keras && changes && *momentum > 0.0 =>
        {
            "its rmsprop applies the rate inside the momentum, so the result differs once the rate changes; keep the rate constant"
                .to_owned()
        }
        TrainFlags { loss: Some(Auto::Given(Loss::MSE)), .. } => return check_loss(framework, Loss::MSE),
        _ => return Ok(()),
    };
    Err(usage!("--like {framework}: {reason}"))
}

/// Returns an error for a loss that the framework defines with another factor.
pub fn check_loss(framework: Framework, loss: Loss) -> Result<(), Failure> {
    use Framework::{Caffe, ScikitLearn, Tensorflow1Estimator};
    match (framework, loss) {
        (Caffe | ScikitLearn | Tensorflow1Estimator, Loss::MSE) => Err(usage!(
            "--like {framework}: its squared loss differs from mse by a factor (a half, or a sum over outputs); \
             use it for classes only, or drop --like and scale --lr"
        )),
        _ => Ok(()),
    }
}

/// Sets a flag to the value in the framework, or returns an error if the flag contradicts it.
fn agree<T: Copy + PartialEq + std::fmt::Display>(
    flag: &mut Option<T>,
    meant: T,
    name: &str,
    framework: Framework,
) -> Result<(), Failure> {
    match *flag.get_or_insert(meant) {
        given if given == meant => Ok(()),
        given => Err(usage!(
            "--{name} {given} contradicts --like {framework}, which implies {meant}; drop one of them"
        )),
    }
}

/// Returns the meaning of the preset, in one line.
pub fn meaning(framework: Framework, flags: &TrainFlags) -> String {
    let mut text = format!("{framework}: ");
    text += match framework {
        Framework::Pytorch => "the mean of the batch",
        Framework::PytorchDdp | Framework::HorovodAverage => {
            "the mean of the means of its processes (shards here)"
        }
        Framework::HorovodSum | Framework::Mindspore => "the sum of the means of its processes (shards here)",
        Framework::Caffe => "the mean of the batch (iter_size times batch_size is one batch here)",
        Framework::Keras | Framework::ScikitLearn => "the mean of the batch",
        Framework::Tensorflow1Estimator => "the sum of the batch",
    };
    if flags.momentum_form.is_some() {
        text += match framework.momentum_form() {
            MomentumForm::Pytorch => "; v = mv + g, w -= lr v",
            MomentumForm::Caffe => "; v = mv + lr g, w -= v",
        };
    }
    let l2 = flags.l2.unwrap_or(0.0);
    if l2 != 0.0 {
        text += &match framework {
            Framework::Keras => {
                format!("; L2 {:?} sum of squares of weights, a gradient of {l2:?} w", l2 / 2.0)
            }
            Framework::ScikitLearn => format!("; alpha {l2:?} over the samples of the batch, not on biases"),
            Framework::Tensorflow1Estimator => "; L2 not on biases".to_owned(),
            _ => "; L2 on biases too, after clipping".to_owned(),
        };
    }
    if flags.clip_grad_norm.is_some() {
        text += match framework {
            Framework::Keras => {
                "; clipped as by global_clipnorm (clipnorm is per variable, which Phalanx does not support)"
            }
            Framework::Caffe => "; clipped as without iter_size (Caffe clips the sum of iter_size batches)",
            Framework::Tensorflow1Estimator | Framework::ScikitLearn => "; clipped",
            _ => "; clipped without the 1e-6 that PyTorch's clip_grad_norm_ adds to the norm",
        };
    }
    text
}
