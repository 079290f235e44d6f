//! `--like`: flags interpreted as another framework does.

use phalanx::model::{Activation, Init, Loss, SquaredForm, SquaredLoss};
use phalanx::optim::{EpsForm, Framework, L2Form, MomentumForm, OptimizerKind, OptimizerOptions};

use super::settings::{self, batch_size};
use super::tables::short;
use crate::args::flags::TrainFlags;
use crate::args::layers::Layers;
use crate::args::values::{Auto, Hidden};
use crate::numbers::significant;
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
    if framework == Framework::Cntk {
        unit_gain(&mut flags)?;
    }
    if let (Some((weights, bias)), None, None, None) =
        (init(framework), &flags.init, flags.init_weights, flags.init_bias)
    {
        (flags.init_weights, flags.init_bias) = (Some(weights), Some(bias));
    }
    if !matches!(flags.loss, Some(Auto::Given(Loss::CrossEntropy | Loss::Bce | Loss::BceSum))) {
        // No framework does this by default.
        flags.standardize_targets.get_or_insert(false);
    }
    Ok(flags)
}

/// Returns the distributions of the initial weights and biases in a framework; `None` if it has no
/// usual ones: Caffe's default is 0.
fn init(framework: Framework) -> Option<(Init, Init)> {
    use Framework::{Caffe, Cntk, Darknet, Keras, Mxnet, Nielsen, ScikitLearn, TheanoTutorial};
    Some(match framework {
        Caffe => return None,
        Keras | Framework::Tensorflow1Estimator | Cntk => (Init::Glorot, Init::Zero),
        ScikitLearn => (Init::Glorot, Init::Glorot),
        Mxnet => (Init::Uniform(0.07), Init::Zero),
        Darknet => (Init::Darknet, Init::Zero),
        Nielsen => (Init::LecunNormal, Init::Normal(1.0)),
        TheanoTutorial => (Init::TheanoTutorial, Init::Zero),
        _ => (Init::Pytorch, Init::Pytorch),
    })
}

/// Removes the distributions that the framework implies from the flags of a resumed run, which has
/// its params.
pub fn without_init(mut given: Layers, framework: Option<Framework>) -> Layers {
    let flags = &mut given.flags;
    if let Some(implied) = framework.and_then(init)
        && flags.init_weights.zip(flags.init_bias) == Some(implied)
    {
        (flags.init_weights, flags.init_bias) = (None, None);
    }
    given
}

/// Sets the constants that are not given to those of the framework.
fn constants(flags: &mut TrainFlags, framework: Framework, options: &OptimizerOptions) {
    flags.lr = flags.lr.or(framework.default_rate(options.kind));
    if flags.momentum_unit.is_none() {
        flags.momentum = flags.momentum.or(options.momentum);
    }
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
        Framework::Cntk => {
            flags.batch_size.get_or_insert(256);
        }
        Framework::Darknet => {
            flags.drop_last.get_or_insert(true);
        }
        Framework::Nielsen => {
            flags.activation.get_or_insert(Activation::Sigmoid);
            // Both of its costs are of sigmoid outputs.
            match flags.loss.get_or_insert(Auto::Given(Loss::BceSum)) {
                Auto::Given(Loss::Squared(_)) => {
                    _ = flags.output_activation.get_or_insert(Activation::Sigmoid)
                }
                Auto::Given(_) => {}
                auto @ Auto::Auto => *auto = Auto::Given(Loss::BceSum),
            }
        }
        Framework::TheanoTutorial => {
            flags.batch_size.get_or_insert(20);
            flags.hidden.get_or_insert(Hidden(vec![500]));
            flags.activation.get_or_insert(Activation::Tanh);
            flags.drop_last.get_or_insert(true);
            flags.no_shuffle.get_or_insert(true);
        }
        _ => {}
    }
}

/// Multiplies the rate by 1 − μ, as CNTK's momentum does (v ← μv + (1 − μ)ηg), and drops a short
/// last batch, in which its momentum and L2 are others.
fn unit_gain(flags: &mut TrainFlags) -> Result<(), Failure> {
    let Some(rate) = flags.lr else {
        return Err(usage!("--like cntk: it has no default rate; give --lr, its learningRatesPerSample"));
    };
    let momentum = settings::momentum(flags)?.unwrap_or(0.0);
    flags.lr = Some(significant(rate * (1.0 - momentum), 15));
    if momentum > 0.0 || flags.l2 != Some(0.0) {
        if flags.drop_last == Some(false) {
            return Err(usage!(
                "--like cntk: a short last batch has another momentum and another L2 in it, but not in Phalanx; drop \
                 --drop-last=false, or give --momentum 0 without --l2"
            ));
        }
        flags.drop_last = Some(true);
    }
    Ok(())
}

/// Sets the L2 penalty to the form in which it is added to the gradient here, and sets the params
/// that it applies to.
fn penalty(flags: &mut TrainFlags, framework: Framework) -> Result<(), Failure> {
    let l2 = flags.l2.unwrap_or(0.0);
    let form = if l2 == 0.0 { L2Form::Gradient } else { framework.l2_form() };
    if form != L2Form::Gradient || flags.l2_form.is_some() {
        agree(&mut flags.l2_form, form, "l2-form", framework)?;
    }
    flags.l2 = Some(l2 * framework.l2_factor(batch_size(flags)));
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
        TrainFlags { weight_decay: Some(decay), .. } if *decay != 0.0 && !framework.has_decoupled_decay() => {
            "it has no decoupled weight decay; give --l2 instead of --weight-decay".to_owned()
        }
        TrainFlags { clip_grad_norm: Some(_), .. } if framework == Framework::Cntk => {
            "it clips each value or each matrix, not the global norm; drop --clip-grad-norm".to_owned()
        }
        TrainFlags { clip_grad_norm: Some(_), .. } if !framework.clips_to_norm() => {
            "it does not clip gradients; drop --clip-grad-norm".to_owned()
        }
        TrainFlags { momentum: Some(momentum), optimizer, .. }
            if !framework.has_momentum() && *momentum > 0.0 =>
        {
            let kind = optimizer.unwrap_or_default();
            if framework == Framework::Bigdl && kind == OptimizerKind::Sgd {
                "its dampening is the momentum unless it is set, and Phalanx has none; for dampening = 0 in BigDL, give --like pytorch-ddp".to_owned()
            } else {
                format!("its {kind} has no momentum; drop --momentum")
            }
        }
        TrainFlags { optimizer: Some(kind @ (OptimizerKind::Adam | OptimizerKind::Rmsprop)), .. }
            if framework == Framework::Bigdl && penalised =>
        {
            format!("its {kind} has no weightDecay; drop --l2")
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
        TrainFlags { loss: Some(Auto::Given(loss)), .. } => return check_loss(framework, *loss),
        _ => return Ok(()),
    };
    Err(usage!("--like {framework}: {reason}"))
}

/// Returns an error for `mse` if the squared loss of the framework has another factor.
pub fn check_loss(framework: Framework, loss: Loss) -> Result<(), Failure> {
    use Framework::{
        Caffe, Cntk, Darknet, Mxnet, Nielsen, ScikitLearn, Tensorflow1Estimator, TheanoTutorial,
    };
    if !matches!(loss, Loss::Squared(SquaredLoss { form: SquaredForm::Mse, .. })) {
        return Ok(());
    }
    let own = match framework {
        Caffe | Darknet | ScikitLearn => "half-squared",
        Nielsen => "half-squared --output-activation sigmoid",
        Tensorflow1Estimator | Cntk => "squared",
        Mxnet => "half-mse",
        TheanoTutorial => {
            return Err(usage!("--like {framework}: it has no squared loss; give --loss cross-entropy"));
        }
        _ => return Ok(()),
    };
    Err(usage!(
        "--like {framework}: its squared loss is not mse (see phalanx train --help); give --loss {own}"
    ))
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
        Framework::Keras | Framework::ScikitLearn | Framework::TheanoTutorial => "the mean of the batch",
        Framework::Tensorflow1Estimator => "the sum of the batch",
        Framework::Cntk => "the sum of the batch (rates per sample)",
        Framework::Mxnet => "the mean of the batch (Trainer.step(batch_size))",
        Framework::Darknet => "the mean of the batch (that of the cfg, over all subdivisions)",
        Framework::Nielsen => "the mean of the batch (its costs are --loss bce-sum and half-squared)",
        Framework::Bigdl => "the mean of the means of its cores (shards here)",
    };
    if flags.momentum_form.is_some() {
        text += match framework.momentum_form() {
            MomentumForm::Pytorch => "; v = mv + g, w -= lr v",
            MomentumForm::Caffe => "; v = mv + lr g, w -= v",
        };
        if framework == Framework::Cntk {
            text += ", where lr is 1 - m times that of CNTK (unit gain)";
        }
    }
    if flags.drop_last == Some(true) && framework == Framework::Cntk {
        text += "; a short last batch, whose momentum and L2 are others in CNTK, is dropped";
    }
    text += match (framework, flags.activation, flags.init_weights) {
        (Framework::ScikitLearn, Some(Activation::Sigmoid), Some(Init::Glorot)) => {
            "; initial params are 1.73 times as large as those of scikit-learn with logistic"
        }
        (Framework::TheanoTutorial, Some(Activation::Sigmoid), Some(Init::TheanoTutorial)) => {
            "; initial hidden weights are a quarter of those of the tutorial with sigmoid"
        }
        _ => "",
    };
    let l2 = flags.l2.unwrap_or(0.0);
    if l2 != 0.0 {
        text += &match framework {
            Framework::Keras | Framework::TheanoTutorial => {
                format!("; L2 {:?} sum of squares of weights, a gradient of {l2:?} w", l2 / 2.0)
            }
            Framework::ScikitLearn => format!("; alpha {l2:?} over the samples of the batch, not on biases"),
            Framework::Cntk => {
                let mean = short(l2 / batch_size(flags) as f64);
                format!("; L2 {mean:?} of the mean, {l2:?} of the sum, on biases too")
            }
            Framework::Nielsen => format!("; L2 {l2:?} over all training samples, not on biases"),
            Framework::Darknet | Framework::Tensorflow1Estimator => "; L2 not on biases".to_owned(),
            _ => "; L2 on biases too, after clipping".to_owned(),
        };
    }
    if flags.clip_grad_norm.is_some() {
        text += match framework {
            Framework::Keras => {
                "; clipped as by global_clipnorm (clipnorm is per variable, which Phalanx does not support)"
            }
            Framework::Caffe => "; clipped as without iter_size (Caffe clips the sum of iter_size batches)",
            Framework::Mxnet => "; clipped without the 1e-8 that MXNet's clip_global_norm adds to the norm",
            Framework::Tensorflow1Estimator | Framework::Bigdl => "; clipped",
            _ => "; clipped without the 1e-6 that PyTorch's clip_grad_norm_ adds to the norm",
        };
    }
    text
}
